"""The parameters `network` and `frozen_layers` of finite networks."""

import pickle

import numpy as np
import pytest
from bad_networks import BAD_NETWORKS, BLOCKS, RELU
from sklearn.base import clone
from sklearn.datasets import load_digits

from sklearn_cntk.networks import Activation, AvgPool, Conv, LayerNorm, Network, Residual

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    CNNClassifier,
    CNNRegressor,
    ConvolutionalNetwork,
    EmpiricalCNTK,
    RandomCNTKFeatures,
)

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target


# --- Which network ------------------------------------------------------------------------------


@pytest.mark.parametrize("filter_size", [1, 3])
def test_plain_networks_are_those_of_the_paper(filter_size):
    """Bit for bit, by name and by their layers."""
    named = {"depth": 4, "filter_size": filter_size, "width": 16}
    layers = {"network": Network.plain(4, filter_size), "width": 16}
    kernels = [EmpiricalCNTK(**parameters)(IMAGES[:4]) for parameters in (named, layers)]
    np.testing.assert_array_equal(*kernels)
    outputs = []
    for parameters in (named, layers):
        network = ConvolutionalNetwork((8, 8), **parameters, seed=3)
        assert network.factors == [1.0] + [(2 / (16 * filter_size**2)) ** 0.5] * 3
        assert list(network.state_dict()) == ["readout", "filters.0", "filters.1", "filters.2"]
        outputs.append(network(torch.ones(2, 1, 8, 8)).detach().numpy())
    np.testing.assert_array_equal(*outputs)


def test_the_depth():
    """None is 6, and all of another network; a number its prefix."""
    for parameters, convolutions in (
        ({}, 5),
        ({"network": "myrtle5"}, 4),
        ({"network": Network.myrtle(7), "depth": 3}, 2),
        ({"network": BLOCKS, "depth": 1}, 0),
    ):
        network = ConvolutionalNetwork((8, 8, 1), width=4, **parameters)
        assert len(network.filters) == convolutions
        assert network(torch.ones(2, 1, 8, 8)).shape == (2, 1)
    shallow = Network([Conv(), RELU, AvgPool()])
    kernels = [
        EmpiricalCNTK(depth, network=network, width=8)(IMAGES[:3])
        for depth, network in ((2, Network.plain(9, pool_after=(1,))), (None, shallow))
    ]
    np.testing.assert_array_equal(*kernels)


def test_weights_do_not_depend_on_biases():
    networks = [
        ConvolutionalNetwork((8, 8, 1), network=Network.plain(3, bias_variance=b), width=4)
        for b in (0.0, 0.1)
    ]
    without, biased = (network.state_dict() for network in networks)
    assert set(biased) - set(without) == {"biases.0", "biases.1", "readout_bias"}
    assert all(torch.equal(value, biased[name]) for name, value in without.items())


@pytest.mark.parametrize("cls", [CNNClassifier, CNNRegressor, EmpiricalCNTK, RandomCNTKFeatures])
def test_parameters_of_the_network_can_be_set(cls):
    model = cls(network=Network.plain(3, activation="erf"), width=8)
    changed = clone(model).set_params(network__bias_variance=0.5, network__activation="gelu")
    assert changed.network == Network.plain(3, activation="gelu", bias_variance=0.5)
    assert model.network == Network.plain(3, activation="erf")
    with pytest.raises(ValueError, match="network__gain|'gain' is not a parameter"):
        model.set_params(network__gain=1)
    with pytest.raises(ValueError, match="network__bias_variance is a parameter of a Network"):
        cls().set_params(network__bias_variance=1)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        *BAD_NETWORKS,
        (
            {"network": Network([Conv(), Residual([])])},
            ValueError,
            r"layer 2, Residual\(body=\(\)\), has no convolution: .* Add a Conv to the body",
        ),
        (
            {"network": Network([Residual([Conv()])]), "width": 8},
            ValueError,
            r"layer 1, .* adds 8 channels to 1: .* such as shortcut=\[Conv\(1\)\]",
        ),
    ],
)
def test_bad_parameters(parameters, error, message):
    parameters = {"random_state": 0, **parameters}
    trained = {"trained_layers": "all", **parameters}
    for compute in (
        lambda: EmpiricalCNTK(**parameters)(IMAGES[:4]),
        lambda: EmpiricalCNTK(**parameters).diag(IMAGES[:4]),
        lambda: CNNRegressor(**parameters).fit(IMAGES[:4], LABELS[:4]),
        lambda: RandomCNTKFeatures(**trained).fit(IMAGES[:4]),
    ):
        with pytest.raises(error, match=message):
            compute()


