"""Stacks of convolutions, activations and pools: the constants of ``network_sweep``."""

from itertools import pairwise

import numpy as np

from ..dual_networks import SLOTS
from ..network_arrays import KIND, LINEAR, TABLE
from ..network_plan import CONV, ERF, EXP, GELU, READ, RELU
from .source import LANES, array_literal, number_literals

# Largest number of registers for a thread's state: beyond it the compiler spills.
_STATE_REGISTERS = 160
# Registers that a thread needs in addition to its state.
_OTHER_REGISTERS = {"float32": 64, "float64": 120}
_SECOND_THETA_REGISTERS = 40
# Per block.
_MOST_WARPS = 16
# Coarse rows that wait at a time.
_PLACES = 3
_REGISTERS = 65536
# Most columns of a window, whose phases are bits of an integer.
_LARGEST_WINDOW = 5


def is_stack(plan, dtype):
    """Return whether a plan is such a stack whose planes fit in the registers of warps."""
    n_states = 1 + len(plan.thetas)
    rows, columns, _ = plan.architecture.image_shape
    state = rows * n_states * np.dtype(dtype).itemsize // 4
    if columns > LANES or state > _STATE_REGISTERS or _registers(plan, n_states, dtype) > 255:
        return False
    return all(_is_plain_stage(stage) for stage in plan.stages)


def _registers(plan, n_states, dtype):
    """Return the approximate number of registers per thread."""
    dtype = np.dtype(dtype)
    others = _OTHER_REGISTERS[dtype.name] + _SECOND_THETA_REGISTERS * max(0, n_states - 2)
    return plan.architecture.image_shape[0] * n_states * dtype.itemsize // 4 + others


def _is_plain_stage(stage):
    kinds = [operation.kind for operation in stage.operations if operation.kind != READ]
    convolutions = [o.layer for o in stage.operations if o.kind == CONV]
    activations = [o for o in stage.operations if o.kind in (RELU, EXP, ERF, GELU)]
    behind_conv = all(
        after.kind not in (CONV, READ)
        for before, after in pairwise(stage.operations)
        if before.kind == CONV
    )
    needed = stage.boundaries[0].needed
    return (
        not stage.grouped
        and stage.windows[1] <= _LARGEST_WINDOW
        and len(kinds) == 2 * len(convolutions) == 2 * len(activations)
        and behind_conv
        and not any(activation.normalised for activation in activations)
        and all(n % window == 0 for n, window in zip(stage.shape, stage.windows, strict=True))
        and all(
            c.sides == (3, 3) and c.steps == (1, 1) and c.padding == "zeros" for c in convolutions
        )
        # The displacements that the kernel visits.
        and all(of_axis == set(range(-max(of_axis), max(of_axis) + 1)) for of_axis in needed)
    )


class Stack:
    """The constants that are compiled into the kernel of a plan.

    Parameters
    ----------
    arrays : PlanArrays
    dtype : dtype
    """

    def __init__(self, arrays, dtype):
        plan, dtype = arrays.plan, np.dtype(dtype)
        warps, blocks = _warps(plan, arrays.n_states, dtype)
        stages: list[list[int]] = []
        layers: list[list[int]] = []
        rows: list[list[int]] = []
        columns: list[list[int]] = []
        phases: list[int] = []
        places: list[int] = []
        n_operations = n_waiting = 0
        # Many activations have the same coefficients, so keep distinct ones only.
        coefs, of_operations = np.unique(arrays.coefs, axis=0, return_inverse=True)
        for number, stage in enumerate(plan.stages):
            own = _layers(arrays, stage.operations, n_operations, of_operations.ravel())
            first = [0, 0]
            n_operations += len(stage.operations)
            if stage.operations and stage.operations[0].kind == READ:
                reads = stage.operations[0].reads
                first = [reads[0], len(reads)]
            own_rows = _rows(stage, *plan.stages[number + 1 : number + 2])
            (n_rows, width), dj = stage.shape, _residues(stage, 1)
            stages.append([
                len(layers), len(own), *first, len(rows), len(own_rows), len(columns), len(dj),
                len(phases), len(places), n_waiting,
            ])  # fmt: skip
            layers += own
            rows += own_rows
            columns += [[d, _needed(stage, 1, d)] for d in dj]
            phases += _phases(dj, width, stage.windows[1], warps * _planes(stage))
            places += [dj.index(d) if d in dj else -1 for d in range(width)]
            if number:
                n_waiting += _PLACES * arrays.n_states * len(dj) * n_rows * width
        shapes = [*(stage.shape for stage in plan.stages), (1, 1)]
        windows = [stage.windows for stage in plan.stages]
        n_rows, n_columns, n_channels = plan.architecture.image_shape
        n_sums, n_numbers = len(plan.reads) * arrays.n_states, 2 * arrays.n_linear
        # One entry says whether the images are equal; aligning tables to even addresses takes two.
        entries = n_numbers + 3 + 2 * plan.table_pixels + n_waiting
        self._bytes = 8 * warps * n_sums + entries * dtype.itemsize
        self._pixel_bytes = 2 * n_rows * n_columns * n_channels * dtype.itemsize
        self._constants = {
            "WARPS": warps,
            "MIN_BLOCKS": blocks,
            "N_STAGES": len(stages),
            "MAP_ROWS": array_literal(n for n, _ in shapes),
            "MAP_COLUMNS": array_literal(n for _, n in shapes),
            "POOL_ROWS": array_literal(n for n, _ in windows),
            "POOL_COLUMNS": array_literal(n for _, n in windows),
            # One more stage, in which nothing is left to do.
            "STAGES": _structs([*stages, [0] * 11]),
            "LAYERS": _structs(layers or [[0] * 7]),
            "TRAINED": array_literal([*arrays.trained.astype(int).ravel(), 0]),
            "ROW_DISPLACEMENTS": _structs(rows),
            "COLUMN_DISPLACEMENTS": _structs(columns),
            "PHASES": array_literal(phases),
            "PLACES": array_literal(places),
            "READS": _structs(arrays.reads),
            "COEFS": number_literals([*coefs.ravel(), 0.0], dtype.name),
            "N_SUMS": n_sums,
            "N_NUMBERS": n_numbers,
            "TABLE_PIXELS": plan.table_pixels,
            "N_WAITING": n_waiting,
            "BIASES": int(
                any(o.layer.bias_variance > 0 for o in plan.operations if o.kind == CONV)
            ),
            "N_CHANNELS": n_channels,
        }

    def fitted(self, available):
        """Return constants and bytes of shared memory, or None if `available` is too little."""
        if self._bytes > available:
            return None
        inside = self._bytes + self._pixel_bytes <= available
        constants = self._constants | {"PIXELS_INSIDE": int(inside)}
        return constants, self._bytes + self._pixel_bytes * inside


