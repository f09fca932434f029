"""`memory`: every pair of images computed once, whoever asks, however often and in what order."""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.model_selection import GridSearchCV, KFold

import sklearn_cntk._job
from sklearn_cntk import (
    CNTK,
    CNTKClassifier,
    CNTKClassifierCV,
    CNTKRegressor,
    KernelStore,
    clear_memory,
    cntk_path,
)
from sklearn_cntk._engines import cpu
from sklearn_cntk._store import digests


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))


class CountingEngine:
    """The CPU engine, and how often it computed each pair of images, in either order."""

    def __init__(self):
        self.pairs_computed = Counter()
        self.largest_depth = 0

    def gram(self, X, Y, architecture, readouts, *, dtype="float32", triu=None):
        x_ids, y_ids = digests(X), digests(Y)
        for i, a in enumerate(x_ids):
            for j, b in enumerate(y_ids):
                if triu is None or j - i >= triu:
                    self.pairs_computed[frozenset((a, b))] += 1
        self.largest_depth = max(self.largest_depth, *(readout.depth for readout in readouts))
        return cpu.gram(X, Y, architecture, readouts, dtype=dtype, triu=triu)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        for a, b in zip(digests(X), digests(Y), strict=True):
            self.pairs_computed["diagonal", frozenset((a, b))] += 1
        return cpu.pairs(X, Y, architecture, readouts, dtype=dtype)

    @property
    def total(self):
        return self.pairs_computed.total()

    @property
    def most_often(self):
        return max(self.pairs_computed.values())


@pytest.fixture
def counting(monkeypatch):
    engine = CountingEngine()
    monkeypatch.setattr(sklearn_cntk._job, "select_engine", lambda device: engine)
    return engine


def kernels(folder, **parameters):
    """The same kernel with and without memory; one thread, so that counts are exact."""
    return CNTK(4, memory=folder, n_jobs=1, **parameters), CNTK(4, **parameters)


def files(folder, pattern="*/*.blocks"):
    return sorted(folder.glob(pattern))


# --- every pair once ----------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_overlapping_requests(images, tmp_path, counting, flip, normalize):
    """Any rows in any order, rectangles, repeated images: values as without memory, pairs once."""
    stored, plain = kernels(tmp_path, flip=flip, normalize=normalize, dtype="float64")
    order = np.random.default_rng(1).permutation(30)
    twice = np.concatenate([images[:7], images[:3]])
    requests = [
        (images[:9], None),
        (images[5:20], None),
        (images[:12], images[3:25]),
        (images[order], None),
        (images[order[::-1]], images[::3]),
        (twice, None),
        (twice, images[2:6]),
    ]
    for X, Y in requests:
        np.testing.assert_allclose(stored(X, Y), as_without(plain, X, Y), rtol=1e-12, atol=1e-15)
    computed = {key: n for key, n in counting.pairs_computed.items() if "diagonal" not in key}
    assert max(computed.values()) == 1
    assert len(computed) == 30 * 31 / 2 * (1 + flip) or flip  # flipped images have names as well
    np.testing.assert_allclose(stored.diag(images), as_without(plain, images, "diag"), rtol=1e-12)


def as_without(plain, X, Y):
    """The kernel's values by the plain CPU engine, which no counter sees."""
    counted, sklearn_cntk._job.select_engine = sklearn_cntk._job.select_engine, lambda device: cpu
    try:
        return plain.diag(X) if isinstance(Y, str) else plain(X, Y)
    finally:
        sklearn_cntk._job.select_engine = counted


def test_smaller_depths_come_with_a_pass(images, tmp_path, counting):
    CNTK(7, memory=tmp_path, n_jobs=1)(images)
    done = counting.total
    assert done == 30 * 31 / 2
    for depth in (6, 3, 2, 7):
        stored = CNTK(depth, memory=tmp_path)(images)
        np.testing.assert_array_equal(stored, as_without(CNTK(depth), images, None))
    cntk_path(images, depths=[2, 5], gap=[True], memory=tmp_path)
    assert counting.total == done
    CNTK(8, memory=tmp_path, n_jobs=1)(images)  # a deeper network needs a pass of its own
    assert counting.total == 2 * done


