"""Zarr arrays that hold Gram matrices: opened if they exist, or created by exactly one call."""

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from .._support.paths import home_expanded

#: The name of the manifest among the array's attributes.
MANIFEST = "sklearn_cntk"

_REMEDY = "Use another store, or remove this one."


def import_zarr():
    """Return the zarr module, or raise an error that names the extra to install."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            "Gram matrices on disk need zarr 3: pip install 'sklearn-cntk[zarr]'."
        ) from error
    return zarr


def absolute_store(store):
    """Return the store for processes with other working directories: make local paths absolute."""
    local = import_zarr().storage.LocalStore
    if isinstance(store, local) and not store.read_only:
        return os.path.abspath(store.root)  # as zarr does: a ~ is a folder's name here
    if isinstance(store, str):
        store = store.removeprefix("file://")  # zarr creates folders by path, not by URL
    if isinstance(store, os.PathLike) or _is_path(store):
        return os.path.abspath(home_expanded(store))
    return store


def open_or_create(store, shape, chunks, manifest):
    """Open the array in an absolute `store`, or create it if this call is the first.

    Parameters
    ----------
    store : str or zarr store
    shape : tuple of int
    chunks : callable
        Returns the shape of the chunks; called for a new array only.
    manifest : dict
        The manifest of a new array.

    Returns
    -------
    zarr.Array
        As it is in the store, so that simultaneous calls agree: with the manifest and chunks of
        another call, if that one was first.
    """
    zarr = import_zarr()
    try:
        return zarr.open_array(store, mode="r+")
    except FileNotFoundError:
        pass
    options = {
        "shape": shape,
        "chunks": chunks(),
        "dtype": manifest["dtype"],
        "fill_value": np.nan,
        "compressors": [zarr.codecs.Crc32cCodec()],
        "attributes": {MANIFEST: manifest},
        "zarr_format": 3,
    }
    if _is_path(store):
        documents: dict[str, Any] = {}
        zarr.create_array(documents, **options)
        _publish(documents["zarr.json"].to_bytes(), Path(store))
    else:
        try:
            zarr.create_array(store, **options)
        except zarr.errors.ContainsArrayError:  # another call was faster
            pass
    return zarr.open_array(store, mode="r+")


def reopen(store, chunks, manifest):
    """Reopen the array, which has to be the same: with other chunks, values would be lost."""
    array = import_zarr().open_array(store, mode="r+")
    if (array.chunks, array.attrs.asdict().get(MANIFEST)) != (chunks, manifest):
        raise RuntimeError(
            f"store={str(store)!r} was replaced while this call was running, with chunks of "
            f"{array.chunks} instead of {chunks} or for another Gram matrix: call gram_to_zarr "
            "again, and let one call create a store before others use it."
        )
    return array


def check_manifest(found, expected, store, defaults):
    """Raise an error that names the differences, unless a store holds what is expected.

    Parameters of the kernel that are missing have their `defaults`.
    """
    if found is None:
        raise ValueError(
            f"store={str(store)!r} holds an array that is not a Gram matrix of CNTK. {_REMEDY}"
        )
    differences = [
        f"{name} is {found.get(name)!r} there and {value!r} here"
        for name, value in expected.items()
        if name != "kernel" and found.get(name) != value
    ]
    there, here = defaults | found["kernel"], defaults | expected["kernel"]
    differences += [
        f"{name}={there.get(name)!r} there and {here.get(name)!r} here"
        for name in here | there
        if there.get(name) != here.get(name)
    ]
    if differences:
        raise ValueError(
            f"store={str(store)!r} holds another Gram matrix: {'; '.join(differences)}. {_REMEDY}"
        )


def check_complete(array, store):
    """Raise an error if chunks are missing."""
    missing = array.nchunks - array.nchunks_initialized
    if missing:
        raise RuntimeError(
            f"store={str(store)!r} lacks {missing} of {array.nchunks} chunks, which were there "
            "while this call was running: call gram_to_zarr again to compute what is missing."
        )


def read_chunk(array, rows, columns):
    """Return the values of a chunk, or None if they are missing or damaged."""
    try:
        values = array[rows, columns]
    except ValueError:  # the checksum, or the length
        return None
    return None if np.isnan(values).any() else values


def chunk_slices(array):
    """Return the slices of the rows, and of the columns, of the array's chunks."""
    return [
        [slice(i, min(i + size, n)) for i in range(0, n, size)]
        for n, size in zip(array.shape, array.chunks, strict=True)
    ]


def _is_path(store):
    """Return whether a store is the name of a folder; zarr passes other strings to fsspec."""
    return isinstance(store, str) and "://" not in store and "::" not in store


def _publish(document, folder):
    """Write an array's metadata atomically unless it exists: of several calls, one succeeds."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "zarr.json"
    partial = folder / f"zarr.json.{uuid.uuid4().hex}.partial"
    try:
        partial.write_bytes(document)
        try:
            os.link(partial, target)
        except FileExistsError:
            pass
        except OSError:  # a file system without links: not exclusive, but `reopen` will notice
            if not target.exists():
                partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
