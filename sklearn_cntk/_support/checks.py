"""Checks of single parameters: every message names the parameter, its value and what would work."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass

DTYPES = ("float32", "float64")


def check_integer(name, value, minimum, remedy):
    """Return `value` as an int, or say which `name` was wrong and what would work."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__}).")
    if value < minimum:
        raise ValueError(f"{name}={value} is too small: {remedy}.")
    return int(value)


def check_flag(name, value):
    """Return `value` as a bool, or say that `name` must be one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_alpha(alpha):
    """Raise unless `alpha` is a ridge."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise TypeError(f"alpha must be a number, got {alpha!r}.")
    if not 0 <= float(alpha) < np.inf:
        raise ValueError(f"alpha={alpha} is no ridge: use a finite number of 0 or more.")


def check_training_time(training_time):
    """Raise unless `training_time` is None or a time."""
    if training_time is None:
        return
    if isinstance(training_time, bool) or not isinstance(training_time, Real):
        raise TypeError(f"training_time must be None or a number, got {training_time!r}.")
    if not float(training_time) >= 0:
        raise ValueError(
            f"training_time={training_time} is no time: use a number of 0 or more, or None."
        )


def check_sequence(name, values, example):
    """Raise unless `values` is a sequence, such as the example, which the message names."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}={values!r} must be a sequence of values, such as {example}.")


def check_choice(name, value, choices):
    """Raise unless `value` is one of some strings."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown: use one of {choices}.")


def check_dtype(dtype):
    """Raise unless `dtype` is a precision that engines compute in."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} is unknown: use 'float32' or 'float64'.")
