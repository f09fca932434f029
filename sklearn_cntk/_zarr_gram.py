"""Gram matrices in Zarr arrays: larger than memory, written by many workers, resumable."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from random import shuffle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import effective_n_jobs, parallel_config

from ._gram import pair_work
from ._images import as_images, check_same_shape
from ._parallel import run
from ._progress import progress_bar
from ._store import VERSION, digests

if TYPE_CHECKING:
    import zarr

    from ._typing import Any, ArrayLike, Dtype
    from .kernels import CNTK

#: The manifest's name among the array's attributes.
MANIFEST = "sklearn_cntk"

# Element-layers of a chunk: some seconds of one core, the most that a killed worker loses.
_CHUNK_WORK = 1e10
_LARGEST_CHUNK = 1024

# What of a kernel's parameters changes its values.
_PARAMETERS = (
    "depth",
    "gap",
    "lap",
    "trained_layers",
    "filter_size",
    "flip",
    "normalize",
    "dtype",
)


class GramProgress(NamedTuple):
    """How far `gram_to_zarr` has come: chunks that are there, and chunks in all."""

    done: int
    total: int


def gram_to_zarr(
    kernel: CNTK,
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    store: Any,
    dtype: Dtype | None = None,
    chunk_size: int | None = None,
) -> zarr.Array:
    """Compute a Gram matrix into a Zarr array, or go on where an earlier call stopped.

    Each chunk is computed and written by one worker, whole, with a checksum; of a symmetric
    matrix the upper triangle is computed, and both are written.  Workers are threads, or those of
    the cluster that ``joblib.parallel_config`` names, which must see the same `store`.  A chunk
    that is there already is checked and left, so several calls may work on one store at once.
    Reading needs nothing but zarr: ``zarr.open_array(store)[:1000, :1000]``; what is not computed
    yet is NaN.

    Parameters
    ----------
    kernel : CNTK
        With all of its parameters, `n_jobs`, `device` and `verbose` among them.
    X : array-like, n images
        As in :meth:`CNTK.__call__`.
    Y : array-like, m images, default=None
        None computes the symmetric Gram matrix of `X`.
    store : str, path-like or zarr store
        A folder, or a URL that fsspec knows, such as "s3://bucket/gram".
    dtype : {"float64", "float32"} or None, default=None
        Of the array.  None takes that of the array which is there, "float64" for a new one.  The
        kernel's own `dtype` is that of the computation.
    chunk_size : int, default=None
        Side of the chunks; None takes some seconds' work of one core, at most 1024.

    Returns
    -------
    zarr.Array of shape (n, m)
        Complete, and open for reading and writing.

    Raises
    ------
    ImportError
        zarr is missing.
    ValueError
        The store holds a Gram matrix of another kernel or of other images; the message names what
        differs.

    See Also
    --------
    gram_progress : How far it is, asked from another process.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from sklearn_cntk import CNTK, gram_to_zarr
    >>> images = np.random.default_rng(0).random((20, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     K = gram_to_zarr(CNTK(depth=4), images, store=folder + "/gram")[:]
    >>> bool(np.all(K == CNTK(depth=4)(images)))
    True
    """
    zarr = import_zarr()
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype={dtype!r} is unknown: use 'float64', 'float32' or None.")
    symmetric = Y is None or Y is X
    X = as_images(X, kernel.image_shape)
    Y = X if symmetric else as_images(Y, kernel.image_shape, name="Y")
    check_same_shape(X, Y)
    job = kernel._job(X)
    manifest = {
        "version": VERSION,
        "kernel": {name: getattr(kernel, name) for name in _PARAMETERS},
        "image_shape": list(X.shape[1:]),
        "X": fingerprint(X),
        "Y": None if symmetric else fingerprint(Y),
        "dtype": dtype or "float64",
    }
    if isinstance(store, str) and store.startswith("file://"):
        store = store.removeprefix("file://")  # zarr makes folders by path, not by URL
    try:
        array = zarr.open_array(store, mode="r+")
    except FileNotFoundError:
        size = chunk_size or _chunk_size(len(X), len(Y), job)
        array = zarr.create_array(
            store,
            shape=(len(X), len(Y)),
            chunks=(min(size, len(X)), min(size, len(Y))),
            dtype=manifest["dtype"],
            fill_value=np.nan,
            compressors=[zarr.codecs.Crc32cCodec()],
            config={"write_empty_chunks": True},
            attributes={MANIFEST: manifest},
        )
    found = array.attrs.asdict().get(MANIFEST)
    if dtype is None and found is not None:
        manifest["dtype"] = found["dtype"]
    _check_manifest(found, manifest, store)

    n_pairs = len(X) * (len(X) + 1) // 2 if symmetric else len(X) * len(Y)
    with progress_bar(n_pairs, kernel.verbose, job.label) as advance:
        # Without the engine of this machine: workers choose.  A chunk is one thread's work.
        shared = (_Task(replace(job, n_jobs=1), store, symmetric), X, Y)
        for pairs in run(_fill_chunk, shared, _chunks(array, symmetric), kernel.n_jobs):
            advance(pairs)
    return array


def gram_progress(store: Any) -> GramProgress:
    """How far `gram_to_zarr` has come, from any process.

    Parameters
    ----------
    store : str, path-like or zarr store
        As in :func:`gram_to_zarr`.

    Returns
    -------
    GramProgress
        A named tuple (done, total) of numbers of chunks.

    Raises
    ------
    FileNotFoundError
        There is no array.
    ImportError
        zarr is missing.
    """
    array = import_zarr().open_array(store, mode="r")
    return GramProgress(array.nchunks_initialized, array.nchunks)


def import_zarr():
    """The module, or an error that names the extra to install."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            "Gram matrices on disk need zarr 3: pip install 'sklearn-cntk[zarr]'."
        ) from error
    return zarr


def fingerprint(images):
    """One SHA-256 of all images in their order."""
    return hashlib.sha256(b"".join(digests(images))).hexdigest()


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


class _Task(NamedTuple):
    """What all chunks have in common; small, and known to other processes."""

    job: object
    store: object
    symmetric: bool


def _chunks(array, symmetric):
    """(rows, columns) of the chunks to compute, in random order, for the sake of other calls."""
    rows, columns = chunk_slices(array)
    chunks = [
        pair for pair in product(rows, columns) if not symmetric or pair[0].start <= pair[1].start
    ]
    shuffle(chunks)
    return chunks


def _fill_chunk(task, X, Y, rows, columns):
    """Compute a chunk and its mirror image unless they are there; return the number of pairs."""
    array = import_zarr().open_array(task.store, mode="r+")
    diagonal = task.symmetric and rows == columns
    places = [(rows, columns)]
    if task.symmetric and not diagonal:
        places.append((columns, rows))
    if any(read_chunk(array, *place) is None for place in places):
        with parallel_config("threading"):  # a worker of a cluster has no tasks for the cluster
            (values,) = task.job.gram(X[rows], None if diagonal else Y[columns], advance=_ignore)
        for place, block in zip(places, (values, values.T), strict=False):
            array[place] = block
    n, m = rows.stop - rows.start, columns.stop - columns.start
    return n * (n + 1) // 2 if diagonal else n * m


def _ignore(pairs):
    """No progress bar of the chunk's own."""


def _chunk_size(n, m, job):
    """Side of the chunks: small enough to lose, and to have several a worker."""
    work = max(_CHUNK_WORK, getattr(job.engine, "tile_work", 0))
    pairs = min(
        work / pair_work(job.architecture, job.readouts),
        n * m / (8 * effective_n_jobs(job.n_jobs)),
    )
    return int(min(_LARGEST_CHUNK, max(16, np.sqrt(pairs) // 16 * 16)))


def _check_manifest(found, expected, store):
    """Raise, naming the differences, unless a store holds what is asked for."""
    remedy = "Use another store, or remove this one."
    if found is None:
        raise ValueError(
            f"store={str(store)!r} holds an array, but no Gram matrix of CNTK. {remedy}"
        )
    differences = [
        f"{name} is {found.get(name)!r} there and {value!r} here"
        for name, value in expected.items()
        if name != "kernel" and found.get(name) != value
    ]
    differences += [
        f"{name}={found['kernel'].get(name)!r} there and {value!r} here"
        for name, value in expected["kernel"].items()
        if found["kernel"].get(name) != value
    ]
    if differences:
        raise ValueError(
            f"store={str(store)!r} holds another Gram matrix: {'; '.join(differences)}. {remedy}"
        )
