"""Finite networks against the exact kernel: by Monte Carlo, and Theorem 3.2."""

import numpy as np
import pytest

from sklearn_cntk import CNTK, CNTKRegressor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import CNNRegressor, EmpiricalCNTK  # noqa: E402

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
    regression = CNTKRegressor(depth, False, alpha=0, dtype="float64", fit_intercept=False)
    exact = regression.fit(images, y).predict(others)
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
