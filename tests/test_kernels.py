"""CNTK under scikit-learn's kernel contract, in scikit-learn's own estimators."""

import pickle
import tracemalloc
import warnings

import joblib
import numpy as np
import pytest
from engines import ChangedEngine, RecordingEngine, ThreadNamingEngine, reference
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

from sklearn_cntk import CNTK
from sklearn_cntk.networks import Architecture, Readout

N, M = 40, 12
DIGITS = load_digits()
X, X_TEST = DIGITS.data[:N], DIGITS.data[N : N + M]
Y_CLASS = DIGITS.target[:N] % 2
Y_REAL = X.sum(axis=1) / 100


@pytest.fixture
def kernel():
    return CNTK(depth=3, gap=False, image_shape=(8, 8))


@pytest.fixture
def recorded(kernel):
    """The same, whose engine records what it is asked for."""
    return kernel.set_params(device=RecordingEngine())


@pytest.fixture
def calls(recorded):
    """Shapes of the whole Grams that are computed, and "n pairs" for diagonals."""
    return recorded.device.calls


# --- scikit-learn's estimators ------------------------------------------------------------------


def test_kernel_ridge(recorded, calls):
    model = KernelRidge(kernel=recorded, alpha=0.1).fit(X, Y_REAL)
    predicted = model.predict(X_TEST)
    assert calls == [(N, "symmetric"), (M, N)]
    precomputed = KernelRidge(kernel="precomputed", alpha=0.1).fit(recorded(X), Y_REAL)
    np.testing.assert_allclose(predicted, precomputed.predict(recorded(X_TEST, X)))


@pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 1)])
def test_svc(shape, recorded, calls):
    images, test = X.reshape(N, *shape), X_TEST.reshape(M, *shape)
    model = SVC(kernel=recorded).fit(images, Y_CLASS)
    decision = model.decision_function(test)
    assert calls == [(N, "symmetric"), (M, N)]
    precomputed = SVC(kernel="precomputed").fit(recorded(images), Y_CLASS)
    np.testing.assert_allclose(decision, precomputed.decision_function(recorded(test, images)))


def test_gaussian_process_regressor(recorded, calls):
    model = GaussianProcessRegressor(kernel=recorded, alpha=0.1).fit(X, Y_REAL)
    mean, std = model.predict(X_TEST, return_std=True)
    # scikit-learn evaluates the Gram once for the likelihood and once to factor it.
    assert calls == [(N, "symmetric"), (N, "symmetric"), (M, N), (M, "pairs")]
    K, K_test = recorded(X) + 0.1 * np.eye(N), recorded(X_TEST, X)
    np.testing.assert_allclose(mean, K_test @ np.linalg.solve(K, Y_REAL), rtol=1e-6)
    variance = recorded.diag(X_TEST) - np.sum(K_test * np.linalg.solve(K, K_test.T).T, axis=1)
    np.testing.assert_allclose(std**2, variance, rtol=1e-5)


def test_gaussian_process_classifier(recorded, calls):
    recorded.set_params(normalize=True)
    model = GaussianProcessClassifier(kernel=recorded).fit(X, Y_CLASS)
    assert model.score(X, Y_CLASS) > 0.9
    assert set(calls) == {(N, "symmetric"), (N, N), (N, "pairs")}


def test_optimiser_in_a_composed_kernel(kernel, rng):
    noisy = Y_REAL + 0.1 * rng.normal(size=N)
    composed = ConstantKernel(1e-5, (1e-12, 1.0)) * kernel + WhiteKernel(0.01, "fixed")
    model = GaussianProcessRegressor(kernel=composed).fit(X, noisy)
    start = GaussianProcessRegressor(kernel=composed, optimizer=None)
    start.fit(X, noisy)
    assert model.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_
    assert model.score(X_TEST, X_TEST.sum(axis=1) / 100) > 0.8


def test_nystroem(recorded, calls):
    features = Nystroem(kernel=recorded, n_components=N, random_state=0).fit_transform(X)
    assert calls == [(N, "symmetric"), (N, N)]
    K = recorded(X)
    np.testing.assert_allclose(features @ features.T, K, atol=1e-5 * K.max())


