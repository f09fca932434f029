"""How many threads the linear algebra library uses."""

import os
import threading
from contextlib import contextmanager, nullcontext
from functools import lru_cache

from threadpoolctl import ThreadpoolController

# Rows of a system that one thread solves in a few hundredths of a second.
_SMALL = 1500


def threads_for(n):
    """Return a context that uses a suitable number of threads to solve systems of n rows.

    Small systems use one thread: waiting threads spin, which takes more time from other threads and
    processes than a second thread saves.
    """
    return one_thread() if n <= _SMALL else nullcontext()


@contextmanager
def one_thread():
    """Enter a context in which linear algebra uses one thread, for callers that are parallel."""
    _, of_each_thread = _libraries()
    entry = _limit.enter()
    try:
        with of_each_thread.limit(limits=1):
            yield
    finally:
        _limit.leave(entry)


class _Limit:
    """The limit for libraries with one thread count per process, lifted by the last to leave.

    If every context recorded and restored the count, one that begins inside another thread's
    context would record the limit itself, and later restore it permanently.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self._inside = {}  # the thread of each entry
        self._before = []  # libraries that were limited, and their threads before

    def enter(self):
        """Limit the libraries if this is the first entry; return an object that identifies it."""
        entry = object()
        with self.lock:
            if not self._inside:
                shared, _ = _libraries()
                self._before = [(library, n) for library in shared if (n := _restrict(library))]
            self._inside[entry] = threading.get_ident()
        return entry

    def leave(self, entry):
        """End an entry, and lift the limit if it was the last one."""
        with self.lock:
            self._forget([entry])

    def after_fork(self):
        """Forget the entries of threads that a forked process lacks, and release the lock."""
        here = threading.get_ident()
        self._forget([entry for entry, thread in self._inside.items() if thread != here])
        self.lock.release()

    def _forget(self, entries):
        for entry in entries:
            self._inside.pop(entry, None)
        if not self._inside:
            while self._before:
                _release(*self._before.pop())


def _restrict(library):
    """Give a library one thread; return how many it had, or None if nothing was changed."""
    before = library.num_threads
    if before is None or before == 1:
        return None
    library.set_num_threads(1)
    # threadpoolctl ignores this if another thread has set a number that is still in force.
    return before if library.num_threads == 1 else None


def _release(library, n):
    """Give a library n threads again, no matter which thread limited it."""
    clear = getattr(library, "clear_controlling_thread", lambda force=False: None)
    clear(force=True)
    library.set_num_threads(n)
    clear()


@lru_cache
def _libraries():
    """Return libraries with one thread count, and a controller of those with one per thread.

    Finding the loaded libraries takes a millisecond, so it is done once.  Those of SciPy and NumPy
    are already loaded.
    """
    blas = ThreadpoolController().select(user_api="blas")
    # Newer versions of threadpoolctl limit OpenBLAS with OpenMP through OpenMP, per calling thread.
    of_each_thread = [
        library.filepath
        for library in blas.lib_controllers
        if getattr(library, "threading_layer", None) == "openmp"
        and hasattr(library, "clear_controlling_thread")
    ]
    shared = [k for k in blas.lib_controllers if k.filepath not in of_each_thread]
    return shared, blas.select(filepath=of_each_thread)


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_limit.lock.acquire,
        after_in_parent=_limit.lock.release,
        after_in_child=_limit.after_fork,
    )
