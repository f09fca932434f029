"""Arrays laid out for the CPU engine's vectors: aligned, and with images in lanes."""

import numpy as np

from .lanes import VECTOR_BYTES


def aligned_zeros(shape, dtype):
    """Return zeros, aligned so that vector loads do not cross cache lines."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    buffer = np.zeros(size + VECTOR_BYTES // dtype.itemsize, dtype)
    start = -buffer.ctypes.data % VECTOR_BYTES // dtype.itemsize
    return buffer[start : start + size].reshape(shape)


def in_lanes(values, lanes, dtype):
    """Return values (n, …) as vectors (n / lanes, …, lanes), zero after the last image."""
    shape = (-(-len(values) // lanes), *values.shape[1:], lanes)
    vectors = aligned_zeros(shape, dtype)
    for lane in range(lanes):
        of_lane = values[lane::lanes]
        vectors[: len(of_lane), ..., lane] = of_lane
    return vectors