def test_kernel_pca(recorded, calls):
    projected = KernelPCA(n_components=3, kernel=recorded).fit(X).transform(X_TEST)
    assert calls == [(N, "symmetric"), (M, N)]
    precomputed = KernelPCA(n_components=3, kernel="precomputed").fit(recorded(X))
    expected = precomputed.transform(recorded(X_TEST, X))
    np.testing.assert_allclose(abs(projected), abs(expected), rtol=1e-6)


def test_sums_and_products(kernel):
    rbf = RBF(20.0)
    K = (2.0 * kernel + rbf * kernel)(X, X_TEST)
    np.testing.assert_allclose(K, 2 * kernel(X, X_TEST) + rbf(X, X_TEST) * kernel(X, X_TEST))


# --- the contract -------------------------------------------------------------------------------


def test_only_half_of_a_symmetric_gram_is_computed():
    computed = np.zeros((300, 300), dtype=int)
    images = np.arange(300.0).reshape(300, 1, 1, 1) + 1

    def gram(X, Y, architecture, readouts, *, dtype, triu):
        tile = np.triu(np.ones((len(X), len(Y)), dtype=int), triu)
        rows, columns = X.ravel().astype(int) - 1, Y.ravel().astype(int) - 1
        computed[np.ix_(rows, columns)] += tile
        return np.broadcast_to(X[:, 0, 0] * Y[:, 0, 0].T, (1, len(X), len(Y)))

    engine = ChangedEngine(gram=gram)
    for arguments in [(images,), (images, images)]:
        computed[...] = 0
        K = CNTK(2, device=engine)(*arguments)
        np.testing.assert_array_equal(computed, np.triu(np.ones((300, 300))))
        np.testing.assert_array_equal(K, images.ravel()[:, None] * images.ravel())


def test_results_are_fresh_and_writable(kernel):
    images = X[:5].copy()
    first = kernel(images)
    copy = first.copy()
    assert first.dtype == np.float64
    assert first.flags.c_contiguous
    assert first.flags.writeable
    np.testing.assert_array_equal(first, first.T)
    first += 1  # as Gaussian processes do
    np.testing.assert_array_equal(kernel(images), copy)
    np.testing.assert_allclose(kernel(images, images.copy()), copy, rtol=1e-6)


def test_gradient_of_no_hyperparameters(kernel):
    K, gradient = kernel(X[:5], eval_gradient=True)
    assert K.shape == (5, 5)
    assert gradient.shape == (5, 5, 0)
    assert kernel.theta.size == 0
    with pytest.raises(ValueError, match="Gradient"):
        kernel(X[:5], X[:5], eval_gradient=True)
    assert not kernel.is_stationary()


@pytest.mark.parametrize("gap", [True, False])
def test_diag(gap, recorded, calls):
    recorded.set_params(gap=gap)
    values = recorded.diag(X)
    assert calls == [(N, "pairs")]
    np.testing.assert_array_equal(values, recorded(X).diagonal())


def test_normalize(kernel):
    images = np.concatenate([np.zeros((1, 64)), X[:6]])
    K, raw = clone(kernel).set_params(normalize=True)(images), kernel(images)
    diagonal = raw.diagonal()
    np.testing.assert_allclose(
        K[1:, 1:], raw[1:, 1:] / np.sqrt(np.outer(diagonal[1:], diagonal[1:]))
    )
    np.testing.assert_array_equal(K.diagonal(), [0, *[1] * 6])
    assert not K[0].any()
    normalized = CNTK(depth=3, gap=False, image_shape=(8, 8), normalize=True)
    np.testing.assert_allclose(normalized(images, images[2:].copy()), K[:, 2:], rtol=1e-6)
    np.testing.assert_array_equal(normalized.diag(images), K.diagonal())


