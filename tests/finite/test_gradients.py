"""Gradients of finite networks, against those of autograd."""

import numpy as np
import pytest

from sklearn_cntk.networks import Activation, AvgPool, Conv, LayerNorm, Network, Residual

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    ConvolutionalNetwork,
    EmpiricalCNTK,
    RandomCNTKFeatures,
    _gradients,
    _layers,
    _network,
)

RELU = Activation("relu")
#: Every kind of layer, biases, and what is not symmetric.
EVERYTHING = Network(
    [
        Conv((3, 5), strides=(1, 2), padding="circular", bias_variance=0.1),
        LayerNorm(),
        Activation("gaussian"),
        AvgPool((1, 2)),
        Conv(strides=2, bias_variance=0.2),
        Residual([Activation("gelu"), Conv(), LayerNorm()], [RELU, Conv(1, bias_variance=0.3)]),
        Residual([Activation("erf"), Conv(padding="circular")]),
        Activation("leaky_relu"),
    ],
    dense_bias_variance=0.4,
)
NETWORKS = [{"depth": 3}, {"network": EVERYTHING}, {"network": EVERYTHING, "depth": 3}]


@pytest.mark.parametrize("trained", ["all", "hidden", "last", 1, 2])
@pytest.mark.parametrize("gap", [True, False])
@pytest.mark.parametrize("network", NETWORKS, ids=["plain", "everything", "prefix"])
def test_gradients_are_those_of_autograd(network, gap, trained, rng):
    """Image by image, by the whole network's own backward pass."""
    name = "frozen_layers" if isinstance(trained, int) else "trained_layers"
    parameters = {**network, "gap": gap, "width": 5, "trained_layers": "all", name: trained}
    images = rng.normal(size=(3, 4, 9, 2))
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


@pytest.mark.parametrize(
    "network",
    [
        *({"depth": 4, "filter_size": q} for q in (1, 3, 5)),
        {"network": EVERYTHING},
        {"network": Network([Conv(1, strides=3), RELU, Conv((1, 3), strides=(2, 1))])},
    ],
)
def test_both_ways_to_contract_agree(network, rng, monkeypatch):
    images = rng.normal(size=(5, 4, 8, 2))
    kernel = EmpiricalCNTK(**network, width=6, dtype="float64")
    grams = []
    for cheaper in (True, False):
        monkeypatch.setattr(_gradients, "pixelwise_is_cheaper", lambda *sizes, c=cheaper: c)
        grams.append(kernel(images))
    np.testing.assert_allclose(*grams, rtol=1e-10)


@pytest.mark.parametrize(
    "layers",
    [
        [Conv(), RELU, Conv(), RELU],
        [Conv(1), LayerNorm(), Activation("gelu")] * 3,
        [Conv(1), Activation("gaussian")] * 3,
        [Conv(), Residual([RELU, Conv()]), RELU, AvgPool(), Conv(), RELU],
    ],
    ids=["plain", "norm", "gaussian", "residual"],
)
def test_room_for_what_automatic_differentiation_keeps(layers):
    """At least what it keeps, and not many times as much."""
    network = ConvolutionalNetwork((8, 8, 1), network=Network(layers), width=16)
    images = torch.ones(1, 1, 8, 8, requires_grad=True)
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept = {}

    def note(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(images)
    assert sum(kept.values()) <= network.kept_numbers <= 6 * sum(kept.values())


@pytest.mark.parametrize(
    "layer", [Conv((3, 9)), Conv(5, strides=3), Conv(7, padding="circular"), Conv(1, strides=4)]
)
def test_padded_pixels(layer):
    (place,), _, _ = _layers.places(Network([layer]), (6, 4, 1), 3)
    padded = _layers.pad(torch.ones(1, 1, 6, 4), layer)
    assert place.padded == padded.numel()
