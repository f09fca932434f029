"""What every engine computes in a pass: states, poolings, displacements, reads and gauge.

A pass carries *states* through all layers, as planes of one shape: K first, then U for each Θ that
is needed.  It sums the planes of some states according to *poolings*; readouts are computed from
these sums.
"""

from functools import cached_property

import numpy as np

from .network_plan import plan_of

#: Names of the states, after the `trained_layers` that they are read for: K, U, and U of a network
#: whose first and last layers are frozen; in the order in which engines keep them.
STATES = ("last", "all", "hidden")

#: Poolings as numbers; local average pooling is represented by its radius.
TRACE, GAP = 0, -1


def is_plain(architecture, readout):
    """Return whether this module's recursion covers a readout; see `network_plan` for others."""
    usual = readout.frozen_layers <= (readout.trained_layers == "hidden")
    return architecture.is_plain and readout.depth >= 2 and usual


def pooling_of(readout, architecture):
    """Return the pooling of a readout as a number; for one pixel, GAP is the trace."""
    if not readout.gap:
        return readout.lap
    return TRACE if architecture.image_shape[:2] == (1, 1) else GAP


def reach(architecture, readouts):
    """Return the largest |row| and |column| displacements whose planes the readouts need."""
    shape = architecture.image_shape
    return np.max([readout.max_displacement(shape) for readout in readouts], axis=0)


def pair_work(architecture, readouts):
    """Return the element-layers of one pair: covariance entries times layers (an upper bound)."""
    plain = [readout for readout in readouts if is_plain(architecture, readout)]
    others = tuple(readout for readout in readouts if readout not in plain)
    work = plan_of(architecture, others).work if others else 0
    return work + (_plain_pair_work(architecture, plain) if plain else 0)


def _plain_pair_work(architecture, readouts):
    entries = 1
    for size, far in zip(architecture.image_shape, reach(architecture, readouts), strict=False):
        displacements = np.arange(-far, far + 1)
        entries *= int(np.sum(size - abs(displacements)))
    return entries * max(readout.convolutions for readout in readouts)


class Plan:
    """A pass that yields some readouts of images of one shape.

    Parameters
    ----------
    architecture : Architecture
    readouts : list of Readout
    dtype : {"float32", "float64"}
    gauge_of : callable or None, default=None
        ``gauge_of(architecture, n_layers)`` returns the Gauge of the layers; None is `Gauge.of`.

    Attributes
    ----------
    states : list of str
        The `STATES` that are carried: K ("last"), whether or not it is read, and each U.
    sums : list of str
        The states whose sums are needed: the last ones of `states`.
    starts : list of bool
        For each state, whether it starts as Σ⁰; if the first layer is frozen, Θ⁰ is 0.
    poolings : list of int
        In ascending order.
    n_layers : int
        Convolutions of the deepest readout.
    """

    def __init__(self, architecture, readouts, dtype, gauge_of=None):
        self.architecture = architecture
        self.readouts = readouts
        self._gauge_of = gauge_of
        self.dtype = np.dtype(dtype).name
        wanted = {readout.trained_layers for readout in readouts}
        if "hidden" in wanted:
            wanted.add("last")  # K̇ ⊙ Θ = U - K
        self.sums = [state for state in STATES if state in wanted]
        self.states = [state for state in STATES if state in wanted | {"last"}]
        self.starts = [state != "hidden" for state in self.states]
        self.poolings = sorted({pooling_of(readout, architecture) for readout in readouts})
        self.n_layers = max(readout.convolutions for readout in readouts)

    @cached_property
    def gauge(self):
        """The Gauge of the layers."""
        from .scales import Gauge  # compiled, which is slow to import

        make = self._gauge_of or Gauge.of
        return make(self.architecture, self.n_layers)

    def of(self, readouts):
        """Return the plan for some of the readouts."""
        return Plan(self.architecture, readouts, self.dtype, self._gauge_of)

    @cached_property
    def displacements(self):
        """Displacements (Δi, Δj) of the planes that are needed, (n, 2), (0, 0) first."""
        rows, columns = reach(self.architecture, self.readouts)
        grid = np.mgrid[-rows : rows + 1, -columns : columns + 1].reshape(2, -1).T
        return grid[np.argsort(np.abs(grid).sum(axis=1), kind="stable")].copy()

    @cached_property
    def circular_displacements(self):
        """The same modulo the image's sides: Δ and Δ - side are one plane; (0, 0) is first."""
        axes = []
        far = reach(self.architecture, self.readouts)
        for size, most in zip(self.architecture.image_shape, far, strict=False):
            shifts = np.arange(size)
            axes.append(shifts[(shifts <= most) | (size - shifts <= most)])
        grid = np.meshgrid(*axes, indexing="ij")
        return np.stack(grid, axis=-1).reshape(-1, 2)

    def read(self, sum_of):
        """Return kernel values (readout, …), up to the scales that the images were divided by.

        ``sum_of(pooling, layer, state)`` returns an array (…): a state's sum after a layer.
        """
        rows, columns, _ = self.architecture.image_shape
        values = None
        for k, readout in enumerate(self.readouts):
            layer = readout.convolutions - 1
            pooling = pooling_of(readout, self.architecture)
            chosen = sum_of(pooling, layer, readout.trained_layers)
            if values is None:
                values = np.empty((len(self.readouts), *chosen.shape))
            values[k] = chosen
            if readout.trained_layers == "hidden":
                values[k] -= sum_of(pooling, layer, "last")
            values[k] *= self.gauge.magnitude[layer]
            if readout.gap:
                values[k] /= (rows * columns) ** 2
        return values
