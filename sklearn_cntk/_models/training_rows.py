"""Training-set size as a hyperparameter: which rows `train_size` keeps."""

import numpy as np
from sklearn.utils import check_random_state, resample

from .._support.checks import is_integer, is_number


def choose_rows(train_size, n, random_state, y=None):
    """Return sorted indices of a random part of n rows, or None for all of them.

    Parameters
    ----------
    train_size : int, float in (0, 1] or None
        Number or fraction of the rows; None keeps all.
    n : int
    random_state : int, RandomState instance or None
    y : ndarray (n,) of class indices, default=None
        If given, the shares of the classes are kept, and at least one row of each.
    """
    size = count_rows(train_size, n)
    if train_size is None:
        return None
    random_state = check_random_state(random_state)
    if y is None:
        return np.sort(random_state.permutation(n)[:size])
    n_classes = len(np.unique(y))
    if size < n_classes:
        raise ValueError(
            f"train_size={train_size!r} keeps {size} of {n} rows, fewer than the {n_classes} "
            f"classes: use at least {n_classes} rows."
        )
    rows = resample(
        np.arange(n), replace=False, n_samples=size, random_state=random_state, stratify=y
    )
    for absent in np.setdiff1d(y, y[rows]):
        # A class too small for a row of its own takes one from the largest class.
        largest = np.flatnonzero(y[rows] == np.argmax(np.bincount(y[rows])))
        rows[largest[0]] = random_state.choice(np.flatnonzero(y == absent))
    return np.sort(rows)


def count_rows(train_size, n):
    """Return how many of n rows `train_size` keeps."""
    if train_size is None:
        return n
    if not is_number(train_size):
        raise TypeError(
            f"train_size must be None, a number of rows or a fraction, got {train_size!r}."
        )
    if is_integer(train_size):
        if not 1 <= train_size <= n:
            raise ValueError(
                f"train_size={train_size} is not between 1 and the {n} rows given to fit."
            )
        return int(train_size)
    if not 0 < train_size <= 1:
        raise ValueError(
            f"train_size={train_size} is not a fraction in (0, 1]: use an int for a number of rows."
        )
    return max(1, int(train_size * n))
