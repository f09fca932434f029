"""Gram matrices from tiles: sizes, symmetry and parallel work.

Tiles run wherever ``joblib.parallel_config`` says, see `parallel`.
"""

from collections.abc import Callable
from random import randrange, shuffle
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from .._engines import select_engine
from .parallel import run, runs_here

# Element-layers of a tile: a few tenths of a second on one core, so that Ctrl-C acts at once and
# threads end together, and long enough to hide the cost of a call; of a tile that travels, seconds.
# For a core of a CPU, as all of these: an engine may say what suits it better.
_TILE_WORK = 5e8
_TRAVELLING_TILE_WORK = 4e9

# At least so many tiles a job, if not for symmetry: large ones end at different times.
_TILES_A_JOB = 4
_TRAVELLING_TILES_A_JOB = 32

# Rows and columns of a tile are multiples of every engine's vector, and few enough that what an
# engine keeps of their images (two numbers a pixel and layer) stays below some memory a thread.
_LARGEST_TILE = 256
_LARGEST_TRAVELLING_TILE = 1024
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


class Part(NamedTuple):
    """A part of a Gram matrix that is to be computed.

    `rows` and `columns` are indices into X and Y.  Where the pairs occur in the other order as
    well, `mirror` holds the places in X of the images of `columns`, and in Y those of `rows`.
    In a `symmetric` part the two are the same images, and its upper triangle is computed.
    """

    rows: np.ndarray
    columns: np.ndarray
    symmetric: bool = False
    mirror: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def n_pairs(self):
        """Number of pairs that have to be computed."""
        n, m = len(self.rows), len(self.columns)
        return n * (n + 1) // 2 if self.symmetric else n * m


class Tile(NamedTuple):
    """Computed entries (readout, row, column) of the rows `i` and columns `j` of a part.

    In a symmetric part `computed` tells which of them lie in the upper triangle; elsewhere it is
    None and all were computed.
    """

    part: Part
    i: slice
    j: slice
    values: np.ndarray
    computed: np.ndarray | None

    @property
    def rows(self):
        """Indices into X."""
        return self.part.rows[self.i]

    @property
    def columns(self):
        """Indices into Y."""
        return self.part.columns[self.j]

    def place(self, target):
        """Write the values into `target` (readout, X, Y), in the other order too if asked for.

        Returns the number of pairs.
        """
        places = [(block_index(self.rows, self.columns), self.values, self.computed)]
        if self.part.mirror is not None:
            rows, columns = self.part.mirror
            computed = None if self.computed is None else self.computed.T
            at = block_index(rows[self.j], columns[self.i])
            places.append((at, self.values.swapaxes(1, 2), computed))
        for at, values, computed in places:
            if computed is None:
                target[(slice(None), *at)] = values
            else:
                for plane, entries in zip(target, values, strict=True):
                    plane[at] = np.where(computed, entries, plane[at])
        return self.values[0].size if self.computed is None else int(self.computed.sum())


def block_index(rows, columns):
    """What indexes the block of these rows and columns, by slices where they are consecutive."""
    return slices_index(as_slice(rows), as_slice(columns))


def slices_index(rows, columns):
    """The same, of rows and columns that went through `as_slice`."""
    sliced = isinstance(rows, slice) or isinstance(columns, slice)
    return (rows, columns) if sliced else np.ix_(rows, columns)


def as_slice(index):
    """An array of consecutive integers as a slice, another one, or a slice, as it is."""
    if isinstance(index, slice) or not len(index) or not (np.diff(index) == 1).all():
        return index
    return slice(int(index[0]), int(index[-1]) + 1)


def gram(X, Y, *, symmetric, advance, average_with=None, **options):
    """Stack of Gram matrices (readout, n, m) in float64 of images X with images Y.

    If they are `symmetric`, only the pairs i <= j are computed, and mirrored.  `advance` is
    called with the number of pairs that have just been finished; `options` are those of `tiles`.
    A stack to `average_with` is overwritten by the mean of both, without a second one in memory.
    """
    values = average_with
    if values is None:
        values = np.empty((len(options["readouts"]), len(X), len(Y)))
    rows, columns = np.arange(len(X)), np.arange(len(Y))
    whole = Part(rows, columns, symmetric, (rows, columns) if symmetric else None)
    for tile in tiles(X, Y, [whole], **options):
        if average_with is not None:
            # Pairs are computed once, so these entries are still those of the first stack.
            first = values[(slice(None), *block_index(tile.rows, tile.columns))]
            tile = tile._replace(values=(first + tile.values) / 2)
        advance(tile.place(values))
    return values


