"""Weights of local average pooling."""

import dataclasses

import pytest

from sklearn_cntk._models.parameters import (
    DepthParameters,
    LayerParameters,
    LocalPoolingParameters,
    NetworkParameters,
)
from sklearn_cntk._support.architecture import lap_weights
from sklearn_cntk._support.parameters import declared
from sklearn_cntk.networks import Architecture, Readout


@pytest.mark.parametrize(("size", "radius"), [(1, 0), (5, 0), (5, 1), (4, 2), (3, 7)])
def test_lap_weights_count_windows(size, radius):
    weights = lap_weights(size, radius)
    for i in range(size):
        for j in range(size):
            windows = [o for o in range(size) if abs(o - i) <= radius and abs(o - j) <= radius]
            assert weights[i, j] == pytest.approx(len(windows) / (2 * radius + 1) ** 2)


def test_a_later_parameter_is_part_of_the_name():
    """Of what stores call a network; what they hold from before keeps its name."""

    @dataclasses.dataclass(frozen=True)
    class Later(Architecture):
        gain: float = 1.0

    now = Architecture((4, 5, 3))
    assert now.name == "4x5x3-q3"
    assert Later((4, 5, 3)).name == now.name
    assert Later((4, 5, 3), gain=2.0).name == f"{now.name}-gain=2.0"
    assert Later((4, 5, 3)).parameters == now.parameters
    assert Later((4, 5, 3), gain=2.0).parameters == now.parameters | {"gain": 2.0}


def test_parameters_of_the_network_reach_the_engines():
    """What kernels declare of it, but for the shape, is what an architecture or readout holds."""
    of_kernels = {
        name
        for cls in (NetworkParameters, LayerParameters, LocalPoolingParameters, DepthParameters)
        for name in declared(cls)
    }
    of_engines = {
        field.name for cls in (Architecture, Readout) for field in dataclasses.fields(cls)
    }
    assert of_kernels == of_engines


def test_readouts_have_names_of_their_own():
    """By which stores tell them apart."""

    @dataclasses.dataclass(frozen=True)
    class Later(Readout):
        share: float = 1.0

    several = [
        Later(depth, gap, trained, lap, share=share)
        for depth in (3, 4)
        for gap, lap in ((True, 0), (False, 0), (False, 1))
        for trained in ("all", "hidden", "last")
        for share in (1.0, 0.5)
    ]
    assert len({readout.name for readout in several}) == len(several)
    assert Later(11).name == Readout(11).name == "d11-gap-all"
