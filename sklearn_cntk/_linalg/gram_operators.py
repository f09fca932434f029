"""Symmetric Gram matrices, in memory or on disk, with the operations of an iterative solver."""

from contextlib import nullcontext

import numpy as np

from .._compute.parallel import run, runs_here
from .._store.zarr_arrays import absolute_store, chunk_slices, import_zarr, read_chunk
from .threads import one_thread


class ArrayGram:
    """A Gram matrix in memory."""

    def __init__(self, K):
        self.K = K
        self.n = len(K)

    def diagonal(self):
        """Return the diagonal (n,), float64."""
        return np.diagonal(self.K).copy()

    def columns(self, index):
        """Return columns (n, len(index)), float64."""
        return self.K[:, index]

    def product(self, V):
        """Return K @ V for V (n, k), float64."""
        return self.K @ V


class ZarrGram:
    """A Gram matrix written by `gram_to_zarr`, read in chunks; products run through joblib."""

    def __init__(self, store, n_jobs):
        self.store = absolute_store(store)
        self.n_jobs = n_jobs
        self.array = import_zarr().open_array(self.store, mode="r")
        self.n = self.array.shape[0]
        self.strips, _ = chunk_slices(self.array)

    def diagonal(self):
        """Return the diagonal (n,), float64."""
        blocks = (_read(self.array, strip, strip).diagonal() for strip in self.strips)
        return np.concatenate([*blocks]).astype(np.float64)

    def columns(self, index):
        """Return columns (n, len(index)), float64, reading each chunk that holds them once."""
        columns = np.empty((self.n, len(index)))
        shared = (self.store, np.asarray(index))
        calls = ((rows,) for rows in self.strips)
        for rows, block in run(
            _strip_columns, shared, calls, self.n_jobs, columns.nbytes // len(self.strips)
        ):
            columns[rows] = block
        return columns

    def product(self, V):
        """Return K @ V for V (n, k), float64, reading the upper triangle once."""
        result = np.zeros(V.shape)
        # Pair long and short strips of the triangle, so that all calls are about equally long.
        strips, half = self.strips, -(-len(self.strips) // 2)
        calls = (({i, len(strips) - 1 - i},) for i in range(half))
        # The calls run in parallel: waiting threads of the linear algebra library would spin.
        with one_thread() if runs_here() else nullcontext():
            for part in run(_triangle_product, (self.store, V), calls, self.n_jobs, V.nbytes):
                result += part
        return result


def _strip_columns(store, index, rows):
    array = import_zarr().open_array(store, mode="r")
    strips, _ = chunk_slices(array)
    block = np.empty((rows.stop - rows.start, len(index)))
    for columns in strips:
        (inside,) = np.nonzero((index >= columns.start) & (index < columns.stop))
        if len(inside):
            block[:, inside] = _read(array, rows, columns)[:, index[inside] - columns.start]
    return rows, block


def _triangle_product(store, V, numbers):
    array = import_zarr().open_array(store, mode="r")
    strips, _ = chunk_slices(array)
    result = np.zeros(V.shape)
    for number in sorted(numbers):
        rows = strips[number]
        for columns in strips[number:]:
            block = _read(array, rows, columns).astype(np.float64, copy=False)
            result[rows] += block @ V[columns]
            if columns != rows:
                result[columns] += block.T @ V[rows]
    return result


def _read(array, rows, columns):
    values = read_chunk(array, rows, columns)
    if values is None:
        raise ValueError(
            f"The Gram matrix in {array.store_path} lacks rows {rows.start} to {rows.stop}, "
            f"columns {columns.start} to {columns.stop}, or they are damaged: call gram_to_zarr "
            "again, which computes what is missing."
        )
    return values
