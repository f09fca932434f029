"""What PyTorch is told around a call changes no result."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="finite networks need PyTorch")

from sklearn_cntk.finite import (  # noqa: E402
    CNNClassifier,
    CNNRegressor,
    EmpiricalCNTK,
    RandomCNTKFeatures,
)

IMAGES = np.random.default_rng(0).normal(size=(10, 5, 5, 1))
LABELS = np.arange(10) % 2


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@pytest.fixture(scope="module")
def results():
    """Function that trains, predicts, and computes kernels and features."""

    def compute():
        settings = {"depth": 3, "gap": False, "width": 16, "random_state": 0}
        training = {"max_epochs": 200, "tol": 0.9}
        kernel = EmpiricalCNTK(**settings)
        return [
            CNNClassifier(**settings, **training).fit(IMAGES, LABELS).decision_function(IMAGES),
            CNNRegressor(**settings, **training).fit(IMAGES, LABELS).predict(IMAGES),
            kernel(IMAGES),
            kernel.diag(IMAGES),
            RandomCNTKFeatures(**settings).fit(IMAGES).transform(IMAGES),
        ]

    return compute


@pytest.fixture(scope="module")
def expected(results):
    return results()


@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.device("meta"),
        lambda: default_device("meta"),
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    ],
    ids=["no_grad", "inference_mode", "device", "default_device", "autocast"],
)
def test_settings_change_nothing(around, results, expected):
    with around():
        found = results()
        graded, device = torch.is_grad_enabled(), torch.get_default_device()
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, wanted)
    with around():  # and they are what they were afterwards
        assert (torch.is_grad_enabled(), torch.get_default_device()) == (graded, device)
