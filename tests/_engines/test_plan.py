"""Plans of passes: states, poolings, displacements, and kernel values from sums."""

import numpy as np
import pytest

from sklearn_cntk._engines.plan import GAP, TRACE, Plan, pair_work
from sklearn_cntk.networks import Architecture, Readout

SHAPE = (9, 8, 1)


def plan(*readouts, shape=SHAPE):
    return Plan(Architecture(shape), list(readouts), "float32")


@pytest.mark.parametrize(
    ("trained", "states", "sums", "starts"),
    [
        (["last"], ["last"], ["last"], [True]),
        (["all"], ["last", "all"], ["all"], [True, True]),
        (["all", "last"], ["last", "all"], ["last", "all"], [True, True]),
        (["hidden"], ["last", "hidden"], ["last", "hidden"], [True, False]),
        (
            ["hidden", "all"],
            ["last", "all", "hidden"],
            ["last", "all", "hidden"],
            [True, True, False],
        ),
    ],
)
def test_states(trained, states, sums, starts):
    """K runs always; what is summed are the last states."""
    found = plan(*(Readout(4, True, name) for name in trained))
    assert (found.states, found.sums, found.starts) == (states, sums, starts)
    assert found.states[-len(found.sums) :] == found.sums


def test_poolings():
    readouts = [Readout(3), Readout(5, False), Readout(4, False, lap=2)]
    assert plan(*readouts).poolings == [GAP, TRACE, 2]
    assert plan(*readouts).n_layers == 4
    assert plan(Readout(3), shape=(1, 1, 7)).poolings == [TRACE]  # of one pixel


@pytest.mark.parametrize(
    ("readout", "n"),
    [(Readout(3, False), 1), (Readout(3, False, lap=1), 25), (Readout(3), 17 * 15)],
)
def test_only_planes_that_are_needed(readout, n):
    """A trace takes one displacement, local pooling of radius c at most (4c + 1)²."""
    found = plan(readout)
    assert len(found.displacements) == n
    assert not found.displacements[0].any()
    assert len({tuple(d) for d in found.displacements}) == n
    # Modulo the image, several displacements are one plane.
    circular = {tuple(d) for d in found.displacements % SHAPE[:2]}
    assert {tuple(d) for d in found.circular_displacements} == circular
    assert not found.circular_displacements[0].any()


def test_work_is_the_number_of_entries_times_layers():
    architecture = Architecture((5, 4, 1))
    entries = {(i, j, k, m) for i in range(5) for j in range(4) for k in range(5) for m in range(4)}
    near = {e for e in entries if abs(e[0] - e[2]) <= 2 and abs(e[1] - e[3]) <= 2}
    assert pair_work(architecture, [Readout(7)]) == 6 * len(entries)
    assert pair_work(architecture, [Readout(7, False)]) == 6 * 20
    assert pair_work(architecture, [Readout(3, False, lap=1), Readout(4, False)]) == 3 * len(near)


def test_kernel_values_from_sums():
    """By hand, on a 2 × 3 image whose layers are worth 1, 10 and 100 in each state."""
    readouts = [Readout(4), Readout(3, False, "last"), Readout(4, True, "hidden")]
    found = plan(*readouts, shape=(2, 3, 1))
    worth = {"last": 1.0, "all": 2.0, "hidden": 5.0}
    values = found.read(lambda pooling, layer, state: np.array([10.0**layer * worth[state]]))
    magnitude = found.gauge.magnitude
    expected = [200 * magnitude[2] / 36, 10 * magnitude[1], (500 - 100) * magnitude[2] / 36]
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-15)
