"""The CUDA engine's data on the host: prepared images, and the pairs of a launch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..scales import scale_images

# Images that are converted together: a few megabytes.
_BLOCK = 256


class Chosen(NamedTuple):
    """Some images in the form that the device code needs.

    Pixels (image, channel, row, column) in the gauge of ``scales``, the scales that they were
    divided by, and ids.
    """

    pixels: np.ndarray
    scales: np.ndarray
    ids: np.ndarray


class PreparedImages:
    """Images of X or Y, converted on first use.

    Tiles share images: all tiles in a row of a Gram matrix use the same images of X.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)
    filter_size : int
    dtype : str
    ids : ImageIds or DirectionIds
        Shared by all images that may be paired.
    lock : Lock
        Likewise; only one thread at a time converts images.
    """

    def __init__(self, images, filter_size, dtype, ids, lock):
        n, rows, columns, n_channels = images.shape
        self.images = images
        self._filter_size = filter_size
        self._ids_of = ids
        self._lock = lock
        self._pixels = np.empty((n, n_channels, rows, columns), dtype)
        self._scales = np.empty(n)
        self._ids = np.full(n, -1, dtype=np.int32)

    def __len__(self):
        return len(self.images)

    def take(self, index):
        """Return the images of an array of indices."""
        with self._lock:
            missing = index[self._ids[index] < 0]
            for start in range(0, len(missing), _BLOCK):
                self._convert(missing[start : start + _BLOCK])
        consecutive = len(index) and index[-1] - index[0] == len(index) - 1
        if consecutive and (np.diff(index) == 1).all():
            index = slice(index[0], index[-1] + 1)  # no copy
        return Chosen(self._pixels[index], self._scales[index], self._ids[index])

    def _convert(self, index):
        images = self.images[index]
        scaled, self._scales[index] = scale_images(images, self._filter_size)
        self._pixels[index] = np.moveaxis(scaled, 3, 1)
        # Views rather than copies, since the ids keep references to the images.
        self._ids[index] = self._ids_of.of([self.images[k] for k in index])


@dataclass(frozen=True)
class Work:
    """Pairs of images that one launch computes.

    Attributes
    ----------
    x, y : ndarray of int
        Indices of the images of X and Y.
    pairs : ndarray of int32 (n_pairs, 2) or None
        Positions in `x` and `y`; None means all pairs, row by row.
    """

    x: np.ndarray
    y: np.ndarray
    pairs: np.ndarray | None = None

    @classmethod
    def of_pairs(cls, x, y, pairs):
        """Return the work of listed pairs, with only those images that occur in them."""
        (x, of_x), (y, of_y) = _used(x, pairs[:, 0]), _used(y, pairs[:, 1])
        return cls(x, y, np.stack([of_x, of_y], axis=1).astype(np.int32))

    @classmethod
    def of_same(cls, n):
        """Return the work of the pairs (i, i) of n images."""
        every = np.arange(n)
        return cls.of_pairs(every, every, np.stack([every, every], axis=1))

    def __len__(self):
        return len(self.x) * len(self.y) if self.pairs is None else len(self.pairs)

    def split(self, n):
        """Split the work into at most n nonempty parts of consecutive pairs."""
        if self.pairs is not None:
            parts = np.array_split(self.pairs, n)
            shares = [Work.of_pairs(self.x, self.y, part) for part in parts]
        elif len(self.x) > 1:
            shares = [Work(part, self.y) for part in np.array_split(self.x, n)]
        else:
            shares = [Work(self.x, part) for part in np.array_split(self.y, n)]
        return [share for share in shares if len(share)]

    def equal(self, x_ids, y_ids):
        """Return the numbers of the pairs with equal ids, given the ids of the images."""
        if self.pairs is not None:
            return np.flatnonzero(x_ids[self.pairs[:, 0]] == y_ids[self.pairs[:, 1]])
        if not np.isin(x_ids, y_ids).any():
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(x_ids[:, None] == y_ids)

    def images_of(self, numbers):
        """Return the indices of the images of X, and of those of Y, of some pairs."""
        if self.pairs is None:
            rows, columns = np.divmod(numbers, len(self.y))
        else:
            rows, columns = self.pairs[numbers].T
        return self.x[rows], self.y[columns]

    def product(self, of_x, of_y):
        """Return the products (pair) of one number per image of either side."""
        if self.pairs is None:
            return np.multiply.outer(of_x, of_y).ravel()
        return of_x[self.pairs[:, 0]] * of_y[self.pairs[:, 1]]

    def scale(self, values, x_scales, y_scales):
        """Multiply values (readout, pair) by the scales of the images."""
        with np.errstate(over="ignore", invalid="ignore"):  # callers check the values
            if self.pairs is None:
                values = values.reshape(-1, len(self.x), len(self.y))
                values *= x_scales[:, None]
                values *= y_scales
            else:
                values *= x_scales[self.pairs[:, 0]]
                values *= y_scales[self.pairs[:, 1]]


def _used(index, positions):
    """Return the distinct entries of an index array at some positions, and each one's place."""
    used = np.zeros(len(index), dtype=bool)
    used[positions] = True
    return index[used], (np.cumsum(used, dtype=np.int32) - 1)[positions]
