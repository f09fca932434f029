"""Gram matrices in tiles: sizes, symmetry and parallel work.

Tiles run where ``joblib.parallel_config`` says, see `parallel`.
"""

import math
from collections.abc import Callable
from functools import partial
from random import randrange, shuffle
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from .._engines import select_engine
from .._engines.plan import pair_work
from .._support.images import flipped
from .parallel import in_own_thread, run, runs_here

#: A number of images that is a multiple of every engine's vector, used for the sides of tiles.
VECTOR = 16

# Element-layers that take about as long as the overhead of a call: smaller tiles do not pay off.
_LEAST_WORK = 1e6

# Work of an engine that is not counted in element-layers, see benchmarks/small_matrices.py: for the
# first covariance, in element-layers per entry and channel; and for every pair.
_CHANNEL_WORK, _PAIR_WORK = 1 / 8, 50

# Element-layers that keep a core busy for a few seconds.
_LONG_WORK = 1e9


class Block(NamedTuple):
    """A block of a Gram matrix to compute.

    `rows` and `columns` are indices into X and Y.  If the pairs also occur in the other order,
    `mirror` holds the places of the images of `columns` in X, and of those of `rows` in Y.  In a
    `symmetric` block, rows and columns are the same images, and the upper triangle is computed.
    """

    rows: np.ndarray
    columns: np.ndarray
    symmetric: bool = False
    mirror: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def whole(cls, n, m, symmetric=False):
        """Return the block of a whole matrix (n, m)."""
        rows, columns = np.arange(n), np.arange(m)
        return cls(rows, columns, symmetric, (rows, columns) if symmetric else None)

    @property
    def n_pairs(self):
        """Number of pairs to compute."""
        n, m = len(self.rows), len(self.columns)
        return n * (n + 1) // 2 if self.symmetric else n * m


class Tile(NamedTuple):
    """Computed entries (readout, row, column) of the rows `i` and columns `j` of a block.

    In a symmetric block `computed` says which of them are in the upper triangle; otherwise it is
    None, and all were computed.
    """

    block: Block
    i: slice
    j: slice
    values: np.ndarray
    computed: np.ndarray | None

    @property
    def rows(self):
        """Indices into X."""
        return self.block.rows[self.i]

    @property
    def columns(self):
        """Indices into Y."""
        return self.block.columns[self.j]

    @property
    def n_pairs(self):
        """Number of pairs that were computed."""
        return self.values[0].size if self.computed is None else int(self.computed.sum())

    def place(self, target, first_row=0):
        """Write the values into `target` (readout, X, Y), transposed too if there is a `mirror`.

        The first row of `target` is row `first_row` of X.
        """
        at = block_index(self.rows - first_row, self.columns)
        _write(target, at, self.values, self.computed)
        if self.block.mirror is not None:
            rows, columns = self.block.mirror
            at = block_index(rows[self.j], columns[self.i])
            computed = None if self.computed is None else self.computed.T
            _write(target, at, self.values.swapaxes(1, 2), computed)


def _write(target, at, values, computed):
    if computed is None:
        target[(slice(None), *at)] = values
        return
    for plane, entries in zip(target, values, strict=True):
        plane[at] = np.where(computed, entries, plane[at])


def block_index(rows, columns):
    """Return an index for the block of these rows and columns; slices if they are consecutive."""
    return slices_index(as_slice(rows), as_slice(columns))


def slices_index(rows, columns):
    """Return the same for rows and columns that went through `as_slice`."""
    sliced = isinstance(rows, slice) or isinstance(columns, slice)
    return (rows, columns) if sliced else np.ix_(rows, columns)


def as_slice(index):
    """Return an array of consecutive integers as a slice; other arrays, and slices, unchanged."""
    if isinstance(index, slice) or not len(index) or not (np.diff(index) == 1).all():
        return index
    return slice(int(index[0]), int(index[-1]) + 1)


def mean(values_of, flips):
    """Return the mean of new arrays ``values_of(flip)``: only here is `flip` averaged over."""
    values = values_of(flips[0])
    with np.errstate(over="ignore", invalid="ignore"):  # callers check the values
        for flip in flips[1:]:
            values += values_of(flip)
        if len(flips) > 1:
            values /= len(flips)
    return values


def tiles(job, X, Y, blocks, *, flips, wanted=None):
    """Compute blocks of the Gram matrices of X and Y; yield each Tile when it is done.

    Parameters
    ----------
    job : Job
    X, Y : ndarray (n, P, Q, C) and (m, P, Q, C)
    blocks : list of Block
    flips : tuple of bool
        Values are the mean of the kernels of X as it is (False) and mirrored (True).
    wanted : callable or None, default=None
        ``wanted(rows, columns)`` is called just before a tile is started; if it returns False, the
        tile is skipped.  The order is then random, so that processes that share their results
        rarely compute the same tile.
    """

    def pieces():
        strips = []
        for block in blocks:
            n, m = len(block.rows), len(block.columns)
            height, width = shapes[n, m]
            starts = range(0, m, width)
            strips += [(block, slice(i, i + height), width, starts) for i in range(0, n, height)]
        if wanted is not None:
            shuffle(strips)
        for block, i, width, starts in strips:
            offset = 0 if wanted is None else randrange(len(starts))
            for start in (*starts[offset:], *starts[:offset]):
                j = slice(start, start + width)
                if block.symmetric and j.stop <= i.start:
                    continue
                if wanted is None or wanted(block.rows[i], block.columns[j]):
                    yield block, i, j

    if not blocks:
        return
    sizes = {(len(block.rows), len(block.columns)) for block in blocks}
    lanes = job.lanes
    vectors = (
        vectors_of(len(block.rows), None if block.symmetric else len(block.columns), lanes)
        for block in blocks
    )
    n_jobs = _n_calls(job, len(flips) * lanes * sum(vectors))
    shapes = {size: _tile_shape(*size, job, n_jobs) for size in sizes}
    tile_bytes = 8 * len(job.readouts) * max(map(math.prod, shapes.values()))
    settings = job.architecture, job.readouts, job.dtype
    function: Callable = _compute_prepared
    shared: tuple
    if runs_here():
        shared = (job.engine.prepare(X, Y, *settings),)
        function = _interruptible(function, job, n_jobs, max(map(math.prod, shapes.values())))
    else:  # workers choose their own devices, which may differ from those here
        function = partial(_compute_sent, job.device, settings)
        shared = (X, Y)
    begun = {}

    def calls():
        for number, (block, i, j) in enumerate(pieces()):
            begun[number] = block, i, j
            triu = i.start - j.start if block.symmetric else None
            yield number, _index(block.rows[i]), _index(block.columns[j]), triu, flips

    for number, values in run(function, shared, calls(), n_jobs, tile_bytes):
        block, i, j = begun.pop(number)
        triu = i.start - j.start
        computed = np.triu(np.ones(values.shape[1:], bool), triu) if block.symmetric else None
        yield Tile(block, i, j, values, computed)


