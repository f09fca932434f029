"""Checks of single parameters: every message names the parameter, its value and what would work."""

from __future__ import annotations

import difflib
import reprlib
from numbers import Integral, Real

import numpy as np

DTYPES = ("float32", "float64")


def is_integer(value: object) -> bool:
    """Whether `value` is an integer of any type; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether `value` is a real number of any type; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_integer(name, value, minimum, remedy):
    """Return `value` as an int, or say which `name` was wrong and what would work."""
    if not is_integer(value):
        raise TypeError(
            f"{name} must be an integer, got {reprlib.repr(value)} ({type(value).__name__})."
        )
    if value < minimum:
        raise ValueError(f"{name}={value} is too small: {remedy}.")
    return int(value)


def check_seed(name, seed, bits):
    """Return `seed` as an int of at most `bits` bits, or say which `name` was wrong."""
    seed = check_integer(name, seed, 0, "use an integer of 0 or more")
    if seed >= 2**bits:
        raise ValueError(f"{name}={seed} is too large: use an integer up to 2**{bits} - 1.")
    return seed


def check_number(name, value, low, high, remedy, *, problem="cannot be used", kind="a number"):
    """Return `value` as a float if low <= value < high, where None is no limit.

    Messages are "`name` must be `kind`" and "`name`=`value` `problem`: `remedy`".
    """
    if not is_number(value):
        raise TypeError(f"{name} must be {kind}, got {value!r}.")
    number = float(value)
    if not (low <= number and (high is None or number < high)):
        raise ValueError(f"{name}={value} {problem}: {remedy}.")
    return number


def check_alpha(alpha):
    """Return `alpha` as a float, or say what would work."""
    remedy = "alpha must be finite and at least 0"
    return check_number("alpha", alpha, 0, np.inf, remedy)


def check_training_time(training_time):
    """Return `training_time` as a float or None, or say what would work."""
    if training_time is None:
        return None
    remedy, kind = "use a number of 0 or more, or None", "None or a number"
    return check_number(
        "training_time", training_time, 0, None, remedy, problem="is not a time", kind=kind
    )


def check_n_jobs(n_jobs):
    """Return `n_jobs` if joblib accepts it, or say what would work."""
    if n_jobs is None:
        return None
    if not is_integer(n_jobs):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}.")
    if n_jobs == 0:
        raise ValueError("n_jobs=0 has no meaning: use 1 or more, -1 for all cores, or None.")
    return int(n_jobs)


def check_flag(name, value):
    """Return `value` as a bool, or say that `name` must be one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_verbose(verbose):
    """Return `verbose`: "auto", a number of 0 or more, or a bool."""
    if isinstance(verbose, str):
        if verbose == "auto":
            return verbose
    elif isinstance(verbose, (bool, np.bool_)) or (is_integer(verbose) and verbose >= 0):
        return int(verbose)
    raise ValueError(
        f"verbose={verbose!r} has no meaning: use 'auto', 0 for no progress bars, or 1."
    )


def check_sequence(name, values, example):
    """Raise unless `values` is a sequence such as the example, which the message names."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}={values!r} must be a sequence of values, such as {example}.")


def check_choice(name, value, choices, others=""):
    """Return `value` if it is one of the choices, or say what they and `others` are."""
    if value not in choices:
        texts = [choice for choice in choices if isinstance(choice, str)]
        near = difflib.get_close_matches(str(value), texts, 1)
        end = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"{name}={value!r} is unknown: use one of {choices}{others}{end}")
    return value


def check_dtype(dtype, *, or_none=False):
    """Return `dtype` if it names a precision that engines compute in (or is None)."""
    if dtype not in DTYPES and not (or_none and dtype is None):
        names = "'float32', 'float64' or None" if or_none else "'float32' or 'float64'"
        raise ValueError(f"dtype={dtype!r} is unknown: use {names}.")
    return dtype


def check_device(device):
    """Return what a `device` parameter names: "auto", "cpu" or "cuda", and an index or None."""
    kind, colon, index = device.partition(":") if isinstance(device, str) else ("", "", "")
    known = kind == "cuda" and index.isdecimal() if colon else kind in ("auto", "cpu", "cuda")
    if not known:
        raise ValueError(f"device={device!r} is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'.")
    return kind, int(index) if colon else None
