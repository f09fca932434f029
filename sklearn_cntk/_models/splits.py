"""Splits of the rows for cross-validation."""

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils.validation import _num_samples

from .._support.images import on_host


def splits_of(cv, X, y, weights, params, *, classifier):
    """Return pairs of row indices (train, test), or None for leave-one-out.

    Parameters
    ----------
    cv : int, splitter, iterable or None
    X, y : array-like
        As passed to splitters.
    weights : ndarray (n,) or None
    params : dict
        Metadata of the splitter, such as ``groups``.
    classifier : bool

    Raises
    ------
    ValueError, TypeError
        Splits that cannot be used; the message names `cv`.
    """
    if cv is None:
        if params.get("groups") is not None:
            raise ValueError(
                "groups cannot be used with cv=None, which leaves one row out at a time: set cv to "
                "a splitter that keeps groups together, such as GroupKFold()."
            )
        return None
    n = _num_samples(X)
    params = {name: on_host(value) for name, value in params.items()}
    splits = [
        (_indices(train, n, "training"), _indices(test, n, "test"))
        for train, test in check_cv(cv, y, classifier=classifier).split(X, y, **params)
    ]
    if not splits:
        raise ValueError("cv gives no splits: an iterator can be read only once, so use a list.")
    for number, (train, _) in enumerate(splits):
        if weights is not None and not weights[train].any():
            raise ValueError(
                f"sample_weight is 0 for all training rows of split {number} of cv: use another "
                "cv that mixes the rows, or give one of them a weight."
            )
    return splits


def _indices(part, n, name):
    """Return the row indices of a part of a split, which may be a mask."""
    part = np.asarray(part)
    if part.dtype == bool:
        if part.shape != (n,):
            raise ValueError(f"cv gives a mask of shape {part.shape}, but there are {n} rows.")
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
            f"cv gives {name} rows from {part.min()} to {part.max()}, but there are {n} rows."
        )
    return part
