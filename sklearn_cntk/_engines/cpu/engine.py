"""The CPU engine: exact kernels with Numba, one thread per call (see ``planes`` for the method).

The compiled code releases the interpreter lock, so callers can run several calls simultaneously.
"""

from functools import partial

import numpy as np

from ..._support.architecture import lap_weights
from ..dual_activations import arccos_coefficients
from ..equal_pairs import self_values, values_of_equal
from ..host import HostEngine
from ..image_ids import ids_for
from ..network_plan import plan_of
from ..plan import Plan, is_plain
from ..scales import SMALLEST_SCALE, scale_images
from .arrays import aligned_zeros
from .lanes import VECTOR_BYTES, lane_count
from .network import network_gram, network_images, network_pairs
from .planes import SLOTS, START_FACTOR, START_R, compile_sweep

# Images that are scaled together: a multiple of the lanes of any vector.
_BATCH = 32

# Element-layers of some 30 ms: joblib takes 15 ms to start threads and wait for them.
_SMALL_WORK = 3e7


class CpuEngine(HostEngine):
    """See ``protocol.Engine``."""

    def limits(self, travelling):
        """Return the tile sizes that suit a core, which computes vectors."""
        limits = super().limits(travelling)
        return limits._replace(vector_bytes=VECTOR_BYTES, small_work=_SMALL_WORK)

    def gram(self, X, Y, architecture, readouts, *, dtype="float32", triu=None):
        """Return the kernel values of all pairs of two tiles."""
        ids = ids_for(architecture, dtype, X.dtype, Y.dtype)
        x_ids = ids.of(X)
        i, j = np.nonzero(x_ids[:, None] == (x_ids if Y is X else ids.of(Y)))
        triu = -len(X) if triu is None else triu

        def plain(readouts):
            plan = Plan(architecture, readouts, dtype)
            values = _Sweep(plan).run(X, Y, (i, j), triu, paired=False)
            if len(i):
                values[:, i, j] += values_of_equal(
                    architecture, partial(self_values, plan), X, Y, i, j
                )
            return values

        def general(readouts):
            plan = plan_of(architecture, tuple(readouts))
            x = network_images(X, plan)
            values = network_gram(plan, x, x if Y is X else network_images(Y, plan), dtype, triu)
            if len(i):  # their correlation is 1 on the plane (0, 0)
                values[:, i, j] = values_of_equal(
                    architecture, partial(_own_values, plan), X, Y, i, j
                )
            return values

        return _by_kind(architecture, readouts, plain, general)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        """Return the kernel values of the pairs (X[i], Y[i]).

        Networks that are not plain are computed in float64.
        """
        ids = ids_for(architecture, dtype, X.dtype, Y.dtype)
        equal = ids.of(X) == ids.of(Y)
        (i,) = np.nonzero(equal)

        def plain(readouts):
            plan = Plan(architecture, readouts, dtype)
            values = np.zeros((len(readouts), len(X)))
            if len(i) < len(X) or len(plan.displacements) > 1:
                values += _Sweep(plan).run(X, Y, (np.zeros_like(i), i), 0, paired=True)[:, 0]
            if len(i):
                values[:, i] += values_of_equal(
                    architecture, partial(self_values, plan), X, Y, i, i
                )
            return values

        def general(readouts):
            plan = plan_of(architecture, tuple(readouts))
            if equal.all() and len(equal):
                own_values = partial(_own_values, plan)
                return values_of_equal(architecture, own_values, X, Y, i, i)
            return network_pairs(plan, network_images(X, plan), network_images(Y, plan), equal)

        return _by_kind(architecture, readouts, plain, general)


def _own_values(plan, images):
    """Return kernel values (readouts, n) of images with themselves, in float64."""
    same = network_images(images, plan)
    return network_pairs(plan, same, same, np.ones(len(images), dtype=bool))


def _by_kind(architecture, readouts, plain, general):
    """Return values (readouts, …): ``plain`` of the plain readouts, ``general`` of the others."""
    is_one = np.array([is_plain(architecture, readout) for readout in readouts])
    if is_one.all():
        return plain(readouts)
    if not is_one.any():
        return general(readouts)
    parts = [
        function([readout for readout, one in zip(readouts, mask, strict=True) if one])
        for function, mask in ((plain, is_one), (general, ~is_one))
    ]
    values = np.empty((len(readouts), *parts[0].shape[1:]))
    values[is_one], values[~is_one] = parts
    return values


