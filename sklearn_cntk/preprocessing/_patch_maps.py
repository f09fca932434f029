"""Inner products of all patches of images with filters, rectified and averaged over windows."""

from __future__ import annotations

import numpy as np

from .._linalg.threads import one_thread
from ._whitening import centred_unit_rows

# Bytes of patches and their inner products that are processed at a time.
_BLOCK = 2**20


def windows(images, sides):
    """Return a view (n, rows, columns, height, width, channels) of all whole patches of images."""
    patches = np.lib.stride_tricks.sliding_window_view(images, sides, axis=(1, 2))
    return np.moveaxis(patches, 3, -1)


def patch_maps(patches, mean, projections, bias, pooling):
    """Return the means of max(z - bias, 0) and of max(-z - bias, 0) over windows.

    z are the inner products of the normalised patches, minus a mean, with the projections.  They
    are computed for one row of patches of one image, so that values do not depend on the block.

    Parameters
    ----------
    patches : ndarray (n, rows, columns, height, width, channels)
    mean : ndarray (n_features,)
    projections : ndarray (n_features, n_filters)
        The result has the same dtype.
    bias : float
    pooling : tuple of three pairs (rows, columns)
        Windows over the map: their number, their sides, and the steps from one to the next.

    Returns
    -------
    ndarray (n, rows, columns, 2 * n_filters)
    """
    (n_rows, n_columns), (height, width), (down, right) = pooling
    n_features, n_filters = projections.shape
    maps = np.zeros((len(patches), n_rows, n_columns, 2 * n_filters), projections.dtype)
    span = (n_columns - 1) * right + width  # columns that windows cover
    size = span * (2 * n_features + 3 * n_filters) * maps.itemsize
    n_block = max(1, _BLOCK // size)
    with one_thread():  # threads would take longer to start and stop than these products take
        for start in range(0, len(patches), n_block):
            block = patches[start : start + n_block, :, :span]
            sums = maps[start : start + n_block]
            for row in range((n_rows - 1) * down + height):
                # The windows that contain this row of patches: none if it is in a gap.
                first, last = max(0, (row - height) // down + 1), min(row // down, n_rows - 1)
                if first <= last:
                    rows = _normalised(block[:, row].reshape(-1, n_features), mean)
                    products = rows.reshape(-1, span, n_features) @ projections
                    one_row = _rectified_sums(products, bias, n_columns, width, right)
                    sums[:, first : last + 1] += one_row[:, None]
    maps /= height * width
    return maps


def _normalised(rows, mean):
    """Normalise patches to mean 0 and norm 1 and subtract the `mean`; constant ones become 0."""
    rows = centred_unit_rows(rows.astype(mean.dtype, copy=False))
    varied = rows.any(axis=1, keepdims=True)
    return np.subtract(rows, mean, out=rows, where=varied)


def _rectified_sums(products, bias, n_windows, width, step):
    """Return both rectifications of products (n, span, n_filters), summed over column windows."""
    shape = len(products), n_windows, 2 * products.shape[2]
    sums = np.zeros(shape, products.dtype)
    stop = (n_windows - 1) * step + 1
    for half in np.split(sums, 2, axis=2):
        rectified = np.maximum(products - bias, 0)
        for column in range(width):
            half += rectified[:, column : column + stop : step]
        np.negative(products, out=products)
    return sums
