"""Gram matrices in Zarr arrays: larger than memory, written by many workers, resumable."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from random import shuffle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import effective_n_jobs, parallel_config

from ._compute.parallel import run
from ._compute.tiles import pair_work
from ._store.entries import VERSION, digests
from ._store.zarr_arrays import (
    MANIFEST,
    absolute_store,
    check_complete,
    check_manifest,
    chunk_slices,
    import_zarr,
    open_or_create,
    read_chunk,
    reopen,
)
from ._support.checks import check_integer
from ._support.images import as_images, check_same_shape
from ._support.progress import progress_bar
from .kernels import CNTK

if TYPE_CHECKING:
    import zarr

    from ._support.typing import Any, ArrayLike, Dtype

# Element-layers of a chunk: some seconds of one core, the most that a killed worker loses.
_CHUNK_WORK = 1e10
_LARGEST_CHUNK = 1024

# Chunks a job, if they are not too small, half as many of a symmetric matrix: they end at different
# times.
_CHUNKS_A_JOB = 16


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
    Calls that begin together on a new folder agree which one creates the array; in other stores,
    such as buckets, let one call create it before others begin.
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
        Side of the chunks.  None takes that of the array which is there, for a new one some
        seconds' work of one core, at most 1024.

    Returns
    -------
    zarr.Array of shape (n, m)
        Complete, and open for reading and writing.

    Raises
    ------
    ImportError
        zarr is missing.
    TypeError
        `kernel` is no CNTK, or `chunk_size` no integer.
    ValueError
        The store holds a Gram matrix of another kernel or of other images, or in other chunks;
        the message names what differs.
    RuntimeError
        Another call, or user, has replaced or removed parts of the store meanwhile.

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
    store = absolute_store(store)
    if not isinstance(kernel, CNTK):
        raise TypeError(
            f"kernel must be a CNTK, got {type(kernel).__name__}: scale or combine Gram matrices "
            "after reading them."
        )
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype={dtype!r} is unknown: use 'float64', 'float32' or None.")
    if chunk_size is not None:
        chunk_size = check_integer("chunk_size", chunk_size, 1, "use 1 or more, or None")
    symmetric = Y is None or Y is X
    X = as_images(X, kernel.image_shape)
    Y = X if symmetric else as_images(Y, kernel.image_shape, name="Y")
    check_same_shape(X, Y)
    job = kernel._job(X)
    manifest = _manifest(kernel, job, X, None if symmetric else Y, dtype)

    def chunks():
        side = chunk_size or _chunk_size(len(X), len(Y), job)
        return min(side, len(X)), min(side, len(Y))

    array = open_or_create(store, (len(X), len(Y)), chunks, manifest)
    found = array.attrs.asdict().get(MANIFEST)
    if dtype is None and found is not None:
        manifest["dtype"] = found["dtype"]
    check_manifest(found, manifest, store)
    if chunk_size is not None and array.chunks != chunks():
        raise ValueError(
            f"chunk_size={chunk_size} makes chunks of {chunks()}, but those in "
            f"store={str(store)!r} are of {array.chunks}: use chunk_size=None or another store."
        )

    n_pairs = len(X) * (len(X) + 1) // 2 if symmetric else len(X) * len(Y)
    # Without the engine of this machine: workers choose.  A chunk is one thread's work.
    task = _Task(replace(job, n_jobs=1), store, array.chunks, found, symmetric)
    with progress_bar(n_pairs, kernel.verbose, job.label) as advance:
        for pairs in run(_fill_chunk, (task, X, Y), _chunks(array, symmetric), kernel.n_jobs):
            advance(pairs)
    array = task.open()
    check_complete(array, store)
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
    array = import_zarr().open_array(absolute_store(store), mode="r")
    return GramProgress(array.nchunks_initialized, array.nchunks)


def fingerprint(images):
    """One SHA-256 of all images in their order."""
    return hashlib.sha256(b"".join(digests(images))).hexdigest()


def _manifest(kernel, job, X, Y, dtype):
    """What a store says of its Gram matrix: all that changes values, as JSON has it."""
    (readout,) = job.readouts
    return {
        "version": VERSION,
        "kernel": {
            "depth": readout.depth,
            "gap": readout.gap,
            "lap": readout.lap,
            "trained_layers": readout.trained_layers,
            "filter_size": job.architecture.filter_size,
            "flip": bool(job.flip),
            "normalize": bool(job.normalize),
            "dtype": str(kernel.dtype),
        },
        "image_shape": [int(side) for side in X.shape[1:]],
        "X": fingerprint(X),
        "Y": None if Y is None else fingerprint(Y),
        "dtype": "float64" if dtype is None else str(dtype),
    }


class _Task(NamedTuple):
    """What all chunks have in common; small, and known to other processes."""

    job: object
    store: object
    chunks: tuple
    manifest: dict
    symmetric: bool

    def open(self):
        return reopen(self.store, self.chunks, self.manifest)


def _chunks(array, symmetric):
    """(rows, columns) of the chunks to compute, in random order, for the sake of other calls.

    Those on the diagonal, with half of the work, come last, so that workers end together.
    """
    rows, columns = chunk_slices(array)
    chunks = [
        pair for pair in product(rows, columns) if not symmetric or pair[0].start <= pair[1].start
    ]
    shuffle(chunks)
    return sorted(chunks, key=lambda pair: symmetric and pair[0] == pair[1])


def _fill_chunk(task, X, Y, rows, columns):
    """Compute a chunk and its mirror image unless they are there; return the number of pairs."""
    array = task.open()
    diagonal = task.symmetric and rows == columns
    places = [(rows, columns)]
    if task.symmetric and not diagonal:
        places.append((columns, rows))
    if any(read_chunk(array, *place) is None for place in places):
        with parallel_config("threading"):  # a worker of a cluster has no tasks for the cluster
            (values,) = task.job.gram(X[rows], None if diagonal else Y[columns], advance=_ignore)
        array = task.open()  # once more: the computation has taken its time
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
        n * m / (_CHUNKS_A_JOB * effective_n_jobs(job.n_jobs)),
    )
    return int(min(_LARGEST_CHUNK, max(16, np.sqrt(pairs) // 16 * 16)))
