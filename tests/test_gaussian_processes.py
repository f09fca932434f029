"""Variances as hyperparameters: gradients, and the processes that follow them."""

import numpy as np
import pytest
from gaussian_kernels import BOUNDS, FIXED, FREE
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from sklearn_cntk import CNTK
from sklearn_cntk._models import hyperparameters
from sklearn_cntk.networks import Network

IMAGES = load_digits().images[:12] / 16

# A function of one variable.
POINTS = np.array([1.0, 3.0, 5.0, 6.0, 7.0, 8.0])[:, np.newaxis]
VALUES = POINTS[:, 0] * np.sin(POINTS[:, 0])

# --- Gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
def test_gradient_by_the_weights_without_biases(trained_layers):
    """Every layer multiplies the kernel by its weights' variance."""
    kernel = CNTK(
        4,
        trained_layers=trained_layers,
        weight_variance=1.7,
        weight_variance_bounds=BOUNDS,
        dtype="float64",
    )
    K, K_gradient = kernel(IMAGES, eval_gradient=True)
    np.testing.assert_allclose(K_gradient, 4 * K[..., None], rtol=1e-7)


def test_gradient_by_the_biases_of_a_linear_network(rng):
    """K = w x·x' + b, whose gradient by log b is b."""
    X = rng.normal(size=(5, 3))
    kernel = CNTK(1, bias_variance=0.3, bias_variance_bounds=BOUNDS)
    K, K_gradient = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(K, X @ X.T + 0.3 * 3, rtol=1e-12)
    np.testing.assert_allclose(K_gradient[..., 0], 0.3 * 3, rtol=1e-12)


@pytest.mark.parametrize("parameters", [{}, {"normalize": True}, {"flip": True}, {"gap": False}])
def test_gradient_of_images(parameters):
    """By the symmetric quotient of five kernels, of order 4, with steps a thousand times larger."""
    kernel = CNTK(
        3,
        bias_variance=0.2,
        bias_variance_bounds=BOUNDS,
        weight_variance=1.5,
        weight_variance_bounds=BOUNDS,
        dtype="float64",
        **{"gap": True, **parameters},
    )
    _, K_gradient = kernel(IMAGES[:5], eval_gradient=True)
    assert K_gradient.shape == (5, 5, 2)
    step = 1e-2
    for k, direction in enumerate(np.eye(2)):
        value = [
            kernel.clone_with_theta(kernel.theta + factor * step * direction)(IMAGES[:5])
            for factor in (-2, -1, 1, 2)
        ]
        expected = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * step)
        np.testing.assert_allclose(K_gradient[..., k], expected, rtol=1e-5, atol=1e-9)


def test_gradient_is_of_float64_and_leaves_nothing_in_memory(tmp_path):
    parameters = {"bias_variance": 0.2, "bias_variance_bounds": BOUNDS}
    single = CNTK(3, **parameters, memory=tmp_path)
    both = single(IMAGES, eval_gradient=True)
    assert not list(tmp_path.iterdir())
    for values, expected in zip(
        both, CNTK(3, **parameters, dtype="float64")(IMAGES, eval_gradient=True), strict=True
    ):
        np.testing.assert_array_equal(values, expected)
    single(IMAGES)
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "parameters", [{}, {"normalize": True}, {"frozen_layers": 2}, {"gap": False}]
)
@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
def test_gradient_of_vectors(trained_layers, parameters, rng):
    """That of images, whose gradients are differences, with filters of one pixel."""
    if trained_layers == "last" and "frozen_layers" in parameters:
        pytest.skip("all are frozen")
    X = rng.normal(size=(6, 3))
    X[3] = 0
    kernel = CNTK(
        4,
        trained_layers=trained_layers,
        bias_variance=0.3,
        bias_variance_bounds=BOUNDS,
        weight_variance=1.5,
        weight_variance_bounds=BOUNDS,
        **parameters,
    )
    K, K_gradient = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(K, kernel(X), rtol=1e-12)
    step = 1e-4
    for k, direction in enumerate(np.eye(2)):
        above, below = (
            kernel.clone_with_theta(kernel.theta + sign * step * direction)(X) for sign in (1, -1)
        )
        np.testing.assert_allclose(
            K_gradient[..., k], (above - below) / (2 * step), rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("normalize", [False, True])
def test_blocks_of_vectors(normalize, rng, monkeypatch):
    """Change no bits, nor the symmetry."""
    X = rng.normal(size=(11, 3))
    kernel = clone(FREE["both"]).set_params(normalize=normalize)
    K, K_gradient = kernel(X, eval_gradient=True)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(K_gradient, K_gradient.transpose(1, 0, 2))
    across = kernel(X, X.copy())
    monkeypatch.setattr(hyperparameters, "_BLOCK", 40)
    for values, expected in zip(kernel(X, eval_gradient=True), (K, K_gradient), strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-14)
        np.testing.assert_array_equal(values, values.swapaxes(0, 1))
    np.testing.assert_allclose(kernel(X, X.copy()), across, rtol=1e-14)
    np.testing.assert_allclose(across, K, rtol=1e-13)


def test_years():
    """One variable that nobody standardised, whose vectors are nearly parallel."""
    X = np.arange(1950.0, 2020)[:, np.newaxis]
    y = np.sin(X[:, 0] / 8)
    kernel = CNTK(3, bias_variance=1.0, bias_variance_bounds=(1e-5, 1e9))
    process = GaussianProcessRegressor(kernel, alpha=0.01).fit(X, y)
    found = process.kernel_.theta
    best = process.log_marginal_likelihood_value_
    for theta in np.linspace(np.log(1e-5), np.log(1e9), 30):
        value, _ = process.log_marginal_likelihood([theta], eval_gradient=True)
        assert value <= best + 1e-3 * abs(best), (theta, found)


@pytest.mark.parametrize("value", [1e-2, 1.0, 30.0])
@pytest.mark.parametrize("label", FREE)
def test_gradient_of_the_likelihood(label, value):
    kernel = clone(FREE[label])
    kernel.theta = np.log(np.full(kernel.n_dims, value))
    process = GaussianProcessRegressor(kernel, alpha=1e-4, optimizer=None).fit(POINTS, VALUES)
    _, gradient = process.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    step = 1e-4
    for k, direction in enumerate(np.eye(kernel.n_dims)):
        above, below = (
            process.log_marginal_likelihood(kernel.theta + sign * step * direction)
            for sign in (1, -1)
        )
        assert gradient[k] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-5)


