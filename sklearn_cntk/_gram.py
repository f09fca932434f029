"""Gram matrices from tiles: sizes, symmetry, parallel work and progress.

Tiles run through joblib, so ``joblib.parallel_config`` decides where: threads by default, since
the engines hold no interpreter lock.
"""

from contextlib import contextmanager

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

# Element-layers of a tile: a few tenths of a second on one core, so that Ctrl-C acts at once and
# threads end together, and long enough to hide the cost of a call.  For a core of a CPU, as all of
# these; an engine may say what suits it better.
_TILE_WORK = 5e8

# Rows and columns of a tile are multiples of every engine's vector, and few enough that what an
# engine keeps of their images (two numbers a pixel and layer) stays below some memory a thread.
_LARGEST_TILE = 256
_TABLE_BYTES = 2**25
_VECTOR = 16


def pair_work(architecture, readouts):
    """Element-layers of one pair: covariance entries times layers (an upper bound)."""
    rows, columns, _ = architecture.image_shape
    reach = [readout.max_displacement(architecture.image_shape) for readout in readouts]
    entries = 1
    for size, displacement in zip((rows, columns), np.max(reach, axis=0), strict=True):
        displacements = np.arange(-displacement, displacement + 1)
        entries *= int(np.sum(size - abs(displacements)))
    return entries * max(readout.convolutions for readout in readouts)


@contextmanager
def progress_bar(total, verbose, advance=None, engine=None):
    """Yield a function to call with numbers of finished pairs: `advance`, else a bar's, or none.

    The bar says what `engine` runs on.
    """
    if advance is not None or not verbose:
        yield advance or (lambda pairs: None)
        return
    from tqdm.auto import tqdm  # not before it is needed: it imports notebook widgets

    label = getattr(engine, "label", "CPU")
    with tqdm(total=total, desc=f"CNTK on {label}", unit="pair", unit_scale=True) as bar:
        yield bar.update


def gram(X, Y, *, symmetric, engine, architecture, readouts, dtype, n_jobs, advance):
    """Stack of Gram matrices (readout, n, m) in float64 of images X with images Y.

    If they are `symmetric`, only the pairs i <= j are computed, and mirrored.  `advance` is
    called with the number of pairs that have just been finished.
    """
    height, width = _tile_shape(len(X), len(Y), engine, architecture, readouts, dtype, n_jobs)

    def tiles():
        for i in range(0, len(X), height):
            for j in range(0, len(Y), width):
                if not symmetric or j + width > i:
                    yield slice(i, i + height), slice(j, j + width)

    def compute(rows, columns):
        triu = rows.start - columns.start if symmetric else None
        tile = engine.gram(X[rows], Y[columns], architecture, readouts, dtype=dtype, triu=triu)
        return rows, columns, tile

    values = np.empty((len(readouts), len(X), len(Y)))
    for rows, columns, tile in _run(compute, tiles(), n_jobs):
        if symmetric:
            computed = np.triu(np.ones(tile.shape[1:], dtype=bool), rows.start - columns.start)
            np.copyto(values[:, rows, columns], tile, where=computed)
            np.copyto(values[:, columns, rows], tile.swapaxes(1, 2), where=computed.T)
            advance(int(computed.sum()))
        else:
            values[:, rows, columns] = tile
            advance(tile[0].size)
    return values


def pairs(X, Y, *, engine, architecture, readouts, dtype, n_jobs, advance):
    """Kernel values (readout, n) in float64 of the n pairs (X[i], Y[i])."""
    length, _ = _tile_shape(len(X), 1, engine, architecture, readouts, dtype, n_jobs)
    length = -(-length // _VECTOR) * _VECTOR

    def compute(rows):
        return rows, engine.pairs(X[rows], Y[rows], architecture, readouts, dtype=dtype)

    values = np.empty((len(readouts), len(X)))
    slices = ((slice(i, i + length),) for i in range(0, len(X), length))
    for rows, tile in _run(compute, slices, n_jobs):
        values[:, rows] = tile
        advance(tile.shape[1])
    return values


def _run(function, arguments, n_jobs):
    """Yield ``function(*args)`` for each of `arguments`, in the order of completion."""
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
    return parallel(delayed(function)(*args) for args in arguments)


def _tile_shape(n, m, engine, architecture, readouts, dtype, n_jobs):
    """Rows and columns of the tiles of an n × m Gram."""
    rows, columns, _ = architecture.image_shape
    layers = max(readout.convolutions for readout in readouts)
    image_bytes = 2 * rows * columns * layers * np.dtype(dtype).itemsize
    table_bytes = getattr(engine, "table_bytes", _TABLE_BYTES)
    largest = getattr(engine, "largest_tile", _LARGEST_TILE)
    largest = min(largest, table_bytes // image_bytes // _VECTOR * _VECTOR)
    largest = max(_VECTOR, largest)
    work = getattr(engine, "tile_work", _TILE_WORK)
    pairs = min(work / pair_work(architecture, readouts), n * m / (4 * effective_n_jobs(n_jobs)))
    width = min(largest, -(-m // _VECTOR) * _VECTOR)
    height = min(largest, n)
    while height * width > pairs and (height > 1 or width > _VECTOR):
        if width > max(_VECTOR, height):
            width = -(-width // (2 * _VECTOR)) * _VECTOR
        elif height > 1:
            height = -(-height // 2)
        else:
            break
    return height, width
