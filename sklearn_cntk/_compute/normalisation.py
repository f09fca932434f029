"""Kernels divided by the square roots of their diagonals."""

import numpy as np


class Normalizer:
    """Divides kernel values of images X and Y by ``sqrt(K(x, x) K(x', x'))``.

    Parameters
    ----------
    x_diagonals, y_diagonals : ndarray (readouts, n) and (readouts, m)
        Kernel values of the images with themselves.  All kernel values of an all-zero image are 0,
        and stay 0.
    symmetric : bool
        Whether X and Y are the same images.
    """

    def __init__(self, x_diagonals, y_diagonals, symmetric=False):
        self._x, self._y = _root(x_diagonals), _root(y_diagonals)
        self._visible = x_diagonals > 0 if symmetric else None

    def divide(self, values, rows, columns):
        """Divide the values (readouts, n, m) of slices of X and Y, in place."""
        x, y = self._x[:, rows], self._y[:, columns]
        # Divide by the products, which are symmetric to the last bit, a few rows at a time.
        block = max(1, 2**20 // max(1, values.shape[2]))
        for start in range(0, values.shape[1], block):
            part = slice(start, start + block)
            values[:, part] /= x[:, part, None] * y[:, None]
        if self._visible is not None:  # set the diagonal to exactly 1, without rounding errors
            n, m = self._x.shape[1], self._y.shape[1]
            shared = np.intersect1d(np.arange(n)[rows], np.arange(m)[columns])
            first_row, first_column = rows.start or 0, columns.start or 0
            values[:, shared - first_row, shared - first_column] = self._visible[:, shared]


def _root(diagonals):
    """Return square roots, and 1 for all-zero images."""
    return np.sqrt(np.where(diagonals > 0, diagonals, 1.0))