def tiles(X, Y, parts, *, engine, device, architecture, readouts, dtype, n_jobs, wanted=None):
    """Compute parts of the Gram matrices of X and Y; yield each Tile when it is done.

    ``wanted(rows, columns)`` is asked just before a tile is begun, which is skipped if it is not.
    The order is random then, so that processes that share their results seldom meet.
    """

    def pieces():
        strips = []
        for part in parts:
            n, m = len(part.rows), len(part.columns)
            height, width = _tile_shape(n, m, engine, architecture, readouts, dtype, n_jobs)
            starts = range(0, m, width)
            strips += [(part, slice(i, i + height), width, starts) for i in range(0, n, height)]
        if wanted is not None:
            shuffle(strips)
        for part, i, width, starts in strips:
            offset = 0 if wanted is None else randrange(len(starts))
            for start in (*starts[offset:], *starts[:offset]):
                j = slice(start, start + width)
                if part.symmetric and j.stop <= i.start:
                    continue
                if wanted is None or wanted(part.rows[i], part.columns[j]):
                    yield part, i, j

    if not parts:
        return
    n_jobs = _n_jobs(engine, n_jobs)
    # Elsewhere there may be other devices than here: workers choose.
    settings = (engine if runs_here() else device, architecture, readouts, dtype)
    function: Callable = _compute_tile
    shared: tuple = (X, Y)
    if runs_here() and hasattr(engine, "prepare"):
        function, shared = _compute_prepared, (engine.prepare(X, Y, *settings[1:]),)
    begun = {}

    def calls():
        for number, (part, i, j) in enumerate(pieces()):
            begun[number] = part, i, j
            triu = i.start - j.start if part.symmetric else None
            yield number, _index(part.rows[i]), _index(part.columns[j]), triu, settings

    for number, values in run(function, shared, calls(), n_jobs):
        part, i, j = begun.pop(number)
        triu = i.start - j.start
        computed = np.triu(np.ones(values.shape[1:], bool), triu) if part.symmetric else None
        yield Tile(part, i, j, values, computed)


def _compute_tile(X, Y, number, rows, columns, triu, settings):
    engine, architecture, readouts, dtype = settings
    engine = select_engine(engine) if isinstance(engine, str) else engine
    return number, engine.gram(X[rows], Y[columns], architecture, readouts, dtype=dtype, triu=triu)


def _compute_prepared(call, number, rows, columns, triu, settings):
    return number, call.gram(rows, columns, triu)


def pairs(X, Y, *, engine, device, architecture, readouts, dtype, n_jobs, advance):
    """Kernel values (readout, n) in float64 of the n pairs (X[i], Y[i])."""
    n_jobs = _n_jobs(engine, n_jobs)
    length, _ = _tile_shape(len(X), 1, engine, architecture, readouts, dtype, n_jobs)
    length = -(-length // _VECTOR) * _VECTOR
    settings = (engine if runs_here() else device, architecture, readouts, dtype)
    slices = ((slice(i, i + length), settings) for i in range(0, len(X), length))
    values = np.empty((len(readouts), len(X)))
    for rows, tile in run(_compute_pairs, (X, Y), slices, n_jobs):
        values[:, rows] = tile
        advance(tile.shape[1])
    return values


def _compute_pairs(X, Y, rows, settings):
    engine, architecture, readouts, dtype = settings
    engine = select_engine(engine) if isinstance(engine, str) else engine
    return rows, engine.pairs(X[rows], Y[rows], architecture, readouts, dtype=dtype)


def _n_jobs(engine, n_jobs):
    """Calls at once: not more than serve an engine of this process."""
    most = getattr(engine, "most_jobs", None)
    return n_jobs if most is None or not runs_here() else min(most, effective_n_jobs(n_jobs))


def _index(index):
    """Indices as a slice or a list: what is small enough to travel with every call."""
    index = as_slice(index)
    return index if isinstance(index, slice) else index.tolist()


def _tile_shape(n, m, engine, architecture, readouts, dtype, n_jobs):
    """Rows and columns of the tiles of an n × m Gram."""
    rows, columns, _ = architecture.image_shape
    layers = max(readout.convolutions for readout in readouts)
    image_bytes = 2 * rows * columns * layers * np.dtype(dtype).itemsize
    table_bytes = getattr(engine, "table_bytes", _TABLE_BYTES)
    largest = _LARGEST_TILE if runs_here() else _LARGEST_TRAVELLING_TILE
    largest = getattr(engine, "largest_tile", largest)
    largest = min(largest, table_bytes // image_bytes // _VECTOR * _VECTOR)
    largest = max(_VECTOR, largest)
    work = _TILE_WORK if runs_here() else _TRAVELLING_TILE_WORK
    work = getattr(engine, "tile_work", work)
    tiles_a_job = _TILES_A_JOB if runs_here() else _TRAVELLING_TILES_A_JOB
    pairs = min(
        work / pair_work(architecture, readouts),
        n * m / (tiles_a_job * effective_n_jobs(n_jobs)),
    )
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
