"""The folder of kernel entries: its size, many small files, and what cannot be one."""

import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from stored_kernels import ImpatientStore, files, kernels

from sklearn_cntk import CNTK, CNTKRegressor, CNTKRegressorCV, KernelStore, clear_memory
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.plotting import NeighborsDisplay


def test_size_limit_evicts_what_was_not_used_for_longest(tmp_path, rng, counting):
    sets = rng.normal(size=(4, 12, 5, 5, 1))

    def size():
        return sum(path.stat().st_size for path in files(tmp_path))

    CNTK(4, memory=tmp_path, n_jobs=1, device=counting)(sets[0])
    store = KernelStore(tmp_path, max_bytes=int(3.3 * size()))  # room for three of the sets
    for images in sets[1:]:
        for path in files(tmp_path):  # two minutes pass
            status = path.stat()
            os.utime(path, (status.st_atime - 120, status.st_mtime - 120))
        CNTK(4, memory=store, n_jobs=1, device=counting)(sets[0])  # stays in use
        CNTK(4, memory=store, n_jobs=1, device=counting)(images)
    assert size() <= store.max_bytes
    done = counting.total
    assert done == 4 * 78
    for images in sets[[0, 3]]:
        CNTK(4, memory=store, device=counting)(images)
    assert counting.total == done
    CNTK(4, memory=store, n_jobs=1, device=counting)(sets[1])
    assert counting.total == done + 78


def test_many_small_files_are_joined(images, tmp_path, counting):
    stored, plain = kernels(ImpatientStore(tmp_path), counting)
    for i in range(12):
        stored(images[i : i + 1], images[:12])
    assert len(files(tmp_path)) <= 6
    done = counting.total
    np.testing.assert_allclose(stored(images[:12]), plain(images[:12]), rtol=1e-12)
    assert counting.total == done == 78


def test_clear_memory_leaves_other_files(images, tmp_path, counting):
    stored, _ = kernels(tmp_path, counting)
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
        (3, TypeError, "memory=3 is not a folder"),
        (SimpleNamespace(folder="x"), TypeError, "is not a folder"),
        (KernelStore("x", max_bytes=0), ValueError, "max_bytes=0 must be"),
        (KernelStore("x", max_bytes=float("nan")), ValueError, "max_bytes=nan must be"),
        (KernelStore("x", "big"), TypeError, "max_bytes='big' is not a number"),
        (KernelStore("x", True), TypeError, "max_bytes=True is not a number"),
        (KernelStore(3), TypeError, "folder=3 is not a folder"),
    ],
)
def test_bad_memory(images, memory, error, message):
    with pytest.raises(error, match=message):
        CNTK(memory=memory)(images)


def test_memory_must_not_be_a_file(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file: use a folder"):
        CNTK(memory=tmp_path / "file")(images)


def test_folders_of_the_user(images, tmp_path, monkeypatch):
    """`~` is the home folder, and an empty name is none."""
    monkeypatch.setenv("HOME", os.fspath(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", os.fspath(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    kernel = CNTK(3, memory="~/entries")
    K = kernel(images[:5])
    assert files(tmp_path / "home" / "entries")
    assert not (tmp_path / "~").exists()
    np.testing.assert_array_equal(kernel(images[:5]), K)
    assert clear_memory("~/entries") > 0
    for memory in ("", KernelStore("")):
        with pytest.raises(ValueError, match="empty path names no folder: use '.'"):
            CNTK(3, memory=memory)(images[:5])
    for use in (lambda path: CNTK(3, memory=path)(images[:5]), load_cifar10):
        with pytest.raises(ValueError, match="'~no-such-user/x' names the home folder of no user"):
            use("~no-such-user/x")


@pytest.mark.parametrize("estimator", [CNTKRegressor, CNTKRegressorCV])
def test_a_model_makes_no_folder_where_it_is_loaded(images, tmp_path, monkeypatch, estimator):
    """And uses the one that is there."""
    images, here, there = images[..., :1], tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    options = {"depths": (2, 3)} if estimator is CNTKRegressorCV else {"depth": 3}
    model = estimator(memory="entries", **options).fit(images[:10], np.arange(10.0))
    expected = model.predict(images[10:14])
    saved = pickle.dumps(model)
    assert os.listdir(here) == ["entries"]
    monkeypatch.chdir(there)
    loaded = pickle.loads(saved)
    np.testing.assert_array_equal(loaded.predict(images[10:14]), expected)
    if estimator is CNTKRegressor:
        loaded.predict(images[10:14], return_std=True)
        NeighborsDisplay.from_estimator(loaded, images[10:14])
        list(loaded.staged_predict(images[10:14], [1.0, None]))
    assert os.listdir(there) == []
    before = len(files(here / "entries"))
    model.predict(images[14:18])
    assert len(files(here / "entries")) == before  # it is not in the working directory
    monkeypatch.chdir(here)
    model.predict(images[14:18])
    assert len(files(here / "entries")) > before > 0
