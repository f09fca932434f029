"""Networks of any layers on the CPU: the arrays of ``network_sweep``, from a plan and images."""

from functools import lru_cache

import numpy as np

from ..network_arrays import WAITING, PlanArrays
from ..network_images import NetworkImages, linear_numbers, network_values
from ..network_plan import CONV, TABLES
from ..network_tables import fill_tables
from ..scales import SMALLEST_SCALE
from .arrays import aligned_zeros, in_lanes
from .lanes import lane_count
from .network_activations import activation_addresses, activation_calls
from .network_sweep import network_sweep


def network_images(images, plan):
    """Return NetworkImages whose variances this engine computes."""

    def record(diagonals, pixels, units):
        return _pass(diagonals, "float64", zero_first=True, paired=True).record(pixels, units)

    return NetworkImages(images, plan, record)


def network_gram(plan, X, Y, dtype, triu):
    """Return kernel values (readouts, n, m) of NetworkImages; equal images are not special."""
    sums = _pass(plan, dtype).sums(X, Y, triu)
    return _values(plan, sums, X, Y, np.multiply.outer)


def network_pairs(plan, X, Y, equal):
    """Return kernel values (readouts, n) of the pairs (X[i], Y[i]), in float64.

    `equal` says which pairs consist of equal images.
    """
    sums = _pass(plan, "float64", paired=True).sums(X, Y, 0, equal)
    return _values(plan, sums[0], X, Y, np.multiply)


def _values(plan, sums, X, Y, product):
    """Return kernel values from sums (…, read, state); `product` combines numbers of X and Y."""
    return network_values(
        plan,
        lambda number, state: sums[..., number, state],
        lambda numbers_of: product(numbers_of(X), numbers_of(Y)),
    )


@lru_cache(maxsize=32)
def _pass(plan, dtype, zero_first=False, paired=False):
    """Return a `_Pass`, the same one for all tiles of a Gram matrix."""
    return _Pass(plan, dtype, zero_first, paired)


