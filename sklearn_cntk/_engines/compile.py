"""Compilation by Numba: on first use, kept on disk where possible."""

import warnings
from contextlib import suppress

import numba
from numba.core.caching import FunctionCache


def compile_lazily(function):
    """``numba.njit`` without the interpreter lock, cached on disk if there is a folder for it.

    Division follows IEEE 754 instead of raising.  There is no `fastmath`: its flags assume away
    NaN and infinity; the inner loops ask for fused multiply-add by name.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # no folder is writable: compile in every process
        compiled._cache = _BestEffortCache(function)
    return compiled


class _BestEffortCache(FunctionCache):
    """Numba's cache of a function, which never ends a computation.

    What is damaged, or cannot be read or written, counts as missing: the function is compiled
    anew, and a warning, one a process, says where and why.
    """

    _has_warned = False

    def load_overload(self, signature, target_context):
        """The compiled function, or None."""
        try:  # damaged pickles raise errors of any kind
            return super().load_overload(signature, target_context)
        except OSError as error:
            self._warn("read", error)
        except Exception as error:
            self._warn("read", error)
            with suppress(OSError):
                self.flush()  # an index that is damaged would be in the way of every new one
        return None

    def save_overload(self, signature, data):
        """Keep a compiled function, if there is room."""
        try:
            super().save_overload(signature, data)
        except Exception as error:
            self._warn("written", error)

    def _warn(self, what, error):
        if _BestEffortCache._has_warned:
            return
        _BestEffortCache._has_warned = True
        warnings.warn(
            f"Numba's cache in {self.cache_path} cannot be {what} ({type(error).__name__}: "
            f"{error}): functions are compiled anew, which takes up to a minute. If this comes "
            "again, remove that folder's files, make room, or set NUMBA_CACHE_DIR to another one.",
            RuntimeWarning,
            stacklevel=2,
        )
