"""What engines compute for a network of any layers: operations and displacements.

Convolutions of stride 1, activations, normalisation and sums keep displacement planes separate; a
stride of t turns the plane tD into the plane D.  Only pools mix planes: D is computed from p·D +
{-(p - 1), …, p - 1}.  So a network is a list of *stages*, between which planes are pooled.  The
displacements that readouts need are traced backwards, and planes that nothing needs are not
computed.  ``network_schedule`` determines the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._support.architecture import lap_weights
from .._support.layers import Activation, AvgPool, Conv, Residual
from .network_schedule import Schedule

#: Kinds of operations.  `RELU` includes leaky ReLU.
CONV, RELU, EXP, ERF, GELU, NORM, ADD, READ = range(8)

_KIND_OF_ACTIVATION = {
    "relu": RELU,
    "leaky_relu": RELU,
    "exp_normalized": EXP,
    "gaussian": EXP,
    "erf": ERF,
    "gelu": GELU,
}

#: How many numbers an engine keeps per pixel for each kind of operation, see `network_tables`.
TABLES = {RELU: 2, EXP: 2, ERF: 1, GELU: 3, NORM: 1}


@dataclass
class Operation:
    """One step of a visit: it reads registers, which hold a plane per state, and writes one.

    Attributes
    ----------
    kind : int
    source, target : int
        Registers.
    shape : tuple (rows, columns)
        Of the whole map that it reads.
    strides_before : tuple
        Strides since the beginning of the stage.
    layer : Conv, Activation, LayerNorm or None
    other : int
        The second register of an `ADD`.
    units : tuple of int
        Numbers of the units of its inputs and, last, of its output.
    number : int
        For a convolution, its number among all convolutions.
    table : int
        Where its tables begin, in pixels.
    normalised : bool
        For an activation, whether a layer normalisation comes first.
    reads : list of int
        For a `READ`, indices into `NetworkPlan.reads`.
    """

    kind: int
    source: int
    target: int
    shape: tuple[int, int]
    strides_before: tuple[int, int]
    layer: Any = None
    other: int = 0
    units: tuple[int, ...] = ()
    number: int = 0
    table: int = 0
    normalised: bool = False
    reads: list[int] = field(default_factory=list)


class Read(NamedTuple):
    """Sums of all states from which readouts are computed."""

    depth: int
    pooling: int  # -1: every plane; 0: plane (0, 0); c > 0: local average pooling of radius c
    shape: tuple[int, int]
    unit: int
    homogeneous: bool  # whether the features there scale linearly with the images


class _Boundary(NamedTuple):
    """A point between layers."""

    n_operations: int  # of the stage, before it
    strides: tuple[int, int]  # since the beginning of the stage
    shape: tuple[int, int]
    needed: tuple  # sets of row and column displacements


class _Stage:
    """Operations between two pools, and the displacements that are needed in between."""

    def __init__(self, shape):
        self.shape = shape
        self.operations: list[Operation] = []
        self.boundaries: list[_Boundary] = []
        self.windows = (1, 1)  # of the pool at its end
        self.grouped = False

    @property
    def output_strides(self):
        return self.boundaries[-1].strides


class NetworkPlan:
    """A pass that yields some readouts of images of one shape.

    Parameters
    ----------
    architecture : Architecture
    readouts : list of Readout

    Attributes
    ----------
    network : Network
        The prefix that the deepest readout needs.
    thetas : list of int
        The states other than K: each Θ, given by its number of frozen convolutions.
    reads : list of Read
    stages : list
        Each has `operations`, the `shape` at its beginning, and the `windows` of the pool at its
        end.
    units : int
        Number of units; the first one is that of the pixels.
    table_pixels : int
        Length of an image's tables.
    """

    def __init__(self, architecture, readouts):
        self.architecture = architecture
        self.readouts = readouts
        #: The network of each depth that is read.
        self._networks = {
            depth: architecture.layers(depth) for depth in {r.depth for r in readouts}
        }
        self.network = self._networks[max(self._networks)]
        self.variances = self.network.weight_variances[:-1]
        self.thetas = sorted({r.frozen for r in readouts if r.trained_layers != "last"})
        self.units = 1
        self.reads: list[Read] = []
        self._convolutions = 0
        self._kept: tuple[int, ...] = ()  # registers that are read later
        self.table_pixels = 0
        self.stages: list[_Stage] = []
        self._build()

    # --- What is needed -------------------------------------------------------------------------

    def _readouts_of(self, n_layers):
        """Return the readouts of the prefix with `n_layers` layers."""
        return [
            readout
            for readout in self.readouts
            if len(self._networks[readout.depth].layers) == n_layers
        ]

    @cached_property
    def _needed(self):
        """Displacements, per axis, that are needed before each layer and after the last one."""
        layers, shapes = self.network.layers, self.network.shapes(self.architecture.image_shape)
        any_circular = any(map(is_circular, layers))
        needed: list[tuple[set[int], ...]] = [()] * len(shapes)
        for place in reversed(range(len(shapes))):
            later = None if place == len(layers) else needed[place + 1]
            axes = []
            for axis in (0, 1):
                side = shapes[place][axis]
                found = set()
                for readout in self._readouts_of(place):
                    far = side - 1 if readout.gap else min(2 * readout.lap, side - 1)
                    found |= set(range(-far, far + 1))
                if later is not None:
                    found |= _before(layers[place], axis, later[axis], shapes[place])
                axes.append(found)
            if any_circular:
                axes = [
                    _closed(found, side) for found, side in zip(axes, shapes[place], strict=True)
                ]
            needed[place] = tuple(axes)
        return needed

    # --- Operations -----------------------------------------------------------------------------

    def _build(self):
        layers, shapes = self.network.layers, self.network.shapes(self.architecture.image_shape)
        any_circular = any(map(is_circular, layers))
        stage, register, strides, unit = _Stage(shapes[0]), 0, (1, 1), 0
        self._end(stage, 0, register, strides, shapes[0], unit)
        for place, layer in enumerate(layers):
            shape, after = shapes[place], shapes[place + 1]
            if isinstance(layer, AvgPool):
                stage.windows = layer.windows(shape)
                self.stages.append(stage)
                stage, register, strides = _Stage(after), 0, (1, 1)
            else:
                stage.grouped |= is_circular(layer)
                before = strides
                register, strides, unit = self._add(stage, layer, register, strides, shape, unit)
                # Start a new stage where the halves of a torus would not remain halves of one.
                aligned = all(
                    n in (1, m * (s // t))
                    for n, m, s, t in zip(shape, after, strides, before, strict=True)
                )
                if any_circular and not aligned:
                    self._end(stage, None, register, strides, after, unit, place + 1)
                    self.stages.append(stage)
                    stage, register, strides = _Stage(after), 0, (1, 1)
            self._end(stage, place + 1, register, strides, after, unit)
        self.stages.append(stage)

    def _end(self, stage, n_layers, register, strides, shape, unit, place=None):
        """Add a boundary between layers: what is read there, and which planes are needed."""
        if n_layers is not None:
            place = n_layers
            poolings: dict[int, int] = {}
            for readout in self._readouts_of(n_layers):
                pooling = -1 if readout.gap else readout.lap
                poolings.setdefault(pooling, readout.depth)
            if poolings:
                degree = self._networks[max(poolings.values())].channel_degree
                reads = [
                    Read(depth, pooling, shape, unit, degree == 1)
                    for pooling, depth in sorted(poolings.items())
                ]
                numbers = list(range(len(self.reads), len(self.reads) + len(reads)))
                self.reads += reads
                operation = Operation(READ, register, register, shape, strides, reads=numbers)
                stage.operations.append(operation)
        stage.boundaries.append(
            _Boundary(len(stage.operations), strides, shape, self._needed[place])
        )

    def _new_unit(self):
        self.units += 1
        return self.units - 1

    def _add(self, stage, layer, register, strides, shape, unit):
        """Append the operations of a layer; return (register, strides, unit) of its output."""
        if isinstance(layer, Residual):
            return self._add_residual(stage, layer, register, strides, shape, unit)
        if isinstance(layer, Conv):
            target, made = self._another_than(register), self._new_unit()
            operation = Operation(CONV, register, target, shape, strides, layer)
            operation.units, operation.number = (unit, made), self._convolutions
            self._convolutions += 1
            stage.operations.append(operation)
            strides = tuple(s * t for s, t in zip(strides, layer.steps, strict=True))
            return target, strides, made
        kind = activation_kind(layer)
        if kind in (RELU, EXP) and self._is_behind_norm(stage, register):
            last = stage.operations[-1]
            # Normalisation does not change λ, so one pass does both.
            last.kind, last.layer, last.normalised = kind, layer, True
            self.table_pixels += (TABLES[kind] - TABLES[NORM]) * shape[0] * shape[1]
            return last.target, strides, last.units[-1]
        # Work in place if nothing else reads the input.  Otherwise, do not overwrite the input of a
        # directly preceding convolution either, so that the two can be fused.
        target = register
        if register in self._kept:
            target = self._another_than(register, *(o.source for o in stage.operations[-2:]))
        made = self._new_unit()
        operation = Operation(kind, register, target, shape, strides, layer)
        operation.units, operation.table = (unit, made), self.table_pixels
        self.table_pixels += TABLES[kind] * shape[0] * shape[1]
        stage.operations.append(operation)
        return target, strides, made

    def _is_behind_norm(self, stage, register):
        """Return whether the last operation normalises a register that nothing else reads."""
        if not stage.operations or register in self._kept:
            return False
        last = stage.operations[-1]
        return last.kind == NORM and last.target == register

    def _another_than(self, *registers):
        taken = {*registers, *self._kept}
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def _add_residual(self, stage, block, register, strides, shape, unit):
        self._kept, ends = (register,), []
        for _, branch in block.branches:
            at, inside, made, after = register, strides, unit, shape
            for layer in branch:
                at, inside, made = self._add(stage, layer, at, inside, after, made)
                after = layer.output_shape(after)
            ends.append((at, inside, made))
            self._kept = (at,)  # the shortcut is the last to read the input
        self._kept = ()
        (first, strides, first_unit), (second, _, second_unit) = ends
        made = self._new_unit()
        operation = Operation(ADD, first, first, after, strides, other=second)
        operation.units = first_unit, second_unit, made
        stage.operations.append(operation)
        return first, strides, made

    @property
    def operations(self):
        """All operations, stage by stage."""
        return [operation for stage in self.stages for operation in stage.operations]

    @property
    def registers(self):
        """Number of registers."""
        used = {o.target for o in self.operations} | {o.source for o in self.operations}
        return max({0, *used, *(o.other for o in self.operations)}) + 1

    @cached_property
    def schedule(self):
        """The order in which planes are visited."""
        return Schedule(self.stages)

    @cached_property
    def schedule_zero_first(self):
        """The schedule stage by stage, with the plane (0, 0) of each stage first."""
        return Schedule(self.stages, zero_first=True)

    # --- Work -----------------------------------------------------------------------------------

    @cached_property
    def work(self):
        """Element-layers of a pair: covariance entries that convolutions compute."""
        total = 0
        for visit in self.schedule.visits:
            for operation in self.stages[visit.stage].operations[: visit.n_operations]:
                if operation.kind != CONV:
                    continue
                after = operation.layer.output_shape(operation.shape)
                pairs = zip(operation.strides_before, operation.layer.steps, strict=True)
                steps = [s * t for s, t in pairs]
                for plane in visit.displacements:
                    if all(d % s == 0 for d, s in zip(plane, steps, strict=True)):
                        sides = (
                            n - abs(d // s) for n, d, s in zip(after, plane, steps, strict=True)
                        )
                        total += int(np.prod([max(side, 0) for side in sides]))
        return max(total, 1)

    def _read_of(self, readout):
        """Return the number of the read that a readout is computed from."""
        pooling = -1 if readout.gap else readout.lap
        return next(
            number
            for number, read in enumerate(self.reads)
            if (read.depth, read.pooling) == (readout.depth, pooling)
        )

    def reads_covariance(self, read):
        """Return whether some readout uses K at a read, rather than only a Θ."""
        return any(
            readout.trained_layers in ("last", "hidden")
            for readout in self.readouts
            if self.reads[self._read_of(readout)] == read
        )

    def weights(self, read):
        """Return the row and column weights of a read with local average pooling."""
        return [lap_weights(side, read.pooling) for side in read.shape]

    # --- Values ---------------------------------------------------------------------------------

    def read(self, sum_of):
        """Return kernel values (readout, …) from sums of states.

        ``sum_of(number, state)`` returns the sums (…) of read `number` in true units; state 0 is K,
        state k is Θ + K for the Θ of `thetas[k - 1]`.
        """
        channels = self.architecture.image_shape[2]
        values = []
        for readout in self.readouts:
            network = self._networks[readout.depth]
            number = self._read_of(readout)
            rows, columns = self.reads[number].shape
            size = rows * columns
            dense = network.weight_variances[-1]
            entries = size**2 if readout.gap else size
            state = 0
            if readout.trained_layers != "last":
                state = 1 + self.thetas.index(readout.frozen)
            value = dense * sum_of(number, state) / entries
            if readout.trained_layers == "hidden":
                value = value - dense * sum_of(number, 0) / entries
            else:
                value = value + network.dense_bias_variance
            values.append(value * channels * (1 if readout.gap else size))
        return np.array(values)

    @cached_property
    def diagonals(self):
        """The plan of what is precomputed for each image: the plane (0, 0) of Σ(x, x)."""
        one = replace(
            self.readouts[0], depth=max(r.depth for r in self.readouts), gap=False, lap=0,
            trained_layers="last", frozen_layers=0,
        )  # fmt: skip
        return NetworkPlan(self.architecture, [one])


@lru_cache(maxsize=32)
def plan_of(architecture, readouts):
    """Return the NetworkPlan of a tuple of readouts, shared by all tiles of a Gram matrix."""
    return NetworkPlan(architecture, list(readouts))


def is_circular(layer):
    """Return whether a layer is, or contains, a circular convolution."""
    if isinstance(layer, Residual):
        return any(is_circular(one) for _, branch in layer.branches for one in branch)
    return isinstance(layer, Conv) and layer.padding == "circular"


def _strides(layer, axis):
    if isinstance(layer, Residual):
        steps = [one.steps[axis] for one in layer.body if isinstance(one, Conv)]
        return int(np.prod(steps, dtype=int))
    return layer.steps[axis] if isinstance(layer, Conv) else 1


def _before(layer, axis, displacements, shape):
    """Return the displacements along an axis that a layer needs from its input."""
    if isinstance(layer, AvgPool):
        window, side = layer.windows(shape)[axis], shape[axis]
        found = {window * d + e for d in displacements for e in range(-(window - 1), window)}
        return {d for d in found if abs(d) < side}
    step = _strides(layer, axis)
    return {step * d for d in displacements}


def _closed(displacements, side):
    """Add to each displacement the one that is equal modulo the side."""
    residues = {d % side for d in displacements}
    return {d for r in residues for d in ((r, r - side) if r else (0,))}


def activation_kind(layer):
    """Return the kind of an activation's or normalisation's operation."""
    return _KIND_OF_ACTIVATION[layer.kind] if isinstance(layer, Activation) else NORM
