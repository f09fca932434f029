"""Arrays as the CPU engine's vectors want them: aligned, and with images in lanes."""

import numpy as np

from .lanes import VECTOR_BYTES


def aligned_zeros(shape, dtype):
    """Zeros that start where a vector register may be loaded without crossing cache lines."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    buffer = np.zeros(size + VECTOR_BYTES // dtype.itemsize, dtype)
    start = -buffer.ctypes.data % VECTOR_BYTES // dtype.itemsize
    return buffer[start : start + size].reshape(shape)


def in_lanes(values, lanes, dtype):
    """Values (n, …) of images in vectors (n / lanes, …, lanes), zero beyond the last image."""
    shape = (-(-len(values) // lanes), *values.shape[1:], lanes)
    vectors = aligned_zeros(shape, dtype)
    for lane in range(lanes):
        of_lane = values[lane::lanes]
        vectors[: len(of_lane), ..., lane] = of_lane
    return vectors
