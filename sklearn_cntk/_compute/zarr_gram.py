"""The Gram matrix of a job, computed into a Zarr array chunk by chunk."""

import hashlib
from dataclasses import fields, replace
from itertools import product
from random import shuffle
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs, parallel_config

from .._engines.plan import pair_work
from .._store.entries import VERSION, digests
from .._store.zarr_arrays import (
    MANIFEST,
    check_complete,
    check_manifest,
    chunk_slices,
    open_or_create,
    read_chunk,
    reopen,
)
from .._support.architecture import Architecture, Readout
from .._support.images import check_same_shape
from .._support.progress import progress_bar
from .parallel import run

# Element-layers of a chunk: a few seconds of one core, the most that a killed worker loses.
_CHUNK_WORK = 1e10
_LARGEST_CHUNK = 1024

# Chunks per job, or half as many for a symmetric matrix, unless they are too small: chunks finish
# at different times.
_CHUNKS_A_JOB = 16


def fill_array(job, X, Y, store, dtype=None, chunk_size=None):
    """Return the Zarr array of a Gram matrix in an absolute `store`, once it is complete.

    Parameters
    ----------
    job : Job
        A job with one readout.
    X, Y : ndarray (n, P, Q, C) and (m, P, Q, C), or None for a symmetric matrix
    store, dtype, chunk_size
        As in `gram_to_zarr`, validated.
    """
    symmetric = Y is None
    Y = X if symmetric else Y
    check_same_shape(X, Y)
    manifest = _manifest(job, X, None if symmetric else Y, dtype)

    def chunks():
        side = chunk_size or _chunk_size(len(X), len(Y), job)
        return min(side, len(X)), min(side, len(Y))

    array = open_or_create(store, (len(X), len(Y)), chunks, manifest)
    found = array.attrs.asdict().get(MANIFEST)
    if found is not None:
        if dtype is None:
            manifest["dtype"] = found["dtype"]
        if X.shape[1:3] == (1, 1):  # feature vectors ignore the requested dtype
            manifest["kernel"]["dtype"] = found["kernel"]["dtype"]
    defaults = {f.name: f.default for cls in (Architecture, Readout) for f in fields(cls)}
    check_manifest(found, manifest, store, defaults)
    if chunk_size is not None and array.chunks != chunks():
        raise ValueError(
            f"chunk_size={chunk_size} makes chunks of {chunks()}, but those in "
            f"store={str(store)!r} have shape {array.chunks}: use chunk_size=None or another store."
        )

    n_pairs = len(X) * (len(X) + 1) // 2 if symmetric else len(X) * len(Y)
    # Without this machine's engine: workers choose their own.  A chunk is computed by one thread.
    task = _Task(replace(job, n_jobs=1), store, array.chunks, found, symmetric)
    with progress_bar(n_pairs, job.verbose, job.label) as advance:
        for pairs in run(_fill_chunk, (task, X, Y), _chunks(array, symmetric), job.n_jobs):
            advance(pairs)
    array = task.open()
    check_complete(array, store)
    return array


def fingerprint(images):
    """Return one SHA-256 of all images in their order."""
    return hashlib.sha256(b"".join(digests(images))).hexdigest()


def _manifest(job, X, Y, dtype):
    """Return a store's description of its Gram matrix: all that affects values, for JSON."""
    (readout,) = job.readouts
    computation = {
        "flip": bool(job.flip),
        "normalize": bool(job.normalize),
        "dtype": str(job.dtype),
    }
    return {
        "version": VERSION,
        "kernel": readout.parameters | job.architecture.parameters | computation,
        "image_shape": [int(side) for side in X.shape[1:]],
        "X": fingerprint(X),
        "Y": None if Y is None else fingerprint(Y),
        "dtype": "float64" if dtype is None else str(dtype),
    }


class _Task(NamedTuple):
    """What all chunks have in common; small, and can be sent to other processes."""

    job: object
    store: object
    chunks: tuple
    manifest: dict
    symmetric: bool

    def open(self):
        return reopen(self.store, self.chunks, self.manifest)


def _chunks(array, symmetric):
    """Return (rows, columns) of the chunks to compute, in random order because of parallel calls.

    Those on the diagonal, with half of the work, come last, so that workers finish together.
    """
    rows, columns = chunk_slices(array)
    chunks = [
        pair for pair in product(rows, columns) if not symmetric or pair[0].start <= pair[1].start
    ]
    shuffle(chunks)
    return sorted(chunks, key=lambda pair: symmetric and pair[0] == pair[1])


def _fill_chunk(task, X, Y, rows, columns):
    """Compute a chunk and its transpose unless they exist; return the number of pairs."""
    array = task.open()
    diagonal = task.symmetric and rows == columns
    places = [(rows, columns)]
    if task.symmetric and not diagonal:
        places.append((columns, rows))
    if any(read_chunk(array, *place) is None for place in places):
        with parallel_config("threading"):  # a cluster's worker must not send tasks to the cluster
            (values,) = task.job.gram(X[rows], None if diagonal else Y[columns], advance=_ignore)
        array = task.open()  # again, since the computation took a while
        for place, block in zip(places, (values, values.T), strict=False):
            array[place] = block
    n, m = rows.stop - rows.start, columns.stop - columns.start
    return n * (n + 1) // 2 if diagonal else n * m


def _ignore(pairs):
    """Show no progress bar for a single chunk."""


def _chunk_size(n, m, job):
    """Return the side of the chunks: small enough to lose one, and to have several per worker."""
    work = max(_CHUNK_WORK, job.engine.limits(travelling=True).work)
    pairs = min(
        work / pair_work(job.architecture, job.readouts),
        n * m / (_CHUNKS_A_JOB * effective_n_jobs(job.n_jobs)),
    )
    return int(min(_LARGEST_CHUNK, max(16, np.sqrt(pairs) // 16 * 16)))
