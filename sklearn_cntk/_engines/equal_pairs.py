"""Pairs of equal images, for which λ = 1 on the plane (0, 0).

There κ₀ would lose half of the digits.  Engines leave that plane out of the pairs that `ImageIds`
finds, and add its closed form.
"""

import numpy as np

from .._support.architecture import lap_weights
from .diagonals import self_sums
from .scales import scale_images


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
