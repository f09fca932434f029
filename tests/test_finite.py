"""Finite networks: against the exact kernel by Monte Carlo, autograd, and Theorem 3.2."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cntk import CNTK, CNTKRegressor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    CNNClassifier,
    CNNRegressor,
    ConvolutionalNetwork,
    EmpiricalCNTK,
    RandomCNTKFeatures,
    _gradients,
    _kernel,
    _network,
)
from sklearn_cntk.finite._training import largest_stable_rate, train  # noqa: E402

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target

ARCHITECTURES = [
    ((4, 4, 2), {"depth": 2, "gap": True}),
    ((4, 4, 2), {"depth": 3, "gap": False}),
    ((3, 5, 1), {"depth": 4, "gap": True}),
    ((5, 3, 3), {"depth": 3, "gap": False, "filter_size": 5}),
    ((4, 3, 1), {"depth": 3, "gap": True, "filter_size": 1}),
    ((1, 1, 6), {"depth": 3, "gap": False, "filter_size": 1}),
    ((1, 1, 6), {"depth": 2, "gap": True, "filter_size": 3}),
    ((4, 4, 2), {"depth": 3, "gap": True, "trained_layers": "hidden"}),
    ((3, 4, 2), {"depth": 4, "gap": False, "trained_layers": "hidden"}),
    ((4, 4, 2), {"depth": 3, "gap": True, "trained_layers": "last"}),
    ((3, 4, 2), {"depth": 4, "gap": False, "trained_layers": "last"}),
]


# --- against the exact kernel -----------------------------------------------------------------


@pytest.mark.parametrize(("shape", "parameters"), ARCHITECTURES)
def test_mean_over_networks_is_the_exact_kernel(shape, parameters, rng):
    """Theorem 3.1, without a formula in common: within four standard errors everywhere."""
    draws = 24
    images = rng.normal(size=(4, *shape))
    grams = [
        EmpiricalCNTK(**parameters, width=192, random_state=seed)(images) for seed in range(draws)
    ]
    exact = CNTK(**parameters, dtype="float64")(images)
    # The bias, of order 1 / width, is well below one standard error here.
    errors = np.std(grams, axis=0, ddof=1) / np.sqrt(draws)
    assert (abs(np.mean(grams, axis=0) - exact) < 4 * errors).all()
    # So narrow that wrong factors of layers, 2 or q, could not hide.
    assert errors.max() < 0.05 * exact.max()


def test_error_falls_with_the_root_of_the_width(rng):
    images = rng.normal(size=(4, 4, 4, 1))
    exact = CNTK(3)(images)
    rms = []
    for width in (16, 256):
        grams = [EmpiricalCNTK(3, width=width, random_state=seed)(images) for seed in range(24)]
        rms.append(np.sqrt(np.mean((np.array(grams) - exact) ** 2)))
    assert rms[0] / rms[1] == pytest.approx(4, rel=0.35)


@pytest.mark.parametrize("depth", [2, 3])
def test_wide_trained_networks_are_kernel_regression(depth, rng):
    """Theorem 3.2: κ falls and the width grows."""
    images, others = rng.normal(size=(16, 3, 3)), rng.normal(size=(30, 3, 3))
    y = 3 * images.mean(axis=(1, 2))
    exact = CNTKRegressor(depth, False, alpha=0, dtype="float64").fit(images, y).predict(others)
    errors = []
    for width, kappa in ((8, 0.3), (384, 0.1)):
        networks = [
            CNNRegressor(
                depth,
                False,
                width=width,
                kappa=kappa,
                momentum=0.5,
                max_epochs=2000,
                random_state=seed,
            )
            for seed in range(3)
        ]
        predicted = [network.fit(images, y).predict(others) for network in networks]
        errors.append(np.sqrt(np.mean((np.array(predicted) - exact) ** 2)))
    size = np.sqrt(np.mean(exact**2))
    assert errors[1] < 0.25 * size
    assert errors[1] < errors[0] / 2


# --- the kernel -------------------------------------------------------------------------------


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("gap", [True, False])
def test_gradients_are_those_of_autograd(gap, trained_layers, rng):
    """Image by image, by the whole network's own backward pass."""
    parameters = {"depth": 3, "gap": gap, "trained_layers": trained_layers, "width": 5}
    images = rng.normal(size=(3, 4, 5, 2))
    kernel = EmpiricalCNTK(**parameters, dtype="float64", random_state=3)
    network = _network.network_of(kernel, images.shape[1:], kernel._seeds()[0])
    rows = []
    for image in torch.from_numpy(images.transpose(0, 3, 1, 2)):
        output = network(image[None])[0, 0]
        values = torch.autograd.grad(output, list(network.trained.values()))
        rows.append(torch.cat([value.flatten() for value in values]).numpy())
    jacobian = np.array(rows)
    np.testing.assert_allclose(kernel(images), jacobian @ jacobian.T, rtol=1e-10)
    features = RandomCNTKFeatures(**parameters, dtype="float64", random_state=3)
    transformed = features.fit_transform(images)
    assert transformed.shape == jacobian.shape
    np.testing.assert_allclose(
        np.sort(transformed, axis=1), np.sort(jacobian, axis=1), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("filter_size", [1, 3, 5])
def test_both_ways_to_contract_agree(filter_size, rng, monkeypatch):
    images = rng.normal(size=(5, 4, 3, 2))
    kernel = EmpiricalCNTK(4, width=6, filter_size=filter_size, dtype="float64")
    grams = []
    for cheaper in (True, False):
        monkeypatch.setattr(_gradients, "pixelwise_is_cheaper", lambda *sizes, c=cheaper: c)
        grams.append(kernel(images))
    np.testing.assert_allclose(*grams, rtol=1e-10)


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
def test_features_have_the_kernel_as_inner_products(trained_layers, rng):
    parameters = {"depth": 3, "trained_layers": trained_layers, "width": 16, "n_draws": 3}
    images, others = rng.normal(size=(6, 4, 4)), rng.normal(size=(3, 4, 4))
    kernel = EmpiricalCNTK(**parameters, random_state=7)
    features = RandomCNTKFeatures(**parameters, random_state=7).fit(images)
    assert len(features.get_feature_names_out()) == features.transform(others).shape[1]
    product = features.transform(images).astype(float) @ features.transform(others).T
    np.testing.assert_allclose(product, kernel(images, others), rtol=1e-4, atol=1e-5)


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


# --- the estimators ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        CNNClassifier(depth=3, gap=False, width=64, max_epochs=100),
        CNNRegressor(depth=3, gap=False, width=64, max_epochs=200),
        RandomCNTKFeatures(depth=3, width=16),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def small(cls, **parameters):
    return cls(**{"depth": 3, "gap": False, "width": 32, "random_state": 0, **parameters})


def test_classifier_learns_and_stops_at_full_accuracy():
    model = small(CNNClassifier, batch_size=16).fit(IMAGES[:200], LABELS[:200])
    assert model.converged_
    assert model.score(IMAGES[:200], LABELS[:200]) == 1
    assert model.n_iter_ == len(model.loss_curve_) < model.max_epochs
    assert model.score(IMAGES[200:400], LABELS[200:400]) > 0.8
    assert model.decision_function(IMAGES[:3]).shape == (3, 10)


def test_two_classes():
    names = np.where(LABELS[:100] > 4, "large", "small")
    model = small(CNNClassifier, batch_size=16).fit(IMAGES[:100], names)
    decision = model.decision_function(IMAGES[:100])
    np.testing.assert_array_equal(model.predict(IMAGES[:100]), model.classes_[1 * (decision > 0)])


def test_tol_is_relative_to_the_targets():
    y = 1000 * IMAGES[:50].mean(axis=(1, 2))
    model = small(CNNRegressor, tol=0.01, kappa=1).fit(IMAGES[:50], y)
    loss = np.mean((model.predict(IMAGES[:50]) - y) ** 2) / 2
    assert loss == pytest.approx(model.loss_curve_[-1], rel=1e-3)
    assert loss <= 0.01 * np.mean(y**2) / 2 < model.loss_curve_[-2]


def test_initial_function_has_the_size_that_kappa_says():
    """Over networks: predictions after no training to speak of."""
    y = 1 + IMAGES[:30].mean(axis=(1, 2))
    predicted = []
    for seed in range(200):
        model = CNNRegressor(2, width=64, kappa=0.5, lr=1e-12, max_epochs=1, random_state=seed)
        with pytest.warns(Warning, match="max_epochs=1, before the loss was 0.0001"):
            predicted.append(model.fit(IMAGES[:30], y).predict(IMAGES[:30]))
    assert np.sqrt(np.mean(np.square(predicted)) / np.mean(y**2)) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
def test_frozen_layers_stay(trained_layers):
    model = small(CNNRegressor, trained_layers=trained_layers, max_epochs=3, tol=0.9)
    model.fit(IMAGES[:30], IMAGES[:30].mean(axis=(1, 2)))
    again = small(CNNRegressor, trained_layers=trained_layers, max_epochs=1, tol=1e9, lr=1e-30)
    start = again.fit(IMAGES[:30], IMAGES[:30].mean(axis=(1, 2))).network_
    moved = {
        name
        for name, value in model.network_.named_parameters()
        if not torch.equal(value, dict(start.named_parameters())[name])
    }
    first, last, hidden = {"filters.0"}, {"readout"}, {"filters.1"}
    expected = {"all": first | hidden | last, "hidden": hidden, "last": last}
    assert moved == expected[trained_layers]


def test_random_state_and_pickle():
    y = IMAGES[:30].mean(axis=(1, 2))
    models = [
        small(CNNRegressor, random_state=seed, tol=0.1).fit(IMAGES[:30], y) for seed in (0, 0, 1)
    ]
    first, same, other = (model.predict(IMAGES[30:40]) for model in models)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
    restored = pickle.loads(pickle.dumps(models[0]))
    np.testing.assert_array_equal(restored.predict(IMAGES[30:40]), first)


def test_all_zero_images_and_targets():
    with pytest.warns(Warning, match="max_epochs"):
        model = small(CNNRegressor, max_epochs=2).fit(np.zeros((3, 4, 4)), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.predict(np.ones((2, 4, 4)) * 0), 0)
    with pytest.warns(Warning, match="max_epochs"):
        model = small(CNNRegressor, max_epochs=2).fit(IMAGES[:3], np.zeros(3))
    assert np.isfinite(model.predict(IMAGES[:3])).all()


def test_progress(capsys):
    small(CNNRegressor, verbose=1, tol=0.5).fit(IMAGES[:20], LABELS[:20])
    error = capsys.readouterr().err
    assert "CNNRegressor" in error
    assert "loss=" in error


def test_progress_in_a_notebook_without_widgets(notebook_without_widgets, capsys):
    small(CNNRegressor, verbose=1, tol=0.5).fit(IMAGES[:20], LABELS[:20])
    assert not [str(warning.message) for warning in notebook_without_widgets]
    assert capsys.readouterr().err.startswith("\rCNNRegressor")


def test_the_kernels_bar_names_kernel_and_device(monkeypatch, capsys):
    EmpiricalCNTK(2, width=4, device="cpu", verbose=1)(IMAGES[:2])
    assert "EmpiricalCNTK on CPU: 100%" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "get_device_name", {torch.device("cuda:1"): "A GPU"}.get)
    assert _network.device_label(torch.device("cuda:1")) == "cuda:1 (A GPU)"