def test_pixels_are_what_counts(tmp_path, counting):
    images = np.random.default_rng(0).integers(0, 255, size=(6, 4, 4, 1), dtype=np.uint8)
    kernel = CNTK(3, image_shape=(4, 4), memory=tmp_path, n_jobs=1)
    K = kernel(images)
    for same in (
        images.astype(float),
        images.reshape(6, 16),
        np.asfortranarray(images),
        images[..., 0],
    ):
        np.testing.assert_array_equal(kernel(same), K)
    assert counting.total == 21
    changed = images.copy()
    changed[0, 0, 0] ^= 1
    kernel(changed)
    assert counting.total == 21 + 6
    # The same bytes in another shape are other images, and so is another filter or precision.
    kernel.set_params(image_shape=(2, 8))(images.reshape(6, 16))
    CNTK(3, filter_size=1, memory=tmp_path, n_jobs=1)(images)
    CNTK(3, dtype="float64", memory=tmp_path, n_jobs=1)(images)
    assert counting.total == 21 + 6 + 3 * 21


def test_negative_zero_is_zero():
    a, b = np.zeros((1, 2, 2, 1)), -np.zeros((1, 2, 2, 1))
    assert digests(a) == digests(b)


def test_predicting_the_same_rows_again(images, tmp_path, counting):
    y = np.column_stack([images.sum(axis=(1, 2, 3)), images[:, 0, 0, 0]])
    model = CNTKRegressor(4, memory=tmp_path, normalize=True, n_jobs=1).fit(images[:20], y[:20])
    first = model.predict(images[20:])
    done = counting.total
    np.testing.assert_array_equal(model.predict(images[20:]), first)
    model.predict(images)
    assert counting.total == done  # training rows, and their diagonal, are known as well
    assert counting.most_often == 1
    without = clone(model).set_params(memory=None).fit(images[:20], y[:20])
    np.testing.assert_allclose(without.predict(images[20:]), first, rtol=1e-7)


# --- scikit-learn's searches ---------------------------------------------------------------------


GRID = {"depth": (5, 3), "gap": (True, False), "alpha": (1e-5, 1e-1), "train_size": (0.5, None)}


def comparable(search):
    results = search.cv_results_
    return {key: value for key, value in results.items() if "time" not in key and key != "params"}


def assert_same_search(a, b):
    for key, value in comparable(a).items():
        np.testing.assert_array_equal(value, comparable(b)[key], err_msg=key)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images[:120], data.target[:120]


def test_grid_search(digits, tmp_path, counting):
    cv = KFold(3, shuffle=True, random_state=0)
    model = CNTKClassifier(random_state=0, n_jobs=1)
    stored = GridSearchCV(model.set_params(memory=str(tmp_path)), GRID, cv=cv).fit(*digits)
    # Both poolings, from the deepest candidate on; nothing for the others.
    assert counting.total == 2 * 120 * 121 / 2
    assert counting.most_often == 2
    plain = GridSearchCV(clone(model).set_params(memory=None), GRID, cv=cv).fit(*digits)
    assert_same_search(stored, plain)


def test_grid_search_in_several_processes(digits, tmp_path):
    model = CNTKClassifier(random_state=0, n_jobs=1)
    plain = GridSearchCV(model, GRID, cv=3).fit(*digits)
    stored = GridSearchCV(clone(model).set_params(memory=tmp_path), GRID, cv=3, n_jobs=2)
    assert_same_search(stored.fit(*digits), plain)
    assert not files(tmp_path, "*/*.damaged")
    assert not files(tmp_path, "*/*.tmp")


def test_cross_validated_estimator(digits, tmp_path, counting):
    search = CNTKClassifierCV((3, 5), cv=3, memory=tmp_path, n_jobs=1).fit(*digits)
    assert counting.total == 120 * 121 / 2
    again = clone(search).fit(*digits)
    assert counting.total == 120 * 121 / 2
    assert_same_search(search, again)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of noise