class _Pass:
    """A compiled pass, with those of its arrays that depend on the plan only."""

    def __init__(self, plan, dtype, zero_first, paired):
        self.plan, self.dtype, self.paired = plan, np.dtype(dtype), paired
        self.arrays = PlanArrays(plan, self.dtype.name, zero_first)
        self.lanes = lane_count(dtype)
        self.x_lanes = self.lanes if paired else 1
        self.n_states = self.arrays.n_states
        sides = [o.layer.sides for o in plan.operations if o.kind == CONV]
        self.radius = tuple((int(side) - 1) // 2 for side in np.max([(1, 1), *sides], axis=0))
        self.group = 4 if any(stage.grouped for stage in plan.stages) else 1
        n_rows, n_columns, self.channels = plan.architecture.image_shape
        self.row_size = (n_columns + 2 * self.radius[1]) * self.lanes
        self.plane_size = (n_rows + 2 * self.radius[0]) * self.row_size
        most = self.arrays.stages[:, WAITING].max()
        # One more slot, for values that are not needed.
        self.nowhere = self.arrays.n_waiting * self.lanes
        self.slots = self.nowhere + self.n_states * most * self.lanes
        # At least one element each, and a 1 at the end of `trained`.
        self.coefs = np.append(self.arrays.coefs.ravel(), 0.0).astype(dtype)
        self.trained = np.append(self.arrays.trained.ravel(), 1.0).astype(dtype)
        n_fused, places = activation_calls(self.arrays, paired)
        addresses = activation_addresses(self.arrays, places, self.dtype)
        self.calls = n_fused, places, addresses

    def record(self, pixels, units):
        """Return variances (n, pixels) of images with the given units."""
        lanes, n = self.lanes, len(pixels)
        pixels = in_lanes(pixels, lanes, self.dtype)
        vectors = len(pixels)
        tables = aligned_zeros(vectors * self.plan.table_pixels * lanes, self.dtype)
        variances = np.zeros((vectors, max(1, self.arrays.variance_pixels) * lanes))
        linear = self._linear(units, lanes)
        exact = np.full((vectors, 2, lanes), -1.0)
        exact[:, 0] = 0
        sums = aligned_zeros(self._sums_size(1, vectors), np.float64)
        side = pixels.ravel(), tables
        self._call(side, side, linear, linear, exact, 0, True, sums, variances)
        by_image = variances.reshape(vectors, -1, lanes).transpose(0, 2, 1)
        return by_image.reshape(vectors * lanes, -1)[:n, : self.arrays.variance_pixels]

    def sums(self, X, Y, triu, equal=None):
        """Return sums (x, y, read, state), or (1, pair, read, state) if paired."""
        x_pixels, x_tables, x_linear = self._side(X, self.x_lanes)
        y_pixels, y_tables, y_linear = self._side(Y, self.lanes)
        vectors = len(y_pixels)
        exact = np.zeros((vectors, 2, self.lanes))
        if equal is not None:
            exact[:, 1].reshape(-1)[: len(equal)] = np.where(equal, -1.0, 0.0)
        n_x = 1 if self.paired else len(X)
        size = self._sums_size(n_x, vectors)
        sums = aligned_zeros(size, np.float64)
        self._call((x_pixels.ravel(), x_tables), (y_pixels.ravel(), y_tables), x_linear, y_linear,
                   exact, triu, False, sums, np.zeros((1, 1)))  # fmt: skip
        shape = n_x, vectors, len(self.plan.reads), self.n_states, self.lanes
        sums = np.moveaxis(sums.reshape(shape), 4, 2)
        return sums.reshape(n_x, vectors * self.lanes, *shape[2:4])[:, : len(Y)]

    def _sums_size(self, n_x, vectors):
        return n_x * vectors * len(self.plan.reads) * self.n_states * self.lanes

    def _call(self, x_side, y_side, x_linear, y_linear, exact, triu, record, sums, variances):
        arrays = self.arrays
        planes = aligned_zeros(
            self.plan.registers * self.group * self.n_states * self.plane_size + self.row_size,
            self.dtype,
        )
        network_sweep(
            arrays.operations, arrays.stages, arrays.visits, arrays.visit_planes, self.calls,
            self.coefs, self.trained, arrays.reads, arrays.weights.astype(self.dtype),
            arrays.shares.astype(self.dtype),
            x_side, y_side, x_linear, y_linear, exact.astype(self.dtype).ravel(), triu,
            self.paired, record, self.radius,
            (self.n_states, self.plane_size, self.group, self.plan.table_pixels, self.channels,
             arrays.n_linear, self.nowhere, self.lanes),
            planes, aligned_zeros(self.slots, self.dtype), sums, variances,
            SMALLEST_SCALE[self.dtype.name],
        )  # fmt: skip

    def _side(self, images, lanes):
        """Return pixels, tables and numbers of the operations of images, in lanes."""
        tables = np.zeros((len(images), self.plan.table_pixels))
        for operation in self.plan.operations:
            if operation.kind not in TABLES:
                continue
            pixels = self.arrays.pixels_of[operation.units[-1]]
            end = operation.table + TABLES[operation.kind] * (pixels.stop - pixels.start)
            fill_tables(
                operation.kind,
                operation.normalised,
                images.variances[:, pixels],
                images.units[:, operation.units[0]],
                images.units[:, operation.units[1]],
                SMALLEST_SCALE[self.dtype.name],
                tables[:, operation.table : end],
            )
        return (
            in_lanes(images.pixels, lanes, self.dtype),
            in_lanes(tables, lanes, self.dtype).ravel(),
            self._linear(images.units, lanes),
        )

    def _linear(self, units, lanes):
        return in_lanes(linear_numbers(self.arrays, units), lanes, self.dtype).ravel()
