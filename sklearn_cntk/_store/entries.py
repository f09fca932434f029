"""Computed kernel entries on disk, addressed by the content of the images.

Files are written under a temporary name, renamed when they are complete, and never changed, so that
readers and writers need no locks.  `records` describes their layout.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .._support.checks import is_number
from .._support.paths import home_expanded
from .records import DamagedFileError, read_records, write_record

#: Increases with every change of the layout, or of the algorithm that changes values.
VERSION = 1

SUFFIX = ".blocks"

# A writer keeps entries in memory for at most this fraction of its running time, so that a killed
# run loses no more and a long run creates few files; or until they fill this many bytes.
_LARGEST_LOSS = 0.02
_BUFFER_BYTES = 2**26

# Files below this size are joined if there are many.
_SMALL_FILE = 2**20

_HASHED_BYTES = 2**20  # converted to float64 at a time

_STALE_SECONDS = 24 * 3600  # a temporary file of this age no longer has a writer


def digests(images):
    """Return the SHA-256 of each image's shape and float64 pixels, whatever the images' dtype.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)

    Returns
    -------
    list of bytes
    """
    prefix = hashlib.sha256(repr(tuple(map(int, images.shape[1:]))).encode())
    result = []
    block = max(1, _HASHED_BYTES // (8 * int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), block):
        # Adding 0.0 replaces -0.0, which is the same pixel, by 0.0.
        for image in np.add(images[start : start + block], 0.0, dtype="<f8", order="C"):
            digest = prefix.copy()
            digest.update(image)
            result.append(digest.digest())
    return result


class Partition:
    """The part of a store for one image shape, architecture and precision.

    Parameters
    ----------
    folder : Path
        Created when something is written.
    max_bytes : int
        Limit of the whole store, which is the parent folder.
    many_files : int
        Small files are joined if there are more than this number.
    shortest_wait : float
        Seconds for which a writer may keep entries in memory, however short its run has been.
    """

    def __init__(self, folder, max_bytes, *, many_files=256, shortest_wait=0.5):
        self.folder = folder
        self.max_bytes = max_bytes
        self.many_files = many_files
        self.shortest_wait = shortest_wait
        self._seen = set()

    def new_files(self):
        """Return the files that this object has not returned before."""
        try:
            with os.scandir(self.folder) as entries:
                found = [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
        except FileNotFoundError:
            return []
        except OSError as error:
            _warn_unread(self.folder, error)
            return []
        paths = sorted(path for path in found if path not in self._seen)
        self._seen.update(paths)
        return paths

    def read(self, target):
        """Call ``target.copy(record, planes)`` for every new record that ``target.wants``.

        A damaged or foreign file is reported and renamed, and its entries count as missing; files
        that the system cannot read are reported and count as missing too.
        """
        for path in self.new_files():
            try:
                self._read_file(path, target)
            except FileNotFoundError:
                continue  # evicted meanwhile
            except OSError as error:
                _warn_unread(path, error)
            except DamagedFileError as damage:
                _set_aside(path, damage)

    def _read_file(self, path, target):
        status = os.stat(path)
        records = read_records(path, status.st_size)
        wanted = [record for record in records if target.wants(record)]
        if not wanted:
            return
        with open(path, "rb") as file:
            for record in wanted:  # verify all before using any: damage invalidates the file
                record.verify(file, target.names)
            for record in wanted:
                target.copy(record, [record.plane(file, name) for name in target.names])
        if time.time() - status.st_mtime > 60:
            with suppress(OSError):  # another user's file, or a read-only file system
                os.utime(path)  # the files unused for longest are evicted first

    def write(self, records):
        """Write records, each given as the arguments of `write_record`, to one new file."""

        def write_all(file):
            for arguments, options in records:
                write_record(file, *arguments, **options)

        try:
            self._new_file(write_all)
        except FileNotFoundError:  # another process called `clear_memory` in between
            self._new_file(write_all)

    def _new_file(self, write):
        """Let ``write(file)`` fill a file that appears when it is complete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{uuid.uuid4().hex}{SUFFIX}"
        temporary = path.with_suffix(".tmp")
        try:
            with open(temporary, "wb") as file:
                write(file)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the error that matters is the first one
                temporary.unlink()
            raise
        self._seen.add(str(path))

    def tidy(self):
        """Join small files, and keep the whole store within its limit."""
        self._join()
        files = _files(self.folder.parent)
        total = sum(status.st_size for _, status in files)
        if total > self.max_bytes:
            for path, status in sorted(files, key=lambda item: item[1].st_mtime):
                path.unlink(missing_ok=True)
                total -= status.st_size
                if total <= 0.9 * self.max_bytes:
                    break

    def _join(self):
        small = [
            path
            for path, status in _files(self.folder.parent)
            if path.parent == self.folder and path.suffix == SUFFIX and status.st_size < _SMALL_FILE
        ]
        if len(small) <= self.many_files:
            return
        taken = []

        def write_all(target):
            for path in small:
                try:
                    data = _whole_file(path)
                except (FileNotFoundError, DamagedFileError):
                    continue  # joined by another process, or reported when it is next read
                target.write(data)
                taken.append(path)

        self._new_file(write_all)
        for path in taken:
            path.unlink(missing_ok=True)


