"""Zarr arrays that hold Gram matrices: found where they are, or created by one call alone."""

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from .._support.paths import home_expanded

#: The manifest's name among the array's attributes.
MANIFEST = "sklearn_cntk"

_REMEDY = "Use another store, or remove this one."


def import_zarr():
    """The module, or an error that names the extra to install."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            "Gram matrices on disk need zarr 3: pip install 'sklearn-cntk[zarr]'."
        ) from error
    return zarr


def absolute_store(store):
    """The same store for processes that work in other folders: a local path becomes absolute."""
    local = import_zarr().storage.LocalStore
    if isinstance(store, local) and not store.read_only:
        return os.path.abspath(store.root)  # where zarr has it: ~ is a folder's name there
    if isinstance(store, str):
        store = store.removeprefix("file://")  # zarr makes folders by path, not by URL
    if isinstance(store, os.PathLike) or _is_path(store):
        return os.path.abspath(home_expanded(store))
    return store


def open_or_create(store, shape, chunks, manifest):
    """The array in an absolute `store`, created if there is none, whichever call is first.

    Parameters
    ----------
    store : str or zarr store
    shape : tuple of int
    chunks : callable
        Returns the shape of the chunks, of a new array only.
    manifest : dict
        Of a new array.

    Returns
    -------
    zarr.Array
        As the store has it, so that calls that begin together agree: with the manifest and chunks
        of another call, where that one was first.
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
        except zarr.errors.ContainsArrayError:  # of a call that was faster
            pass
    return zarr.open_array(store, mode="r+")


def reopen(store, chunks, manifest):
    """The array again, which has to be the same one: in other chunks, its values would be lost."""
    array = import_zarr().open_array(store, mode="r+")
    if (array.chunks, array.attrs.asdict().get(MANIFEST)) != (chunks, manifest):
        raise RuntimeError(
            f"store={str(store)!r} was created anew while this call computed, with chunks of "
            f"{array.chunks} instead of {chunks} or for another Gram matrix: call gram_to_zarr "
            "again, and let one call create a store before others use it."
        )
    return array


def check_manifest(found, expected, store, defaults):
    """Raise, naming the differences, unless a store holds what is asked for.

    Parameters of the kernel that are not named have their `defaults`.
    """
    if found is None:
        raise ValueError(
            f"store={str(store)!r} holds an array, but no Gram matrix of CNTK. {_REMEDY}"
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
    """Raise if chunks are missing."""
    missing = array.nchunks - array.nchunks_initialized
    if missing:
        raise RuntimeError(
            f"store={str(store)!r} lacks {missing} of {array.nchunks} chunks, which were there "
            "while this call computed: call gram_to_zarr again, which computes what is missing."
        )


def read_chunk(array, rows, columns):
    """The values of a chunk, or None if they are not there yet, or damaged."""
    try:
        values = array[rows, columns]
    except ValueError:  # the checksum, or the length
        return None
    return None if np.isnan(values).any() else values


def chunk_slices(array):
    """Slices of the rows, and of the columns, of the array's chunks."""
    return [
        [slice(i, min(i + size, n)) for i in range(0, n, size)]
        for n, size in zip(array.shape, array.chunks, strict=True)
    ]


def _is_path(store):
    """Whether a store is a folder's name: what is none, zarr gives to fsspec."""
    return isinstance(store, str) and "://" not in store and "::" not in store


def _publish(document, folder):
    """Write an array's metadata, whole, unless there are any: of several calls, one succeeds."""
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
