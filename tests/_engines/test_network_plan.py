"""Which planes of a network are computed, in which order, and where they wait."""

import numpy as np
import pytest

from sklearn_cntk._engines.network_plan import CONV, NetworkPlan
from sklearn_cntk._engines.plan import pair_work
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

RELU = Activation("relu")


def plan(network, shape, *readouts):
    return NetworkPlan(Architecture((*shape, 3), network=network), list(readouts))


def planes_by_stage(plan, zero_first=False):
    schedule = plan.schedule_zero_first if zero_first else plan.schedule
    counts = [0] * len(plan.stages)
    for visit in schedule.visits:
        counts[visit.stage] += len(visit.displacements)
    return counts


@pytest.mark.parametrize("depth", [5, 7, 10])
def test_a_flattened_myrtle_network_needs_few_planes(depth):
    """One at the end, nine around it before the pool, and 49 before the pool before that."""
    flat = plan(Network.myrtle(depth), (32, 32), Readout(depth, False))
    assert planes_by_stage(flat) == [49, 9, 1]
    assert planes_by_stage(flat.diagonals, zero_first=True) == [49, 9, 1]
    gap = plan(Network.myrtle(depth), (32, 32), Readout(depth))
    assert planes_by_stage(gap) == [63**2, 31**2, 15**2]


def test_strides_leave_planes_out():
    """Behind a stride of 2, only even displacements are needed before it."""
    network = Network([Conv(strides=2), RELU, Conv(strides=(2, 1)), RELU])
    gap = plan(network, (16, 16), Readout(3))
    assert planes_by_stage(gap) == [7 * 15]
    displacements = {d for visit in gap.schedule.visits for d in visit.displacements}
    assert all(di % 4 == 0 and dj % 2 == 0 for di, dj in displacements)


def test_a_shallow_readout_does_not_need_the_planes_of_a_deep_one():
    """All planes run through the first convolution, for GAP, one of them through the rest."""
    both = plan(Network.plain(5), (8, 8), Readout(2), Readout(5, False))
    convolutions = [
        sum(o.kind == CONV for o in both.stages[0].operations[: visit.n_operations])
        for visit in both.schedule.visits
    ]
    assert len(convolutions) == 15**2
    assert sorted(convolutions)[-2:] == [1, 4]
    assert both.work == 8**4 + 3 * 64


def test_circular_planes_are_halves_of_a_torus():
    network = Network([Conv(padding="circular"), RELU])
    gap = plan(network, (8, 6), Readout(2))
    groups = [visit.displacements for visit in gap.schedule.visits]
    assert len(groups) == 8 * 6  # displacements modulo the sides
    assert sum(map(len, groups)) == 15 * 11
    for group in groups:
        assert len({(di % 8, dj % 6) for di, dj in group}) == 1
    flat = plan(network, (8, 6), Readout(2, False))
    assert [visit.displacements for visit in flat.schedule.visits] == [[(0, 0)]]


@pytest.mark.parametrize("shape", [(32, 32), (9, 7), (1, 20)])
@pytest.mark.parametrize(
    "network",
    [
        Network.myrtle(5),
        Network([Conv(), RELU, AvgPool(3), Conv(), RELU]),
        Network([Conv(), RELU, AvgPool(), AvgPool(2), Conv(), RELU]),
        Network([AvgPool((1, 2)), Conv(strides=2), RELU, AvgPool(2), Conv(), RELU]),
        Network([Conv(padding="circular"), RELU, AvgPool(), Conv(), RELU]),
    ],
)
@pytest.mark.parametrize("gap", [True, False])
def test_every_plane_waits_until_it_is_complete(network, shape, gap):
    """Played through: what a plane brings is taken once, by the plane it is meant for."""
    for order in ("schedule", "schedule_zero_first"):
        found = plan(network, shape, Readout(network.depth, gap))
        schedule = getattr(found, order)
        waiting = [{} for _ in found.stages]  # of each displacement, (place, what was added)
        for visit in schedule.visits:
            stage = found.stages[visit.stage]
            for displacement, place in zip(visit.displacements, visit.sources, strict=True):
                if visit.stage:
                    meant, added = waiting[visit.stage].pop(displacement)
                    assert meant == place
                    before = found.stages[visit.stage - 1]
                    assert added == n_contributions(before, displacement)
            for displacement, places in zip(visit.displacements, visit.targets, strict=True):
                for half, place in enumerate(places):
                    if place < 0:
                        continue
                    others = waiting[visit.stage + 1]
                    coarse = coarse_displacement(stage, displacement, half)
                    if coarse not in others:
                        # Or it would be added to another plane.
                        after = found.stages[visit.stage + 1].shape
                        end = place + size_of(after, coarse)
                        assert end <= schedule.n_waiting[visit.stage + 1]
                        for other, (at, _) in others.items():
                            assert end <= at or place >= at + size_of(after, other)
                    meant, added = others.get(coarse, (place, 0))
                    assert meant == place
                    others[coarse] = place, added + 1
        assert not any(waiting)


def size_of(shape, displacement):
    return (shape[0] - abs(displacement[0])) * (shape[1] - abs(displacement[1]))


def coarse_displacement(stage, displacement, half):
    steps = zip(displacement, stage.output_strides, stage.windows, strict=True)
    return tuple(d // s // p + part for (d, s, p), part in zip(steps, divmod(half, 2), strict=True))


def n_contributions(stage, coarse):
    """Fine planes that reach a coarse one: displacements p·D + e, |e| < p, that exist."""
    counts = []
    shape = stage.boundaries[-1].shape
    for side, window, d in zip(shape, stage.windows, coarse, strict=True):
        fine = range(window * d - window + 1, window * d + window)
        counts.append(sum(abs(e) < side for e in fine))
    return np.prod(counts)


def test_work_is_counted_by_stage():
    architecture = Architecture((32, 32, 3), network="myrtle5")
    assert pair_work(architecture, [Readout(5)]) == 2 * 32**4 + 16**4 + 8**4
    planes = [(32 - abs(i)) * (32 - abs(j)) for i in range(-3, 4) for j in range(-3, 4)]
    coarse = [(16 - abs(i)) * (16 - abs(j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    flattened = 2 * sum(planes) + sum(coarse) + 64
    assert pair_work(architecture, [Readout(5, False)]) == flattened


def test_registers_are_few():
    """A chain needs two, a residual block one more for its input."""
    chain = plan(Network.plain(9), (8, 8), Readout(9))
    assert chain.registers == 2
    block = Residual([RELU, Conv(), RELU, Conv()])
    assert plan(Network([Conv(), block, block]), (8, 8), Readout(6)).registers == 3


def test_layer_normalisation_costs_no_pass_of_its_own():
    kinds = [
        operation.kind
        for operation in plan(Network([Conv(), LayerNorm(), RELU]), (4, 4), Readout(2)).operations
    ]
    plain = [operation.kind for operation in plan(Network.plain(2), (4, 4), Readout(2)).operations]
    assert kinds == plain


def test_strides_that_part_a_torus_within_a_block_are_an_error():
    block = Residual([RELU, Conv(strides=2)], [Conv(1, strides=2)])
    network = Network([Conv(padding="circular"), block])
    with pytest.raises(ValueError, match=r"layer 2, Residual.* do not divide a map of 9×9"):
        network.shapes((9, 9))
    plan(network, (8, 8), Readout(4))
    plan(network, (1, 8), Readout(4))
