"""Files of the store: damage, limits of the system, and other processes between two steps."""

import errno
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from counting_engine import CountingEngine, as_without, files, kernels
from sklearn.base import clone

import sklearn_cntk._compute.job
import sklearn_cntk._store.entries
from sklearn_cntk import CNTK, KernelStore, clear_memory
from sklearn_cntk._store.entries import Space, digests, read_records


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))


@pytest.fixture
def counting(monkeypatch):
    engine = CountingEngine()
    monkeypatch.setattr(sklearn_cntk._compute.job, "select_engine", lambda device: engine)
    return engine


# --- damage --------------------------------------------------------------------------------------


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
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total > done
    assert len(files(tmp_path, "*/*.damaged")) == 1
    done = counting.total
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total == done


def flips(path, n=80):
    """The record of a file of one record, each time with one byte of another place changed."""
    data = path.read_bytes()
    ends = []
    with open(path, "rb") as file:
        for _ in range(4):
            np.load(file)
            ends.append(file.tell())
    assert ends[-1] == len(data)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        for at in np.unique(np.linspace(start, end - 1, n).astype(int)):
            for changed in {data[at] ^ 1, data[at] ^ 2, 0x20, 0x23, 0x39} - {data[at]}:
                yield at, data[:at] + bytes([changed]) + data[at + 1 :]


def test_every_changed_byte_is_noticed(rng, tmp_path):
    """Header, rows, columns and values: nothing of a changed file is ever used."""
    X, Y = rng.normal(size=(5, 3, 3, 1)), rng.normal(size=(4, 3, 3, 1))
    names = ["d2-gap-all", "d4-gap-all"]
    space = Space(tmp_path / "v1-space", 10**9)
    space.write([((names, digests(X), digests(Y), rng.normal(size=(2, 5, 4))), OPTIONS)])
    (path,) = files(tmp_path)
    used = Target(names)
    Space(space.folder, 10**9).read(used)
    assert len(used.copied) == 1
    other = path.with_name("0.blocks")
    changed = list(flips(path))
    assert len(changed) > 1000
    path.unlink()
    for at, data in changed:
        other.write_bytes(data)
        read_records.cache_clear()
        target = Target(names)
        with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
            Space(space.folder, 10**9).read(target)
        assert not target.copied, at
        assert not other.exists(), at


OPTIONS = {"paired": False, "complete": True}


class Target:
    """Wants everything."""

    def __init__(self, names):
        self.names, self.copied = names, []

    def wants(self, record):
        return True

    def copy(self, record, planes):
        self.copied.append(planes)


def test_changed_name_of_a_readout(images, tmp_path):
    """One byte makes depth 4 depth 5."""
    CNTK(4, memory=tmp_path)(images)
    (path,) = files(tmp_path)
    data = path.read_bytes()
    assert b"d4-gap" in data
    path.write_bytes(data.replace(b"d4-gap", b"d5-gap"))
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="a record has another checksum"):
        K = CNTK(5, memory=tmp_path)(images)
    np.testing.assert_array_equal(K, CNTK(5)(images))


def test_numbers_of_a_foreign_file_ask_for_no_memory(images, tmp_path):
    CNTK(4, memory=tmp_path)(images)
    (path,) = files(tmp_path)
    with open(path, "wb") as file:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (10**18,)}
        np.lib.format.write_array_header_1_0(file, shape)
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        CNTK(4, memory=tmp_path)(images)


LIMITED = """
import os, resource, sys, warnings
import numpy as np
from sklearn_cntk import CNTK
from sklearn_cntk._store.entries import digests, read_records
X = np.random.default_rng(0).normal(size=(40, 6, 6))
kernel = CNTK(2, memory=sys.argv[1], n_jobs=1)
K = CNTK(2)(X)
space = kernel._job(X[..., None])._space(False)
ids = digests(X[..., None])
records = [
    ((["d2-gap-all"], ids[i : i + 1], ids[j : j + 2], K[None, i : i + 1, j : j + 2]), OPTIONS)
    for i in range(0, 40)
    for j in range(0, 40, 2)
]
for start in range(0, 400, 4):  # a hundred files of few records, and one of many
    space.write(records[start : start + 4])
space.write(records[400:])

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
warnings.simplefilter("error")
assert np.array_equal(kernel(X), K)

read_records.cache_clear()
n_open = len(os.listdir("/dev/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (n_open, 64))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    again = kernel(X)
assert np.allclose(again, K, rtol=1e-12, atol=0)
messages = [str(warning.message) for warning in caught]
assert any("Too many open files" in m and "could not be read" in m for m in messages), messages
assert any("could not be written" in m for m in messages), messages
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit to set")
def test_limit_of_open_files(tmp_path):
    """However many records there are, one file is open; where none may be, results are right."""
    code = LIMITED.replace("OPTIONS", repr(OPTIONS))
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE)
    assert process.returncode == 0, process.stderr.decode()
    assert len(files(tmp_path, "*/*")) == len(files(tmp_path)) == 101


def test_a_file_that_cannot_be_read(images, tmp_path, counting, monkeypatch):
    """An input error of the disk, which comes once."""
    stored, plain = kernels(tmp_path)
    stored(images[:20])
    stored(images)
    done = counting.total
    failing = files(tmp_path)[0]
    read = sklearn_cntk._store.entries.read_records

    def read_records(path, size):
        if path == str(failing):
            raise OSError(errno.EIO, "Input/output error")
        return read(path, size)

    monkeypatch.setattr(sklearn_cntk._store.entries, "read_records", read_records)
    with pytest.warns(RuntimeWarning, match="could not be read .*Input/output error"):
        K = stored(images)
    np.testing.assert_allclose(K, as_without(plain, images, None), rtol=1e-12)
    assert done < counting.total < 2 * done
    assert failing.exists()


def test_failure_of_tidying_costs_nothing(tmp_path):
    """Files that cannot be joined, for a limit on file sizes, stay as they are."""
    code = """