class Writer:
    """Collects blocks of entries and writes them from time to time, and when a ``with`` ends."""

    def __init__(self, partition):
        self.partition = partition
        self._records = []
        self._bytes = 0
        self._start = self._flushed = time.monotonic()
        self._wrote = self._failed = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.flush()
        if self._wrote:
            try:
                self.partition.tidy()
            except OSError as error:
                warnings.warn(
                    f"memory={str(self.partition.folder.parent)!r} could not be tidied ({error}): "
                    "nothing is lost, but it may use more files or bytes than it should.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def add(self, names, rows, columns, values, *, paired=False, complete=True):
        """Add a block, with arguments as in `write_record`; return whether it was written."""
        if self._failed:
            return False
        options = {"paired": paired, "complete": complete}
        self._records.append(((names, rows, columns, values), options))
        self._bytes += values.nbytes
        now = time.monotonic()
        wait = max(self.partition.shortest_wait, _LARGEST_LOSS * (now - self._start))
        if now - self._flushed < wait and self._bytes < _BUFFER_BYTES:
            return False
        self.flush()
        return True

    def flush(self):
        """Write the collected blocks."""
        records, self._records, self._bytes = self._records, [], 0
        self._flushed = time.monotonic()
        if records and not self._failed:
            try:
                self.partition.write(records)
                self._wrote = True
            except OSError as error:  # a full disk, say; the result does not depend on the store
                self._failed = True
                warnings.warn(
                    f"memory={str(self.partition.folder.parent)!r} could not be written ({error}): "
                    "kernel entries of this call are not kept from here on.",
                    RuntimeWarning,
                    stacklevel=2,
                )


def _files(folder):
    """Return (path, status) of all files of a store, after removing old temporary files."""
    files = []
    for path in _all_files(folder):
        try:
            status = path.stat()
            if path.suffix == ".tmp" and time.time() - status.st_mtime > _STALE_SECONDS:
                path.unlink()
            elif path.suffix != ".tmp":
                files.append((path, status))
        except FileNotFoundError:
            continue
    return files


def _all_files(folder):
    """Return the paths of all files in a store's folder that belong to the store."""
    paths = []
    for partition in _partitions(folder):
        with suppress(FileNotFoundError):  # removed by another process
            paths += list(partition.iterdir())
    return [path for path in paths if path.suffix in (SUFFIX, ".tmp", ".damaged")]


def _partitions(folder):
    """Return the folders of a store's partitions, of any version."""
    return [path for path in Path(folder).glob("v[0-9]*-q[0-9]*-float*") if path.is_dir()]


def _whole_file(path):
    """Return the bytes of a file, after verifying it."""
    data = path.read_bytes()
    with open(path, "rb") as file:
        for record in read_records(str(path), len(data)):
            record.verify(file, record.names)
    return data


def _warn_unread(path, error):
    warnings.warn(
        f"{path} could not be read ({error}): its kernel entries are recomputed.",
        RuntimeWarning,
        stacklevel=2,
    )


def _set_aside(path, damage):
    renamed = Path(path).with_suffix(".damaged")
    try:
        os.replace(path, renamed)
        outcome = f"it was renamed to {renamed.name}"
    except FileNotFoundError:
        outcome = "another process renamed it"
    except OSError as error:
        outcome = f"it could not be renamed ({error})"
    warnings.warn(
        f"{path} is damaged or not a file of sklearn_cntk ({damage}): {outcome}, and its entries "
        "are recomputed.",
        RuntimeWarning,
        stacklevel=2,
    )


@dataclass(frozen=True)
class KernelStore:
    """A folder of computed kernel entries, for the parameter `memory`.

    ``memory="folder"`` is the same as ``memory=KernelStore("folder")``.

    Parameters
    ----------
    folder : str or path-like
        Created when something is written.  Several processes, also on several machines with a
        common file system, may use it simultaneously.
    max_bytes : int, default=20_000_000_000
        If the store is larger after a computation, the least recently used files are removed.  A
        pair of images takes 8 bytes per depth.

    See Also
    --------
    clear_memory : Remove all entries.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from sklearn_cntk import CNTK, KernelStore
    >>> images = np.random.default_rng(0).random((5, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kernel = CNTK(depth=4, memory=KernelStore(folder, max_bytes=10**9))
    ...     K = kernel(images)  # computed
    ...     again = kernel(images[::-1])  # read
    >>> bool(np.all(again == K[::-1, ::-1]))
    True
    """

    folder: str | os.PathLike[str]
    max_bytes: int = 20_000_000_000

    @classmethod
    def of(cls, memory: str | os.PathLike[str] | KernelStore | None) -> KernelStore | None:
        """Return the store for a `memory` parameter, with an absolute path, or None."""
        if memory is None or isinstance(memory, cls):
            store = memory
        elif isinstance(memory, (str, os.PathLike)):
            store = cls(memory)
        else:
            raise TypeError(
                f"memory={memory!r} is not a folder: use a path, a sklearn_cntk.KernelStore or "
                "None."
            )
        if store is None:
            return None
        folder = _folder(store.folder)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"memory={str(folder)!r} is a file: use a folder.")
        if not is_number(store.max_bytes):
            raise TypeError(
                f"max_bytes={store.max_bytes!r} is not a number: use a positive number of bytes."
            )
        if not store.max_bytes > 0:
            raise ValueError(f"max_bytes={store.max_bytes!r} must be a positive number.")
        # A job may continue in another working directory.
        return replace(store, folder=folder.absolute())

    def partition(self, architecture: Any, dtype: str, flip: bool) -> Partition:
        """Return the part of the store for one kind of kernel; for internal use.

        Parameters
        ----------
        architecture : Architecture
            Of the network.
        dtype : {"float32", "float64"}
            Precision of the recursion.
        flip : bool
            Whether one image of each pair is mirrored.

        Returns
        -------
        Partition
        """
        name = f"v{VERSION}-{architecture.name}-{dtype}" + "-flip" * flip
        return Partition(Path(self.folder) / name, self.max_bytes)


Memory: TypeAlias = str | os.PathLike[str] | KernelStore | None


def clear_memory(folder: str | os.PathLike[str] | KernelStore) -> int:
    """Remove all kernel entries that `memory` keeps in a folder.

    Parameters
    ----------
    folder : str, path-like or KernelStore
        Other files in it are kept.

    Returns
    -------
    int
        Number of bytes that were freed.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    """
    path = _folder(folder.folder if isinstance(folder, KernelStore) else folder)
    if not path.is_dir():
        raise FileNotFoundError(f"folder={str(path)!r} does not exist.")
    freed = 0
    for file in _all_files(path):
        with suppress(FileNotFoundError):  # another process was first
            size = file.stat().st_size
            file.unlink()
            freed += size
    for partition in _partitions(path):
        with suppress(OSError):  # other files are in it, or another process was first
            partition.rmdir()
    return freed


def _folder(folder):
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder={folder!r} is not a folder: use a path.")
    return Path(home_expanded(folder))
