"""Computed kernel entries on disk, addressed by the content of the images.

Layout, version 1::

    folder/
      v1-32x32x3-q3-float32/         a space: image shape, filter size, precision
      v1-32x32x3-q3-float32-flip/    the same for kernels of mirrored images with images
        0f3a….blocks                 records, one after another

A record holds a block of entries in four arrays of NumPy's ``.npy`` format, which as many calls
of ``numpy.load`` on the opened file read:

``header``
    uint8, JSON: the names of the readouts, such as "d11-gap-all"; ``paired``; ``complete``; and
    the CRC-32 of the identifiers and of the values of each readout.
``rows``, ``columns``
    uint8 (k, 32) and (m, 32): SHA-256 of the images' shape and pixels, see :func:`digests`.
``values``
    float64 (readouts, k, m), NaN where nothing was computed; or (readouts, k) for the pairs
    (row i, column i), if ``paired``.

Files are written under another name and renamed when they are whole, and never changed: readers
and writers need no locks.  A kernel is symmetric, so a record serves both orders of its images.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
import warnings
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

#: Counts changes of the algorithm that change values, or of the layout.
VERSION = 1

SUFFIX = ".blocks"

# A writer keeps entries in memory for at most this share of the time that it has run, so that a
# killed run loses no more, and a long one makes few files; or until they fill that many bytes.
_LARGEST_LOSS = 0.02
_SHORTEST_WAIT = 0.5
_BUFFER_BYTES = 2**26

# Where a space has more small files than this, they are joined.
_MANY_FILES = 256
_SMALL_FILE = 2**20

_HASHED_BYTES = 2**20  # converted to float64 at a time

_STALE_SECONDS = 24 * 3600  # a temporary file of this age has no writer any more


def digests(images):
    """SHA-256 of each image's shape and pixels, as float64: equal for equal images of any dtype.

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
        # 0.0 takes the place of -0.0, which is the same pixel.
        for image in np.add(images[start : start + block], 0.0, dtype="<f8", order="C"):
            digest = prefix.copy()
            digest.update(image)
            result.append(digest.digest())
    return result


def readout_name(readout):
    """The name of a Readout in the store."""
    pooling = "gap" if readout.gap else f"lap{readout.lap}" if readout.lap else "trace"
    return f"d{readout.depth}-{pooling}-{readout.trained_layers}"


class DamagedFileError(Exception):
    """A file of the store that is not what a writer left."""


@dataclass
class Record:
    """A block of entries, its values mapped from disk."""

    names: dict[str, int]
    rows: list[bytes]
    columns: list[bytes]
    values: np.ndarray
    paired: bool
    complete: bool
    checksums: list[int]
    verified: set[str] = field(default_factory=set)

    def plane(self, name):
        """The values of a readout."""
        return self.values[self.names[name]]

    def verify(self, names):
        """Raise DamagedFileError if the values of these readouts are not what was written."""
        for name in names:
            if name not in self.verified:
                if zlib.crc32(self.plane(name).data) != self.checksums[self.names[name]]:
                    raise DamagedFileError(f"its values of {name} have another checksum")
                self.verified.add(name)