class _Sweep:
    """The arrays of the compiled pass, built from a plan."""

    def __init__(self, plan):
        self.plan = plan
        self.lanes = lane_count(plan.dtype)

    def run(self, X, Y, equal, triu, paired):
        """Return the kernel values of two tiles, without the plane (0, 0) of the `equal` pairs."""
        plan, lanes = self.plan, self.lanes
        x_lanes = lanes if paired else 1
        x_pixels, x_scales = self._side(X, x_lanes)
        y_pixels, y_scales = self._side(Y, lanes)
        n_x, vectors = 1 if paired else len(X), len(y_pixels)
        equal_pairs = np.zeros((n_x, vectors * lanes), dtype=bool)
        equal_pairs[equal] = True
        shape = (n_x, vectors, len(plan.poolings), plan.n_layers, len(plan.sums), lanes)
        size = int(np.prod(shape))
        sums = aligned_zeros(size + int(np.prod(shape[3:])), np.float64)
        rows, columns, _ = plan.architecture.image_shape
        radius = plan.architecture.radius
        frame = (rows + 2 * radius) * (columns + 2 * radius)
        n_p, n_r = map(len, arccos_coefficients(plan.dtype))
        n_states = len(plan.states)
        compile_sweep(radius, n_states, len(plan.sums), paired, n_p, n_r, lanes)(
            (x_pixels.ravel(), self._tables(n_x, x_lanes)),
            (y_pixels.ravel(), self._tables(1, lanes)),
            plan.gauge.factors,
            SMALLEST_SCALE[plan.dtype],
            self._layers(),
            np.array(plan.starts),
            plan.displacements,
            np.array(plan.poolings),
            self._weights(),
            triu,
            equal_pairs,
            aligned_zeros(2 * n_states * frame * lanes, plan.dtype),
            sums,
            plan.architecture.image_shape,
        )
        sums = sums[:size].reshape(shape)

        def sum_of(pooling, layer, state):
            chosen = sums[:, :, plan.poolings.index(pooling), layer, plan.sums.index(state)]
            return chosen.reshape(n_x, -1)

        values = plan.read(sum_of)[:, :, : len(Y)]
        with np.errstate(over="ignore", invalid="ignore"):  # callers check the values
            return values * (y_scales * (x_scales if paired else x_scales[:, None]))

    def _layers(self):
        """Return the polynomials and factors of the layers, in the layout of ``planes``."""
        plan = self.plan
        p, r = arccos_coefficients(plan.dtype)
        layers = np.zeros((plan.n_layers, SLOTS))
        layers[:, : len(p)] = plan.gauge.factors[:, None] * p
        layers[:, START_R : START_R + len(r)] = r
        layers[:, START_FACTOR] = plan.gauge.factors
        return layers.astype(plan.dtype).ravel()

    def _weights(self):
        """Return the weights w_P and w_Q of every pooling, 1 if entries are not weighted."""
        plan = self.plan
        rows, columns, _ = plan.architecture.image_shape
        weights = np.ones((len(plan.poolings), rows**2 + columns**2))
        for of_pooling, pooling in zip(weights, plan.poolings, strict=True):
            if pooling > 0:
                of_pooling[: rows**2] = lap_weights(rows, pooling).ravel()
                of_pooling[rows**2 :] = lap_weights(columns, pooling).ravel()
        return weights.astype(plan.dtype)

    def _side(self, images, lanes):
        """Return scaled pixels of `images` in vectors of `lanes`, and the images' scales."""
        shape = (-(-len(images) // lanes), *images.shape[1:], lanes)
        pixels = aligned_zeros(shape, self.plan.dtype)
        scales = np.empty(len(images))
        # In small batches, since float64 copies of all images would be the largest arrays.
        buffer = np.empty((min(len(images), _BATCH), *images.shape[1:]))
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            scaled, scales[start : start + _BATCH] = scale_images(
                batch, self.plan.architecture.filter_size, out=buffer[: len(batch)]
            )
            first = start // lanes
            for lane in range(lanes):
                of_lane = scaled[lane::lanes]
                pixels[first : first + len(of_lane), ..., lane] = of_lane
        return pixels, scales

    def _tables(self, vectors, lanes):
        """Return room for the tables of this many vectors of images."""
        rows, columns, _ = self.plan.architecture.image_shape
        size = rows * (columns + self.plan.architecture.radius) * lanes
        return aligned_zeros(vectors * self.plan.n_layers * 2 * size, self.plan.dtype)