@pytest.mark.parametrize("gap", [True, False])
def test_flip(gap):
    images, others = X[:9].reshape(9, 8, 8), X_TEST[:9].reshape(9, 8, 8)
    plain, flip = CNTK(3, gap), CNTK(3, gap, flip=True)
    expected = (plain(images, others) + plain(images[:, :, ::-1], others)) / 2
    np.testing.assert_array_equal(flip(images, others), expected)
    K = flip(images)
    np.testing.assert_allclose(K, flip(images, images.copy()), rtol=1e-6)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(flip.diag(images), K.diagonal())
    normalized = CNTK(3, gap, flip=True, normalize=True)(images)
    np.testing.assert_allclose(normalized, K / np.sqrt(np.outer(K.diagonal(), K.diagonal())))


@pytest.mark.parametrize("filter_size", [1, 3])
def test_feature_vectors(filter_size):
    """One pixel a sample: the fully connected kernel, whatever the size of filters."""
    rows = X[:6] / 16
    architecture, readout = Architecture((1, 1, 64), 1), Readout(4, False)
    expected = reference.gram(
        rows.reshape(6, 1, 1, 64), rows.reshape(6, 1, 1, 64), architecture, [readout]
    )[0]
    K = CNTK(4, filter_size=filter_size, image_shape=(1, 1, 64))(rows)
    np.testing.assert_allclose(K, expected, rtol=1e-12)


def test_every_form_of_the_same_images(kernel):
    expected = kernel(X[:4])
    images = X[:4].reshape(4, 8, 8)
    strided = np.repeat(images, 2, axis=0)[::2]
    read_only = images.copy()
    read_only.flags.writeable = False
    for form in [
        images,
        images[..., None],
        images.tolist(),
        images.astype(np.uint8),
        images.astype(np.float32),
        np.asfortranarray(images),
        strided,
        read_only,
    ]:
        np.testing.assert_array_equal(CNTK(depth=3, gap=False)(form), expected)
    shaped = CNTK(depth=3, gap=False, image_shape=[8, 8, 1])
    np.testing.assert_array_equal(shaped(X[:4]), expected)


def test_float32_and_jobs(kernel):
    exact = clone(kernel).set_params(dtype="float64")
    np.testing.assert_allclose(kernel(X, X_TEST), exact(X, X_TEST), rtol=1e-5)
    engine = ThreadNamingEngine(small_work=0)
    alone, threaded = clone(kernel), clone(kernel).set_params(n_jobs=2, device=engine)
    np.testing.assert_array_equal(alone.set_params(n_jobs=1)(X, X_TEST), threaded(X, X_TEST))
    assert engine.from_here == {False}


@pytest.mark.parametrize("parameters", [{"flip": True}, {"normalize": True}])
def test_no_second_gram_matrix_in_memory(parameters, rng):
    features = rng.random((1500, 1, 2, 2))
    kernel = CNTK(depth=2, filter_size=1, n_jobs=1, **parameters)
    kernel(features[:50])
    tracemalloc.start()
    try:
        K = kernel(features)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * K.nbytes


@pytest.mark.parametrize("flip", [False, True])
def test_normalized_is_symmetric_to_the_last_bit(flip, rng):
    K = CNTK(depth=3, normalize=True, flip=flip)(rng.random((40, 6, 6)))
    np.testing.assert_array_equal(K, K.T)


def test_zero_patches_raise_no_warning():
    images = np.zeros((3, 6, 6))
    images[1, :2] = 1
    images[2, 4:] = -2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        K = CNTK(3)(images)
    assert np.isfinite(K).all()
    assert not K[0].any()


def test_clone_set_params_pickle(kernel, tmp_path):
    twin = clone(kernel)
    assert twin == kernel
    assert twin is not kernel
    assert clone(kernel).set_params(depth=4) != kernel
    assert (kernel == RBF()) is False
    joblib.dump(kernel, tmp_path / "kernel")
    for copy in (pickle.loads(pickle.dumps(kernel)), joblib.load(tmp_path / "kernel")):
        assert copy == kernel
        np.testing.assert_array_equal(copy(X[:3]), kernel(X[:3]))
    assert "__hash__" not in vars(CNTK)


def test_repr(kernel):
    assert repr(CNTK()) == "CNTK()"
    assert repr(kernel) == "CNTK(depth=3, gap=False, image_shape=(8, 8))"
    assert eval(repr(kernel)) == kernel
    assert repr(kernel + WhiteKernel(1)).startswith(repr(kernel) + " + ")
