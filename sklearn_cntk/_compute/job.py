"""A validated computation: which kernels, by which engine, in which precision."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._engines import select_engine
from .._store.entries import KernelStore
from .._support.checks import check_dtype, check_flag
from .._support.images import check_same_shape, flipped
from .._support.network import Architecture, Readout
from .._support.progress import progress_bar
from .._support.ram import available_bytes
from .cached import Distinct, stored_diagonals, stored_gram
from .tiles import Part, gram, pairs, tiles
from .value_range import check_range

# Float64 kernel values of a block: 256 MB, and of the blocks that are looked up in a store at once,
# where there is room: 1 GB.
_BLOCK_VALUES = 2**25
_STORED_VALUES = 2**27


@dataclass(frozen=True)
class Job:
    """Kernel values of several readouts for images of one shape.

    Built by :meth:`of`, which checks every parameter before anything is computed.
    """

    device: str
    architecture: Architecture
    readouts: list[Readout]
    dtype: str
    flip: bool
    normalize: bool
    n_jobs: int | None
    store: KernelStore | None
    verbose: int

    @classmethod
    def of(cls, kernel, images, readouts=None):
        """The job of a `kernel`, an object with CNTK's parameters, for images like (n, P, Q, C).

        Its own readout is computed, or the `readouts`, where several are wanted.
        """
        for name in ("flip", "normalize"):
            check_flag(name, getattr(kernel, name))
        check_dtype(kernel.dtype)
        job = cls(
            device=kernel.device,
            architecture=Architecture.of(kernel, images.shape[1:]),
            readouts=[Readout.of(kernel)] if readouts is None else readouts,
            # Uncentred feature vectors are nearly parallel, where float32 loses half its digits.
            dtype="float64" if images.shape[1:3] == (1, 1) else kernel.dtype,
            flip=kernel.flip,
            normalize=kernel.normalize,
            n_jobs=kernel.n_jobs,
            store=KernelStore.of(kernel.memory),
            verbose=kernel.verbose,
        )
        job.engine  # noqa: B018 - raises if there is none
        return job

    @cached_property
    def engine(self):
        """What computes, see `_engines`; found where the job is, so a job may travel."""
        return select_engine(self.device)

    @property
    def label(self):
        """What a progress bar says of this job: what the engine runs on."""
        return f"CNTK on {getattr(self.engine, 'label', 'CPU')}"

    def gram(self, X, Y=None, *, y_diagonals=None, advance=None):
        """Kernel values (readouts, n, m) of images X and Y, or of X with itself.

        `y_diagonals` saves the pairs that `normalize` needs of Y where the caller has them;
        `advance` takes the place of a progress bar of this call's own.
        """
        symmetric = Y is None
        Y = X if symmetric else Y
        check_same_shape(X, Y)
        n_pairs = len(X) * (len(X) + 1) // 2 if symmetric else len(X) * len(Y)
        with progress_bar(
            n_pairs * (1 + self.flip), self.verbose, self.label, advance
        ) as advance_bar:
            values = self._gram(X, Y, symmetric, advance_bar)
            if self.flip:
                # K(Fx, z) = K(x, Fz), so this one is symmetric too where X is Y.
                values = self._gram(X, Y, symmetric, advance_bar, flip=True, average_with=values)
        if symmetric:
            x_diagonals = y_diagonals = np.diagonal(values, axis1=1, axis2=2).copy()
            check_range(x_diagonals, X, self.readouts)
        else:
            self._check_rows(values.max(axis=2), X)
        if self.normalize:
            if not symmetric:
                x_diagonals = self.diagonals(X)
                y_diagonals = self.diagonals(Y) if y_diagonals is None else y_diagonals
            _divide(values, _root(x_diagonals), _root(y_diagonals))
            if symmetric:  # 1, not 1 and a rounding error
                i = np.arange(len(X))
                values[:, i, i] = x_diagonals > 0
        return values

    def blocks(self, X, Y, *, y_diagonals=None):
        """Yield (rows, kernel values (readout, rows, m)) of images X and Y, by blocks of X's rows.

        So memory does not grow with the number of images in X, while Y is prepared by the engine,
        or sent to a cluster, once.  Blocks come when they are finished, in any order.
        """
        check_same_shape(X, Y)
        height = max(1, _BLOCK_VALUES // (len(self.readouts) * len(Y)))
        slices = [slice(i, min(i + height, len(X))) for i in range(0, len(X), height)]
        n_pairs = len(X) * len(Y) * (1 + self.flip)
        with progress_bar(n_pairs, self.verbose, self.label) as advance:
            if self.store is not None:
                yield from self._stored_blocks(X, Y, slices, y_diagonals, advance)
                return
            x_roots, y_roots = None, None
            if self.normalize:
                x_roots = _root(self.diagonals(X))
                y_roots = _root(self.diagonals(Y) if y_diagonals is None else y_diagonals)
            for rows, values in self._computed_blocks(X, Y, slices, advance):
                self._check_rows(values.max(axis=2), X[rows])
                if self.normalize:
                    _divide(values, x_roots[:, rows], y_roots)
                yield rows, values

    def _computed_blocks(self, X, Y, slices, advance):
        """Yield (rows, kernel values) of slices of X, not normalized."""
        columns = np.arange(len(Y))
        images, shifts = X, [0]
        if self.flip:
            images, shifts = np.concatenate([X, flipped(X)]), [0, len(X)]
        parts = [
            Part(np.arange(rows.start, rows.stop) + shift, columns)
            for rows in slices
            for shift in shifts
        ]
        begun = {}  # by its first row, a block and the number of its entries that are missing
        for tile in tiles(images, Y, parts, **self._options()):
            start = int(tile.part.rows[0]) % len(X)
            n = len(tile.part.rows)
            if start not in begun:
                empty = np.zeros((len(self.readouts), n, len(Y)))
                begun[start] = empty, empty[0].size * len(shifts)
            values, missing = begun[start]
            values[:, tile.i, tile.j] += tile.values / len(shifts)
            advance(tile.values[0].size)
            begun[start] = values, missing - tile.values[0].size
            if begun[start][1] == 0:
                del begun[start]
                yield slice(start, start + n), values

    def _stored_blocks(self, X, Y, slices, y_diagonals, advance):
        """Yield (rows, kernel values) of slices of X, many of which are looked up at once.

        Every look-up takes the index of the store, and the digests of the block's images.
        """
        if self.normalize and y_diagonals is None:
            y_diagonals = self.diagonals(Y)
        Y = Distinct(Y)
        room = available_bytes()
        most = _STORED_VALUES if room is None else min(_STORED_VALUES, room // (4 * 8))
        height = slices[0].stop - slices[0].start
        at_once = max(1, most // (len(self.readouts) * len(Y) * height))
        for first in range(0, len(slices), at_once):
            group = slices[first : first + at_once]
            start = group[0].start
            images = X[start : group[-1].stop]
            values = self.gram(images, Y, y_diagonals=y_diagonals, advance=advance)
            for rows in group:
                yield rows, values[:, rows.start - start : rows.stop - start]

    def triangle(self, X):
        """Yield tiles whose values add up to the upper triangle of the Gram matrices of images X.

        What lies below the diagonal is 0.  The store takes no part.
        """
        rows = np.arange(len(X))
        roots = _root(self.diagonals(X)) if self.normalize else None
        largest = np.zeros((len(self.readouts), len(X)))
        n_pairs = len(X) * (len(X) + 1) // 2 * (1 + self.flip)
        with progress_bar(n_pairs, self.verbose, self.label) as advance:
            for flip in (False, True)[: 1 + self.flip]:
                images = flipped(X) if flip else X
                for tile in tiles(images, X, [Part(rows, rows, symmetric=True)], **self._options()):
                    values = np.where(tile.computed, tile.values, 0.0)
                    np.maximum(largest[:, tile.i], values.max(axis=2), out=largest[:, tile.i])
                    if self.flip:
                        values /= 2
                    if roots is not None:
                        _divide(values, roots[:, tile.i], roots[:, tile.j])
                    yield tile._replace(values=values)
                    advance(int(tile.computed.sum()))
        self._check_rows(largest, X)

    def diagonals(self, X):
        """Kernel values (readouts, n) of images with themselves, not normalized."""
        with progress_bar(len(X) * (1 + self.flip), self.verbose, self.label) as advance:
            values = self._diagonals(X, advance)
            if self.flip:
                values += self._diagonals(X, advance, flip=True)
                values /= 2
        check_range(values, X, self.readouts)
        return values

    def _check_rows(self, largest, X):
        """Check the range of kernel values of which `largest` (readouts, n) holds each row's.

        Rows of zeros may be right, where images of X meet none of their kind: their diagonal tells.
        """
        check_range(np.where(np.isfinite(largest), 1.0, largest), X, self.readouts)
        (vanishing,) = np.nonzero((largest < np.finfo(np.float64).tiny).any(axis=0))
        visible = X[vanishing].any(axis=(1, 2, 3))
        if visible.any():
            one = X[vanishing[visible][:1]]
            check_range(self._diagonals(one, lambda pairs: None), one, self.readouts)

    def _gram(self, X, Y, symmetric, advance, flip=False, average_with=None):
        """Kernel values of X, mirrored if `flip`, and Y; `average_with` is overwritten."""
        options = {"symmetric": symmetric, "advance": advance, **self._options()}
        if self.store is None:
            return gram(flipped(X) if flip else X, Y, average_with=average_with, **options)
        values = stored_gram(X, Y, flip=flip, space=self._space(flip), **options)
        if average_with is None:
            return values
        average_with += values
        average_with /= 2
        return average_with

    def _diagonals(self, X, advance, flip=False):
        """Kernel values of images X, mirrored if `flip`, with themselves."""
        options = {"advance": advance, **self._options()}
        if self.store is None:
            return pairs(flipped(X) if flip else X, X, **options)
        return stored_diagonals(X, flip=flip, space=self._space(flip), **options)

    def _space(self, flip):
        return self.store.space(self.architecture, self.dtype, flip)

    def _options(self):
        return {
            "engine": self.engine,
            "device": self.device,
            "architecture": self.architecture,
            "readouts": self.readouts,
            "dtype": self.dtype,
            "n_jobs": self.n_jobs,
        }


def _divide(values, x_roots, y_roots):
    """Divide kernel values (readouts, n, m) by x_roots (readouts, n) times y_roots (readouts, m).

    By the products, which are symmetric to the last bit, of some rows at a time.
    """
    block = max(1, 2**20 // max(1, values.shape[2]))
    for start in range(0, values.shape[1], block):
        rows = slice(start, start + block)
        values[:, rows] /= x_roots[:, rows, None] * y_roots[:, None]


def _root(diagonals):
    """Square roots, and 1 for all-zero images, whose kernel values are 0."""
    return np.sqrt(np.where(diagonals > 0, diagonals, 1.0))
