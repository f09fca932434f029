"""Splits of the rows, as cross-validation gives them."""

import numpy as np


def checked_split(train, test, n):
    """Row indices (train, test) of a split of n rows, whose parts may be masks.

    Raises
    ------
    ValueError, TypeError
        They are no rows; the message names `cv`.
    """
    return _indices(train, n, "training"), _indices(test, n, "test")


def _indices(part, n, name):
    part = np.asarray(part)
    if part.dtype == bool:
        if part.shape != (n,):
            raise ValueError(f"cv gives a mask of shape {part.shape}, and there are {n} rows.")
        part = np.flatnonzero(part)
    if not part.size:
        raise ValueError(f"cv gives a split without {name} rows: use fewer splits.")
    if part.ndim != 1 or part.dtype.kind not in "iu":
        raise TypeError(
            f"cv gives {name} rows as an array of shape {part.shape} and dtype {part.dtype}: use "
            "indices (integers) or a mask (booleans)."
        )
    if part.min() < -n or part.max() >= n:
        raise ValueError(
            f"cv gives {name} rows from {part.min()} to {part.max()}, and there are {n} rows."
        )
    return part
