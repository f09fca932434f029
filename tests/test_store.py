"""`memory`: every pair of images computed once, whoever asks, however often and in what order."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from counting_engine import CountingEngine, as_without, files, kernels
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.model_selection import GridSearchCV, KFold

import sklearn_cntk._compute.job
from sklearn_cntk import (
    CNTK,
    CNTKClassifier,
    CNTKClassifierCV,
    CNTKRegressor,
    KernelStore,
    clear_memory,
    cntk_path,
)
from sklearn_cntk._compute.cached import Distinct, stored_diagonals, stored_gram
from sklearn_cntk._store.entries import digests


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))


@pytest.fixture
def counting(monkeypatch):
    engine = CountingEngine()
    monkeypatch.setattr(sklearn_cntk._compute.job, "select_engine", lambda device: engine)
    return engine


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
import sklearn_cntk._compute.job
from sklearn_cntk import CNTK
from sklearn_cntk._engines.cpu import engine as cpu

class Engine:
    computed = 0
    pairs = cpu.pairs
    def gram(self, X, Y, *args, triu=None, **options):
        n = len(X) * len(Y) if triu is None else int(np.triu(np.ones((len(X), len(Y))), triu).sum())
        Engine.computed += n
        values = cpu.gram(X, Y, *args, triu=triu, **options)
        print("tile", Engine.computed, flush=True)
        return values

sklearn_cntk._compute.job.select_engine = lambda device: Engine()
# As small beside this run as tiles and waits are beside a longer one.
sklearn_cntk._compute.tiles._TILE_WORK = 1e8
sklearn_cntk._store.entries._SHORTEST_WAIT = 0.05
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
    monkeypatch.setattr(sklearn_cntk._store.entries, "_MANY_FILES", 5)
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


def test_images_identified_once(images, tmp_path, counting, monkeypatch):
    """What predictions by blocks share; images that occur twice, and mirrored ones, included."""
    stored, plain = kernels(tmp_path, flip=True)
    job = stored._job(images)
    training = np.concatenate([images[:12], images[:3]])
    hashed = []

    def digests_of(images):
        hashed.append(len(images))
        return digests(images)

    monkeypatch.setattr(sklearn_cntk._compute.cached, "digests", digests_of)
    known = Distinct(training)
    options = {"advance": lambda pairs: None, **job._options()}
    for start in (12, 18, 24):
        X = images[start : start + 6]
        K = sum(
            stored_gram(X, known, symmetric=False, flip=flip, space=job._space(flip), **options)
            for flip in (False, True)
        )
        np.testing.assert_allclose(K[0] / 2, as_without(plain, X, training), rtol=1e-6)
    assert hashed.count(15) == 1
    diagonals = sum(
        stored_diagonals(known, flip=flip, space=job._space(flip), **options)
        for flip in (False, True)
    )
    np.testing.assert_allclose(diagonals[0] / 2, as_without(plain, training, "diag"), rtol=1e-6)
    assert hashed.count(15) == 1
    assert known.shape == training.shape
    assert len(known) == 15


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
        (KernelStore("x", max_bytes=float("nan")), ValueError, "max_bytes=nan must be"),
        (KernelStore("x", "big"), TypeError, "max_bytes='big' is no number"),
        (KernelStore("x", True), TypeError, "max_bytes=True is no number"),
        (KernelStore(3), TypeError, "folder=3 is no folder"),
    ],
)
def test_bad_memory(images, memory, error, message):
    with pytest.raises(error, match=message):
        CNTK(memory=memory)(images)


def test_memory_must_not_be_a_file(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file: name a folder"):
        CNTK(memory=tmp_path / "file")(images)
