"""How the estimators solve for their dual coefficients, and where the Gram matrix is kept."""

import warnings
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from .._compute.cost import estimate
from .._compute.zarr_gram import fill_array
from .._engines.plan import pair_work
from .._linalg.conjugate_gradients import ridge_cg
from .._linalg.gpu_ridge import ridge_dual_on_device, roomy_device
from .._linalg.gram_operators import ArrayGram, ZarrGram
from .._linalg.nystroem import LANDMARKS, ridge_nystroem
from .._store.zarr_arrays import absolute_store
from .._support import ram
from .._support.checks import check_choice, check_integer, check_verbose, is_number
from .._support.progress import is_talkative
from .calibration import predict_by_folds

SOLVERS = ("auto", "cholesky", "cg", "nystroem")

# A stored Gram matrix of up to this many bytes in float64 is read once, not per iteration.
_READ_ONCE = 2**26

# Above this work, about half a minute, a verbose fit says beforehand how long it will take.
_LONG_WORK = 1e11


@dataclass(frozen=True)
class Solver:
    """A solver with checked parameters, for n training images."""

    name: str
    alpha: float
    n_components: int | None
    landmarks: str
    gram_store: object
    tol: float
    max_iter: int
    random_state: object
    verbose: int
    device: object = None  # the GPU that solves, for "cholesky" only

    @classmethod
    def of(cls, estimator, n):
        """Return the solver that an estimator's parameters ask for."""
        name = check_choice("solver", estimator.solver, SOLVERS)
        verbose = int(is_talkative(check_verbose(estimator.verbose)))
        tol = estimator.tol
        if not is_number(tol) or not 0 < tol < 1:
            raise ValueError(f"tol={tol!r} must be a number between 0 and 1, such as 1e-6.")
        max_iter = check_integer("max_iter", estimator.max_iter, 1, "use 1 or more")
        check_choice("landmarks", estimator.landmarks, LANDMARKS)
        n_components = estimator.n_components
        if name == "nystroem":
            if n_components is None:
                raise ValueError(
                    "solver='nystroem' needs n_components, the number of landmarks: 1 to "
                    f"{n} with these training images."
                )
            n_components = check_integer("n_components", n_components, 1, "use 1 or more")
            if n_components > n:
                raise ValueError(
                    f"n_components={n_components} is more than the {n} training images: "
                    f"use a number from 1 to {n}."
                )
            if estimator.gram_store is not None:
                raise ValueError(
                    "gram_store cannot be used with solver='nystroem', which needs no Gram matrix: "
                    "set gram_store=None."
                )
        elif n_components is not None:
            # Not an error: scikit-learn's own checks set this parameter wherever it exists.
            warnings.warn(
                f"n_components={n_components} is not used by solver={name!r}: use "
                "solver='nystroem' or n_components=None.",
                UserWarning,
                stacklevel=4,
            )
        if estimator.training_time is not None and name in ("cg", "nystroem"):
            raise ValueError(
                f"training_time={estimator.training_time} needs an eigendecomposition, which "
                f"solver={name!r} avoids: use solver='auto' or training_time=None."
            )
        device = None
        if name in ("auto", "cholesky") and not _needs_host(estimator):
            device = roomy_device(estimator.device, n, verbose)
        if device is not None:
            name = "cholesky"
            if verbose:
                print(f"The linear system of {n} rows is solved on {device.label}.")
        elif name == "auto":
            name = _choose(n, estimator.gram_store, estimator.training_time, verbose)
        return cls(
            name=name,
            alpha=estimator.alpha,
            n_components=n_components,
            landmarks=estimator.landmarks,
            gram_store=estimator.gram_store,
            tol=tol,
            max_iter=max_iter,
            random_state=estimator.random_state,
            verbose=verbose,
            device=device,
        )

    def dual_on_device(self, job, images, targets, sample_weight, return_left_out):
        """Return what `ridge_dual` returns, from the GPU that has room for the Gram matrix."""
        self._announce(job, len(images))
        return ridge_dual_on_device(
            self.device,
            job,
            images,
            targets,
            self.alpha,
            sample_weight,
            return_left_out=return_left_out,
        )

    def gram(self, job, images):
        """Return the Gram matrix in memory, in float64."""
        self._announce(job, len(images))
        if self.gram_store is None:
            (K,) = job.gram(images)
            return K
        array = fill_array(job, images, None, absolute_store(self.gram_store))
        return np.asarray(array[:], dtype=np.float64)

    def iterate(self, job, images, targets, sample_weight, draw_folds=None):
        """Return dual coefficients, the number of iterations, and predictions of held-out rows.

        Called with a RandomState, `draw_folds` returns groups of rows.  Each is predicted by
        regression on all others: (rows, predictions), or None without `draw_folds`.
        """
        gram: ArrayGram | ZarrGram
        if self.gram_store is None or len(images) ** 2 * 8 <= _READ_ONCE:
            gram = ArrayGram(self.gram(job, images))
        else:
            self._announce(job, len(images))
            store = absolute_store(self.gram_store)
            fill_array(job, images, None, store)
            gram = ZarrGram(store, job.n_jobs)
        rng = check_random_state(self.random_state)
        solve = partial(ridge_cg, gram, targets, self.alpha, tol=self.tol, max_iter=self.max_iter)
        dual, n_iter = solve(sample_weight, random_state=rng, verbose=self.verbose)
        if draw_folds is None:
            return dual, n_iter, None
        rng = deepcopy(rng)  # keeps the draws of other fits that share it

        def predict(held):
            others = np.ones(len(images)) if sample_weight is None else sample_weight.copy()
            others[held] = 0
            of_others, _ = solve(others, random_state=rng, warn=False)
            product = gram.product(of_others.reshape(len(images), -1))
            return product.reshape(targets.shape)[held]

        return dual, n_iter, predict_by_folds(draw_folds(rng), targets, predict)

    def on_landmarks(self, job, images, targets, sample_weight, draw_rows=None):
        """Return what `ridge_nystroem` returns."""
        self._announce(job, len(images), self.n_components)
        return ridge_nystroem(
            job,
            images,
            targets,
            self.alpha,
            self.n_components,
            self.landmarks,
            sample_weight,
            check_random_state(self.random_state),
            draw_rows,
        )

    def _announce(self, job, n, n_columns=None):
        """Say how long a long computation will take."""
        pairs = n * (n / 2 if n_columns is None else n_columns)
        if self.verbose and pairs * pair_work(job.architecture, job.readouts) > _LONG_WORK:
            print(f"Gram matrix: {estimate(job, n, n_columns)}")


def _needs_host(estimator):
    """Whether the Gram matrix must be on the host: to be stored in Zarr, or for eigenvectors."""
    return estimator.gram_store is not None or estimator.training_time is not None


def _choose(n, gram_store, training_time, verbose):
    """Return "cholesky" if the Gram matrix fits into memory, else "cg"."""
    need = 8 * n**2 * (3 if training_time is not None else 1)
    available = ram.available_bytes()
    fits = available is None or need < 0.9 * available
    name = "cholesky" if fits else "cg"
    if not fits and (gram_store is None or training_time is not None):
        raise MemoryError(
            f"The Gram matrix of {n} images needs {need / 2**30:.1f} GiB, but "
            f"{available / 2**30:.1f} GiB are free: set gram_store to a folder (and leave "
            "training_time=None), use solver='nystroem' with n_components, or a smaller train_size."
        )
    if verbose:
        memory = "unknown" if available is None else f"{available / 2**30:.1f} GiB"
        print(
            f"solver='auto' chose {name!r}: {need / 2**30:.2g} GiB are needed, {memory} are free."
        )
    return name
