"""Compilation by Numba: on first use, kept on disk where possible."""

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
    """``numba.njit`` without the interpreter lock, cached on disk if there is a folder for it.

    Division follows IEEE 754 instead of raising.  There is no `fastmath`: its flags assume away
    NaN and infinity; the inner loops ask for fused multiply-add by name.

    Variables of an outer function are constants to the compiler.  They have to be numbers.
    """
    _name_by_constants(function)
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # no folder is writable: compile in every process
        compiled._cache = _BestEffortCache(function)
    return compiled


def _name_by_constants(function):
    """Give each variant of an inner function a name of its own.

    Compiled functions are linked by name and by a number that Numba counts in each process.  A
    variant from the cache, which another process has numbered, would be taken for one of its name
    that is compiled here and got the same number: another function, without an error.
    """
    constants = inspect.getclosurevars(function).nonlocals
    for name, value in constants.items():
        if not isinstance(value, numbers.Integral):
            raise TypeError(f"{function.__qualname__} has {name}={value!r}: a number is needed.")
    parts = [f"{name}{int(value)}" for name, value in sorted(constants.items())]
    function.__qualname__ = "_".join([function.__qualname__, *parts])


@lru_cache
def _sources(folder=Path(__file__).parent):
    """Hash of the sources of all compiled functions, and of the constants in them.

    A function's machine code holds that of the functions it calls, and the layout of their
    arguments: it is stale as soon as any of them changes, while Numba looks at its own file alone.
    """
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.py"), *folder.glob("cpu/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _KeyedFiles(IndexDataCacheFile):
    """Numba's files of a function, of which each says what it holds.

    Processes that save other constants or types of one function at the same moment take the same
    number for their files, and the index names one for the other: by Numba's own reading that is
    the wrong function, without an error.  Here it counts as missing.
    """

    def save(self, key, data):
        super().save(key, (key, self._source_stamp, data))

    def load(self, key):
        held = super().load(key)
        if isinstance(held, tuple) and held[:2] == (key, self._source_stamp):
            return held[2]
        return None


class _BestEffortCache(FunctionCache):
    """Numba's cache of a function, which never ends a computation.

    What is damaged, or cannot be read or written, counts as missing: the function is compiled
    anew, and a warning, one a process, says where and why.
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
        """The compiled function, or None."""
        try:  # damaged pickles raise errors of any kind
            return super().load_overload(signature, target_context)
        except Exception as error:
            self._damage = error
        return None

    def save_overload(self, signature, data):
        """Keep a compiled function, if there is room, in place of what is damaged.

        The warning comes last: where warnings are errors, the cache has been repaired by then.
        """
        what, wrong = "read", self._damage
        self._damage = None
        try:
            try:
                super().save_overload(signature, data)
            except OSError:
                raise
            except Exception:  # the index is damaged, and in the way of every new file
                self.flush()
                super().save_overload(signature, data)
        except Exception as error:
            what, wrong = "written", error
        if wrong is not None and not _BestEffortCache._has_warned:
            _BestEffortCache._has_warned = True
            warnings.warn(
                f"Numba's cache in {self.cache_path} cannot be {what} ({type(wrong).__name__}: "
                f"{wrong}): functions are compiled anew, which takes up to a minute. If this comes "
                "again, remove that folder's files, make room, or set NUMBA_CACHE_DIR to another "
                "one.",
                RuntimeWarning,
                stacklevel=2,
            )
