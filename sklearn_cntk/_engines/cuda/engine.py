"""The CUDA engine: exact kernels on GPUs, by the code of ``kernels.cu``.

This module decides which kernel runs, with which constants and on which pairs; ``devices`` knows
CuPy.  A pass goes by pooling: every depth and every `trained_layers` of GAP come from one launch,
those of a trace or of local pooling with one radius from another, which costs a small share of the
first, so that no value depends on what else is asked for.

Kernels: ``sweep`` keeps a plane in the registers of a warp (GAP and local pooling), ``trace`` does
so for the one plane of a trace, and ``planes`` keeps it in memory, for images that are wider than
a warp or too high for its registers.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

import numpy as np

from ..._support.network import lap_weights
from ..cpu import engine as cpu
from ..dual_activations import arccos_coefficients
from ..scales import SMALLEST_SCALE, Gauge
from .images import Work, sides_of

LANES = 32  # threads of a warp, which is what the columns of a plane must fit into
WARPS = 8  # of a block, at most

# Registers of a multiprocessor, and of a thread's state at most: beyond it the compiler spills.
_REGISTERS = 65536
_STATE_REGISTERS = 160
# What a thread needs beside its state, by dtype and kernel, and for a second Θ: read from the
# compiler, for it to spill nothing.
_OTHER_REGISTERS = {
    "float32": {"sweep": 56, "weighted": 104, "trace": 104},
    "float64": {"sweep": 88, "weighted": 120, "trace": 96},
}
_SECOND_THETA_REGISTERS = 32
# Each row of the box costs instructions for each of the unrolled rows of a plane.
_LARGEST_RADIUS = 4

# Blocks of the kernels that keep their planes in global memory: that many planes at once.
_BLOCKS_IN_GLOBAL_MEMORY = 512

TRACE, GAP = 0, -1  # poolings, as `cpu` numbers them; local pooling is its radius


class Engine:
    """The engine functions of ``_engines`` on one or several GPUs.

    Parameters
    ----------
    devices : list of ``devices.CupyDevice``
    """

    # Element-layers and images of a tile: what keeps a GPU busy for a moment, and Ctrl-C working.
    tile_work = 4e11
    largest_tile = 2048
    # Calls at once: while a GPU computes one, the host prepares another and reads a third.
    most_jobs = 4

    def __init__(self, devices):
        self.devices = devices

    @property
    def label(self):
        """What progress bars call this engine."""
        return ", ".join(device.label for device in self.devices)

    @property
    def table_bytes(self):
        """Memory that the tables of either side of a tile may take."""
        return min(device.free_bytes() for device in self.devices) // 8

    def gram(self, X, Y, architecture, readouts, *, dtype="float32", triu=None):
        """Kernel values of all pairs of two tiles; see ``_engines`` for the interface."""
        call = self.prepare(X, Y, architecture, readouts, dtype)
        return call.gram(slice(0, len(X)), slice(0, len(Y)), triu)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        """Kernel values of the pairs (X[i], Y[i]); see ``_engines`` for the interface."""
        return self.prepare(X, Y, architecture, readouts, dtype).diagonal()

    def prepare(self, X, Y, architecture, readouts, dtype):
        """A Call whose tiles share what has to be known of the images."""
        return Call(self.devices, X, Y, architecture, readouts, dtype)


class Call:
    """Tiles of the Gram matrices of images X and Y; several threads may ask for them at once."""

    def __init__(self, devices, X, Y, architecture, readouts, dtype):
        self.devices = devices
        self.plan = _Plan(architecture, readouts, dtype)
        self.sides = sides_of(X, Y, architecture.filter_size, self.plan.dtype)

    def gram(self, rows, columns, triu=None):
        """Kernel values (readout, row, column) of slices, or lists, of X and Y."""
        x = np.arange(len(self.sides[0]))[rows]
        y = np.arange(len(self.sides[1]))[columns]
        wanted = None if triu is None else ~np.tri(len(x), len(y), triu - 1, dtype=bool)
        if wanted is None or wanted.all():
            return self._values(Work(x, y)).reshape(-1, len(x), len(y))
        values = np.zeros((len(self.plan.readouts), len(x), len(y)))
        values[:, wanted] = self._values(Work.of_pairs(x, y, np.argwhere(wanted)))
        return values

    def diagonal(self):
        """Kernel values (readout, i) of the pairs (X[i], Y[i])."""
        every = np.arange(len(self.sides[0]))
        return self._values(Work.of_pairs(every, every, np.stack([every, every], axis=1)))

    def _values(self, work):
        """Kernel values (readout, pair), with an equal share of the pairs for each device."""
        shares = work.split(len(self.devices))
        if len(shares) > 1:
            with ThreadPoolExecutor(len(shares)) as workers:
                parts = list(workers.map(self._run, self.devices, shares))
        else:
            parts = [self._run(self.devices[0], share) for share in shares]
        return np.concatenate([np.zeros((len(self.plan.readouts), 0)), *parts], axis=1)

    def _run(self, device, work):
        """Kernel values (readout, pair) from one device, in halves if its memory is too small."""
        plan = self.plan
        try:
            return plan.values(device, self.sides, work)
        except device.OutOfMemoryError as error:
            if len(work) == 1:
                raise MemoryError(
                    f"{device.label} has not enough free memory for one pair of images of shape "
                    f"{plan.architecture.image_shape} at depth {plan.n_layers + 1}: {error}"
                ) from error
        except device.CompileError as error:
            raise RuntimeError(
                f"kernels.cu does not compile on {device.label} for {device.architecture}, "
                f"{plan.dtype}, filter_size={plan.architecture.filter_size}, images of shape "
                f"{plan.architecture.image_shape} and depth {plan.n_layers + 1}: {error}"
            ) from error
        device.release_memory()
        return np.concatenate([self._run(device, half) for half in work.split(2)], axis=1)


class _Plan:
    """What is computed of any pairs of images, and how."""

    def __init__(self, architecture, readouts, dtype):
        self.architecture = architecture
        self.readouts = readouts
        self.dtype = np.dtype(dtype).name
        self.n_layers = max(readout.convolutions for readout in readouts)
        self.gauge = Gauge.of(architecture, self.n_layers)
        self.passes = list(_passes(architecture, readouts, self.gauge, self.dtype))

    def values(self, device, sides, work):
        """Kernel values (readout, pair)."""
        x, y = sides[0].take(work.x), sides[1].take(work.y)
        twins = work.equal(x.ids, y.ids)
        passes = [p for _, p in self.passes if p.pooling != TRACE or len(twins) < len(work)]
        with device:
            sums = self._sums(device, (x, y), work, passes)
        values = np.zeros((len(self.readouts), len(work)))
        for chosen, part in self.passes:
            if part in sums:
                values[chosen] = part.read(sums.pop(part))
        work.scale(values, x.scales, y.scales)
        if len(twins):
            # λ = 1 on the plane (0, 0), where an arc-cosine would lose half of the digits.
            rows, of_row = np.unique(work.rows_of(twins), return_inverse=True)
            own = cpu.self_values(sides[0].images[rows], self.architecture, self.readouts)
            values[:, twins] += own[:, of_row]
        return values

    def _sums(self, device, sides, work, passes):
        """What each pass sums, on the host."""
        if not passes:
            return {}
        arrays = []
        for side in sides:
            pixels = device.upload(side.pixels)
            tables = self._tables(device, pixels, len(side.ids))
            arrays.append((pixels, tables, device.upload(side.ids)))
        pairs = None if work.pairs is None else device.upload(work.pairs)
        return {
            part: part.sums_of(device, arrays, pairs, len(work.y), len(work), self.n_layers)
            for part in passes
        }

    def _tables(self, device, pixels, n_images):
        """Device array of the tables (image, layer, row, column, (1/s, s·sqrt(factor)))."""
        rows, columns, n_channels = self.architecture.image_shape
        shape = (n_images, self.n_layers, rows, columns, 2)
        tables = device.empty(shape, self.dtype)
        plane_bytes = 2 * rows * columns * 8
        in_shared = plane_bytes <= device.shared_bytes
        blocks = n_images if in_shared else min(n_images, _BLOCKS_IN_GLOBAL_MEMORY)
        device.launch(
            *_kernel("tables", self.architecture, self.dtype),
            blocks,
            LANES * WARPS,
            plane_bytes if in_shared else 0,
            [
                pixels,
                np.int32(n_channels),
                device.upload(self.gauge.factors),
                np.int32(self.n_layers),
                np.float64(SMALLEST_SCALE[self.dtype]),
                None if in_shared else device.empty((blocks, 2, rows * columns), "float64"),
                tables,
                np.int32(n_images),
            ],
        )
        return tables


@dataclass(eq=False)
class _Pass:
    """All readouts with one pooling: one launch for all pairs of a tile."""

    architecture: object
    readouts: list
    pooling: int
    gauge: Gauge
    dtype: str

    def __post_init__(self):
        trained = {readout.trained_layers for readout in self.readouts}
        if "hidden" in trained:
            trained.add("last")  # K̇ ⊙ Θ = U - K
        # What is summed, in the order of the device code's states.
        self.sums = [name for name in cpu.STATES if name in trained]
        self.n_theta = len(trained - {"last"})
        self.layers = sorted({readout.convolutions - 1 for readout in self.readouts})

    @cached_property
    def displacements(self):
        """Circular displacements (displacement, 2), (0, 0) first, with planes that are wanted."""
        shape = self.architecture.image_shape[:2]
        reach = [r.max_displacement(self.architecture.image_shape) for r in self.readouts]
        axes = []
        for size, far in zip(shape, np.max(reach, axis=0), strict=True):
            shifts = np.arange(size)
            axes.append(shifts[(shifts <= far) | (size - shifts <= far)])
        grid = np.meshgrid(*axes, indexing="ij")
        return np.stack(grid, axis=-1).reshape(-1, 2).astype(np.int32)

    def in_registers(self):
        """Whether a warp can hold a plane."""
        rows, columns, _ = self.architecture.image_shape
        return (
            columns <= LANES
            and min(self.architecture.radius, max(rows, columns) - 1) <= _LARGEST_RADIUS
            and self._state_registers() <= _STATE_REGISTERS
        )

    def _state_registers(self):
        words = np.dtype(self.dtype).itemsize // 4
        return self.architecture.image_shape[0] * (1 + self.n_theta) * words

    def _constants(self, staged):
        """Constants of the kernel that are not those of the architecture."""
        constants = {
            "N_THETA": self.n_theta,
            "SUMS_K": int("last" in self.sums),
            "WEIGHTED": int(self.pooling > 0),
            "STAGED": int(staged),
        }
        if not self.in_registers():
            return constants | {"WARPS": WARPS, "MIN_BLOCKS": 1}
        # As many warps a multiprocessor as have their registers, in blocks of 8 or else 4.
        kind = {TRACE: "trace", GAP: "sweep"}.get(self.pooling, "weighted")
        registers = self._state_registers() + _OTHER_REGISTERS[self.dtype][kind]
        registers += _SECOND_THETA_REGISTERS if self.n_theta == 2 else 0
        warps_at_once = min(24, _REGISTERS // (LANES * (-(-registers // 8) * 8)))
        warps = WARPS if warps_at_once >= 2 * WARPS else WARPS // 2
        if self.pooling != TRACE:
            planes = LANES // self.architecture.image_shape[1]
            warps = min(warps, -(-len(self.displacements) // planes))
        return constants | {"WARPS": warps, "MIN_BLOCKS": max(1, min(8, warps_at_once // warps))}

    def sums_of(self, device, sides, pairs, n_y, n_pairs, table_layers):
        """Sums (sum, layer, pair) without the plane (0, 0) of twins, on the host."""
        rows, columns, n_channels = self.architecture.image_shape
        n_layers = self.layers[-1] + 1
        slots = np.full(n_layers, -1, dtype=np.int32)
        slots[self.layers] = np.arange(len(self.layers))
        results = device.empty((len(self.sums), len(self.layers), n_pairs), "float64")
        (x_pixels, x_tables, x_ids), (y_pixels, y_tables, y_ids) = sides
        arguments = [
            *(x_pixels, y_pixels, x_tables, y_tables, x_ids, y_ids),
            device.upload(self.gauge.factors[:n_layers].astype(self.dtype)),
            device.upload(slots),
            np.int32(table_layers),
            np.int32(n_layers),
            np.int32(len(self.layers)),
            np.int32(n_channels),
            np.int32("all" in self.sums),
            pairs,
            np.int32(n_y),
            np.int32(n_pairs),
        ]
        launch = self._launch_planes
        if self.in_registers():
            launch = self._launch_trace if self.pooling == TRACE else self._launch_sweep
        launch(device, arguments, n_pairs, results)
        return device.download(results)

    def _launch_trace(self, device, arguments, n_pairs, results):
        constants = self._constants(staged=False)
        pairs_of_block = constants["WARPS"] * (LANES // self.architecture.image_shape[1])
        device.launch(
            *_kernel("trace", self.architecture, self.dtype, **constants),
            -(-n_pairs // pairs_of_block),
            LANES * constants["WARPS"],
            0,
            [*arguments, results],
        )

    def _launch_sweep(self, device, arguments, n_pairs, results):
        rows, columns, _ = self.architecture.image_shape
        warps = self._constants(staged=True)["WARPS"]
        sums_bytes = -(-warps * len(self.sums) * len(self.layers) // 2) * 16
        layer_bytes = 2 * rows * columns * 2 * np.dtype(self.dtype).itemsize  # of x and y
        # All layers at once if that leaves room for other blocks; else this one and the next.
        all_bytes = (self.layers[-1] + 1) * layer_bytes
        resident = sums_bytes + all_bytes <= device.shared_bytes // 4
        shared_bytes = sums_bytes + (all_bytes if resident else 2 * layer_bytes)
        staged = shared_bytes <= device.shared_bytes
        if not staged:
            shared_bytes = sums_bytes
        if shared_bytes > device.shared_bytes:  # readouts of thousands of depths
            return self._launch_planes(device, arguments, n_pairs, results)
        constants = self._constants(staged)
        device.launch(
            *_kernel("sweep", self.architecture, self.dtype, **constants),
            n_pairs,
            LANES * warps,
            shared_bytes,
            [*arguments, *self._planes(device), np.int32(resident), results],
        )

    def _launch_planes(self, device, arguments, n_pairs, results):
        rows, columns, _ = self.architecture.image_shape
        size = 2 * (1 + self.n_theta) * rows * columns
        plane_bytes = size * np.dtype(self.dtype).itemsize
        sums_bytes = 8 * WARPS
        in_shared = sums_bytes + plane_bytes <= device.shared_bytes
        blocks = n_pairs if in_shared else min(n_pairs, _BLOCKS_IN_GLOBAL_MEMORY)
        constants = self._constants(staged=False) | {"WARPS": WARPS, "MIN_BLOCKS": 1}
        device.launch(
            *_kernel("planes", self.architecture, self.dtype, **constants),
            blocks,
            LANES * WARPS,
            sums_bytes + plane_bytes if in_shared else sums_bytes,
            [
                *arguments,
                *self._planes(device),
                None if in_shared else device.empty((blocks, size), self.dtype),
                results,
            ],
        )

    def _planes(self, device):
        """The displacements, and the weights of local pooling, as arguments."""
        weights = [None, None]
        if self.pooling > 0:
            weights = [
                device.upload(lap_weights(size, self.pooling).astype(self.dtype))
                for size in self.architecture.image_shape[:2]
            ]
        return [device.upload(self.displacements), np.int32(len(self.displacements)), *weights]

    def read(self, sums):
        """Readouts (readout, pair) of sums (sum, layer, pair), but for the images' scales."""
        rows, columns, _ = self.architecture.image_shape
        values = np.empty((len(self.readouts), sums.shape[2]))
        for value, readout in zip(values, self.readouts, strict=True):
            layer = readout.convolutions - 1
            at = self.layers.index(layer)
            value[...] = sums[self.sums.index(readout.trained_layers), at]
            if readout.trained_layers == "hidden":
                value -= sums[self.sums.index("last"), at]
            factor = self.gauge.magnitude[layer]
            value *= factor / (rows * columns) ** 2 if readout.gap else factor
        return values