def test_a_gradient_needs_one_set_of_images():
    with pytest.raises(ValueError, match="Gradient can only be evaluated when Y is None"):
        FREE["bias"](np.ones((2, 1)), np.ones((3, 1)), eval_gradient=True)


# --- Processes ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_biases_are_what_regression_of_one_variable_needs():
    """Without them the kernel is homogeneous, and a function two lines that meet at 0."""
    X = np.linspace(-2, 2, 30)[:, np.newaxis]
    y = np.cos(3 * X[:, 0])
    test = np.linspace(-1.9, 1.9, 77)[:, np.newaxis]
    errors = {}
    for name, kernel in {
        "none": CNTK(3),
        "found": CNTK(3, bias_variance=0.01, bias_variance_bounds=(1e-3, 1e3)),
    }.items():
        process = GaussianProcessRegressor(kernel + WhiteKernel(1e-4, "fixed")).fit(X, y)
        errors[name] = np.abs(process.predict(test) - np.cos(3 * test[:, 0])).max()
    assert errors["found"] < 0.1 < 0.5 < errors["none"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_of_images_in_sums_and_products():
    kernel = CNTK(3, bias_variance=0.1, bias_variance_bounds=(1e-3, 1e2), image_shape=(8, 8))
    whole = ConstantKernel(0.1) * kernel + WhiteKernel(1e-2)
    X, y = load_digits(return_X_y=True)
    X, y = X[:20] / 16, y[:20] % 2
    process = GaussianProcessRegressor(whole, normalize_y=True).fit(X, y)
    assert process.log_marginal_likelihood_value_ > process.log_marginal_likelihood(whole.theta)
    found = process.kernel_.k1.k2
    assert found.bias_variance != 0.1
    assert "bias_variance=" in repr(process.kernel_)
    assert "np.float64" not in repr(process.kernel_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_of_classifiers():
    kernel = CNTK(
        3, gap=False, bias_variance=0.1, bias_variance_bounds=(1e-3, 1e2), image_shape=(8, 8)
    )
    X, y = load_digits(n_class=2, return_X_y=True)
    classifier = GaussianProcessClassifier(kernel).fit(X[:40] / 16, y[:40])
    assert classifier.kernel_.bias_variance != 0.1
    assert classifier.score(X[40:80] / 16, y[40:80]) > 0.9


# --- Parameters ---------------------------------------------------------------------------------


def test_fixed_variances_are_no_hyperparameters():
    for kernel in FIXED.values():
        assert kernel.theta.shape == (0,)
        assert [hyperparameter.fixed for hyperparameter in kernel.hyperparameters] == [True, True]
    assert FREE["both"].bounds.shape == (2, 2)
    np.testing.assert_array_equal(FREE["bias"].theta, [0.0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"bias_variance_bounds": BOUNDS},
            r"bias_variance=0.0 has no logarithm.* such as 1.0, or bias_variance_bounds='fixed'",
        ),
        ({"weight_variance_bounds": BOUNDS}, "weight_variance=None has no logarithm"),
        (
            {"bias_variance": 1, "bias_variance_bounds": (0, 1)},
            "is not valid: use 'fixed', or two",
        ),
        ({"bias_variance": 1, "bias_variance_bounds": (2, 1)}, "is not valid"),
        ({"bias_variance": 1, "bias_variance_bounds": "free"}, "is not valid"),
        ({"bias_variance": 1, "bias_variance_bounds": 3.0}, "is not valid"),
        ({"bias_variance": 1, "bias_variance_bounds": (1, 2, 3)}, "is not valid"),
        ({"bias_variance": -1}, "bias_variance=-1 is not a variance"),
        ({"bias_variance": -1, "bias_variance_bounds": BOUNDS}, "bias_variance=-1 is not a"),
        (
            {"network": "myrtle5", "bias_variance_bounds": BOUNDS},
            "bias_variance_bounds=.* has no meaning for network='myrtle5'.* or network='plain'",
        ),
        ({"weight_variance": 0.0}, "weight_variance=0.0 leaves nothing of the input"),
        (
            {"network": "myrtle5", "bias_variance": 0.5},
            r"bias_variance=0.5 has no meaning .* leave bias_variance=0.0, and set "
            r"network=Network.myrtle\(5\).with_params\(bias_variance=0.5\)",
        ),
        (
            {"network": Network.plain(3), "weight_variance": 2.0},
            "weight_variance=2.0 has no meaning .* leave weight_variance=None",
        ),
    ],
)
def test_bad_parameters(parameters, message):
    process = GaussianProcessRegressor(CNTK(**parameters))
    with pytest.raises(ValueError, match=message):
        process.fit(IMAGES[:, 0], range(12))
