"""The CPU engine: exact kernels with Numba, one thread a call (see ``planes`` for the method).

The compiled code holds no interpreter lock, so callers run several calls at once.
"""

import numpy as np

from ..._support.network import lap_weights
from ..dual_activations import arccos_coefficients
from ..scales import SMALLEST_SCALE, Gauge, scale_images, self_sums
from .lanes import VECTOR_BYTES, lane_count
from .planes import SLOTS, START_FACTOR, START_R, compile_sweep

# Images scaled at a time: a multiple of the lanes of any vector.
_BATCH = 32

# trained_layers in the order in which the compiled code keeps K, U and U with frozen outer layers.
STATES = ("last", "all", "hidden")


def gram(X, Y, architecture, readouts, *, dtype="float32", triu=None):
    """Kernel values of all pairs of two tiles; see ``_engines`` for the interface."""
    plan = _Plan(architecture, readouts, dtype)
    x_ids, y_ids = identify(X, Y)
    i, j = np.nonzero(x_ids[:, None] == y_ids)
    values = plan.sweep(X, Y, (i, j), -len(X) if triu is None else triu, paired=False)
    if len(i):
        rows, i_of_row = np.unique(i, return_inverse=True)
        values[:, i, j] += plan.self_values(X[rows])[:, i_of_row]
    return values


def pairs(X, Y, architecture, readouts, *, dtype="float32"):
    """Kernel values of the pairs (X[i], Y[i]); see ``_engines`` for the interface."""
    plan = _Plan(architecture, readouts, dtype)
    x_ids, y_ids = identify(X, Y)
    (i,) = np.nonzero(x_ids == y_ids)
    values = np.zeros((len(readouts), len(X)))
    if len(i) < len(X) or len(plan.displacements) > 1:
        values += plan.sweep(X, Y, (np.zeros_like(i), i), 0, paired=True)[:, 0]
    values[:, i] += plan.self_values(X[i])
    return values


def self_values(X, architecture, readouts):
    """What the pixels (i, j) of equal images add to their kernel values: float64 (readouts, n)."""
    return _Plan(architecture, readouts, "float64").self_values(X)


def identify(X, Y):
    """Two integer arrays, equal where images of X and Y have equal pixels."""
    dtype = np.result_type(X, Y)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        dtype = np.float64

    def pixels(image):
        return np.add(image, 0, dtype=dtype)  # -0.0 becomes 0.0

    firsts, of_hash, ids = [], {}, []
    for image in (*X, *Y):
        mine = pixels(image)
        candidates = of_hash.setdefault(hash(mine.tobytes()), [])
        same = (k for k in candidates if np.array_equal(mine, pixels(firsts[k])))
        number = next(same, len(firsts))
        if number == len(firsts):
            firsts.append(image)
            candidates.append(number)
        ids.append(number)
    return np.split(np.array(ids, dtype=np.intp), [len(X)])