# --- divergence, and bad input ----------------------------------------------------------------


def test_largest_stable_rate_is_two_over_the_largest_eigenvalue(rng):
    images = rng.normal(size=(6, 4, 4, 1))
    kernel = EmpiricalCNTK(3, width=8, dtype="float64")
    network = _network.network_of(kernel, images.shape[1:], kernel._seeds()[0])
    eigenvalue = np.linalg.eigvalsh(0.3**2 * kernel(images) / 6)[-1]
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2))
    assert largest_stable_rate(network, tensor, 0.3) == pytest.approx(2 / eigenvalue, rel=1e-3)


def test_divergence_names_a_rate_that_works():
    y = IMAGES[:40].mean(axis=(1, 2))
    auto = small(CNNRegressor, trained_layers="last", tol=0.1).fit(IMAGES[:40], y)
    with pytest.raises(ValueError, match="Training diverges with lr=.*largest stable .* is about"):
        small(CNNRegressor, trained_layers="last", lr=10 * auto.lr_).fit(IMAGES[:40], y)


def test_dead_networks_count_as_divergence():
    """Too long a step may leave every unit dead, with the harmless loss of predicting 0."""
    network = ConvolutionalNetwork((4, 4, 1), 2, width=4)
    with torch.no_grad():
        network.filters[0].copy_(-torch.ones(4, 1, 3, 3))
    with pytest.raises(OverflowError):
        train(
            network,
            torch.ones(3, 1, 4, 4),
            torch.ones(3, 1),
            kappa=1.0,
            rate=0.1,
            momentum=0.0,
            batch_size=3,
            max_epochs=5,
            generator=torch.Generator(),
            done=lambda outputs, loss: False,
            bar=lambda loss: None,
        )


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"depth": 1}, ValueError, "depth=1 is too small"),
        ({"depth": 2, "trained_layers": "hidden"}, ValueError, "depth=2 .* at least 3"),
        ({"gap": 1}, TypeError, "gap must be True or False"),
        ({"trained_layers": "some"}, ValueError, "trained_layers='some' is unknown"),
        ({"filter_size": 4}, ValueError, "filter_size=4 is even: use .* such as 5"),
        ({"width": 0}, ValueError, "width=0 is too small"),
        ({"width": 2.0}, TypeError, "width must be an integer"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is unknown"),
        ({"device": "gpu"}, ValueError, "device='gpu' is unknown"),
        ({"device": "cuda:99"}, RuntimeError, "device='cuda:99' is not available"),
        ({"image_shape": (3, 3)}, ValueError, "image_shape"),
    ],
)
def test_bad_parameters(parameters, error, message):
    images, y = np.ones((4, 4, 4)), [0, 1, 0, 1]
    for model in (CNNClassifier(**parameters), CNNRegressor(**parameters)):
        with pytest.raises(error, match=message):
            model.fit(images, y)
    with pytest.raises(error, match=message):
        RandomCNTKFeatures(**parameters).fit(images)
    with pytest.raises(error, match=message):
        EmpiricalCNTK(**parameters)(images)
    with pytest.raises(error, match=message):
        EmpiricalCNTK(**parameters).diag(images)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"kappa": 0}, ValueError, "kappa=0 makes"),
        ({"kappa": -1}, ValueError, "kappa=-1 cannot be used"),
        ({"lr": 0}, ValueError, "lr=0 trains nothing"),
        ({"lr": "fast"}, TypeError, "lr must be a number, got 'fast'"),
        ({"lr": float("nan")}, ValueError, "lr=nan cannot be used"),
        ({"momentum": 1}, ValueError, "momentum=1 cannot be used"),
        ({"batch_size": 0}, ValueError, "batch_size=0 is too small"),
        ({"max_epochs": 0}, ValueError, "max_epochs=0 is too small"),
        ({"tol": -1e-3}, ValueError, "tol=-0.001 cannot be used"),
        ({"tol": None}, TypeError, "tol must be a number, got None"),
    ],
)
def test_bad_training_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        small(CNNRegressor, **parameters).fit(IMAGES[:4], LABELS[:4])


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


