"""A validated computation: which kernels, by which engine, in which precision."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._engines import select_engine
from .._store.entries import KernelStore
from .._support import ram
from .._support.architecture import Architecture, Readout
from .._support.checks import check_dtype, check_flag, check_n_jobs, check_verbose
from .._support.images import check_same_shape
from .._support.progress import progress_bar
from .cached import Distinct, stored_diagonals, stored_gram
from .normalisation import Normalizer
from .parallel import runs_here
from .tiles import Block, mean, pairs, tiles
from .value_range import check_range, check_rows

if TYPE_CHECKING:
    from .._engines.protocol import Engine

_ALL = slice(None)


class HeldValues(NamedTuple):
    """Numbers of float64 kernel values held at a time, if matrices are computed in blocks.

    Attributes
    ----------
    block : int
        In a block: 256 MB.
    stored : int
        In the blocks that are looked up in a store together, if there is room: 1 GB.
    """

    block: int = 2**25
    stored: int = 2**27


@dataclass(frozen=True)
class Job:
    """Kernel values of several readouts for images of one shape.

    Built by :meth:`of`, which checks every parameter before anything is computed.
    """

    device: str | Engine
    architecture: Architecture
    readouts: list[Readout]
    dtype: str
    flip: bool
    normalize: bool
    n_jobs: int | None
    store: KernelStore | None
    verbose: int | str
    held: HeldValues = HeldValues()

    @classmethod
    def of(cls, kernel, images, readouts=None):
        """Return the job of a `kernel`, an object with CNTK's parameters, for images (n, P, Q, C).

        It computes the kernel's own readout, or the given `readouts`.
        """
        for name in ("flip", "normalize"):
            check_flag(name, getattr(kernel, name))
        check_dtype(kernel.dtype)
        job = cls(
            device=kernel.device,
            architecture=Architecture.of(kernel, images.shape[1:]),
            readouts=[Readout.of(kernel)] if readouts is None else readouts,
            # Uncentred feature vectors are nearly parallel; float32 would lose half its digits.
            dtype="float64" if images.shape[1:3] == (1, 1) else kernel.dtype,
            flip=kernel.flip,
            normalize=kernel.normalize,
            n_jobs=check_n_jobs(kernel.n_jobs),
            store=KernelStore.of(kernel.memory),
            verbose=check_verbose(kernel.verbose),
        )
        architecture = job.architecture
        if job._has_no_pixels:
            _warn_of_what_needs_pixels(kernel, job)
        if not architecture.is_plain:
            network = architecture.layers(max(readout.depth for readout in job.readouts))
            network.shapes(architecture.image_shape)  # an error names the layer that has no output
            if job.flip:
                network.check_mirror_symmetry(architecture.image_shape)
        job.engine  # noqa: B018 - raises an error if there is none
        return job

    def __getstate__(self):
        """Return the state to pickle: without the engine, since a worker may have another."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def of_known_store(self):
        """Return the job, without its store if the store's folder does not exist.

        For predictions: someone who loads a model may not want the folder that it was fitted with.
        """
        if self.store is None or os.path.isdir(self.store.folder):
            return self
        return replace(self, store=None)

    @cached_property
    def engine(self) -> Engine:
        """The engine, selected on the machine where the job is, so that jobs can be sent around."""
        return select_engine(self.device)

    @property
    def label(self) -> str:
        """The label of progress bars: the kind of kernel, and what the engine runs on."""
        kind = "fully connected NTK" if self._has_no_pixels else "CNTK"
        return f"{kind} on {self.engine.label}"

    @property
    def _has_no_pixels(self):
        """Whether images are feature vectors."""
        return self.architecture.image_shape[:2] == (1, 1)

    @property
    def lanes(self):
        """Number of images of Y that the engine of this process computes together."""
        limits = self.engine.limits(travelling=not runs_here())
        return max(1, limits.vector_bytes // np.dtype(self.dtype).itemsize)

    @property
    def flips(self):
        """The `flip` of each kernel in the mean: images as they are, and mirrored."""
        return (False, True) if self.flip else (False,)

    def gram(
        self, X, Y=None, *, x_diagonals=None, y_diagonals=None, advance=None, transposes=False
    ):
        """Return kernel values (readouts, n, m) of images X and Y, or of X with itself.

        The `raw_diagonals`, by which `normalize` divides, are computed unless they are given.
        `advance` replaces the progress bar of this call.

        If Y has fewer images than an engine's vector has lanes, some lanes are idle.  With
        `transposes`, X and Y are then swapped.  This changes rounding, so do not use it for parts
        of a larger matrix.
        """
        symmetric = Y is None
        Y = X if symmetric else Y
        check_same_shape(X, Y)
        transposed = transposes and len(Y) < min(len(X), self.lanes)
        rows, columns = (Y, X) if transposed else (X, Y)
        whole = Block.whole(len(rows), len(columns), symmetric)
        with self._progress(whole.n_pairs, advance) as advance_bar:
            ((_, values),) = self._filled(rows, columns, [whole], advance_bar)
        if transposed:
            values = np.ascontiguousarray(values.transpose(0, 2, 1))
        if symmetric:
            diagonals = np.diagonal(values, axis1=1, axis2=2).copy()
            check_range(diagonals, X, self.readouts)
            if self.normalize:
                Normalizer(diagonals, diagonals, symmetric).divide(values, _ALL, _ALL)
        else:
            self._check_rows(values.max(axis=2), X)
            if self.normalize:
                self._normalizer(X, Y, x_diagonals, y_diagonals).divide(values, _ALL, _ALL)
        return values

    def blocks(self, X, Y, *, x_diagonals=None, y_diagonals=None):
        """Yield (rows, kernel values (readout, rows, m)) of images X and Y, by blocks of X's rows.

        So memory does not grow with the number of images in X, while Y is prepared by the engine,
        sent to a cluster, or looked up in a store only once.  Blocks are yielded when they are
        finished, in any order.
        """
        check_same_shape(X, Y)
        height = max(1, self.held.block // (len(self.readouts) * len(Y)))
        at_once = height * self._blocks_at_once(height * len(Y))
        columns = np.arange(len(Y))
        blocks = [
            Block(np.arange(i, min(i + at_once, len(X))), columns)
            for i in range(0, len(X), at_once)
        ]
        with self._progress(len(X) * len(Y)) as advance:
            normalizer = None
            if self.normalize:
                normalizer = self._normalizer(X, Y, x_diagonals, y_diagonals)
            for block, values in self._filled(X, Y, blocks, advance):
                first, last = int(block.rows[0]), int(block.rows[-1]) + 1
                self._check_rows(values.max(axis=2), X[first:last])
                if normalizer is not None:
                    normalizer.divide(values, slice(first, last), _ALL)
                for start in range(first, last, height):
                    rows = slice(start, min(start + height, last))
                    yield rows, values[:, start - first : start - first + height]

    def triangle(self, X):
        """Yield tiles whose values add up to the upper triangle of the Gram matrices of images X.

        Entries below the diagonal are 0.  The store is not used.
        """
        normalizer = None
        if self.normalize:
            diagonals = self.raw_diagonals(X)
            normalizer = Normalizer(diagonals, diagonals, symmetric=True)
        largest = np.zeros((len(self.readouts), len(X)))
        block = Block.whole(len(X), len(X), symmetric=True)
        with self._progress(block.n_pairs) as advance:
            for tile in tiles(self, X, X, [block], flips=self.flips):
                values = np.where(tile.computed, tile.values, 0.0)
                np.maximum(largest[:, tile.i], values.max(axis=2), out=largest[:, tile.i])
                if normalizer is not None:
                    normalizer.divide(values, tile.i, tile.j)
                yield tile._replace(values=values)
                advance(tile.n_pairs * len(self.flips))
        self._check_rows(largest, X)

    def diagonals(self, X):
        """Return kernel values (readouts, n) of images with themselves."""
        return self.of_raw(self.raw_diagonals(X))

    def raw_diagonals(self, X):
        """Return the same before normalization: the values that `normalize` divides by."""
        with self._progress(len(X)) as advance:
            values = self._diagonals(X, advance)
        check_range(values, X, self.readouts)
        return values

    def of_raw(self, diagonals):
        """Return the diagonals of kernel matrices, given the raw ones."""
        return (diagonals > 0).astype(np.float64) if self.normalize else diagonals

    def _filled(self, X, Y, blocks, advance):
        """Yield (block, kernel values (readout, row, column)) once complete, not normalized."""
        if self.store is not None:
            y = None if blocks[0].symmetric else Distinct(Y)
            for block in blocks:
                x = Distinct(X[block.rows[0] : block.rows[-1] + 1])
                values_of = partial(stored_gram, self, x, x if y is None else y, advance)
                yield block, mean(values_of, self.flips)
            return
        begun = {}  # the values of each block, and the number of pairs that are missing
        for tile in tiles(self, X, Y, blocks, flips=self.flips):
            block, key = tile.block, id(tile.block)
            if key not in begun:
                shape = len(self.readouts), len(block.rows), len(block.columns)
                begun[key] = [np.empty(shape), block.n_pairs]
            values = begun[key][0]
            tile.place(values, first_row=block.rows[0])
            begun[key][1] -= tile.n_pairs
            advance(tile.n_pairs * len(self.flips))
            if begun[key][1] == 0:
                del begun[key]
                yield block, values

    def _blocks_at_once(self, block_values):
        """Return the number of blocks that are looked up in a store together.

        Every look-up needs the index of the store, and the digests of the block's images.
        """
        if self.store is None:
            return 1
        room = ram.available_bytes()
        most = self.held.stored if room is None else min(self.held.stored, room // (4 * 8))
        return max(1, most // (len(self.readouts) * block_values))

    def _diagonals(self, X, advance):
        if self.store is None:
            return pairs(self, X, X, flips=self.flips, advance=advance)
        return mean(partial(stored_diagonals, self, Distinct(X), advance), self.flips)

    def _normalizer(self, X, Y, x_diagonals, y_diagonals):
        return Normalizer(
            self.raw_diagonals(X) if x_diagonals is None else x_diagonals,
            self.raw_diagonals(Y) if y_diagonals is None else y_diagonals,
        )

    def _check_rows(self, largest, X):
        check_rows(
            largest, X, self.readouts, lambda images: self._diagonals(images, lambda pairs: None)
        )

    def _progress(self, n_pairs, advance=None):
        return progress_bar(n_pairs * len(self.flips), self.verbose, self.label, advance)


def _warn_of_what_needs_pixels(kernel, job):
    """Warn about parameters that have no effect on feature vectors."""
    lap = max(readout.lap for readout in job.readouts)
    without_effect = {
        "flip=True": job.flip,
        f"lap={lap}": lap > 0,
        f"filter_size={kernel.filter_size}": kernel.filter_size not in (1, 3),
    }
    named = [text for text, is_given in without_effect.items() if is_given]
    if named:
        warnings.warn(
            f"{' and '.join(named)}: no effect on feature vectors, which have one pixel. If rows "
            "are images, set image_shape=(height, width) or (height, width, channels).",
            UserWarning,
            stacklevel=4,
        )
