"""Gradients of finite networks, against those of autograd."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import EmpiricalCNTK, RandomCNTKFeatures, _gradients  # noqa: E402


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("gap", [True, False])
def test_gradients_are_those_of_autograd(gap, trained_layers, rng):
    """Image by image, by the whole network's own backward pass."""
    parameters = {"depth": 3, "gap": gap, "trained_layers": trained_layers, "width": 5}
    images = rng.normal(size=(3, 4, 5, 2))
    kernel = EmpiricalCNTK(**parameters, dtype="float64", random_state=3)
    network = kernel._network(images, kernel._networks(images)[0][0], "cpu")
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