import resource, signal, sys, warnings
from pathlib import Path
import numpy as np
import sklearn_cntk._store.entries
from sklearn_cntk import CNTK
images = np.random.default_rng(0).normal(size=(20, 6, 6))
sklearn_cntk._store.entries._MANY_FILES = 5
kernel = CNTK(4, memory=sys.argv[1], n_jobs=1)
expected = CNTK(4)(images)
for i in range(5):
    kernel(images[i : i + 1], images[10:])
size = max(path.stat().st_size for path in Path(sys.argv[1]).rglob("*.blocks"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, 2 * size))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    K = kernel(images[5:6], images[10:])
assert np.array_equal(K, expected[5:6, 10:])
assert len(caught) == 1 and "could not be tidied" in str(caught[0].message), caught
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert len(files(tmp_path, "*/*")) == len(files(tmp_path)) == 6


def test_damage_is_not_joined(images, tmp_path, counting, monkeypatch):
    """A small file's changed value costs this file, not the large one that it would become."""
    stored, plain = kernels(tmp_path)
    for i in range(6):
        stored(images[i : i + 1], images[10:20])
    damage_bit(files(tmp_path)[0])
    read_records.cache_clear()
    monkeypatch.setattr(sklearn_cntk._store.entries, "_MANY_FILES", 5)
    stored(images[:1], images[20:])  # other entries, so nothing of the six is read for them
    assert len(files(tmp_path)) == 2
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        K = stored(images[:6], images[10:20])
    np.testing.assert_allclose(K, as_without(plain, images[:6], images[10:20]), rtol=1e-12)
    assert counting.most_often == 2
    assert list(counting.pairs_computed.values()).count(2) == 10


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


# --- other processes, and other folders ---------------------------------------------------------


def test_clear_memory_beside_other_processes(images, tmp_path, monkeypatch):
    """One that removes files between the listing and the removal, and one that writes new ones."""
    stored, _ = kernels(tmp_path)
    stored(images[:5])
    stored(images[:9])
    first, second = files(tmp_path)
    size = second.stat().st_size
    listed = sklearn_cntk._store.entries._all_files

    def meanwhile(folder):
        paths = listed(folder)
        first.unlink()
        first.with_name("new.blocks").write_text("")
        return paths

    monkeypatch.setattr(sklearn_cntk._store.entries, "_all_files", meanwhile)
    assert clear_memory(tmp_path) == size
    assert [path.name for path in files(tmp_path)] == ["new.blocks"]


def test_writing_beside_clear_memory(images, tmp_path, monkeypatch):
    """The temporary file and its folder vanish before it is renamed: it is written once more."""
    replace, calls = os.replace, []

    def cleared(source, target):
        if not calls:
            clear_memory(tmp_path)
        calls.append(source)
        return replace(source, target)

    monkeypatch.setattr(os, "replace", cleared)
    CNTK(4, memory=tmp_path, n_jobs=1)(images[:5])
    assert len(calls) == 2
    assert len(files(tmp_path)) == 1


def test_relative_folder_is_that_of_the_job(images, tmp_path, monkeypatch):
    """Wherever the process goes on; the parameter itself stays as it was given."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    for memory in ("entries", KernelStore("more")):
        kernel = CNTK(3, memory=memory, n_jobs=1)
        job = kernel._job(images)
        monkeypatch.chdir(elsewhere)
        job.gram(images)
        monkeypatch.chdir(home)
        assert kernel.memory == memory
        assert clone(kernel).memory == memory
    assert len(files(home, "*/*/*.blocks")) == 2
    assert not list(elsewhere.iterdir())
