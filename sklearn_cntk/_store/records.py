"""Blocks of kernel entries in files: layout, writing, reading, checksums.

Layout, version 1::

    folder/
      v1-32x32x3-q3-float32/         a partition: image shape, filter size, precision
      v1-32x32x3-q3-float32-flip/    the same for kernels of mirrored images with images
        0f3a….blocks                 records, one after another

A record holds a block of entries in four arrays of NumPy's ``.npy`` format, which four calls of
``numpy.load`` on the open file read:

``header``
    uint8, JSON: ``crc32``, eight hexadecimal digits, the CRC-32 of all bytes of the record before
    its values except these digits; the names of the readouts, such as "d11-gap-all"; ``paired``;
    ``complete``; and ``crc32_values``, the CRC-32 of the values of each readout.
``rows``, ``columns``
    uint8 (k, 32) and (m, 32): SHA-256 of the images' shape and pixels.
``values``
    float64 (readouts, k, m), NaN where nothing was computed; or (readouts, k) for the pairs
    (row i, column i), if ``paired``.

A kernel is symmetric, so a record serves both orders of its images.
"""

import json
import math
import os
import re
import zlib
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

_MAGIC = b"\x93NUMPY\x01\x00"

# The header begins with its checksum, so that the digits are found without parsing the JSON.
_DIGITS = slice(len('{"crc32": "'), len('{"crc32": "') + 8)


class DamagedFileError(Exception):
    """A file of the store differs from what was written."""


@dataclass
class Record:
    """A block of entries, and where in its file the values are."""

    names: dict[str, int]
    rows: list[bytes]
    columns: list[bytes]
    paired: bool
    complete: bool
    checksums: list[int]
    start: int
    verified: set[str] = field(default_factory=set)

    @property
    def shape(self):
        """Shape of the values of one readout."""
        return (len(self.rows),) if self.paired else (len(self.rows), len(self.columns))

    def plane(self, file, name):
        """Return the values of a readout, read from the open file."""
        plane = np.empty(self.shape, "<f8")
        file.seek(self.start + self.names[name] * plane.nbytes)
        if file.readinto(plane.reshape(-1).view(np.uint8)) != plane.nbytes:
            raise DamagedFileError("it ends within a record")
        return plane

    def verify(self, file, names):
        """Raise DamagedFileError if the values of these readouts differ from what was written."""
        for name in names:
            if name not in self.verified:
                if zlib.crc32(self.plane(file, name)) != self.checksums[self.names[name]]:
                    raise DamagedFileError(f"the checksum of its values of {name} does not match")
                self.verified.add(name)


def write_record(file, names, rows, columns, values, *, paired, complete):
    """Append a record to an open file."""
    values = np.ascontiguousarray(values, dtype="<f8")
    header = {
        "crc32": "0" * 8,
        "readouts": list(names),
        "paired": paired,
        "complete": complete,
        "crc32_values": [zlib.crc32(plane) for plane in values],
    }
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 64) * 64)
    before = _preamble("|u1", (len(text),))
    after = b"".join(
        piece for ids in (rows, columns) for piece in (_preamble("|u1", (len(ids), 32)), *ids)
    ) + _preamble("<f8", values.shape)
    digits = _head_digits(before, text, after)
    file.write(before + text[: _DIGITS.start] + digits + text[_DIGITS.stop :] + after)
    file.write(values)


# Files never change, so what was read from one remains valid.  Values are read on demand: keeping
# all files open or mapped would exceed the limits of the system.
@lru_cache(maxsize=4096)
def read_records(path, size):
    """Return all records of a file of `size` bytes, which is part of the cache's key.

    Raises
    ------
    DamagedFileError
        The file differs from what was written.  The values themselves are not checked.
    OSError
        The file could not be read.
    """
    records = []
    # Tiles of one row of a Gram matrix share one list of identifiers.
    lists: dict[bytes, list[bytes]] = {}
    with open(path, "rb") as file:
        while file.tell() < size:
            try:
                records.append(_read_record(file, size, lists))
            except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
                raise DamagedFileError(f"a header cannot be read: {error!r}") from error
    return records


def _read_record(file, size, lists):
    before, (length,) = _read_preamble(file, "|u1", 1)
    text = _read(file, length)
    arrays, after = [], b""
    for _ in range(2):
        preamble, (n, width) = _read_preamble(file, "|u1", 2)
        arrays.append(_read(file, n * width))
        after += preamble + arrays[-1]
    preamble, shape = _read_preamble(file, "<f8", None)
    if _head_digits(before, text, after + preamble) != text[_DIGITS]:
        raise DamagedFileError("the checksum of a record does not match")
    header = json.loads(text)
    for data in arrays:
        if data not in lists:
            lists[data] = [data[i : i + 32] for i in range(0, len(data), 32)]
    rows, columns = (lists[data] for data in arrays)
    record = Record(
        names={name: k for k, name in enumerate(header["readouts"])},
        rows=rows,
        columns=columns,
        paired=header["paired"],
        complete=header["complete"],
        checksums=header["crc32_values"],
        start=file.tell(),
    )
    if shape != (len(record.names), *record.shape):
        raise DamagedFileError(f"it holds values of shape {shape}")
    if file.seek(8 * math.prod(shape), 1) > size:
        raise DamagedFileError("it ends within a record")
    return record


def _preamble(dtype, shape):
    """Return what the ``.npy`` format puts before the data of an array."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": tuple(shape)}).encode()
    text = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11) + b"\n"
    return _MAGIC + len(text).to_bytes(2, "little") + text


def _read_preamble(file, dtype, ndim):
    """Read a preamble and its shape, written exactly as by `_preamble`, without evaluating it."""
    start = _read(file, 10)
    if not start.startswith(_MAGIC):
        raise DamagedFileError("there is no array where a record should continue")
    raw = start + _read(file, int.from_bytes(start[8:], "little"))
    shape = tuple(int(n) for n in re.findall(rb"\d+", raw.partition(b"'shape': ")[2]))
    if raw != _preamble(dtype, shape) or ndim not in (None, len(shape)):
        raise DamagedFileError(f"it holds an array of another kind than {dtype}")
    return raw, shape


def _read(file, n_bytes):
    # Never allocate more memory than the file has bytes, whatever number a foreign file contains.
    data = file.read(min(n_bytes, os.fstat(file.fileno()).st_size))
    if len(data) != n_bytes:
        raise DamagedFileError("it ends within a record")
    return data


def _head_digits(before, text, after):
    """Return the digits of the header: the checksum of everything before the values."""
    checksum = zlib.crc32(text[: _DIGITS.start], zlib.crc32(before))
    return b"%08x" % zlib.crc32(after, zlib.crc32(text[_DIGITS.stop :], checksum))