def _passes(architecture, readouts, gauge, dtype):
    """Yield which readouts go together, as indices, and the pass that computes them."""
    kinds = {}
    for k, readout in enumerate(readouts):
        kinds.setdefault(_pooling(readout, architecture), []).append(k)
    for pooling, chosen in sorted(kinds.items()):
        whole = _Pass(architecture, [readouts[k] for k in chosen], pooling, gauge, dtype)
        parts = [(chosen, whole)]
        if whole.n_theta == 2 and not whole.in_registers():
            # Two Θ are too many for the registers; one may not be.
            split = [
                [k for k in chosen if (readouts[k].trained_layers == "hidden") == frozen]
                for frozen in (False, True)
            ]
            halves = [
                (part, _Pass(architecture, [readouts[k] for k in part], pooling, gauge, dtype))
                for part in split
            ]
            if all(half.in_registers() for _, half in halves):
                parts = halves
        yield from parts


def _pooling(readout, architecture):
    """Pooling of a readout as one number.  Of one pixel, the mean of all pairs is the trace."""
    if architecture.image_shape[:2] == (1, 1) and readout.gap:
        return TRACE
    return GAP if readout.gap else readout.lap


def _kernel(name, architecture, dtype, **constants):
    """Source and name of a kernel; `constants` are those that ``kernels.cu`` lists."""
    return source(name, architecture.image_shape[:2], architecture.radius, dtype, **constants), name


