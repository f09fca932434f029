"""EmpiricalCNTK: blocks, scales, and scikit-learn's kernel methods."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    CNNRegressor,
    EmpiricalCNTK,
    RandomCNTKFeatures,
    _kernel,
    _network,
)

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target


def test_blocks_and_calls_fit_together(rng, monkeypatch):
    images = rng.normal(size=(11, 4, 4))
    kernel = EmpiricalCNTK(3, False, width=8, n_draws=2, dtype="float64", verbose=0)
    K = kernel(images)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(clone(kernel)(images[:4], images[4:]), K[:4, 4:], rtol=1e-10)
    np.testing.assert_allclose(kernel.diag(images), K.diagonal(), rtol=1e-10)
    monkeypatch.setattr(_kernel, "_BUDGET", 2**17)  # a few images at a time
    np.testing.assert_allclose(kernel(images), K, rtol=1e-10)
    monkeypatch.setattr(_kernel, "_HELD", 0)  # and no gradient kept
    np.testing.assert_allclose(kernel(images), K, rtol=1e-10)
    np.testing.assert_allclose(kernel(images, images.copy()), K, rtol=1e-10)


@pytest.mark.parametrize("trained_layers", ["all", "last"])
@pytest.mark.parametrize("factors", [(1e20, 1e20), (1e-30, 1e-30), (1e20, 1e-30)])
def test_images_of_any_scale(trained_layers, factors, rng):
    """Of degree 1 in each image: no factor that float32 could not square makes a difference."""
    images, others = rng.normal(size=(4, 4, 4)), rng.normal(size=(3, 4, 4))
    a, b = factors
    kernel = EmpiricalCNTK(3, trained_layers=trained_layers, width=8)
    np.testing.assert_allclose(
        kernel(a * images, b * others) / (a * b), kernel(images, others), 1e-4
    )
    np.testing.assert_allclose(kernel(a * images) / a**2, kernel(images), 1e-4)
    np.testing.assert_allclose(kernel.diag(b * images) / b**2, kernel.diag(images), 1e-4)
    features = RandomCNTKFeatures(3, trained_layers=trained_layers, width=8, random_state=0)
    np.testing.assert_allclose(
        features.fit_transform(a * images) / a, features.transform(images), 1e-3, atol=1e-6
    )


def test_images_of_different_scales_and_dtypes(rng):
    kernel = EmpiricalCNTK(3, width=8)
    images = rng.normal(size=(5, 4, 4))
    factors = np.array([1e25, 1e-25, 0, 1, 1e100])
    np.testing.assert_allclose(
        kernel(factors[:, None, None] * images),
        factors[:, None] * factors * kernel(images),
        1e-4,
    )
    for dtype in (np.int8, np.uint8, np.uint16, np.int64, bool):
        integers = rng.integers(0, 2, size=(3, 4, 4)) * np.array(np.iinfo("i1").min).astype(dtype)
        np.testing.assert_allclose(kernel(integers), kernel(integers.astype(float)), 1e-6)


def test_values_beyond_the_dtype(rng):
    images = rng.normal(size=(3, 4, 4))
    for compute in (EmpiricalCNTK(3, width=8), EmpiricalCNTK(3, width=8).diag):
        with pytest.raises(ValueError, match="Kernel values .* exceed dtype='float64': divide"):
            compute(1e200 * images)
    parameters = {"depth": 3, "width": 8, "random_state": 0, "trained_layers": "all"}
    with pytest.warns(ConvergenceWarning):
        trained = CNNRegressor(3, width=8, max_epochs=2).fit(images, [0, 1, 2])
    for fails in (trained.predict, lambda X: CNNRegressor(3, width=8).fit(X, [0, 1, 2])):
        with pytest.raises(ValueError, match="pixels of up to .* exceed dtype='float32': scale"):
            fails(1e40 * images)
    single, double = (RandomCNTKFeatures(**parameters, dtype=d) for d in ("float32", "float64"))
    with pytest.raises(ValueError, match="Features .* exceed dtype='float32': .* dtype='float64'"):
        single.fit_transform(1e40 * images)
    assert np.isfinite(single.transform(1e38 * images)).all()
    np.testing.assert_allclose(
        double.fit_transform(1e200 * images) / 1e200, double.transform(images), 1e-9, atol=1e-12
    )


def test_first_networks_do_not_depend_on_how_many_follow(rng):
    images = rng.normal(size=(4, 4, 4))
    one, two, three = (
        EmpiricalCNTK(2, width=4, n_draws=n, dtype="float64")(images) for n in (1, 2, 3)
    )
    third = 3 * three - 2 * two
    assert np.linalg.eigvalsh(2 * two - one)[0] > -1e-10 * np.trace(two)
    assert np.linalg.eigvalsh(third)[0] > -1e-10 * np.trace(two)
    assert not np.allclose(third, one)


def test_scikit_learns_kernel_methods():
    rows, y = IMAGES[:40].reshape(40, 64), IMAGES[:40].mean(axis=(1, 2))
    kernel = EmpiricalCNTK(3, width=32, image_shape=(8, 8))
    K = kernel(rows)
    ridge = KernelRidge(kernel=kernel, alpha=0.1).fit(rows, y)
    precomputed = KernelRidge(kernel="precomputed", alpha=0.1).fit(K, y)
    np.testing.assert_allclose(ridge.predict(rows), precomputed.predict(K), rtol=1e-5)
    process = GaussianProcessRegressor(kernel=1.0 * kernel, alpha=0.1, optimizer=None)
    np.testing.assert_allclose(process.fit(rows, y).predict(rows), ridge.predict(rows), rtol=1e-3)
    assert SVC(C=1e3, kernel=kernel).fit(rows, LABELS[:40] > 4).score(rows, LABELS[:40] > 4) > 0.9
    _, gradient = kernel(rows, eval_gradient=True)
    assert gradient.shape == (40, 40, 0)
    assert eval(repr(kernel)) == kernel == pickle.loads(pickle.dumps(kernel))


def test_the_kernels_bar_names_kernel_and_device(monkeypatch, capsys):
    EmpiricalCNTK(2, width=4, device="cpu", verbose=1)(IMAGES[:2])
    assert "EmpiricalCNTK on CPU: 100%" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "get_device_name", {torch.device("cuda:1"): "A GPU"}.get)
    assert _network.device_label(torch.device("cuda:1")) == "cuda:1 (A GPU)"


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_draws": 0}, ValueError, "n_draws=0 is too small"),
        ({"random_state": None}, TypeError, "random_state must be an integer, got None"),
        ({"random_state": True}, TypeError, "random_state must be an integer, got True"),
        ({"random_state": -1}, ValueError, "random_state=-1 is too small"),
        ({"random_state": 2**32}, ValueError, r"random_state=4294967296 is too large: .* 2\*\*32"),
        ({"width": 10**6}, MemoryError, "A network of width=1000000, .* needs .* smaller width"),
    ],
)
def test_bad_kernel_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        EmpiricalCNTK(**parameters)(IMAGES[:2])
    if parameters != {"random_state": None}:  # features draw a seed then
        with pytest.raises(error, match=message):
            RandomCNTKFeatures(**parameters).fit(IMAGES[:2])


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(8, 8, 1\) cannot be compared .* \(4, 4, 1\)"):
        EmpiricalCNTK(2)(IMAGES[:2], np.ones((2, 4, 4)))
