"""The CUDA engine: exact kernels on GPUs, by the code of ``cntk.cu``.

This module decides which kernel runs, with which constants and on which pairs; ``_devices`` knows
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

from .._architecture import lap_weights
from . import cpu
from ._arccos import arccos_coefficients
from ._tables import SMALLEST_SCALE, Gauge, scale_images

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
    devices : list of ``_devices.CupyDevice``
    """

    # Element-layers and images of a tile: what keeps a GPU busy for a moment, and Ctrl-C working.
    tile_work = 4e11
    largest_tile = 2048

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
        wanted = ~np.tri(len(X), len(Y), -len(X) if triu is None else triu - 1, dtype=bool)
        tile = _Tile(X, Y, architecture, readouts, dtype)
        of_pairs = self._values(tile, np.argwhere(wanted))
        if wanted.all():
            return of_pairs.reshape(len(readouts), len(X), len(Y))
        values = np.zeros((len(readouts), len(X), len(Y)))
        values[:, wanted] = of_pairs
        return values

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        """Kernel values of the pairs (X[i], Y[i]); see ``_engines`` for the interface."""
        pairs = np.repeat(np.arange(len(X))[:, None], 2, axis=1)
        return self._values(_Tile(X, Y, architecture, readouts, dtype), pairs)

    def _values(self, tile, pairs):
        """Kernel values (readout, pair), with an equal share of the pairs for each device."""
        pairs = pairs.astype(np.int32)
        shares = [share for share in np.array_split(pairs, len(self.devices)) if len(share)]
        if len(shares) > 1:
            with ThreadPoolExecutor(len(shares)) as workers:
                parts = list(workers.map(_run, self.devices, [tile] * len(shares), shares))
        else:
            parts = [_run(self.devices[0], tile, share) for share in shares]
        return np.concatenate([np.zeros((len(tile.readouts), 0)), *parts], axis=1)


def _run(device, tile, pairs):
    """Kernel values (readout, pair) from one device, in halves if its memory is too small."""
    try:
        with device:
            return tile.values(device, pairs)
    except device.OutOfMemoryError as error:
        if len(pairs) == 1:
            raise MemoryError(
                f"{device.label} has not enough free memory for one pair of images of shape "
                f"{tile.architecture.image_shape} at depth {tile.n_layers + 1}: {error}"
            ) from error
    except device.CompileError as error:
        raise RuntimeError(
            f"cntk.cu does not compile on {device.label} for {tile.dtype}, filter_size="
            f"{tile.architecture.filter_size}, images of shape {tile.architecture.image_shape} and "
            f"depth {tile.n_layers + 1}: {error}"
        ) from error
    device.release_memory()
    half = len(pairs) // 2
    parts = [_run(device, tile, part) for part in (pairs[:half], pairs[half:])]
    return np.concatenate(parts, axis=1)


class _Tile:
    """Images of X and Y, what is wanted of their pairs, and how it is computed."""

    def __init__(self, X, Y, architecture, readouts, dtype):
        self.architecture = architecture
        self.readouts = readouts
        self.dtype = np.dtype(dtype).name
        self.n_layers = max(readout.convolutions for readout in readouts)
        self.gauge = Gauge.of(architecture, self.n_layers)
        self.images = X, Y
        self.ids = [ids.astype(np.int32) for ids in cpu.identify(X, Y)]
        self.pixels, self.scales = zip(*(self._scaled(images) for images in (X, Y)), strict=True)
        self.passes = list(_passes(architecture, readouts, self.gauge, self.dtype))

    def _scaled(self, images):
        """Pixels (image, channel, row, column) in the gauge, and the scales taken out."""
        scaled, scales = scale_images(images, self.architecture.filter_size)
        return np.ascontiguousarray(np.moveaxis(scaled, 3, 1), dtype=self.dtype), scales

    def values(self, device, pairs):
        """Kernel values (readout, pair) of pairs (pair, 2) of indices of X and Y."""
        sides = []
        local = np.empty_like(pairs)
        for side in (0, 1):
            used = np.zeros(len(self.images[side]), dtype=bool)
            used[pairs[:, side]] = True
            position = np.cumsum(used, dtype=np.int32) - 1
            local[:, side] = position[pairs[:, side]]
            pixels = device.upload(self.pixels[side][used])
            tables = self._tables(device, pixels, int(used.sum()))
            sides.append((pixels, tables, device.upload(self.ids[side][used])))
        local = device.upload(local)
        twins = self.ids[0][pairs[:, 0]] == self.ids[1][pairs[:, 1]]

        values = np.empty((len(self.readouts), len(pairs)))
        for chosen, part in self.passes:
            if part.pooling == TRACE and twins.all():
                values[chosen] = 0
            else:
                values[chosen] = part.values(device, sides, local, len(pairs), self.n_layers)
        values *= self.scales[0][pairs[:, 0]]
        values *= self.scales[1][pairs[:, 1]]
        if twins.any():
            # λ = 1 on the plane (0, 0), where an arc-cosine would lose half of the digits.
            rows, of_row = np.unique(pairs[twins, 0], return_inverse=True)
            own = cpu.self_values(self.images[0][rows], self.architecture, self.readouts)
            values[:, twins] += own[:, of_row]
        return values

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


@dataclass
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

    def values(self, device, sides, pairs, n_pairs, table_layers):
        """Kernel values (readout, pair), but for the scales and the plane (0, 0) of twins."""
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
            np.int32(n_pairs),
        ]
        launch = self._launch_planes
        if self.in_registers():
            launch = self._launch_trace if self.pooling == TRACE else self._launch_sweep
        launch(device, arguments, n_pairs, results)
        return self._read(device.download(results))

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

    def _read(self, sums):
        """Readouts (readout, pair) of sums (sum, layer, pair)."""
        rows, columns, _ = self.architecture.image_shape
        values = np.empty((len(self.readouts), sums.shape[2]))
        for value, readout in zip(values, self.readouts, strict=True):
            layer = readout.convolutions - 1
            at = self.layers.index(layer)
            value[...] = sums[self.sums.index(readout.trained_layers), at]
            if readout.trained_layers == "hidden":
                value -= sums[self.sums.index("last"), at]
            value *= self.gauge.magnitude[layer]
            if readout.gap:
                value /= (rows * columns) ** 2
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
    """Source and name of a kernel; `constants` are those that ``cntk.cu`` lists."""
    return source(name, architecture.image_shape[:2], architecture.radius, dtype, **constants), name


@lru_cache(maxsize=64)
def source(name, shape, radius, dtype, **constants):
    """CUDA source of one kernel for images of `shape` (P, Q): constants, then ``cntk.cu``."""
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
    code = files(__package__).joinpath("cntk.cu").read_text(encoding="utf-8")
    return "".join(f"#define {name} {value}\n" for name, value in constants.items()) + code


def _literals(values, dtype):
    suffix = "f" if dtype == "float32" else ""
    return "{" + ", ".join(f"{value:.17e}{suffix}" for value in values) + "}"