def _structs(rows):
    """Return the initialiser of an array of structures of integers."""
    return array_literal(array_literal(row) for row in rows)


def _warps(plan, n_states, dtype):
    """Return warps per block, and blocks per multiprocessor, given the registers they need."""
    at_once = _REGISTERS // (_registers(plan, n_states, dtype) * LANES)
    n_columns, planes = len(_residues(plan.stages[0], 1)), _planes(plan.stages[0])
    rounds = -(-n_columns // (planes * min(_MOST_WARPS, at_once)))
    warps = -(-n_columns // (planes * rounds))
    return warps, max(1, min(8, at_once // warps))


def _planes(stage):
    """Return how many column displacements a warp handles simultaneously."""
    return max(1, LANES // stage.shape[1])


def _residues(stage, axis):
    """Return the needed displacements modulo the map, grouped by their phase in a pool."""
    side, window = stage.shape[axis], stage.windows[axis]
    residues = {d % side for d in stage.boundaries[0].needed[axis]}
    return sorted(residues, key=lambda d: (d % window if axis else 0, d))


def _rows(stage, after=None):
    """Return the numbers that the kernel uses for each row displacement of a stage."""
    side, p = stage.shape[0], stage.windows[0]
    own, coarse = _residues(stage, 0), _residues(after, 0) if after else []
    # Fine rows from p·D - (p - 1) to p·D + p - 1, in their order modulo the rows.
    last = [p * d + p - 1 if d or p == 1 else side - 1 for d in coarse]
    rows = []
    for d in own:
        complete = [number for number, end in enumerate(last) if end == d]
        into = d // p, (d // p + 1) % (side // p)
        rows.append([
            d, _needed(stage, 0, d), _place(d, own),
            *(_place(one, coarse) if one in coarse else -1 for one in into),
            *complete, *[-1] * (2 - len(complete)),
        ])  # fmt: skip
    return rows


def _place(d, needed):
    """Return where a row displacement waits: 0 has its own place, the others alternate.

    So a row displacement that takes the place of another comes after the one in between, and its
    barriers.
    """
    return 0 if d == 0 else 1 + needed.index(d) % 2


def _layers(arrays, operations, first, coefs):
    """Return the numbers that the kernel uses for each convolution and the activation after it.

    `first` is the number of the first operation; `coefs` are indices of the operations'
    coefficients.
    """
    layers: list[list[int]] = []
    for number, operation in enumerate(operations, start=first):
        row = arrays.operations[number]
        if operation.kind == CONV:
            layers.append([2 * row[LINEAR] + 1])
        elif operation.kind != READ:
            of_kind = row[KIND], row[TABLE], SLOTS * coefs[number]
            layers[-1] += [2 * row[LINEAR] + 1, *of_kind, 0, 0]
        elif layers:
            layers[-1][-2:] = operation.reads[0], len(operation.reads)
    return layers


def _needed(stage, axis, residue):
    """Return 1 + needed layers of a displacement modulo the map, and 1 more if it is pooled."""
    return max(_reach(stage, axis, d) for d in (residue, residue - stage.shape[axis]))


def _reach(stage, axis, displacement):
    """Return the same for a displacement; 0 if it is not needed."""
    count = 0
    for boundary in stage.boundaries:
        if displacement not in boundary.needed[axis]:
            break
        count += 1
    if count == 0:
        return 0
    operations = stage.operations[: stage.boundaries[count - 1].n_operations]
    n_layers = sum(operation.kind not in (CONV, READ) for operation in operations)
    return 1 + n_layers + (count == len(stage.boundaries))


def _phases(columns, width, window, a_round):
    """Return, for each round of columns, the phases in which some of its lanes add, as bits."""
    masks = []
    for first in range(0, len(columns), a_round):
        dj = np.array(columns[first : first + a_round])[:, None]
        x = np.arange(width)
        phases = x % window * window + (x + dj) % width % window
        masks.append(sum(1 << phase for phase in np.unique(phases).tolist()))
    return masks
