"""Ids that show which images are equal, or multiples of each other, as an engine sees them."""

import numpy as np

# Reciprocal of the step to which projections of directions are rounded: directions that differ by
# less have correlations that the precision cannot distinguish from 1.
_STEPS = {"float32": 2.0**13, "float64": 2.0**27}

# Number of projections, each of all pixels: enough to distinguish images that differ by a few
# steps, in however few pixels.
_AXES = 5

# Images that are projected together: a few megabytes.
_BATCH = 64


def ids_for(architecture, dtype, *dtypes):
    """Return the ids that identify images of correlation 1 for a network in precision `dtype`.

    The images come from arrays of `dtypes`.
    """
    return DirectionIds(dtype) if architecture.is_homogeneous else ImageIds(*dtypes)


class ImageIds:
    """Integers that are equal if images have equal pixels, as an engine sees them.

    Parameters
    ----------
    *dtypes : dtype
        Of the arrays that the images come from.
    hash_of : callable, default=hash
        Maps bytes to an integer; if hashes collide, pixels are compared.
    """

    def __init__(self, *dtypes, hash_of=hash):
        dtype = np.result_type(*dtypes)
        self._dtype = dtype if dtype.kind in "fiu" and dtype.itemsize <= 8 else np.float64
        self._firsts = []  # the image of each id
        self._hash_of, self._of_hash = hash_of, {}

    def of(self, images):
        """Return the ids of images (n, P, Q, C), which are kept and must not change."""
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
    """Integers that are equal if images are positive multiples of each other.

    They are computed from each image alone, by rounding projections of its direction, so that no
    pair depends on others.  In rare cases, rounding of the pixels moves a projection to another
    step; then multiples are not recognised and are treated like other images.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The precision, which cannot distinguish directions that differ by less than a step.
    """

    def __init__(self, dtype):
        self._steps = _STEPS[np.dtype(dtype).name]
        self._axes, self._known = None, {}  # ids of rounded projections

    def of(self, images):
        """Return the ids of images (n, P, Q, C)."""
        ids = []
        for start in range(0, len(images), _BATCH):
            rows = np.array(images[start : start + _BATCH], dtype=np.float64)
            rows = rows.reshape(len(rows), -1)
            if self._axes is None:
                self._axes = np.random.default_rng(0).normal(size=(_AXES, rows.shape[1]))
            with np.errstate(invalid="ignore"):  # from NaN, which callers find in the values
                sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
                if sizes.min() < 1e-100 or not sizes.max() < 1e100:  # squares leave the range
                    rows = _over(rows, np.abs(rows).max(axis=1))
                    sizes = np.linalg.norm(rows, axis=1)
                # Not by BLAS, whose threads would spin alongside those of the callers.
                projections = np.einsum("ij,kj->ik", rows, self._axes)
                places = np.floor(_over(projections, sizes) * self._steps).astype(np.int64)
            ids += [self._known.setdefault(place.tobytes(), len(self._known)) for place in places]
        return np.array(ids, dtype=np.int32)


def _over(rows, sizes):
    """Divide rows by their sizes; rows of size 0 stay unchanged."""
    return rows / np.where(sizes > 0, sizes, 1.0)[:, None]