def test_gaussian_process_with_optimizer(digits, tmp_path, counting):
    X, y = digits[0].reshape(120, 64)[:40], np.random.default_rng(0).normal(size=40)
    kernel = 1e-3 * CNTK(3, image_shape=(8, 8), memory=tmp_path, n_jobs=1) + WhiteKernel()
    GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=0).fit(X, y)
    assert counting.total == 40 * 41 / 2


# --- accidents -----------------------------------------------------------------------------------


RUN = """
import sys
import numpy as np
import sklearn_cntk._job
from sklearn_cntk import CNTK
from sklearn_cntk._engines import cpu

class Engine:
    computed = 0
    pairs = cpu.pairs
    def gram(self, X, Y, *args, triu=None, **options):
        n = len(X) * len(Y) if triu is None else int(np.triu(np.ones((len(X), len(Y))), triu).sum())
        Engine.computed += n
        values = cpu.gram(X, Y, *args, triu=triu, **options)
        print("tile", Engine.computed, flush=True)
        return values

sklearn_cntk._job.select_engine = lambda device: Engine()
# As small beside this run as tiles and waits are beside a longer one.
sklearn_cntk._gram._TILE_WORK = 1e8
sklearn_cntk._store._SHORTEST_WAIT = 0.05
images = np.random.default_rng(0).normal(size=(int(sys.argv[2]), 14, 14))
K = CNTK(11, memory=sys.argv[1], n_jobs=1)(images)
np.save(sys.argv[3], K)
print("computed", Engine.computed, flush=True)
"""


def start_run(folder, n, result):
    command = [sys.executable, "-c", RUN, str(folder), str(n), str(result)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_run(process):
    """Pairs that the process computed."""
    with process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return int(output.split("computed")[1])


def n_stored(folder, n):
    """Pairs of the n images of RUN that the store holds at depth 11."""
    images = np.random.default_rng(0).normal(size=(n, 14, 14, 1))
    place = {digest: k for k, digest in enumerate(digests(images))}
    held = np.zeros((n, n), dtype=bool)
    for path in files(folder):
        with open(path, "rb") as file:
            while file.tell() < path.stat().st_size:
                header, rows, columns, values = (np.load(file) for _ in range(4))
                k = json.loads(header.tobytes())["readouts"].index("d11-gap-all")
                at = np.ix_(*([place[row.tobytes()] for row in ids] for ids in (rows, columns)))
                held[at] |= ~np.isnan(values[k])
    return int(np.triu(held | held.T).sum())


def test_killed_run_resumes(tmp_path):
    """SIGKILL in the middle; what was done before is not done again, by the documented layout."""
    n = 250
    n_pairs = n * (n + 1) / 2
    with start_run(tmp_path / "store", n, tmp_path / "killed.npy") as process:
        done = 0
        while done < n_pairs / 2:
            word, done = process.stdout.readline().split()
            assert word == "tile"
            done = int(done)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed.npy").exists()
    held = n_stored(tmp_path / "store", n)
    assert done - held < 0.05 * n_pairs  # lost in flight
    assert held < n_pairs
    computed = finish_run(start_run(tmp_path / "store", n, tmp_path / "resumed.npy"))
    assert computed == n_pairs - held
    images = np.random.default_rng(0).normal(size=(n, 14, 14))
    np.testing.assert_allclose(np.load(tmp_path / "resumed.npy"), CNTK(11)(images), rtol=1e-12)


def test_two_processes_share_the_work(tmp_path):
    """Each takes over what the other has finished meanwhile."""
    n = 250
    n_pairs = n * (n + 1) / 2
    both = [start_run(tmp_path / "store", n, tmp_path / f"{k}.npy") for k in range(2)]
    computed = sum(finish_run(process) for process in both)
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))
    assert n_pairs <= computed < 1.7 * n_pairs
    again = finish_run(start_run(tmp_path / "store", n, tmp_path / "2.npy"))
    assert again == 0


def damage_truncate(path):
    os.truncate(path, path.stat().st_size - 100)


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)


def damage_identifier(path):
    data = path.read_bytes()
    at = data.index(b"\x93NUMPY", 10) + 130  # in the second array, the rows
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def damage_foreign(path):
    path.write_text("shopping list")