@lru_cache(maxsize=64)
def source(name, shape, radius, dtype, **constants):
    """CUDA source of one kernel for images of `shape` (P, Q): constants, then ``kernels.cu``."""
    p, r = arccos_coefficients(dtype)
    constants = {
        f"KERNEL_{name.upper()}": 1,
        "REAL": {"float32": "float", "float64": "double"}[dtype],
        "ROWS": shape[0],
        "COLUMNS": shape[1],
        "RADIUS": radius,
        "P_TERMS": len(p),
        "P_COEFFICIENTS": _literals(p, dtype),
        "R_TERMS": len(r),
        "R_COEFFICIENTS": _literals(r, dtype),
        "N_THETA": 0,
        "SUMS_K": 1,
        "WEIGHTED": 0,
        "WARPS": WARPS,
        "MIN_BLOCKS": 1,
        "STAGED": 0,
    } | constants
    if dtype == "float64":
        constants["REAL_IS_DOUBLE"] = 1
    code = files(__package__).joinpath("kernels.cu").read_text(encoding="utf-8")
    return "".join(f"#define {name} {value}\n" for name, value in constants.items()) + code


def _literals(values, dtype):
    suffix = "f" if dtype == "float32" else ""
    return "{" + ", ".join(f"{value:.17e}{suffix}" for value in values) + "}"
