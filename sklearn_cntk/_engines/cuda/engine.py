"""The CUDA engine: exact kernels on GPUs, computed by the CUDA sources in this folder.

For plain networks there is one launch per pooling: one computes every depth and `trained_layers` of
GAP, another those of the trace or of local pooling with one radius, which costs a small fraction of
the first.  So no value depends on what else is requested.  ``passes`` launches the kernels of plain
networks, ``network`` those of networks of any layers; ``devices`` wraps CuPy.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

import numpy as np

from ..._support.images import flipped
from ..equal_pairs import self_values, values_of_equal
from ..image_ids import ids_for
from ..plan import TRACE, Plan, is_plain
from ..protocol import TileLimits
from ..scales import SMALLEST_SCALE
from .devices import check_memory_is_out
from .images import PreparedImages, Work
from .network import NetworkPart, launches
from .passes import BLOCKS_IN_GLOBAL_MEMORY, passes_of
from .source import LANES, WARPS, kernel
from .variants import USUAL

# Work of a tile: keeps a GPU busy for a moment, without delaying Ctrl-C.
_TILE_WORK = 4e11
_LARGEST_TILE = 2048


class CudaEngine:
    """One or several GPUs; see ``protocol.Engine``.

    Parameters
    ----------
    devices : list of ``devices.CupyDevice``
    variant : Variant, default=USUAL
        Variant of the kernels, for comparisons.
    """

    # While a GPU computes one call, the host prepares another and reads the results of a third.
    most_calls = 4

    def __init__(self, devices, variant=USUAL):
        self.devices = devices
        self.variant = variant

    def __deepcopy__(self, memo):
        """Return itself: clones of kernels and estimators share their GPU."""
        return self

    @property
    def label(self):
        """The engine's name in progress bars."""
        return ", ".join(device.label for device in self.devices)

    def limits(self, travelling):
        """Return the tile sizes that suit a GPU; each side's tables may use 1/8 of its memory."""
        free = min(device.free_bytes() for device in self.devices)
        return TileLimits(_TILE_WORK, _LARGEST_TILE, free // 8, 32 if travelling else 4)

    def gram(self, X, Y, architecture, readouts, *, dtype="float32", triu=None):
        """Return the kernel values of all pairs of two tiles."""
        call = self.prepare(X, Y, architecture, readouts, dtype)
        return call.gram(slice(0, len(X)), slice(0, len(Y)), triu)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        """Return the kernel values of the pairs (X[i], Y[i])."""
        return self.prepare(X, Y, architecture, readouts, dtype).diagonal()

    def prepare(self, X, Y, architecture, readouts, dtype):
        """Return a Call whose tiles share what is precomputed for the images."""
        return Call(self.devices, self.variant, X, Y, architecture, readouts, dtype)


class Call:
    """Tiles of the Gram matrices of X and Y; several threads may request them simultaneously."""

    def __init__(self, devices, variant, X, Y, architecture, readouts, dtype):
        self.devices = devices
        self.architecture, self.readouts = architecture, readouts
        self._X, self._Y = X, Y
        self._ids = ids_for(architecture, np.dtype(dtype).name, X.dtype, Y.dtype)
        self._lock = Lock()
        self._parts = []  # (indices of readouts, the part that computes them, both sides)
        for chosen, part in _parts_of(architecture, readouts, np.dtype(dtype).name, variant):
            x = part.side(X, self._ids, self._lock)
            y = x if Y is X else part.side(Y, self._ids, self._lock)
            self._parts.append((chosen, part, (x, y)))
        self._mirrored: dict = {}  # the mirrored X of each part

    def gram(self, rows, columns, triu=None, flip=False):
        """Return kernel values (readout, row, column) of slices, or lists, of X and Y."""
        x = np.arange(len(self._X))[rows]
        y = np.arange(len(self._Y))[columns]
        wanted = None if triu is None else ~np.tri(len(x), len(y), triu - 1, dtype=bool)
        if wanted is None or wanted.all():
            return self._values(Work(x, y), flip).reshape(len(self.readouts), len(x), len(y))
        values = np.zeros((len(self.readouts), len(x), len(y)))
        values[:, wanted] = self._values(Work.of_pairs(x, y, np.argwhere(wanted)), flip)
        return values

    def diagonal(self):
        """Return kernel values (readout, i) of the pairs (X[i], Y[i])."""
        return self._values(Work.of_same(len(self._X)))

    def _values(self, work, flip=False):
        """Return kernel values (readout, pair)."""
        values = np.empty((len(self.readouts), len(work)))
        for chosen, part, sides in self._parts:
            if flip:
                sides = self._mirrored_x(part), sides[1]
            values[chosen] = self._values_of(part, sides, work)
        return values

    def _mirrored_x(self, part):
        with self._lock:
            if part not in self._mirrored:
                self._mirrored[part] = part.side(flipped(self._X), self._ids, self._lock)
        return self._mirrored[part]

    def _values_of(self, part, sides, work):
        """Return the values of a part, with an equal share of the pairs for each device."""
        shares = work.split(len(self.devices))
        run = partial(self._run, part, sides)
        if len(shares) > 1:
            with ThreadPoolExecutor(len(shares)) as workers:
                values = list(workers.map(run, self.devices, shares))
        else:
            values = [run(self.devices[0], share) for share in shares]
        return np.concatenate([np.zeros((len(part.readouts), 0)), *values], axis=1)

    def _run(self, part, sides, device, work):
        """Return kernel values (readout, pair) from one device, in halves if memory is short."""
        shape = self.architecture.image_shape
        depth = max(readout.depth for readout in part.readouts)
        try:
            return part.values(device, sides, work)
        except (device.OutOfMemoryError, *device.FailedError) as error:
            check_memory_is_out(device, error)
            if len(work) == 1:
                raise MemoryError(
                    f"{device.label} does not have enough free memory for one pair of images of "
                    f"shape {shape} at depth {depth}: {error}"
                ) from error
        except device.CompileError as error:
            raise RuntimeError(
                f"the CUDA kernels do not compile on {device.label} for {device.architecture}, "
                f"{part.dtype}, {_described(self.architecture)}, images of shape {shape} and depth "
                f"{depth}: use device='cpu', or a CuPy for a newer CUDA. The compiler says: {error}"
            ) from error
        device.release_memory()
        halves = [self._run(part, sides, device, half) for half in work.split(2)]
        return np.concatenate(halves, axis=1)


def _described(architecture):
    """Return the description of a network for an error message."""
    if architecture.is_plain:
        return f"filter_size={architecture.filter_size}"
    return f"network={architecture.network!r}"


def _parts_of(architecture, readouts, dtype, variant):
    """Return (indices of readouts, the part that computes them) for all readouts."""
    plain = [k for k, readout in enumerate(readouts) if is_plain(architecture, readout)]
    others = [k for k in range(len(readouts)) if k not in plain]
    parts: list[tuple[list[int], _PlainPart | NetworkPart]] = []
    if plain:
        variant = variant.of(dtype)
        plan = Plan(architecture, [readouts[k] for k in plain], dtype, variant.gauge)
        parts.append((plain, _PlainPart(plan, variant)))
    for of_launch in launches([readouts[k] for k in others]) if others else ():
        chosen = [others[k] for k in of_launch]
        part = NetworkPart(architecture, [readouts[k] for k in chosen], dtype)
        parts.append((chosen, part))
    return parts


class _PlainPart:
    """Readouts of a plain network: a plan, split into passes with one pooling each."""

    def __init__(self, plan, variant):
        self.plan, self.variant = plan, variant
        self.architecture, self.readouts = plan.architecture, plan.readouts
        self.dtype, self.n_layers = plan.dtype, plan.n_layers
        self.passes = passes_of(plan, variant)

    def side(self, images, ids, lock):
        """Return the images of X or Y, prepared for this part."""
        return PreparedImages(images, self.architecture.filter_size, self.dtype, ids, lock)

    def values(self, device, sides, work):
        """Return kernel values (readout, pair)."""
        x, y = sides[0].take(work.x), sides[1].take(work.y)
        equal = work.equal(x.ids, y.ids)
        passes = [p for _, p in self.passes if p.pooling != TRACE or len(equal) < len(work)]
        with device:
            sums = self._sums(device, (x, y), work, passes)
        values = np.zeros((len(self.readouts), len(work)))
        for chosen, part in self.passes:
            if part in sums:
                values[chosen] = part.read(sums.pop(part))
        work.scale(values, x.scales, y.scales)
        if len(equal):
            values[:, equal] += values_of_equal(
                self.architecture,
                partial(self_values, self.plan),
                *(side.images for side in sides),
                *work.images_of(equal),
            )
        return values

    def _sums(self, device, sides, work, passes):
        """Return the sums of each pass, on the host."""
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
        """Return the tables (image, layer, row, column, scales) on the device, see ``entry.cu``."""
        rows, columns, n_channels = self.architecture.image_shape
        shape = (n_images, self.n_layers, rows, columns, self.variant.table_numbers)
        tables = device.empty(shape, self.dtype)
        plane_bytes = 2 * rows * columns * 8
        in_shared = plane_bytes <= device.shared_bytes
        blocks = n_images if in_shared else min(n_images, BLOCKS_IN_GLOBAL_MEMORY)
        device.launch(
            *kernel("tables", self.plan, **self.variant.constants),
            blocks,
            LANES * WARPS,
            plane_bytes if in_shared else 0,
            [
                pixels,
                np.int32(n_channels),
                device.upload(self.plan.gauge.factors),
                np.int32(self.n_layers),
                np.float64(SMALLEST_SCALE[self.dtype]),
                None if in_shared else device.empty((blocks, 2, rows * columns), "float64"),
                tables,
                np.int32(n_images),
            ],
        )
        return tables
