"""Compilation: damaged, full or unwritable caches end no computation, constants cost none."""

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import warnings

import numba
import pytest
from numba.core.bytecode import FunctionIdentity

from sklearn_cntk._engines import compile as _compile

SOURCE = """
from sklearn_cntk._engines.compile import compile_lazily


@compile_lazily
def double(x):
    return 2 * x
"""


VARIANTS = """
from sklearn_cntk._engines.compile import compile_lazily


def times(factor):
    def product(x):
        return factor * x

    return compile_lazily(product)


double, triple = times(2), times(3)


@compile_lazily
def both(x):
    return double(x) + 10 * triple(x)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(numba.config, "CACHE_DIR", os.fspath(folder))
    monkeypatch.setattr(_compile._BestEffortCache, "_has_warned", False)
    return folder


def load(file):
    """The module of a file, as a new process would load it."""
    spec = importlib.util.spec_from_file_location("module_with_a_kernel", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def double(tmp_path):
    """Function that loads the compiled function, as a new process would."""
    file = tmp_path / "module_with_a_kernel.py"
    file.write_text(SOURCE)
    return lambda: load(file).double


def hits(function):
    return sum(function.stats.cache_hits.values())


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"no pickle", "half", "other"])
def test_damaged_files(cache, double, suffix, content):
    """A warning, a right value, and a cache that is whole again."""
    assert double()(3) == 6
    again = double()
    assert again(3) == 6
    assert hits(again) == 1
    assert again(3.5) == 7  # another signature, whose file stays whole
    file = min(cache.rglob(f"*{suffix}"))
    whole = file.read_bytes()
    file.write_bytes({"half": whole[: len(whole) // 2], "other": whole[:-5]}.get(content, content))
    with pytest.warns(RuntimeWarning, match=r"cache in .*cache.* cannot be read .*NUMBA_CACHE_DIR"):
        assert double()(3) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        healed = double()
        assert healed(3) == 6
        assert hits(healed) == 1
        assert healed(3.5) == 7
    assert hits(healed) == (2 if suffix == ".nbc" else 1)  # an index lists them all


def test_other_sources_of_what_is_called(cache, double, monkeypatch):
    """Machine code holds what it calls: where that has changed, it is compiled anew."""

    def hits_of_new_process():
        function = double()
        assert function(3) == 6
        return hits(function)

    assert [hits_of_new_process(), hits_of_new_process()] == [0, 1]
    monkeypatch.setattr(_compile, "_sources", lambda: "other sources")
    assert [hits_of_new_process(), hits_of_new_process()] == [0, 1]


def test_what_counts_as_source(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cuda").mkdir()

    def changed(name):
        before = _compile._sources.__wrapped__(tmp_path)
        (tmp_path / name).write_text("CONSTANT = 1")
        return _compile._sources.__wrapped__(tmp_path) != before

    assert changed("plan.py")
    assert changed("cpu/planes.py")
    assert not changed("plan.py")  # the same once more
    assert not changed("cuda/engine.py")


def test_files_that_hold_other_code(cache, double):
    """Two processes that save at the same moment may leave such: Numba itself would run that."""
    compiled = double()
    assert (compiled(3), compiled(3.5)) == (6, 7)
    one, other = cache.rglob("*.nbc")
    of_one = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(of_one)
    again = double()
    assert (again(3), again(3.5)) == (6, 7)
    assert hits(again) == 0
    healed = double()
    assert (healed(3), healed(3.5)) == (6, 7)
    assert hits(healed) == 2


def test_variants_that_processes_number_alike(cache, tmp_path, monkeypatch):
    """Numba counts functions in each process, and links by that number and the function's name."""
    file = tmp_path / "module_with_variants.py"
    file.write_text(VARIANTS)
    monkeypatch.setattr(FunctionIdentity, "_unique_ids", itertools.count(1000))
    assert load(file).double(1.0) == 2
    # Another process compiles `both`, loads `double`, and compiles `triple`, its second function.
    monkeypatch.setattr(FunctionIdentity, "_unique_ids", itertools.count(999))
    module = load(file)
    assert module.both(1.0) == 2 + 10 * 3
    assert hits(module.double) == 1


def test_only_numbers_make_variants():
    factor = "2"

    def product(x):
        return factor * x

    with pytest.raises(TypeError, match="factor='2'.*a number"):
        _compile.compile_lazily(product)


def test_where_warnings_are_errors(cache, double, monkeypatch):
    """The cache is mended before it says so."""
    assert double()(3) == 6
    for file in [*cache.rglob("*.nbi"), *cache.rglob("*.nbc")]:
        file.write_bytes(b"")
    with pytest.raises(RuntimeWarning, match="cannot be read"):
        double()(3)
    monkeypatch.setattr(_compile._BestEffortCache, "_has_warned", False)
    mended = double()
    assert mended(3) == 6
    assert hits(mended) == 1


def test_no_room(cache, double):
    """As on a full disk, the system writes no more."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX'")
    first, second = double(), double()  # Python has a cache of its own, which is not the matter
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.warns(RuntimeWarning, match="cannot be written .OSError: .*File too large"):
            value = first(3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # once
            assert second(3) == 6
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert value == 6
    assert not list(cache.rglob("*.nbc"))


def test_no_folder_is_writable(double, monkeypatch):
    def none(cache, function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(_compile._BestEffortCache, "__init__", none)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double()(3) == 6


@pytest.mark.compile
def test_constants_compile_no_function_twice(tmp_path):
    """Not for each filter size and number of lanes: that would make first calls seconds longer."""
    code = """
import numpy as np
from numba import types
from sklearn_cntk import CNTK
from sklearn_cntk._engines import diagonals
from sklearn_cntk._engines.cpu.planes import clear_frame

images = np.random.default_rng(0).normal(size=(3, 6, 6))
for filter_size in (1, 3):
    CNTK(3, filter_size=filter_size)(images)
for function in (diagonals.box_sum, diagonals.fill_tables, diagonals.self_sums, clear_frame):
    assert len(function.signatures) == 1, function.signatures
    assert not any(isinstance(type_, types.Literal) for type_ in function.signatures[0])
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