def _aligned_zeros(shape, dtype):
    """Zeros that start where a vector register may be loaded without crossing cache lines."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    buffer = np.zeros(size + VECTOR_BYTES // dtype.itemsize, dtype)
    start = -buffer.ctypes.data % VECTOR_BYTES // dtype.itemsize
    return buffer[start : start + size].reshape(shape)


class _Plan:
    """Everything about a pass that does not depend on the images."""

    def __init__(self, architecture, readouts, dtype):
        self.architecture = architecture
        self.readouts = readouts
        self.dtype = np.dtype(dtype).name
        self.lanes = lane_count(dtype)
        self.n_layers = max(readout.convolutions for readout in readouts)
        self.gauge = Gauge.of(architecture, self.n_layers)
        # What is summed: K if wanted, then U with all layers trained, then with outer ones frozen.
        trained = {readout.trained_layers for readout in readouts}
        if "hidden" in trained:
            trained.add("last")  # K̇ ⊙ Θ = U - K
        self.states = [name for name in STATES if name in trained]
        self.n_theta = len(trained - {"last"})
        self.pools = sorted({_pool(readout) for readout in readouts})
        self.displacements = self._displacements()

    def _displacements(self):
        image_shape = self.architecture.image_shape
        reach = [readout.max_displacement(image_shape) for readout in self.readouts]
        rows, columns = np.max(reach, axis=0)
        grid = np.mgrid[-rows : rows + 1, -columns : columns + 1].reshape(2, -1).T
        return grid[np.argsort(np.abs(grid).sum(axis=1), kind="stable")].copy()  # (0, 0) first

    def _layers(self):
        p, r = arccos_coefficients(self.dtype)
        layers = np.zeros((self.n_layers, SLOTS))
        layers[:, : len(p)] = self.gauge.factors[:, None] * p
        layers[:, START_R : START_R + len(r)] = r
        layers[:, START_FACTOR] = self.gauge.factors
        return layers.astype(self.dtype).ravel()

    def _weights(self):
        """Pooling weights w_P and w_Q of every pool, 1 where entries are summed as they are."""
        rows, columns, _ = self.architecture.image_shape
        weights = np.ones((len(self.pools), rows**2 + columns**2))
        for pool, radius in enumerate(self.pools):
            if radius > 0:
                weights[pool, : rows**2] = lap_weights(rows, radius).ravel()
                weights[pool, rows**2 :] = lap_weights(columns, radius).ravel()
        return weights

    def _side(self, images, lanes):
        """Scaled pixels of `images` in vectors of `lanes`, and the images' scales."""
        pixels = _aligned_zeros((-(-len(images) // lanes), *images.shape[1:], lanes), self.dtype)
        scales = np.empty(len(images))
        # In small batches: of all images at once, the float64 copies would be the largest arrays.
        buffer = np.empty((min(len(images), _BATCH), *images.shape[1:]))
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            scaled, scales[start : start + _BATCH] = scale_images(
                batch, self.architecture.filter_size, out=buffer[: len(batch)]
            )
            first = start // lanes
            for lane in range(lanes):
                of_lane = scaled[lane::lanes]
                pixels[first : first + len(of_lane), ..., lane] = of_lane
        return pixels, scales

    def _tables(self, vectors, lanes):
        """Room for the tables of so many vectors of images."""
        rows, columns, _ = self.architecture.image_shape
        size = rows * (columns + self.architecture.radius) * lanes
        return _aligned_zeros(vectors * self.n_layers * 2 * size, self.dtype)

    def sweep(self, X, Y, twins, triu, paired):
        """Kernel values of two tiles, without the (0, 0) plane of the pairs named by `twins`."""
        lanes = self.lanes
        x_lanes = lanes if paired else 1
        x_pixels, x_scales = self._side(X, x_lanes)
        y_pixels, y_scales = self._side(Y, lanes)
        n_x, vectors = 1 if paired else len(X), len(y_pixels)
        skip = np.zeros((n_x, vectors * lanes), dtype=bool)
        skip[twins] = True
        shape = (n_x, vectors, len(self.pools), self.n_layers, len(self.states), lanes)
        size = int(np.prod(shape))
        sums = _aligned_zeros(size + int(np.prod(shape[3:])), np.float64)
        rows, columns, _ = self.architecture.image_shape
        radius = self.architecture.radius
        frame = (rows + 2 * radius) * (columns + 2 * radius)
        n_p, n_r = map(len, arccos_coefficients(self.dtype))
        compile_sweep(radius, self.n_theta, "last" in self.states, paired, n_p, n_r, lanes)(
            (x_pixels.ravel(), self._tables(n_x, x_lanes)),
            (y_pixels.ravel(), self._tables(1, lanes)),
            self.gauge.factors,
            SMALLEST_SCALE[self.dtype],
            self._layers(),
            "all" in self.states,
            self.displacements,
            np.array(self.pools),
            self._weights().astype(self.dtype),
            triu,
            skip,
            _aligned_zeros(2 * (1 + self.n_theta) * frame * lanes, self.dtype),
            sums,
            self.architecture.image_shape,
        )
        values = self._read(sums[:size].reshape(shape))[:, :, : len(Y)]
        with np.errstate(over="ignore", invalid="ignore"):  # callers look at the values
            return values * (y_scales * (x_scales if paired else x_scales[:, None]))

    def self_values(self, X):
        """The share of the (0, 0) plane in the kernel values of images with themselves."""
        rows, columns, _ = self.architecture.image_shape
        pixels, scales = scale_images(X, self.architecture.filter_size)
        weights = self._weights()
        row_weights = weights[:, : rows**2].reshape(-1, rows, rows)
        column_weights = weights[:, rows**2 :].reshape(-1, columns, columns)
        weights = np.einsum("pii,pjj->pij", row_weights, column_weights)
        radius = self.architecture.radius
        weights = np.pad(weights, ((0, 0), (0, 0), (0, radius))).reshape(len(self.pools), -1)
        sums = np.empty((len(X), len(self.pools), self.n_layers, 3))
        self_sums(pixels, radius, self.gauge.factors, weights, sums)
        states = [STATES.index(state) for state in self.states]
        with np.errstate(over="ignore", invalid="ignore"):
            return self._read(sums[:, None, ..., states, None])[:, :, 0] * scales**2

    def _read(self, sums):
        """Readouts (readout, x, y) of sums (x, vector, pool, layer, state, lane)."""
        rows, columns, _ = self.architecture.image_shape
        values = np.empty((len(self.readouts), sums.shape[0], sums.shape[1] * sums.shape[-1]))
        for value, readout in zip(values, self.readouts, strict=True):
            layer = readout.convolutions - 1
            of_state = sums[:, :, self.pools.index(_pool(readout)), layer]
            chosen = of_state[:, :, self.states.index(readout.trained_layers)]
            if readout.trained_layers == "hidden":
                chosen = chosen - of_state[:, :, self.states.index("last")]
            value[...] = chosen.reshape(value.shape)
            value *= self.gauge.magnitude[layer]
            if readout.gap:
                value /= (rows * columns) ** 2
        return values


def _pool(readout):
    """Pooling of a readout as one number: -1 for GAP, else the radius (0 for the trace)."""
    return -1 if readout.gap else readout.lap