def _compute_prepared(call, number, rows, columns, triu, flips):
    return number, mean(lambda flip: call.gram(rows, columns, triu, flip), flips)


def _compute_sent(device, settings, X, Y, number, rows, columns, triu, flips):
    engine = select_engine(device)
    call = engine.prepare(X[rows], Y[columns], *settings)
    everything = slice(None)
    return _compute_prepared(call, number, everything, everything, triu, flips)


def _interruptible(function, job, n_jobs, n_pairs):
    """Return the function of a tile, in its own thread if it would delay Ctrl-C for long.

    With several workers, joblib uses its own threads.
    """
    is_long = max(n_pairs, VECTOR) * pair_work(job.architecture, job.readouts) > _LONG_WORK
    alone = is_long and effective_n_jobs(n_jobs) == 1
    return partial(in_own_thread, function) if alone else function


def pairs(job, X, Y, *, flips, advance):
    """Return float64 kernel values (readout, n) of the n pairs (X[i], Y[i])."""
    n_jobs = _n_calls(job, len(flips) * -(-len(X) // VECTOR) * VECTOR)
    length, _ = _tile_shape(len(X), 1, job, n_jobs)
    length = -(-length // VECTOR) * VECTOR
    settings = job.engine if runs_here() else job.device, job.architecture, job.readouts, job.dtype
    slices = ((slice(i, i + length), flips, settings) for i in range(0, len(X), length))
    values = np.empty((len(job.readouts), len(X)))
    function = _compute_pairs
    if runs_here():
        function = _interruptible(function, job, n_jobs, VECTOR)
    for rows, tile in run(function, (X, Y), slices, n_jobs):
        values[:, rows] = tile
        advance(tile.shape[1] * len(flips))
    return values


def _compute_pairs(X, Y, rows, flips, settings):
    device, architecture, readouts, dtype = settings
    engine = select_engine(device)

    def values_of(flip):
        images = flipped(X[rows]) if flip else X[rows]
        return engine.pairs(images, Y[rows], architecture, readouts, dtype=dtype)

    return rows, mean(values_of, flips)


def _n_calls(job, n_pairs):
    """Return the number of simultaneous calls for pairs, those in idle lanes of vectors included.

    In this process it is one for little work, otherwise as many as the engine can use.
    """
    if not runs_here():
        return job.n_jobs
    work = pair_work(job.architecture, job.readouts)
    work += work * _CHANNEL_WORK * job.architecture.image_shape[2] + _PAIR_WORK
    if n_pairs * work < job.engine.limits(travelling=False).small_work:
        return 1
    most = job.engine.most_calls
    return job.n_jobs if most is None else min(most, effective_n_jobs(job.n_jobs))


def vectors_of(n_x, n_y, lanes):
    """Count pairs of an image of X and a vector of `lanes` images of Y.

    If `n_y` is None, those of X with itself in the upper triangle.
    """
    if n_y is not None:
        return n_x * -(-n_y // lanes)
    return sum(min(n_x, start + lanes) for start in range(0, n_x, lanes))


def _index(index):
    """Return indices as a slice or a list, small enough to be sent with every call."""
    index = as_slice(index)
    return index if isinstance(index, slice) else index.tolist()


def _tile_shape(n, m, job, n_jobs):
    """Return the numbers of rows and columns of the tiles of an n × m Gram matrix."""
    rows, columns, _ = job.architecture.image_shape
    limits = job.engine.limits(travelling=not runs_here())
    layers = max(1, *(readout.convolutions for readout in job.readouts))
    image_bytes = 2 * rows * columns * layers * np.dtype(job.dtype).itemsize
    largest = min(limits.side, limits.table_bytes // image_bytes // VECTOR * VECTOR)
    largest = max(VECTOR, largest)
    work = pair_work(job.architecture, job.readouts)
    share = n * m / (limits.calls_a_job * effective_n_jobs(n_jobs))
    pairs = min(limits.work / work, max(share, _LEAST_WORK / work))
    width = min(largest, -(-m // VECTOR) * VECTOR)
    height = min(largest, n)
    while height * width > pairs and (height > 1 or width > VECTOR):
        if width > max(VECTOR, height):
            width = -(-width // (2 * VECTOR)) * VECTOR
        elif height > 1:
            height = -(-height // 2)
        else:
            break
    return height, width
