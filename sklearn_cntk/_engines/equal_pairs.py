"""Pairs of equal images, and of multiples of each other, for which λ = 1 on the plane (0, 0).

There κ₀ would lose half of the digits.  Engines leave that plane out of the pairs whose `ids_for`
the network are equal, and add its closed form.
"""

import numpy as np

from .._support.architecture import lap_weights
from .diagonals import self_sums
from .scales import scale_images

# How far directions of length 1 may lie from each other to be one, by what rounding does to them.
_ROUNDING = {"float32": 2.0**-23, "float64": 2.0**-50}

# Images that are looked at together: some megabytes.
_BATCH = 64


class ImageIds:
    """Integers that are equal where images have equal pixels, as an engine sees them.

    Parameters
    ----------
    *dtypes : dtype
        Of the arrays that the images come from.
    hash_of : callable, default=hash
        Maps bytes to an integer; pixels are compared where it maps several to one.
    """

    def __init__(self, *dtypes, hash_of=hash):
        dtype = np.result_type(*dtypes)
        self._dtype = dtype if dtype.kind in "fiu" and dtype.itemsize <= 8 else np.float64
        self._firsts = []  # the image of each id
        self._hash_of, self._of_hash = hash_of, {}

    def of(self, images):
        """Ids of images (n, P, Q, C), which are kept, and must not change."""
        return np.array([self._id(image) for image in images], dtype=np.int32)

    def _id(self, image):
        pixels = self._pixels(image)
        candidates = self._of_hash.setdefault(self._hash_of(pixels.tobytes()), [])
        for number in candidates:
            if np.array_equal(pixels, self._pixels(self._firsts[number])):
                return number
        number = len(self._firsts)
        self._firsts.append(image)
        candidates.append(number)
        return number

    def _pixels(self, image):
        return np.add(image, 0, dtype=self._dtype)  # -0.0 becomes 0.0


class DirectionIds:
    """Integers that are equal where images are positive multiples of each other.

    Images are looked up by where their directions lie along a random axis, which few share.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The precision whose rounding makes no difference.
    """

    def __init__(self, dtype):
        self._rounding = _ROUNDING[dtype]
        self._firsts = []  # the image of each id
        self._axis, self._along_axis = None, {}

    def of(self, images):
        """Ids of images (n, P, Q, C), which are kept, and must not change."""
        known, ids = self._along_axis, []
        places = self._places(images)
        order = np.sort(places)
        crowded = set(order[1:][np.diff(order) <= 1]) | set(order[:-1][np.diff(order) <= 1])
        for image, place in zip(images, places.tolist(), strict=True):
            number = len(self._firsts)
            near = place - 1, place, place + 1
            if place in crowded or not known.keys().isdisjoint(near):
                others = (other for one in near for other in known.get(one, ()))
                number = next((other for other in others if self._are_one(image, other)), number)
            if number == len(self._firsts):
                self._firsts.append(image)
                known[place] = (*known.get(place, ()), number)
            ids.append(number)
        return np.array(ids, dtype=np.int32)

    def _are_one(self, image, number):
        other = self._firsts[number]
        if np.array_equal(image, other):  # mostly, and soon seen
            return True
        image, other = _directions([image, other])
        return np.linalg.norm(image - other) <= self._rounding

    def _places(self, images):
        """Where directions lie along the axis, in units of the rounding."""
        places = []
        for start in range(0, len(images), _BATCH):
            rows = np.asarray(images[start : start + _BATCH], dtype=np.float64)
            rows = rows.reshape(len(rows), -1)
            if self._axis is None:
                axis = np.random.default_rng(0).normal(size=rows.shape[1])
                self._axis = axis / np.linalg.norm(axis)
            sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            if sizes.min() < 1e-100 or not sizes.max() < 1e100:  # squares leave the range
                rows = _directions(rows)
                sizes = 1.0
            places.append(np.floor(rows @ self._axis / (self._rounding * sizes)))
        return np.concatenate([np.empty(0), *places]).astype(np.int64)


def ids_for(architecture, dtype, *dtypes):
    """What tells images whose correlation is 1, for kernels of a network in a precision `dtype`.

    The images come from arrays of `dtypes`.
    """
    return DirectionIds(dtype) if architecture.is_homogeneous else ImageIds(*dtypes)


def _directions(images):
    """Rows (n, P · Q · C) of length 1, in float64; images of 0 stay 0."""
    rows = np.array(images, dtype=np.float64).reshape(len(images), -1)
    for size in (np.abs(rows).max(axis=1), None):  # in two steps, as squares may overflow
        size = np.linalg.norm(rows, axis=1) if size is None else size
        rows /= np.where(size > 0, size, 1.0)[:, None]
    return rows


def ratios(X, Y):
    """How many times the images X are those of Y, which are positive multiples of them."""
    largest = [np.abs(np.asarray(images, np.float64)).max(axis=(1, 2, 3)) for images in (X, Y)]
    return np.divide(largest[1], largest[0], out=np.ones(len(X)), where=largest[0] > 0)


def self_values(plan, images):
    """What the plane (0, 0) adds to the kernel values of images with themselves.

    Returns
    -------
    ndarray of float64, shape (readouts, n)
    """
    rows, columns, _ = plan.architecture.image_shape
    radius = plan.architecture.radius
    weights = np.zeros((len(plan.poolings), rows, columns + radius))
    weights[:, :, :columns] = 1.0
    for of_pooling, pooling in zip(weights, plan.poolings, strict=True):
        if pooling > 0:
            of_rows, of_columns = (
                np.diagonal(lap_weights(side, pooling)) for side in (rows, columns)
            )
            of_pooling[:, :columns] = np.multiply.outer(of_rows, of_columns)
    pixels, scales = scale_images(images, plan.architecture.filter_size)
    sums = np.empty((len(images), len(plan.poolings), plan.n_layers, len(plan.states)))
    weights = weights.reshape(len(plan.poolings), -1)
    self_sums(pixels, radius, plan.gauge.factors, weights, np.array(plan.starts), sums)

    def sum_of(pooling, layer, state):
        return sums[:, plan.poolings.index(pooling), layer, plan.states.index(state)]

    with np.errstate(over="ignore", invalid="ignore"):  # callers look at the values
        return plan.read(sum_of) * scales**2
