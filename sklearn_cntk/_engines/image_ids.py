"""Which images are equal, or multiples of each other, as an engine sees them."""

import hashlib

import numpy as np

# Pixels, over the largest one of their image, are rounded to so many steps: whatever they differ by
# within one makes correlations that rounding cannot tell from 1.
_STEPS = {"float32": (2.0**12, np.int16), "float64": (2.0**27, np.int32)}

# Images that are rounded together: some megabytes.
_BATCH = 64


def ids_for(architecture, dtype, *dtypes):
    """What tells images whose correlation is 1, for kernels of a network in a precision `dtype`.

    The images come from arrays of `dtypes`.
    """
    return DirectionIds(dtype) if architecture.is_homogeneous else ImageIds(*dtypes)


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

    They follow from each image alone, so that no pair depends on others.  Multiples whose pixels
    round to different steps, some in a thousand, go unseen: they are images like others.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The precision that sees no more than the rounded pixels.
    """

    def __init__(self, dtype):
        self._steps, self._integer = _STEPS[np.dtype(dtype).name]
        self._known = {}  # ids of digests

    def of(self, images):
        """Ids of images (n, P, Q, C)."""
        ids = []
        for start in range(0, len(images), _BATCH):
            rows = np.array(images[start : start + _BATCH], dtype=np.float64, order="C")
            rows = rows.reshape(len(rows), -1)
            largest = np.abs(rows).max(axis=1, keepdims=True)
            with np.errstate(invalid="ignore"):  # of NaN, which callers find in the values
                rows /= np.where(largest > 0, largest, 1.0)
                rounded = np.rint(rows * self._steps).astype(self._integer)
            for row in rounded:
                digest = hashlib.blake2b(row, digest_size=16).digest()
                ids.append(self._known.setdefault(digest, len(self._known)))
        return np.array(ids, dtype=np.int32)
