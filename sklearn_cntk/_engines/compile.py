"""Compilation by Numba: on first use, kept on disk where possible."""

import numba


def compile_lazily(function):
    """``numba.njit`` without the interpreter lock, cached on disk if there is a folder for it.

    Division follows IEEE 754 instead of raising.  There is no `fastmath`: its flags assume away
    NaN and infinity; the inner loops ask for fused multiply-add by name.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder is writable: compile in every process
        return numba.njit(**options)(function)