def test_a_block_of_as_many_channels_as_the_images():
    network = Network([Residual([Conv(1)])])
    assert ConvolutionalNetwork((4, 4, 3), network=network, width=3)(torch.ones(1, 3, 4, 4)).any()


# --- Training -----------------------------------------------------------------------------------


def test_a_myrtle_network_learns():
    model = CNNClassifier(network="myrtle5", width=32, batch_size=16, random_state=0)
    model.fit(IMAGES[:200], LABELS[:200])
    assert model.converged_
    assert model.score(IMAGES[200:500], LABELS[200:500]) > 0.8
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        restored.decision_function(IMAGES[:5]), model.decision_function(IMAGES[:5])
    )


@pytest.mark.parametrize("activation", ["erf", "gelu", "exp_normalized"])
def test_networks_with_everything_learn(activation):
    activation = Activation(activation)
    layers = [
        Conv(strides=2, bias_variance=0.1),
        LayerNorm(),
        Residual([activation, Conv(padding="circular")]),
        activation,
    ]
    network = Network(layers, dense_bias_variance=0.1)
    model = CNNClassifier(network=network, gap=False, width=32, batch_size=16, random_state=0)
    assert model.fit(IMAGES[:150], LABELS[:150]).converged_
    assert model.score(IMAGES[150:350], LABELS[150:350]) > 0.7


@pytest.mark.parametrize(
    ("parameters", "trained"),
    [
        ({}, {"filters.0", "filters.1", "filters.2", "readout", "biases.0", "biases.2", "bias"}),
        ({"frozen_layers": 1}, {"filters.1", "filters.2", "readout", "biases.2", "bias"}),
        ({"frozen_layers": 3}, {"readout", "bias"}),
        ({"trained_layers": "hidden"}, {"filters.1", "filters.2", "biases.2"}),
        ({"trained_layers": "hidden", "frozen_layers": 2}, {"filters.2", "biases.2"}),
        ({"trained_layers": "last"}, {"readout", "bias"}),
    ],
)
def test_frozen_layers_stay(parameters, trained):
    """Bodies of residual blocks count before their shortcuts."""
    block = Residual([RELU, Conv()], [RELU, Conv(bias_variance=0.1)])
    layers = [Conv(strides=2, bias_variance=0.1), block, RELU]
    parameters = {
        "network": Network(layers, dense_bias_variance=0.1),
        "width": 8,
        "random_state": 0,
        **parameters,
    }
    y = 1 + IMAGES[:30].mean(axis=(1, 2))
    model = CNNRegressor(**parameters, max_epochs=3, tol=0.99).fit(IMAGES[:30], y)
    start = CNNRegressor(**parameters, max_epochs=1, tol=1e9, lr=1e-30).fit(IMAGES[:30], y)
    before = dict(start.network_.named_parameters())
    moved = {
        name
        for name, value in model.network_.named_parameters()
        if not torch.equal(value, before[name])
    }
    expected = {"readout_bias" if name == "bias" else name for name in trained}
    assert set(model.network_.trained) == moved == expected


def test_the_bias_counts_in_the_size_of_the_initial_function():
    """So training starts at a size that kappa says, whatever the variances."""
    network = Network([Conv(), RELU], dense_bias_variance=100.0)
    y = 1 + IMAGES[:30].mean(axis=(1, 2))
    predicted = []
    for seed in range(100):
        model = CNNRegressor(
            network=network, width=16, kappa=0.5, lr=1e-12, tol=1e9, random_state=seed
        )
        predicted.append(model.fit(IMAGES[:30], y).predict(IMAGES[:30]))
    assert np.sqrt(np.mean(np.square(predicted)) / np.mean(y**2)) == pytest.approx(0.5, rel=0.2)
