"""Threads of the linear algebra library."""

from contextlib import nullcontext
from functools import lru_cache

from threadpoolctl import ThreadpoolController

# Rows of a system that one thread solves in a few hundredths of a second.
_SMALL = 1500


def threads_for(n):
    """A context in which systems of n rows are solved by as many threads as serve them.

    One for small ones: waiting threads spin, which steals more time from other threads, and other
    processes, than a second thread saves.
    """
    return one_thread() if n <= _SMALL else nullcontext()


def one_thread():
    """A context in which linear algebra takes one thread, where callers are parallel."""
    return _libraries().limit(limits=1, user_api="blas")


@lru_cache
def _libraries():
    # Finding the loaded libraries takes a millisecond: once.  SciPy's and NumPy's are loaded.
    return ThreadpoolController()