def write_record(file, names, rows, columns, values, *, paired, complete):
    """Append a record to an open file."""
    rows, columns = (
        np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32) for ids in (rows, columns)
    )
    values = np.ascontiguousarray(values, dtype="<f8")
    header = {
        "readouts": list(names),
        "paired": paired,
        "complete": complete,
        "crc32_images": zlib.crc32(columns.data, zlib.crc32(rows.data)),
        "crc32": [zlib.crc32(plane.data) for plane in values],
    }
    text = json.dumps(header).encode()
    text = np.frombuffer(text.ljust(-(-len(text) // 64) * 64), np.uint8)  # keeps values aligned
    for array in (text, rows, columns, values):
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)


# Files never change, so what was read of one stays true; only mapped values are kept open.
@lru_cache(maxsize=4096)
def read_records(path, size):
    """All records of a file of `size` bytes, which is part of the cache's key."""
    records = []
    lists = {}  # tiles of one row of a Gram matrix share one list of identifiers

    def identifiers(array):
        data = array.tobytes()
        if data not in lists:
            lists[data] = [data[i : i + 32] for i in range(0, len(data), 32)]
        return lists[data]

    try:
        with open(path, "rb") as file:
            while file.tell() < size:
                text, rows, columns = (
                    np.lib.format.read_array(file, allow_pickle=False) for _ in range(3)
                )
                header = json.loads(text.tobytes())
                np.lib.format.read_magic(file)
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
                expected = (len(header["readouts"]), len(rows), len(columns))[
                    : 3 - header["paired"]
                ]
                if shape != expected or fortran or dtype != np.dtype("<f8"):
                    raise DamagedFileError(f"it holds values {dtype} of shape {shape}")
                if header["crc32_images"] != zlib.crc32(columns.data, zlib.crc32(rows.data)):
                    raise DamagedFileError("its identifiers have another checksum")
                start = file.tell()
                values = np.memmap(file, dtype, "r", offset=start, shape=shape)
                file.seek(start + values.nbytes)
                records.append(
                    Record(
                        names={name: k for k, name in enumerate(header["readouts"])},
                        rows=identifiers(rows),
                        columns=identifiers(columns),
                        values=values,
                        paired=header["paired"],
                        complete=header["complete"],
                        checksums=header["crc32"],
                    )
                )
    except (ValueError, KeyError, TypeError, EOFError, SyntaxError) as error:
        raise DamagedFileError(str(error)) from error
    return records


class Space:
    """The part of a store whose images and architecture may meet.

    Parameters
    ----------
    folder : Path
        Created when something is written.
    max_bytes : int
        Limit of the folder above it, the whole store.
    """

    def __init__(self, folder, max_bytes):
        self.folder = folder
        self.max_bytes = max_bytes
        self._seen = set()

    def new_files(self):
        """Files that this object has not returned before."""
        try:
            entries = [entry for entry in os.scandir(self.folder) if entry.name.endswith(SUFFIX)]
        except FileNotFoundError:
            return []
        paths = sorted(entry.path for entry in entries if entry.path not in self._seen)
        self._seen.update(paths)
        return paths

    def read(self, target):
        """Call ``target.copy(record)`` for every new record of which ``target.wants(record)``.

        A damaged or foreign file is reported and renamed, and what it held counts as missing.
        """
        for path in self.new_files():
            try:
                status = os.stat(path)
                records = read_records(path, status.st_size)
                wanted = [record for record in records if target.wants(record)]
                for record in wanted:  # all before the first is used: damage condemns the file
                    record.verify(target.names)
                for record in wanted:
                    target.copy(record)
                if wanted and time.time() - status.st_mtime > 60:
                    os.utime(path)  # the files unused for longest are evicted first
            except (FileNotFoundError, PermissionError):
                continue  # evicted meanwhile, or not to be touched
            except DamagedFileError as damage:
                _set_aside(path, damage)

    def write(self, records):
        """Write records, each the arguments of `write_record` after the file, as one new file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{uuid.uuid4().hex}{SUFFIX}"
        temporary = path.with_suffix(".tmp")
        try:
            with open(temporary, "wb") as file:
                for arguments, options in records:
                    write_record(file, *arguments, **options)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
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
        if len(small) <= _MANY_FILES:
            return
        joined = self.folder / f"{uuid.uuid4().hex}{SUFFIX}"
        temporary = joined.with_suffix(".tmp")
        taken = []
        with open(temporary, "wb") as target:
            for path in small:
                try:
                    data = path.read_bytes()
                    read_records(str(path), len(data))
                except (FileNotFoundError, DamagedFileError):
                    continue  # joined by another process, or reported when it is next read
                target.write(data)
                taken.append(path)
        os.replace(temporary, joined)
        self._seen.add(str(joined))
        for path in taken:
            path.unlink(missing_ok=True)


class Writer:
    """Collects blocks of entries and writes them now and then, and on leaving a ``with``."""

    def __init__(self, space):
        self.space = space
        self._records = []
        self._bytes = 0
        self._start = self._flushed = time.monotonic()
        self._wrote = self._failed = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.flush()
        if self._wrote:
            self.space.tidy()

    def add(self, names, rows, columns, values, *, paired=False, complete=True):
        """Take a block as `write_record` does; return whether it was time to write."""
        if self._failed:
            return False
        options = {"paired": paired, "complete": complete}
        self._records.append(((names, rows, columns, values), options))
        self._bytes += values.nbytes
        now = time.monotonic()
        wait = max(_SHORTEST_WAIT, _LARGEST_LOSS * (now - self._start))
        if now - self._flushed < wait and self._bytes < _BUFFER_BYTES:
            return False
        self.flush()
        return True

    def flush(self):
        """Write what was collected."""
        records, self._records, self._bytes = self._records, [], 0
        self._flushed = time.monotonic()
        if records and not self._failed:
            try:
                self.space.write(records)
                self._wrote = True
            except OSError as error:  # say, a full disk: the result itself needs no store
                self._failed = True
                warnings.warn(
                    f"memory={str(self.space.folder.parent)!r} could not be written ({error}): "
                    "kernel entries of this call are not kept from here on.",
                    RuntimeWarning,
                    stacklevel=2,
                )


def _files(folder):
    """(path, status) of everything in a store's folder that is the store's, old leftovers gone."""
    files = []
    for space in _spaces(folder):
        for path in space.iterdir():
            if path.suffix not in (SUFFIX, ".tmp", ".damaged"):
                continue
            try:
                status = path.stat()
                if path.suffix == ".tmp" and time.time() - status.st_mtime > _STALE_SECONDS:
                    path.unlink()
                elif path.suffix != ".tmp":
                    files.append((path, status))
            except FileNotFoundError:
                continue
    return files


def _spaces(folder):
    """Folders of the spaces of a store, of any version."""
    return [path for path in Path(folder).glob("v[0-9]*-q[0-9]*-float*") if path.is_dir()]


def _set_aside(path, damage):
    renamed = Path(path).with_suffix(".damaged")
    warnings.warn(
        f"{path} is damaged or not a file of sklearn_cntk ({damage}): it was renamed to "
        f"{renamed.name}, and its entries are computed again.",
        RuntimeWarning,
        stacklevel=2,
    )
    try:
        os.replace(path, renamed)
    except FileNotFoundError:
        pass  # another process was first


@dataclass(frozen=True)
class KernelStore:
    """A folder of computed kernel entries, for the parameter `memory`.

    ``memory="folder"`` is the same as ``memory=KernelStore("folder")``.

    Parameters
    ----------
    folder : str or path-like
        Created when something is written.  Several processes, of several machines on a common
        file system, may use it at once.
    max_bytes : int, default=20_000_000_000
        When a computation leaves more, the files unused for longest are removed.  A pair of
        images takes 8 bytes a depth.

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
        """The store for a `memory` parameter, or None."""
        if memory is None or isinstance(memory, cls):
            store = memory
        elif isinstance(memory, (str, os.PathLike)):
            store = cls(memory)
        else:
            raise TypeError(
                f"memory={memory!r} is no folder: use a path, a sklearn_cntk.KernelStore or None."
            )
        if store is not None:
            folder = Path(store.folder)
            if folder.exists() and not folder.is_dir():
                raise NotADirectoryError(f"memory={str(folder)!r} is a file: name a folder.")
            if isinstance(store.max_bytes, bool) or not store.max_bytes > 0:
                raise ValueError(f"max_bytes={store.max_bytes!r} must be a positive number.")
        return store

    def space(self, architecture: Any, dtype: str, flip: bool) -> Space:
        """The Space of images and kernels that may meet."""
        shape = "x".join(map(str, architecture.image_shape))
        name = f"v{VERSION}-{shape}-q{architecture.filter_size}-{dtype}" + "-flip" * flip
        return Space(Path(self.folder) / name, self.max_bytes)


def clear_memory(folder: str | os.PathLike[str] | KernelStore) -> int:
    """Remove all kernel entries that `memory` has kept in a folder.

    Parameters
    ----------
    folder : str, path-like or KernelStore
        Other files in it stay.

    Returns
    -------
    int
        Bytes that were freed.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    """
    path = Path(folder.folder if isinstance(folder, KernelStore) else folder)
    if not path.is_dir():
        raise FileNotFoundError(f"folder={str(path)!r} does not exist.")
    freed = 0
    for space in _spaces(path):
        for file in space.iterdir():
            if file.suffix in (SUFFIX, ".tmp", ".damaged"):
                freed += file.stat().st_size
                file.unlink(missing_ok=True)
        if not any(space.iterdir()):
            space.rmdir()
    return freed