@pytest.mark.parametrize(
    "random_state", [0, 2**32 - 1, np.int64(3), None, np.random.RandomState(1)]
)
def test_seeds_of_features(random_state):
    features = RandomCNTKFeatures(3, width=4, n_draws=3, random_state=random_state).fit(IMAGES[:2])
    assert len({network.readout[0, 0].item() for network in features.networks_}) == 3


def test_more_networks_than_fit():
    with pytest.raises(MemoryError, match="n_draws=10000000000000 .* needs .* smaller n_draws"):
        RandomCNTKFeatures(3, width=16, n_draws=10**13).fit(IMAGES[:2])


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(8, 8, 1\) cannot be compared .* \(4, 4, 1\)"):
        EmpiricalCNTK(2)(IMAGES[:2], np.ones((2, 4, 4)))


def test_too_many_features(monkeypatch):
    features = RandomCNTKFeatures(3, width=64).fit(IMAGES[:5])
    monkeypatch.setattr("sklearn_cntk._support.ram.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match="features of 5 images needs .* EmpiricalCNTK"):
        features.transform(IMAGES[:5])


def test_network_alone():
    network = ConvolutionalNetwork((5, 6, 3), 4, False, width=7, n_outputs=2, seed=1)
    assert network(torch.zeros(2, 3, 5, 6)).shape == (2, 2)
    assert [tuple(weights.shape) for weights in network.filters] == [
        (7, 3, 3, 3),
        (7, 7, 3, 3),
        (7, 7, 3, 3),
    ]


def test_network_of_two_dimensional_images():
    network = ConvolutionalNetwork((8, 8), depth=3, width=4)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 1)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"image_shape": None}, TypeError, "image_shape must be .* got None"),
        ({"image_shape": 8}, ValueError, "image_shape=8 is not a shape"),
        ({"image_shape": (8, 0, 1)}, ValueError, r"image_shape=\(8, 0, 1\) is not a shape"),
        ({"image_shape": (8, 8, 1, 1)}, ValueError, "image_shape=.* is not a shape"),
        ({"n_outputs": 0}, ValueError, "n_outputs=0 is too small"),
        ({"n_outputs": 1.0}, TypeError, "n_outputs must be an integer"),
        ({"seed": -1}, ValueError, "seed=-1 is too small"),
        ({"seed": True}, TypeError, "seed must be an integer"),
        ({"seed": 2**64}, ValueError, r"seed=18446744073709551616 is too large: .* 2\*\*64 - 1"),
        ({"dtype": "float32"}, ValueError, "dtype='float32' is unknown: use torch.float32"),
        ({"dtype": torch.int32}, ValueError, "dtype=torch.int32 is unknown"),
    ],
)
def test_bad_parameters_of_a_network(parameters, error, message):
    with pytest.raises(error, match=message):
        ConvolutionalNetwork(**{"image_shape": (8, 8, 1), "depth": 3, "width": 4, **parameters})


def test_without_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('torch')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import sklearn_cntk.finite"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'needs PyTorch, which is not installed: pip install "sklearn-cntk[finite]"' in (
        result.stderr
    )
