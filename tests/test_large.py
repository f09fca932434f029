"""Solvers that need no factorisation, Gram matrices in Zarr, and cost estimates."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor, _solver_choice, gram_progress
from sklearn_cntk._cg import randomly_pivoted_cholesky, ridge_cg
from sklearn_cntk._engines import cpu
from sklearn_cntk._gram_operators import ArrayGram, ZarrGram
from sklearn_cntk._solvers import ridge_dual

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
    F = randomly_pivoted_cholesky(ArrayGram(K), K.diagonal(), 40, np.random.RandomState(0))
    assert 10 <= F.shape[1] <= 40
    np.testing.assert_allclose(F @ F.T, K, atol=1e-6 * K.max())


def test_no_convergence_is_said():
    model = CNTKRegressor(3, solver="cg", tol=1e-14, max_iter=1, gap=False)
    with pytest.warns(ConvergenceWarning, match="raise max_iter, tol or alpha"):
        model.fit(IMAGES, LABELS)
    assert model.n_iter_ == 1


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


def test_all_landmarks_are_exact():
    options = {"depth": 3, "gap": False, "dtype": "float64", "alpha": 1e-3}
    exact = CNTKRegressor(**options).fit(IMAGES, LABELS)
    landmarks = CNTKRegressor(solver="nystroem", n_components=150, **options).fit(IMAGES, LABELS)
    np.testing.assert_allclose(landmarks.predict(TEST), exact.predict(TEST), atol=1e-5)
    weighted = CNTKRegressor(solver="nystroem", n_components=150, **options)
    twice = np.repeat(np.arange(150), LABELS % 2 + 1)
    once = weighted.fit(IMAGES, LABELS, LABELS % 2 + 1.0).predict(TEST)
    # The reference of the relative ridge is the landmarks' diagonal: that of the doubled rows
    # differs a little, so does the ridge.
    repeated = CNTKRegressor(**options).fit(IMAGES[twice], LABELS[twice]).predict(TEST)
    np.testing.assert_allclose(once, repeated, atol=0.05)


def test_more_landmarks_are_closer_to_exact():
    exact = CNTKRegressor(3, False).fit(IMAGES, LABELS).predict(TEST)
    errors = []
    for n_components in (10, 50, 150):
        model = CNTKRegressor(
            3, False, solver="nystroem", n_components=n_components, random_state=0
        ).fit(IMAGES, LABELS)
        assert len(model.X_fit_) == n_components
        errors.append(np.abs(model.predict(TEST) - exact).mean())
    assert errors[0] > errors[1] > errors[2]


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
