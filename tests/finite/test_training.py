"""Gradient descent: when it stops, what it leaves alone, and where it diverges."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    CNNRegressor,
    ConvolutionalNetwork,
    EmpiricalCNTK,
    _network,
)
from sklearn_cntk.finite._training import largest_stable_rate, train  # noqa: E402

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target


def small(cls, **parameters):
    return cls(**{"depth": 3, "gap": False, "width": 32, "random_state": 0, **parameters})


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
