"""Networks of any layers on GPUs: arguments of their kernels, from a plan and images.

``network_sweep.cu`` computes stacks of convolutions, activations and pools; ``network.cu`` computes
everything else, and records variances.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock

import numpy as np

from ..equal_pairs import values_of_equal
from ..image_ids import ImageIds
from ..network_arrays import PlanArrays
from ..network_images import NetworkImages, arrays_of_diagonals, linear_numbers, network_values
from ..network_plan import NORM, READ, TABLES, plan_of
from ..scales import SMALLEST_SCALE
from .images import Work
from .source import LANES, WARPS, network_kernel
from .stacks import Stack, is_stack

# Entries of the largest plane per warp of a block, which handles one pair: planes have a quarter of
# that on average, and a thread handles strips of a few entries.
_ENTRIES_A_WARP = 256
# Number of blocks if they have their own space in global memory.
_BLOCKS = 768
# Waiting planes are kept in shared memory if there is room for at least this many blocks.
_BLOCKS_IN_SHARED_MEMORY = 6
# Images that are prepared together.
_BATCH = 256
# Largest product of a launch's readouts and states, whose sums are in shared memory.
_MOST_SUMS = 512


def launches(readouts):
    """Yield lists of indices of readouts, each of which one launch computes."""
    chosen: list[int] = []
    frozen: set[int] = set()
    for k in sorted(range(len(readouts)), key=lambda k: readouts[k].frozen):
        with_k = frozen | {readouts[k].frozen}
        if chosen and (len(chosen) + 1) * (1 + len(with_k)) > _MOST_SUMS:
            yield chosen
            chosen, with_k = [], {readouts[k].frozen}
        chosen, frozen = [*chosen, k], with_k
    yield chosen


class NetworkPart:
    """Readouts of networks of any layers that one launch computes for all pairs of a tile.

    Parameters
    ----------
    architecture : Architecture
    readouts : list of Readout
        Those of one of the `launches`.
    dtype : {"float32", "float64"}
    """

    def __init__(self, architecture, readouts, dtype):
        self.architecture, self.readouts, self.dtype = architecture, readouts, dtype
        self.plan = plan_of(architecture, tuple(readouts))
        self._kernel = _arguments_of(self.plan, dtype, record=False)

    def side(self, images, ids, lock):
        """Return the images of X or Y, prepared for this part."""
        return _Side(images, self, ids, lock)

    def variances(self, device, diagonals, pixels, units):
        """Return the variances (n, pixels) of images (n, P, Q, C), see `NetworkImages`."""
        kernel, n = _arguments_of(diagonals, "float64", record=True), len(pixels)
        numbers = linear_numbers(kernel.arrays, units)
        with device:
            variances = device.empty((n, max(1, kernel.arrays.variance_pixels)), "float64")
            tables = device.empty((n, max(1, diagonals.table_pixels)), "float64")
            every = np.arange(n, dtype=np.int32)
            side = (
                device.upload(np.moveaxis(pixels, 3, 1)),
                tables,
                device.upload(numbers),
                device.upload(every),
            )
            own = device.upload(np.stack([every, every], axis=1))
            kernel.launch(device, (side, side), own, n, n, variances)
            return device.download(variances)[:, : kernel.arrays.variance_pixels]

    def values(self, device, sides, work):
        """Return kernel values (readout, pair)."""
        x, y = sides[0].take(device, work.x), sides[1].take(device, work.y)
        numbers = [
            linear_numbers(self._kernel.arrays, images.units).astype(self.dtype)
            for images in (x, y)
        ]
        with device:
            arrays = [
                self._on_device(device, images, of_images)
                for images, of_images in zip((x, y), numbers, strict=True)
            ]
            pairs = None if work.pairs is None else device.upload(work.pairs)
            sums = self._kernel.launch(device, arrays, pairs, len(work.y), len(work))
        values = network_values(
            self.plan,
            lambda number, state: sums[number, state],
            lambda numbers_of: work.product(numbers_of(x), numbers_of(y)),
        )
        equal = work.equal(x.ids, y.ids)
        if len(equal) and self.dtype == "float32":
            # There 1 - λ² consists of rounding errors only, which erf and GELU amplify.
            values[:, equal] = values_of_equal(
                self.architecture,
                partial(self._own_values, device),
                *(side.images for side in sides),
                *work.images_of(equal),
            )
        return values

    def _own_values(self, device, images):
        """Return kernel values (readout, n) of images with themselves, in float64."""
        part = NetworkPart(self.architecture, self.readouts, "float64")
        side = part.side(images, ImageIds(images.dtype), Lock())
        return part.values(device, (side, side), Work.of_same(len(images)))

    def _on_device(self, device, images, numbers):
        """Return pixels, tables, numbers of the operations and ids of images on the device."""
        return (
            device.upload(images.pixels),
            self._tables(device, images),
            device.upload(numbers),
            device.upload(images.ids),
        )

    def _tables(self, device, images):
        operations, n = self.plan.operations, len(images.ids)
        tables = device.empty((n, max(1, self.plan.table_pixels)), self.dtype)
        units = np.ones((n, len(operations), 2))
        for number, operation in enumerate(operations):
            if operation.kind in TABLES:
                units[:, number] = images.units[:, operation.units]
        device.launch(
            *network_kernel("network_tables", self.dtype, USES=0),
            n,
            LANES * WARPS,
            0,
            [
                device.upload(self._kernel.arrays.operations.astype(np.int32)),
                np.int32(len(operations)),
                device.upload(units),
                device.upload(images.variances),
                np.int32(images.variances.shape[1]),
                np.float64(SMALLEST_SCALE[self.dtype]),
                tables,
                np.int32(tables.shape[1]),
                np.int32(n),
            ],
        )
        return tables


@dataclass(frozen=True)
class _Known:
    """Some images with the data that `NetworkImages` computes; pixels are (n, C, P, Q)."""

    ids: np.ndarray
    pixels: np.ndarray
    scales: np.ndarray
    units: np.ndarray
    variances: np.ndarray


class _Side:
    """Images of X or Y, whose data for the network are computed on first use.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)
    part : NetworkPart
    ids : ImageIds or DirectionIds
        Shared by all images that may be paired.
    lock : Lock
        Likewise; only one thread at a time prepares images.
    """

    def __init__(self, images, part, ids, lock):
        self.images = images
        self._part, self._ids_of, self._lock = part, ids, lock
        n, rows, columns, channels = images.shape
        n_variances = arrays_of_diagonals(part.plan.diagonals).variance_pixels
        self._known = _Known(
            np.full(n, -1, dtype=np.int32),
            np.empty((n, channels, rows, columns), part.dtype),
            np.empty(n),
            np.empty((n, part.plan.units)),
            np.empty((n, n_variances)),
        )

    def __len__(self):
        return len(self.images)

    def take(self, device, index):
        """Return the data of the images of an array of indices."""
        known = self._known
        with self._lock:
            missing = index[known.ids[index] < 0]
            for start in range(0, len(missing), _BATCH):
                self._find_out(device, missing[start : start + _BATCH])
        return _Known(*(array[index] for array in vars(known).values()))

    def _find_out(self, device, index):
        def record(diagonals, pixels, units):
            return self._part.variances(device, diagonals, pixels, units)

        found, known = NetworkImages(self.images[index], self._part.plan, record), self._known
        known.pixels[index] = np.moveaxis(found.pixels, 3, 1)
        known.scales[index], known.units[index] = found.scales, found.units
        known.variances[index] = found.variances
        known.ids[index] = self._ids_of.of([self.images[k] for k in index])


@lru_cache(maxsize=32)
def _arguments_of(plan, dtype, record):
    return _Kernel(plan, dtype, record)


class _Kernel:
    """The kernels of a plan, and those of their arguments that depend on the plan only."""

    def __init__(self, plan, dtype, record):
        self.plan, self.dtype, self._record = plan, np.dtype(dtype), record
        self.arrays = PlanArrays(plan, dtype, zero_first=record)
        self.n_states = self.arrays.n_states
        if self.arrays.n_waiting >= 2**31:
            raise ValueError(
                f"images of shape {plan.architecture.image_shape} are too large for GPUs with "
                f"{plan.network!r}: use device='cpu', or a network without circular padding."
            )
        kinds = {o.kind for o in plan.operations} - {READ}
        kinds |= {NORM for o in plan.operations if o.normalised}
        self.uses = sum(1 << kind for kind in kinds)
        self._stack = None
        if not record and is_stack(plan, dtype):
            self._stack = Stack(self.arrays, dtype)
        schedule = plan.schedule_zero_first if record else plan.schedule
        shapes = [stage.shape for stage in plan.stages]
        # Entries of the planes of a visit.
        self._state_size = max(
            sum(_size(shapes[visit.stage], plane) for plane in visit.displacements)
            for visit in schedule.visits
        )
        self._warps = min(WARPS, -(-self._state_size // _ENTRIES_A_WARP))
        self._group = max(len(visit.displacements) for visit in schedule.visits)

    def launch(self, device, sides, pairs, n_y, n_pairs, variances=None):
        """Return sums (read, state, pair) over planes, on the host.

        Each side is pixels, tables, numbers and ids; `pairs` lists the images of each pair, or is
        None.
        """
        results = device.empty((len(self.plan.reads), self.n_states, n_pairs), "float64")
        arguments = [
            *(one for of_sides in zip(*sides, strict=True) for one in of_sides),
            *(pairs, np.int32(n_y), np.int32(n_pairs)),
        ]
        fitted = self._stack and self._stack.fitted(device.shared_bytes)
        if fitted:
            constants, shared_bytes = fitted
            self._launch_stack(device, constants, shared_bytes, arguments, n_pairs, results)
        else:
            self._launch_visits(device, arguments, n_pairs, variances, results)
        return device.download(results)

    def _source(self, name, **constants):
        return network_kernel(
            name, self.dtype.name, N_THETA=self.n_states - 1, USES=self.uses, **constants
        )

    # --- Planes in registers --------------------------------------------------------------------

    def _launch_stack(self, device, constants, shared_bytes, arguments, n_pairs, results):
        device.launch(
            *self._source("network_sweep", **constants),
            n_pairs,
            LANES * constants["WARPS"],
            shared_bytes,
            [
                *arguments,
                device.upload(self.arrays.weights.astype(self.dtype)),
                results,
            ],
        )

    # --- Planes in memory -----------------------------------------------------------------------

    def _launch_visits(self, device, arguments, n_pairs, variances, results):
        arrays, plan = self.arrays, self.plan
        in_shared, shared_bytes = self._shared_memory(device.shared_bytes)
        sizes = plan.registers * self.n_states * self._state_size, arrays.n_waiting
        blocks, outside = (
            n_pairs,
            sum(
                size * self.dtype.itemsize
                for size, shared in zip(sizes, in_shared, strict=True)
                if not shared
            ),
        )
        if outside:
            blocks = max(1, min(n_pairs, _BLOCKS, device.free_bytes() // 2 // outside))
        room = [
            None if shared else device.empty((blocks, max(1, size)), self.dtype)
            for shared, size in zip(in_shared, sizes, strict=True)
        ]
        reals = arrays.weights, arrays.shares, arrays.coefs
        name = "network_variances" if self._record else "network"
        group = 1 if self._group == 1 else 4
        device.launch(
            *self._source(name, WARPS=self._warps, GROUP=group),
            blocks,
            LANES * self._warps,
            shared_bytes,
            [
                *arguments,
                *_integers(device, arrays.operations, arrays.stages),
                np.int32(len(arrays.stages)),
                *_integers(device, arrays.visits),
                np.int32(len(arrays.visits)),
                *_integers(device, arrays.visit_planes, arrays.reads),
                np.int32(len(arrays.reads)),
                *(device.upload(one.astype(self.dtype)) for one in reals),
                *_integers(device, arrays.trained),
                np.int32(plan.architecture.image_shape[2]),
                np.int32(arrays.n_linear),
                np.int32(max(1, plan.table_pixels)),
                *(np.int32(plan.registers), np.int32(self._state_size)),
                np.int32(arrays.n_waiting),
                *room,
                variances,
                np.int32(0 if variances is None else variances.shape[1]),
                np.float64(SMALLEST_SCALE[self.dtype.name]),
                results,
            ],
        )

    def _shared_memory(self, available):
        """Return whether planes, and waiting planes, are in shared memory, and its bytes."""
        taken = 8 * self._warps * len(self.plan.reads) * self.n_states
        planes = self.plan.registers * self.n_states * self._state_size * self.dtype.itemsize
        planes_inside = taken + planes <= available
        taken += planes * planes_inside
        waiting = self.arrays.n_waiting * self.dtype.itemsize
        waits_inside = taken + waiting <= available // _BLOCKS_IN_SHARED_MEMORY
        return (planes_inside, waits_inside), taken + waiting * waits_inside


def _integers(device, *arrays):
    return [device.upload(array.astype(np.int32)) for array in arrays]


def _size(shape, displacement):
    """Return the number of entries of a plane."""
    return (shape[0] - abs(displacement[0])) * (shape[1] - abs(displacement[1]))
