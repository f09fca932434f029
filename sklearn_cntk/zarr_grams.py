"""Gram matrices in Zarr arrays: larger than memory, written by many workers, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ._compute.zarr_gram import fill_array
from ._store.zarr_arrays import absolute_store, import_zarr
from ._support.checks import check_dtype, check_integer
from ._support.images import as_images
from .kernels import CNTK

if TYPE_CHECKING:
    import zarr

    from ._support.typing import Any, ArrayLike, Dtype


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
    """Compute a Gram matrix into a Zarr array, or resume where an earlier call stopped.

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
    check_dtype(dtype, or_none=True)
    if chunk_size is not None:
        chunk_size = check_integer("chunk_size", chunk_size, 1, "use 1 or more, or None")
    symmetric = Y is None or Y is X
    X = as_images(X, kernel.image_shape)
    Y = None if symmetric else as_images(Y, kernel.image_shape, name="Y")
    return fill_array(kernel._job(X), X, Y, store, dtype, chunk_size)


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