def damage_pickle(path):
    with open(path, "wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_bit, damage_identifier, damage_foreign, damage_pickle]
)
def test_damaged_file_is_reported_and_computed_again(images, tmp_path, counting, damage):
    stored, plain = kernels(tmp_path)
    K = stored(images)
    done = counting.total
    damage(files(tmp_path)[0])
    # Files are read once a process: this one is another, as far as the reader can know.
    sklearn_cntk._store.read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total > done
    assert len(files(tmp_path, "*/*.damaged")) == 1
    done = counting.total
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total == done


def test_full_disk_costs_the_store_not_the_result(tmp_path):
    """A limit on file sizes stands for the full disk."""
    code = """
import resource, signal, sys, warnings
import numpy as np
from sklearn_cntk import CNTK
images = np.random.default_rng(0).normal(size=(60, 6, 6))
expected = CNTK(4)(images)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    K = CNTK(4, memory=sys.argv[1])(images)
assert np.array_equal(K, expected)
assert len(caught) == 1 and "could not be written" in str(caught[0].message), caught
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert not files(tmp_path, "*/*")


# --- the folder ----------------------------------------------------------------------------------


def test_size_limit_evicts_what_was_not_used_for_longest(tmp_path, rng, counting):
    sets = rng.normal(size=(4, 12, 5, 5, 1))

    def size():
        return sum(path.stat().st_size for path in files(tmp_path))

    CNTK(4, memory=tmp_path, n_jobs=1)(sets[0])
    store = KernelStore(tmp_path, max_bytes=int(3.3 * size()))  # room for three of the sets
    for images in sets[1:]:
        for path in files(tmp_path):  # two minutes pass
            status = path.stat()
            os.utime(path, (status.st_atime - 120, status.st_mtime - 120))
        CNTK(4, memory=store, n_jobs=1)(sets[0])  # stays in use
        CNTK(4, memory=store, n_jobs=1)(images)
    assert size() <= store.max_bytes
    done = counting.total
    assert done == 4 * 78
    for images in sets[[0, 3]]:
        CNTK(4, memory=store)(images)
    assert counting.total == done
    CNTK(4, memory=store, n_jobs=1)(sets[1])
    assert counting.total == done + 78


def test_many_small_files_are_joined(images, tmp_path, counting, monkeypatch):
    monkeypatch.setattr(sklearn_cntk._store, "_MANY_FILES", 5)
    stored, plain = kernels(tmp_path)
    for i in range(12):
        stored(images[i : i + 1], images[:12])
    assert len(files(tmp_path)) <= 6
    done = counting.total
    np.testing.assert_allclose(
        stored(images[:12]), as_without(plain, images[:12], None), rtol=1e-12
    )
    assert counting.total == done == 78


def test_clear_memory_leaves_other_files(images, tmp_path, counting):
    stored, _ = kernels(tmp_path)
    stored(images)
    (tmp_path / "thesis.txt").write_text("mine")
    size = sum(path.stat().st_size for path in files(tmp_path))
    assert clear_memory(tmp_path) == size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    stored(images)
    assert counting.total == 2 * 30 * 31 / 2
    clear_memory(KernelStore(tmp_path))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        clear_memory(tmp_path / "elsewhere")


def test_store_is_a_parameter_like_others(tmp_path):
    store = KernelStore(tmp_path, max_bytes=1000)
    kernel = clone(CNTK(memory=store))
    assert kernel.memory == store
    assert kernel == CNTK(memory=store)
    assert "KernelStore" in repr(kernel)


@pytest.mark.parametrize(
    ("memory", "error", "message"),
    [
        (3, TypeError, "memory=3 is no folder"),
        (SimpleNamespace(folder="x"), TypeError, "is no folder"),
        (KernelStore("x", max_bytes=0), ValueError, "max_bytes=0 must be"),
    ],
)
def test_bad_memory(images, memory, error, message):
    with pytest.raises(error, match=message):
        CNTK(memory=memory)(images)


def test_memory_must_not_be_a_file(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file: name a folder"):
        CNTK(memory=tmp_path / "file")(images)
