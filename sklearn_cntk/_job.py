"""A validated computation: which kernels, by which engine, in which precision."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._architecture import Architecture, Readout, check_flag
from ._engines import select_engine
from ._gram import Part, gram, pairs, tiles
from ._images import check_same_shape, flipped
from ._progress import progress_bar
from ._store import KernelStore
from ._stored_gram import stored_diagonals, stored_gram


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
    def of(
        cls,
        images,
        readouts,
        *,
        filter_size,
        flip,
        normalize,
        device,
        dtype,
        n_jobs,
        memory,
        verbose,
    ):
        """The job for images like these (n, P, Q, C), from the public parameters."""
        for name, value in (("flip", flip), ("normalize", normalize)):
            check_flag(name, value)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype={dtype!r} is unknown: use 'float32' or 'float64'.")
        job = cls(
            device=device,
            architecture=Architecture(images.shape[1:], filter_size),
            readouts=readouts,
            # Uncentred feature vectors are nearly parallel, where float32 loses half its digits.
            dtype="float64" if images.shape[1:3] == (1, 1) else dtype,
            flip=flip,
            normalize=normalize,
            n_jobs=n_jobs,
            store=KernelStore.of(memory),
            verbose=verbose,
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
                values += self._gram(X, Y, symmetric, advance_bar, flip=True)
                values /= 2
        if self.normalize:
            if symmetric:
                x_diagonals = y_diagonals = np.diagonal(values, axis1=1, axis2=2).copy()
            else:
                x_diagonals = self.diagonals(X)
                y_diagonals = self.diagonals(Y) if y_diagonals is None else y_diagonals
            values /= _root(x_diagonals)[:, :, None]
            values /= _root(y_diagonals)[:, None, :]
            if symmetric:  # 1, not 1 and a rounding error
                i = np.arange(len(X))
                values[:, i, i] = x_diagonals > 0
        return values

    def triangle(self, X):
        """Yield tiles whose values add up to the upper triangle of the Gram matrices of images X.

        What lies below the diagonal is 0.  The store takes no part.
        """
        rows = np.arange(len(X))
        root = _root(self.diagonals(X)) if self.normalize else None
        n_pairs = len(X) * (len(X) + 1) // 2 * (1 + self.flip)
        with progress_bar(n_pairs, self.verbose, self.label) as advance:
            for flip in (False, True)[: 1 + self.flip]:
                images = flipped(X) if flip else X
                for tile in tiles(images, X, [Part(rows, rows, symmetric=True)], **self._options()):
                    values = np.where(tile.computed, tile.values, 0.0)
                    if self.flip:
                        values /= 2
                    if root is not None:
                        values /= root[:, tile.i, None]
                        values /= root[:, None, tile.j]
                    yield tile._replace(values=values)
                    advance(int(tile.computed.sum()))

    def diagonals(self, X):
        """Kernel values (readouts, n) of images with themselves, not normalized."""
        with progress_bar(len(X) * (1 + self.flip), self.verbose, self.label) as advance:
            values = self._diagonals(X, advance)
            if self.flip:
                values += self._diagonals(X, advance, flip=True)
                values /= 2
        return values

    def _gram(self, X, Y, symmetric, advance, flip=False):
        """Kernel values of X, mirrored if `flip`, and Y."""
        options = {"symmetric": symmetric, "advance": advance, **self._options()}
        if self.store is None:
            return gram(flipped(X) if flip else X, Y, **options)
        return stored_gram(X, Y, flip=flip, space=self._space(flip), **options)

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


def _root(diagonals):
    """Square roots, and 1 for all-zero images, whose kernel values are 0."""
    return np.sqrt(np.where(diagonals > 0, diagonals, 1.0))
