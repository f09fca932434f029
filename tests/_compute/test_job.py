"""A job's matrices: whole, in blocks of rows, and as tiles of a triangle."""

import pickle
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from engines import ChangedEngine, RecordingEngine, ThreadNamingEngine, cpu
from joblib import parallel_config
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK
from sklearn_cntk._compute.job import HeldValues

N = 60
DIGITS = load_digits()
IMAGES = DIGITS.images[:N, ..., None]
TEST = DIGITS.images[N : N + 23, ..., None]

OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"flip": True}, {"normalize": True}, {"flip": True, "normalize": True}], ids=str
)


def small(**options):
    """A job whose blocks are of 7 rows, and of twos of these where they are looked up."""
    job = CNTK(3, False, **options)._job(IMAGES)
    return replace(job, held=HeldValues(block=7 * N, stored=14 * N))


def assembled(job, images, others, **options):
    """The matrix that blocks make, and their heights."""
    K, heights = np.full((1, len(images), len(others)), np.nan), []
    for rows, values in job.blocks(images, others, **options):
        assert np.isnan(K[:, rows]).all()
        K[:, rows] = values
        heights.append(values.shape[1])
    return K, heights


@OPTIONS
@pytest.mark.parametrize("stored", [False, True])
def test_blocks_are_rows_of_the_matrix(options, stored, tmp_path):
    job = small(memory=tmp_path if stored else None, **options)
    K, heights = assembled(job, TEST, IMAGES)
    assert sorted(heights) == [2, 7, 7, 7]
    expected = CNTK(3, False, **options)(TEST, IMAGES)
    np.testing.assert_allclose(K[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(K, assembled(job, TEST, IMAGES)[0])


@OPTIONS
def test_images_are_prepared_once(options):
    """And not once a block."""
    engine = RecordingEngine()
    assembled(small(device=engine, **options), TEST, IMAGES)
    assert [call for call in engine.calls if call[1] != "pairs"] == [(len(TEST), N)]


@OPTIONS
def test_a_triangle_is_that_of_the_matrix(options):
    K = np.zeros((N, N))
    for tile in small(**options).triangle(IMAGES):
        K[tile.rows[:, None], tile.columns] += tile.values[0]
    np.testing.assert_allclose(K, np.triu(CNTK(3, False, **options)(IMAGES)), rtol=1e-12)


def test_diagonals():
    images = np.concatenate([np.zeros((1, 8, 8, 1)), IMAGES[:5]])
    plain = CNTK(3, False)._job(images)
    np.testing.assert_array_equal(plain.diagonals(images), plain.raw_diagonals(images))
    normalized = replace(plain, normalize=True)
    np.testing.assert_array_equal(normalized.diagonals(images), [[0, 1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(normalized.raw_diagonals(images), plain.diagonals(images))


@OPTIONS
@pytest.mark.parametrize("stored", [False, True])
def test_progress_ends_at_its_total(options, stored, tmp_path, monkeypatch):
    """Of every way to a matrix, whatever was found and whatever has to be computed."""
    totals, done = [], []

    @contextmanager
    def recorded(total, verbose, label, advance=None):
        totals.append(total)
        done.append(0)
        at = len(done) - 1

        def count(pairs):
            done[at] += pairs

        yield count

    monkeypatch.setattr("sklearn_cntk._compute.job.progress_bar", recorded)
    job = small(memory=tmp_path if stored else None, **options)
    for _ in range(2):  # the second time from the store
        job.gram(IMAGES[:20])
        job.gram(TEST, IMAGES[:30])
        list(job.blocks(TEST, IMAGES))
        list(job.triangle(IMAGES))
        job.diagonals(TEST)
    times = 2 if options.get("flip") else 1
    pairs = {20 * 21 // 2, len(TEST) * 30, len(TEST) * N, N * (N + 1) // 2, len(TEST)}
    assert {times * n for n in pairs} <= set(totals)
    assert done == totals


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_raw_diagonals_that_the_caller_has_are_not_computed(known, in_blocks):
    engine = RecordingEngine()
    job = small(device=engine, normalize=True)
    diagonals = {}
    if known:
        diagonals["x_diagonals"] = job.raw_diagonals(TEST)
        diagonals["y_diagonals"] = job.raw_diagonals(IMAGES)
        engine.calls.clear()
    if in_blocks:
        K, _ = assembled(job, TEST, IMAGES, **diagonals)
    else:
        K = job.gram(TEST, IMAGES, **diagonals)
    np.testing.assert_allclose(K[0], CNTK(3, False, normalize=True)(TEST, IMAGES), rtol=1e-12)
    assert [n for n, kind in engine.calls if kind == "pairs"] == ([] if known else [len(TEST), N])


def test_a_triangle_is_checked():
    """Values beyond the range of floats, and below it."""
    job = small()
    with pytest.raises(ValueError, match="beyond the range of float64"):
        list(job.triangle(IMAGES[:5] * 1e170))
    with pytest.warns(RuntimeWarning, match="below the range of float64"):
        list(job.triangle(IMAGES[:5] * 1e-170))


def test_what_travels_has_no_engine():
    """Workers may have others than here."""
    job = small()
    assert job.engine is job.engine
    arrived = pickle.loads(pickle.dumps(job))
    assert "engine" not in vars(arrived)
    assert arrived == job
    np.testing.assert_array_equal(arrived.gram(TEST), job.gram(TEST))


def test_tiles_are_worth_a_call():
    """Cores share what takes them longer than calls do."""
    tiles = []

    def gram(X, Y, *args, **options):
        tiles.append((len(X), len(Y)))
        return cpu.gram(X, Y, *args, **options)

    kernel = CNTK(3, device=ChangedEngine(gram=gram), n_jobs=2)
    kernel(IMAGES[:, 1:].reshape(N, -1))
    assert tiles == [(N, N)]
    tiles.clear()
    kernel.set_params(depth=6)(IMAGES)
    assert len(tiles) > 4


@pytest.mark.parametrize(
    ("shape", "few", "many"), [((8, 8, 1), 40, 90), ((4, 4, 400), 10, 60), ((30,), 100, 1500)]
)
@pytest.mark.parametrize("options", [{"n_jobs": 2}, {"n_jobs": None}])
def test_small_matrices_take_no_threads(rng, shape, few, many, options):
    """Layers, channels and pairs all count.  The values are the same bits."""
    for n, here in ((few, True), (many, False)):
        images = rng.normal(size=(n, *shape))
        kernel = CNTK(3, device=(engine := ThreadNamingEngine()), **options)
        with parallel_config("threading", n_jobs=2):
            K = kernel(images)
        assert engine.from_here == {here}
        np.testing.assert_array_equal(CNTK(3, n_jobs=1)(images), K)


@pytest.mark.parametrize(("n", "here"), [(5, True), (5000, False)])
def test_few_diagonals_take_no_threads(rng, n, here):
    kernel = CNTK(3, device=(engine := ThreadNamingEngine()), n_jobs=2)
    assert len(kernel.diag(rng.normal(size=(n, 8, 8)))) == n
    assert engine.from_here == {here}


def test_small_matrices_go_to_workers(rng, monkeypatch):
    """Of a cluster, whose processes may be where the GPUs are."""
    asked = []

    def run(function, shared, arguments, n_jobs, result_bytes):
        asked.append(n_jobs)
        return (function(*shared, *args) for args in arguments)

    monkeypatch.setattr("sklearn_cntk._compute.tiles.run", run)
    kernel, images = CNTK(3, n_jobs=2), rng.normal(size=(5, 8, 8))
    here = kernel(images)
    monkeypatch.setattr("sklearn_cntk._compute.tiles.runs_here", lambda: False)
    np.testing.assert_array_equal(kernel(images), here)
    assert asked == [1, 2]


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"normalize": True}, {"dtype": "float64"}])
def test_few_columns_are_computed_as_rows(rng, counting, options):
    """They would leave most lanes of the engine's vectors idle."""
    X, Y = rng.normal(size=(40, 5, 4, 2)), rng.normal(size=(3, 5, 4, 2))
    kernel = CNTK(3, device=counting, n_jobs=1, **options)
    few, rest = kernel(X, Y), kernel(X, np.concatenate([Y, X[:30]]))
    assert few.shape == (40, 3)
    np.testing.assert_allclose(few, rest[:, :3], rtol=1e-5 if "dtype" not in options else 1e-12)
    np.testing.assert_allclose(kernel(Y, X), few.T, rtol=1e-5)


def test_few_columns_make_few_calls(rng):
    class Vectors(RecordingEngine):
        def limits(self, travelling):
            return super().limits(travelling)._replace(vector_bytes=64)

    X, Y = rng.normal(size=(40, 5, 4)), rng.normal(size=(16, 5, 4))
    for columns, calls in ((3, [(3, 40), (3, 40)]), (16, [(40, 16), (16, 40)])):
        kernel = CNTK(3, device=(engine := Vectors()), n_jobs=1)
        kernel(X, Y[:columns])
        kernel(Y[:columns], X)
        assert engine.calls == calls
