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
    """Progress of `gram_to_zarr`: the number of chunks written, and of all chunks."""

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

    Each chunk is computed and written whole by one worker, with a checksum.  For a symmetric
    matrix, the upper triangle is computed, and both triangles are written.  Workers are threads, or
    those of the cluster that ``joblib.parallel_config`` names, which must see the same `store`.
    Existing chunks are checked and kept, so several calls may work on one store at the same time.
    Calls that begin together on a new folder agree on which one creates the array; in other stores,
    such as buckets, let one call create it before others begin.
    Reading needs only zarr: ``zarr.open_array(store)[:1000, :1000]``; entries that are not computed
    yet are NaN.

    Parameters
    ----------
    kernel : CNTK
        All of its parameters are used, including `n_jobs`, `device` and `verbose`.
    X : array-like, n images
        As in :meth:`CNTK.__call__`.
    Y : array-like, m images, default=None
        None computes the symmetric Gram matrix of `X`.
    store : str, path-like or zarr store
        A folder, or a URL that fsspec supports, such as "s3://bucket/gram".
    dtype : {"float64", "float32"} or None, default=None
        Data type of the array.  None uses that of an existing array, and "float64" for a new one.
        The kernel's own `dtype` is that of the computation.
    chunk_size : int, default=None
        Side of the chunks.  None uses that of an existing array; for a new one, it chooses a side
        that takes one core a few seconds, at most 1024.

    Returns
    -------
    zarr.Array of shape (n, m)
        Complete, and open for reading and writing.

    Raises
    ------
    ImportError
        zarr is not installed.
    TypeError
        `kernel` is not a CNTK, or `chunk_size` is not an integer.
    ValueError
        The store holds a Gram matrix of another kernel or of other images, or in other chunks;
        the message names what differs.
    RuntimeError
        Another call or user has replaced or removed parts of the store in the meantime.

    See Also
    --------
    gram_progress : The progress, seen from any process.

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
    """Return the progress of `gram_to_zarr`, seen from any process.

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
        The store holds no array.
    ImportError
        zarr is not installed.
    """
    array = import_zarr().open_array(absolute_store(store), mode="r")
    return GramProgress(array.nchunks_initialized, array.nchunks)
