"""Solvers that need no factorisation, Gram matrices in Zarr, and cost estimates."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor, gram_progress
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._linalg.conjugate_gradients import ridge_cg
from sklearn_cntk._linalg.gram_operators import ArrayGram, ZarrGram
from sklearn_cntk._linalg.pivoted_cholesky import randomly_pivoted_cholesky, shifted_cholesky
from sklearn_cntk._linalg.ridge import ridge_dual
from sklearn_cntk._models import solver as _solver_choice
from sklearn_cntk._support import ram as _memory

IMAGES = load_digits().images[:150]
LABELS = load_digits().target[:150]
TEST = load_digits().images[150:200]


# --- conjugate gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [None, 3])
def test_conjugate_gradients_solve(rng, weighted, n_targets):
    K = CNTK(4, gap=False)(IMAGES)
    targets = rng.normal(size=(150,) if n_targets is None else (150, n_targets))
    weights = rng.integers(0, 3, size=150).astype(float) if weighted else None
    dual, n_iter = ridge_cg(
        ArrayGram(K), targets, 1e-4, weights,
        tol=1e-12, max_iter=300, random_state=np.random.RandomState(0),
    )  # fmt: skip
    expected = ridge_dual(K.copy(), targets, 1e-4, weights)
    np.testing.assert_allclose(dual, expected, rtol=1e-6, atol=1e-8 * abs(expected).max())
    assert 0 < n_iter < 200


def test_preconditioner_approximates(rng):
    A = rng.normal(size=(80, 10))
    K = A @ A.T
    pivoted = randomly_pivoted_cholesky(
        ArrayGram(K), K.diagonal(), 40, np.random.RandomState(0), block=10
    )
    F, pivots, L = pivoted
    assert 10 <= F.shape[1] <= 40
    np.testing.assert_allclose(F @ F.T, K, atol=1e-6 * K.max())
    assert len(set(pivots)) == len(pivots) == F.shape[1]
    np.testing.assert_array_equal(L, np.tril(L))
    np.testing.assert_allclose(F @ L.T, K[:, pivots], atol=1e-8 * K.max())


def test_rejection_draws_as_one_by_one(rng):
    """Shares of the 6 pairs of pivots among 4, against their probabilities."""

    class Square(ArrayGram):
        def square(self, index):
            return self.K[np.ix_(index, index)]

    A = rng.normal(size=(4, 3))
    K = A @ A.T + np.diag([0.1, 0.2, 2.0, 0.3])
    expected = np.zeros((4, 4))
    for i in range(4):
        residual = np.diagonal(K - np.outer(K[:, i], K[i]) / K[i, i])
        expected[i] = K[i, i] / np.trace(K) * residual / residual.sum()
    expected += expected.T
    random_state = np.random.RandomState(0)
    found = np.zeros((4, 4))
    n_draws = 4000
    for _ in range(n_draws):
        _, pivots, _ = randomly_pivoted_cholesky(
            Square(K), K.diagonal(), 2, random_state, block=3, reject=True
        )
        found[*pivots] += 1
        found[*pivots[::-1]] += 1
    deviation = np.sqrt(expected * (1 - expected) / n_draws)
    off_diagonal = ~np.eye(4, dtype=bool)
    assert np.all((abs(found / n_draws - expected) < 4 * deviation)[off_diagonal])


def test_rounding_makes_no_factor_fail():
    K = np.ones((3, 3))
    K[0, 1] = K[1, 0] = 1 + 1e-7  # as float32 may have it: an eigenvalue of -1e-7
    np.testing.assert_allclose(shifted_cholesky(K, 1.0) @ shifted_cholesky(K, 1.0).T, K, atol=2e-6)
    with pytest.raises(np.linalg.LinAlgError, match="use dtype='float64'"):
        shifted_cholesky(-K, 1.0)


def test_no_convergence_is_said():
    model = CNTKRegressor(3, solver="cg", tol=1e-14, max_iter=1, gap=False)
    with pytest.warns(ConvergenceWarning, match="raise max_iter, tol or alpha"):
        model.fit(IMAGES, LABELS)
    assert model.n_iter_ == 1


def test_a_singular_system_is_no_convergence():
    """All-zero images without a ridge: the matrix is 0."""
    model = CNTKRegressor(3, solver="cg", alpha=0, gap=False)
    with pytest.warns(ConvergenceWarning, match="residual of 1.0e.00 in 1 iterations"):
        model.fit(np.zeros((10, 4, 4)), np.arange(10.0))
    np.testing.assert_array_equal(model.predict(TEST[:, :4, :4]), 0)


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_targets_of_any_size(size):
    targets = np.column_stack([LABELS * size, LABELS, np.zeros(150)])
    model = CNTKRegressor(3, solver="cg", gap=False).fit(IMAGES, targets)
    predicted = model.predict(TEST)
    np.testing.assert_allclose(predicted[:, 0] / size, predicted[:, 1], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(predicted[:, 2], 0)
    exact = CNTKRegressor(3, gap=False).fit(IMAGES, LABELS).predict(TEST)
    np.testing.assert_allclose(predicted[:, 1], exact, atol=1e-3)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_residual_that_is_no_number(value):
    class Gram(ArrayGram):
        def product(self, V):
            return super().product(V) * value

    options = {"tol": 1e-6, "max_iter": 5, "random_state": np.random.RandomState(0)}
    with pytest.raises(np.linalg.LinAlgError, match="solver='cg' met a residual of .*Divide"):
        ridge_cg(Gram(CNTK(3, gap=False)(IMAGES)), LABELS.astype(float), 1e-3, **options)


@pytest.mark.parametrize("train_size", [None, 60])
def test_solvers_agree(train_size):
    options = {"depth": 3, "gap": False, "train_size": train_size, "random_state": 0}
    exact = CNTKClassifier(solver="cholesky", **options).fit(IMAGES, LABELS)
    automatic = CNTKClassifier(**options).fit(IMAGES, LABELS)
    iterated = CNTKClassifier(solver="cg", tol=1e-9, **options).fit(IMAGES, LABELS)
    expected = exact.decision_function(TEST)
    np.testing.assert_array_equal(automatic.decision_function(TEST), expected)
    np.testing.assert_allclose(iterated.decision_function(TEST), expected, atol=1e-5)


# --- landmarks -----------------------------------------------------------------------------------


BOTH_WAYS = pytest.mark.parametrize("landmarks", ["uniform", "pivoted"])


@BOTH_WAYS
@pytest.mark.parametrize("normalize", [False, True])
def test_all_landmarks_are_exact(landmarks, normalize):
    options = {"depth": 3, "gap": False, "dtype": "float64", "alpha": 1e-3, "normalize": normalize}
    nystroem = {"solver": "nystroem", "n_components": 150, "landmarks": landmarks}
    exact = CNTKRegressor(**options).fit(IMAGES, LABELS)
    model = CNTKRegressor(**nystroem, **options).fit(IMAGES, LABELS)
    np.testing.assert_allclose(model.predict(TEST), exact.predict(TEST), atol=1e-5)
    twice = np.repeat(np.arange(150), LABELS % 2 + 1)
    once = model.fit(IMAGES, LABELS, LABELS % 2 + 1.0).predict(TEST)
    repeated = CNTKRegressor(**options).fit(IMAGES[twice], LABELS[twice]).predict(TEST)
    np.testing.assert_allclose(once, repeated, atol=1e-5)


@BOTH_WAYS
def test_landmarks_minimise(landmarks):
    """The dual coefficients of given landmarks, against the normal equations."""
    targets = np.eye(10)[LABELS]
    model = CNTKRegressor(
        3, False, dtype="float64", alpha=1e-3, solver="nystroem", n_components=30,
        landmarks=landmarks, random_state=0,
    ).fit(IMAGES, targets)  # fmt: skip
    kernel = CNTK(3, False, dtype="float64")
    C, K = kernel(IMAGES, model.X_fit_), kernel(model.X_fit_)
    ridge = 1e-3 * kernel.diag(IMAGES).mean()
    expected = np.linalg.solve(C.T @ C + ridge * K, C.T @ targets)
    np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-6 * abs(expected).max())


@BOTH_WAYS
def test_more_landmarks_are_closer_to_exact(landmarks):
    exact = CNTKRegressor(3, False).fit(IMAGES, LABELS).predict(TEST)
    errors = []
    for n_components in (10, 50, 150):
        model = CNTKRegressor(
            3, False, solver="nystroem", n_components=n_components, landmarks=landmarks,
            random_state=0,
        ).fit(IMAGES, LABELS)  # fmt: skip
        assert len(model.X_fit_) == n_components
        errors.append(np.abs(model.predict(TEST) - exact).mean())
    assert errors[0] > errors[1] > errors[2]


def test_pivots_find_rare_images(rng):
    """Many images of one kind, few of others: uniform landmarks miss kinds, pivots do not."""
    kinds = rng.normal(size=(8, 6, 6))
    kind = np.repeat(np.arange(8), [193, 1, 1, 1, 1, 1, 1, 1])
    images = kinds[kind] + 0.01 * rng.normal(size=(200, 6, 6))
    kernel = CNTK(3, False)
    K = kernel(images)

    def error(landmarks, seed):
        model = CNTKRegressor(
            3, False, solver="nystroem", n_components=16, landmarks=landmarks, random_state=seed
        ).fit(images, kind)
        C = kernel(images, model.X_fit_)
        return np.trace(K - C @ np.linalg.pinv(kernel(model.X_fit_), 1e-10) @ C.T)

    for seed in range(5):
        assert error("pivoted", seed) < error("uniform", seed) / 2


def test_repeated_images_are_no_pivots():
    images = np.repeat(IMAGES[:12], 5, axis=0)
    options = {"gap": False, "dtype": "float64", "alpha": 1e-3}
    exact = CNTKRegressor(3, **options).fit(images, np.repeat(LABELS[:12], 5))
    model = CNTKRegressor(3, solver="nystroem", n_components=40, landmarks="pivoted", **options)
    model.fit(images, np.repeat(LABELS[:12], 5))
    assert 12 <= len(model.X_fit_) < 40
    np.testing.assert_allclose(model.predict(TEST), exact.predict(TEST), atol=1e-4)
    assert len(model.fit(np.zeros((50, 4, 4)), np.arange(50.0)).X_fit_) == 1


@BOTH_WAYS
@pytest.mark.parametrize("images", [np.concatenate([IMAGES[:20]] * 2), np.zeros((40, 8, 8))])
def test_too_small_a_ridge_is_said(landmarks, images):
    nystroem = {"solver": "nystroem", "n_components": 40, "landmarks": landmarks}
    zero = not images.any()
    if landmarks == "pivoted" and not zero:  # the pivots are different images
        CNTKRegressor(3, False, alpha=0, **nystroem).fit(images, np.arange(40.0))
        return
    with pytest.raises(
        np.linalg.LinAlgError, match="alpha=0 is not positive .* Set alpha to 1e-05"
    ):
        CNTKRegressor(3, False, alpha=0, **nystroem).fit(images, np.arange(40.0))
    CNTKRegressor(3, False, alpha=1e-5, **nystroem).fit(images, np.arange(40.0))


def test_pivots_want_memory(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10_000)
    model = CNTKRegressor(3, False, solver="nystroem", n_components=20, landmarks="pivoted")
    with pytest.raises(MemoryError, match="150 × 20 kernel entries.*use landmarks='uniform'"):
        model.fit(IMAGES, LABELS)


def test_landmarks_have_no_training_dynamics():
    model = CNTKRegressor(3, False, solver="nystroem", n_components=20).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="fitted with solver='nystroem'"):
        next(model.staged_predict(TEST, [1.0]))
    with pytest.raises(ValueError, match="fitted with solver='nystroem'"):
        model.predict(TEST, return_std=True)


# --- choice and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lu"}, "solver='lu' is unknown"),
        ({"solver": "nystroem"}, "needs n_components"),
        ({"solver": "nystroem", "n_components": 151}, "more than the 150 training images"),
        ({"solver": "nystroem", "n_components": 0}, "n_components=0 is too small"),
        ({"solver": "nystroem", "n_components": 5, "gram_store": "x"}, "gram_store has no use"),
        ({"landmarks": "random"}, "landmarks='random' is unknown"),
        ({"solver": "cg", "training_time": 1.0}, "needs an eigendecomposition"),
        ({"solver": "cg", "tol": 0}, "tol=0 must be"),
        ({"solver": "cg", "max_iter": 0}, "max_iter=0 is too small"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        CNTKRegressor(3, **parameters).fit(IMAGES, LABELS)


def test_landmarks_that_nobody_uses():
    with pytest.warns(UserWarning, match="n_components=5 is not used by solver='auto'"):
        CNTKRegressor(3, gap=False, n_components=5).fit(IMAGES[:20], LABELS[:20])


def test_automatic_choice(monkeypatch, capsys):
    CNTKRegressor(3, gap=False, verbose=1).fit(IMAGES[:20], LABELS[:20])
    assert "solver='auto' chose 'cholesky'" in capsys.readouterr().out
    monkeypatch.setattr(_solver_choice, "available_bytes", lambda: 10_000)
    with pytest.raises(MemoryError, match="set gram_store to a folder"):
        CNTKRegressor(3, gap=False).fit(IMAGES, LABELS)


# --- Zarr ----------------------------------------------------------------------------------------


@pytest.fixture
def gram_to_zarr():
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    from sklearn_cntk import gram_to_zarr

    return gram_to_zarr


@pytest.mark.parametrize("parameters", [{}, {"flip": True, "normalize": True}, {"lap": 1}])
def test_zarr_equals_memory(tmp_path, gram_to_zarr, parameters):
    kernel = CNTK(3, gap=False, **parameters)
    array = gram_to_zarr(kernel, IMAGES, store=tmp_path / "a", chunk_size=64)
    assert array.chunks == (64, 64)
    np.testing.assert_allclose(array[:], kernel(IMAGES), rtol=1e-12)
    rectangle = gram_to_zarr(kernel, TEST, IMAGES, store=tmp_path / "b", dtype="float32")
    np.testing.assert_allclose(rectangle[:], kernel(TEST, IMAGES), rtol=1e-6)


@pytest.mark.parametrize("url", ["file://{}/gram", "memory://{}/gram"])
def test_zarr_by_url(tmp_path, gram_to_zarr, url):
    pytest.importorskip("fsspec", reason="URLs need fsspec")
    kernel = CNTK(3, gap=False)
    for _ in range(2):
        array = gram_to_zarr(kernel, IMAGES[:40], store=url.format(tmp_path))
        np.testing.assert_array_equal(array[:], kernel(IMAGES[:40]))


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_only_what_is_missing_is_computed(tmp_path, gram_to_zarr, damage, monkeypatch):
    kernel = CNTK(3, gap=False, n_jobs=1)
    store = tmp_path / "gram"
    K = gram_to_zarr(kernel, IMAGES, store=store, chunk_size=50)[:]
    assert gram_progress(store) == (9, 9)
    path = store / "c" / "0" / "2"
    if damage == "missing":
        path.unlink()
        assert gram_progress(store) == (8, 9)
    elif damage == "truncated":
        os.truncate(path, 1000)
    else:
        data = bytearray(path.read_bytes())
        data[77] ^= 1
        path.write_bytes(data)
    with pytest.raises(ValueError, match="call gram_to_zarr again"):
        ZarrGram(store, 1).product(np.ones((150, 1)))

    pairs = []
    compute = cpu.gram

    def counted(X, Y, *args, **options):
        pairs.append(len(X) * len(Y))
        return compute(X, Y, *args, **options)

    monkeypatch.setattr(cpu, "gram", counted)
    np.testing.assert_array_equal(gram_to_zarr(kernel, IMAGES, store=store)[:], K)
    assert sum(pairs) == 50 * 50
    gram_to_zarr(kernel, IMAGES, store=store)
    assert sum(pairs) == 50 * 50


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_chunks_are_the_parallel_part(tmp_path, gram_to_zarr, n_jobs, monkeypatch):
    """No more tiles at a time than there are jobs, though each chunk has several."""
    compute, lock = cpu.gram, threading.Lock()
    now = largest = tiles = 0

    def counted(*args, **options):
        nonlocal now, largest, tiles
        with lock:
            now += 1
            tiles += 1
            largest = max(largest, now)
        time.sleep(0.01)
        values = compute(*args, **options)
        with lock:
            now -= 1
        return values

    monkeypatch.setattr(cpu, "gram", counted)
    images = np.random.default_rng(0).normal(size=(560, 4, 4))
    array = gram_to_zarr(
        CNTK(3, gap=False, n_jobs=n_jobs), images, store=tmp_path / "gram", chunk_size=280
    )
    assert tiles > 3 == array.nchunks - 1
    assert largest == n_jobs


def test_progress_names_the_engine(tmp_path, gram_to_zarr, monkeypatch, capsys):
    monkeypatch.setattr(cpu, "label", "some device", raising=False)
    gram_to_zarr(CNTK(2, device="cpu", verbose=1), IMAGES[:4], store=tmp_path / "gram")
    assert "CNTK on some device: 100%" in capsys.readouterr().err


def test_other_kernel_or_images_are_refused(tmp_path, gram_to_zarr):
    import zarr

    store = str(tmp_path / "gram")
    gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=store)
    with pytest.raises(ValueError, match="depth=3 there and 4 here"):
        gram_to_zarr(CNTK(4, gap=False), IMAGES[:30], store=store)
    with pytest.raises(ValueError, match="X is '.*' there and"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[1:31], store=store)
    with pytest.raises(ValueError, match="dtype is 'float64' there and 'float32' here"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=store, dtype="float32")
    zarr.create_array(str(tmp_path / "other"), shape=(3,), dtype="float64")
    with pytest.raises(ValueError, match="no Gram matrix of CNTK"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=tmp_path / "other")
    with pytest.raises(ValueError, match="dtype='int8' is unknown"):
        gram_to_zarr(CNTK(3), IMAGES[:30], store=tmp_path / "new", dtype="int8")
    with pytest.raises(FileNotFoundError):
        gram_progress(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operator_on_disk(tmp_path, gram_to_zarr, rng, dtype):
    kernel = CNTK(3, gap=False)
    K = kernel(IMAGES).astype(dtype).astype(float)
    gram_to_zarr(kernel, IMAGES, store=tmp_path / "gram", chunk_size=40, dtype=dtype)
    gram = ZarrGram(tmp_path / "gram", n_jobs=2)
    V = rng.normal(size=(150, 3))
    np.testing.assert_allclose(gram.product(V), K @ V, rtol=1e-10)
    np.testing.assert_array_equal(gram.diagonal(), K.diagonal())
    np.testing.assert_array_equal(gram.columns([3, 39, 40, 149]), K[:, [3, 39, 40, 149]])


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_fit_from_a_store(tmp_path, gram_to_zarr, solver):
    model = CNTKClassifier(3, False, gram_store=str(tmp_path / "gram"), solver=solver, tol=1e-9)
    expected = CNTKClassifier(3, False).fit(IMAGES, LABELS).decision_function(TEST)
    model.fit(IMAGES, LABELS)
    np.testing.assert_allclose(model.decision_function(TEST), expected, atol=1e-5)
    model.fit(IMAGES, LABELS % 2)  # other labels, the same Gram matrix
    with pytest.raises(ValueError, match="holds another Gram matrix"):
        model.fit(IMAGES[:100], LABELS[:100])


def test_fit_takes_the_precision_of_the_store(tmp_path, gram_to_zarr):
    store = str(tmp_path / "gram")
    array = gram_to_zarr(CNTK(3, False), IMAGES, store=store, dtype="float32")
    model = CNTKClassifier(3, False, gram_store=store, solver="cg", tol=1e-9).fit(IMAGES, LABELS)
    expected = CNTKClassifier(3, False).fit(IMAGES, LABELS).decision_function(TEST)
    np.testing.assert_allclose(model.decision_function(TEST), expected, atol=1e-3)
    assert gram_to_zarr(CNTK(3, False), IMAGES, store=store).dtype == array.dtype == "float32"


def test_without_zarr(tmp_path):
    code = """
import sys
sys.modules["zarr"] = None
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr
try:
    gram_to_zarr(CNTK(3), np.ones((2, 4, 4)), store=sys.argv[1])
except ImportError as error:
    assert "pip install 'sklearn-cntk[zarr]'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "gram")], check=True)


# --- estimate ------------------------------------------------------------------------------------


def test_estimate():
    cost = CNTK(6, image_shape=(8, 8)).estimate(1000)
    assert cost.pairs == 500_500
    assert cost.element_layers == 500_500 * 64**2 * 5
    assert cost.bytes == 8_000_000
    assert cost.seconds > 0
    assert "pairs of images" in str(cost)
    trace = CNTK(6, gap=False, flip=True).estimate(10, 20, image_shape=(8, 8, 3))
    assert trace[:3] == (400, 400 * 64 * 5, 1600)
    assert trace.seconds < cost.seconds
    with pytest.raises(ValueError, match="image_shape=None"):
        CNTK().estimate(10)
    with pytest.raises(ValueError, match="n_x=0 is too small"):
        CNTK(image_shape=(8, 8)).estimate(0)
