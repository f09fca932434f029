"""RandomCNTKFeatures: inner products are the kernel, seeds, and memory."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk.networks import Network

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import EmpiricalCNTK, RandomCNTKFeatures  # noqa: E402

DIGITS = load_digits()
IMAGES = DIGITS.images / 16


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize(
    "network",
    ["plain", Network.plain(3, pool_after=(1,)), Network.plain(3, bias_variance=0.1)],
    ids=["plain", "pool", "bias"],
)
def test_features_have_the_kernel_as_inner_products(network, trained_layers, rng):
    parameters = {"depth": 3, "network": network, "width": 16, "n_draws": 3}
    parameters["trained_layers"] = trained_layers
    images, others = rng.normal(size=(6, 4, 4)), rng.normal(size=(3, 4, 4))
    kernel = EmpiricalCNTK(**parameters, random_state=7)
    features = RandomCNTKFeatures(**parameters, random_state=7).fit(images)
    assert len(features.get_feature_names_out()) == features.transform(others).shape[1]
    product = features.transform(images).astype(float) @ features.transform(others).T
    np.testing.assert_allclose(product, kernel(images, others), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "random_state", [0, 2**32 - 1, np.int64(3), None, np.random.RandomState(1)]
)
def test_seeds_of_features(random_state):
    features = RandomCNTKFeatures(3, width=4, n_draws=3, random_state=random_state).fit(IMAGES[:2])
    assert len({network.readout[0, 0].item() for network in features.networks_}) == 3


def test_more_networks_than_fit():
    with pytest.raises(MemoryError, match="n_draws=10000000000000 .* needs .* smaller n_draws"):
        RandomCNTKFeatures(3, width=16, n_draws=10**13).fit(IMAGES[:2])


def test_too_many_features(free_memory):
    features = RandomCNTKFeatures(3, width=64).fit(IMAGES[:5])
    free_memory(1000)
    with pytest.raises(MemoryError, match="features of 5 images needs .* EmpiricalCNTK"):
        features.transform(IMAGES[:5])
