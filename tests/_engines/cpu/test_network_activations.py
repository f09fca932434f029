"""Which functions a pass over a network calls, and that no other is compiled."""

import pytest

from sklearn_cntk._engines.cpu import network_activations
from sklearn_cntk._engines.cpu.network_activations import (
    ALONE,
    BEHIND_CONV,
    POOLED,
    RESIDUAL,
    activation_addresses,
    activation_calls,
)
from sklearn_cntk._engines.network_arrays import KIND, PlanArrays
from sklearn_cntk._engines.network_plan import CONV, ERF, GELU, RELU, NetworkPlan
from sklearn_cntk.networks import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    LayerNorm,
    Network,
    Readout,
    Residual,
)

RELU_LAYER, ERF_LAYER = Activation("relu"), Activation("erf")


def arrays_of(layers, *readouts):
    plan = NetworkPlan(Architecture((8, 8, 1), network=Network(layers)), list(readouts))
    return PlanArrays(plan, "float64")


def places_of(arrays, kind, paired=False):
    """Places of the operations of a kind."""
    _, places = activation_calls(arrays, paired)
    return places[arrays.operations[:, KIND] == kind].tolist()


CHAIN = [Conv(), RELU_LAYER, AvgPool(), Conv(), RELU_LAYER, Conv(5), ERF_LAYER]


def test_places_in_a_chain():
    """In one go with 3 × 3 convolutions, and with the pool behind; on their own behind others."""
    arrays = arrays_of(CHAIN, Readout(4))
    assert places_of(arrays, RELU) == [POOLED, BEHIND_CONV]
    assert places_of(arrays, ERF) == [ALONE]
    n_fused, _ = activation_calls(arrays, False)
    assert n_fused[arrays.operations[:, KIND] == CONV].tolist() == [1, 1, 0]


def test_windows_that_leave_a_rest():
    """A pool that drops rows is a pass of its own."""
    arrays = arrays_of([Conv(), RELU_LAYER, AvgPool(3), Conv(), RELU_LAYER], Readout(3))
    assert places_of(arrays, RELU) == [BEHIND_CONV, BEHIND_CONV]


def test_places_in_a_residual_block():
    block = Residual([RELU_LAYER, Conv(), RELU_LAYER, Conv()])
    arrays = arrays_of([Conv(), block, RELU_LAYER, AvgPool(), Conv(), RELU_LAYER], Readout(5))
    assert places_of(arrays, RELU) == [RESIDUAL, BEHIND_CONV, RESIDUAL, BEHIND_CONV]


@pytest.mark.parametrize(
    "readouts",
    [
        pytest.param([Readout(4), Readout(4, frozen_layers=1)], id="two Θ"),
        pytest.param([Readout(4, frozen_layers=2)], id="frozen"),
    ],
)
def test_what_trains_differently_is_not_fused(readouts):
    """The fused functions add Σ to one Θ behind every convolution."""
    assert places_of(arrays_of(CHAIN, *readouts), RELU) == [ALONE, ALONE]


def test_pairs_are_not_fused():
    assert places_of(arrays_of(CHAIN, Readout(4)), RELU, paired=True) == [ALONE, ALONE]


def test_only_what_a_network_has_is_compiled(monkeypatch):
    """Each function takes about a second."""
    compiled = {
        key: network_activations._compile_activation(*key)
        for key in [(RELU, ALONE), (RELU, POOLED), (ERF, ALONE), (GELU, ALONE)]
    }
    monkeypatch.setattr(network_activations, "_COMPILED", compiled)
    arrays = arrays_of([Conv(), RELU_LAYER, AvgPool(), Conv(5), LayerNorm(), RELU_LAYER],
                       Readout(3))  # fmt: skip
    _, places = activation_calls(arrays, False)
    addresses = activation_addresses(arrays, places, "float64")
    assert len(set(addresses[addresses != 0])) == 2
    used = {key for key, function in compiled.items() if function.signatures}
    assert used == {(RELU, ALONE), (RELU, POOLED)}
