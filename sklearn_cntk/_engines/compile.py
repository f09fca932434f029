"""Compilation by Numba: on first use, cached on disk where possible."""

import hashlib
import inspect
import numbers
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile


def compile_lazily(function):
    """Apply ``numba.njit``, releasing the interpreter lock and caching on disk if possible.

    Division follows IEEE 754 instead of raising.  `fastmath` is not used, since its flags assume
    that NaN and infinity do not occur; the inner loops request fused multiply-add explicitly.

    Variables of an outer function are constants to the compiler.  They must be numbers.
    """
    _name_by_constants(function)
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # no folder is writable: compile in every process
        compiled._cache = _BestEffortCache(function)
    return compiled


def _name_by_constants(function):
    """Give each variant of an inner function its own name.

    Compiled functions are linked by name and by a number that Numba counts per process.  A variant
    from the cache, numbered by another process, could be confused with a variant of the same name
    and number that is compiled here: the wrong function would run, without an error.
    """
    constants = inspect.getclosurevars(function).nonlocals
    for name, value in constants.items():
        if not isinstance(value, numbers.Integral):
            raise TypeError(f"{function.__qualname__} has {name}={value!r}: it must be a number.")
    parts = [f"{name}{int(value)}" for name, value in sorted(constants.items())]
    function.__qualname__ = "_".join([function.__qualname__, *parts])


@lru_cache
def _sources(folder=Path(__file__).parent):
    """Return a hash of the sources of all compiled functions, and of the constants in them.

    A function's machine code includes that of the functions it calls, and the layout of their
    arguments.  It is stale as soon as any of them changes, but Numba checks only its own file.
    """
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.py"), *folder.glob("cpu/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _KeyedFiles(IndexDataCacheFile):
    """Numba's cache files of a function, each labelled with what it holds.

    Processes that simultaneously save different constants or types of one function use the same
    number for their files, and the index may confuse them.  Numba would then load the wrong
    function, without an error; here it counts as missing.
    """

    def save(self, key, data):
        super().save(key, (key, self._source_stamp, data))

    def load(self, key):
        held = super().load(key)
        if isinstance(held, tuple) and held[:2] == (key, self._source_stamp):
            return held[2]
        return None


class _BestEffortCache(FunctionCache):
    """Numba's cache of a function, whose failures never stop a computation.

    Files that are damaged, or cannot be read or written, count as missing: the function is
    recompiled, and a warning, issued once per process, says where and why.
    """

    _has_warned = False
    _damage: Exception | None = None

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = _KeyedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(self._impl.locator.get_source_stamp(), _sources()),
        )

    def load_overload(self, signature, target_context):
        """Return the compiled function, or None."""
        try:  # damaged pickles raise errors of any kind
            return super().load_overload(signature, target_context)
        except Exception as error:
            self._damage = error
        return None

    def save_overload(self, signature, data):
        """Save a compiled function, if there is room, replacing damaged files.

        The warning comes last: if warnings are errors, the cache has been repaired by then.
        """
        what, wrong = "read", self._damage
        self._damage = None
        try:
            try:
                super().save_overload(signature, data)
            except OSError:
                raise
            except Exception:  # the index is damaged, and blocks every new file
                self.flush()
                super().save_overload(signature, data)
        except Exception as error:
            what, wrong = "written", error
        if wrong is not None and not _BestEffortCache._has_warned:
            _BestEffortCache._has_warned = True
            warnings.warn(
                f"Numba's cache in {self.cache_path} cannot be {what} ({type(wrong).__name__}: "
                f"{wrong}): functions are recompiled, which takes up to a minute. If this happens "
                "again, delete the files in that folder, free disk space, or set NUMBA_CACHE_DIR "
                "to another folder.",
                RuntimeWarning,
                stacklevel=2,
            )
