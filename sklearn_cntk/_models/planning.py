"""The cost of fits, predictions and searches, estimated before the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import cho_factor, eigh

from .._compute.cost import Estimate, algebra_seconds, estimate, image_to_estimate_for, together
from .._linalg.threads import one_thread
from .._support.checks import check_alpha, check_integer, check_training_time
from .._support.docstrings import fill_docs
from .solver import Solver
from .training_rows import count_rows

if TYPE_CHECKING:
    from typing import Any

    from .._support.typing import ImageShape


@fill_docs
class FitEstimate:
    """`estimate` of kernel regression."""

    if TYPE_CHECKING:
        image_shape: Any
        alpha: Any
        train_size: Any
        training_time: Any
        _is_calibrated: bool
        _kernel: Any

    def estimate(
        self, n_fit: int, n_predict: int | None = None, *, image_shape: ImageShape = None
    ) -> Estimate:
        """Estimate the cost of `fit`, or of `predict` after it, on the devices used now.

        {measured}
        Linear algebra on a GPU is not counted, nor is that of "cg".

        Parameters
        ----------
        n_fit : int
            Number of training images, before `train_size` takes its share.
        n_predict : int or None, default=None
            Number of images to predict after such a fit; None estimates the fit.
        {image_shape_to_estimate_for}

        Returns
        -------
        {Estimate}

        Raises
        ------
        {unusable}
        MemoryError
            The Gram matrix does not fit into memory; `fit` would raise the same error.

        Examples
        --------
        >>> from sklearn_cntk import CNTKClassifier
        >>> model = CNTKClassifier(depth=4)
        >>> model.estimate(1000, image_shape=(8, 8)).pairs
        500500
        >>> model.estimate(1000, 20, image_shape=(8, 8)).pairs
        20000
        """
        n = count_rows(self.train_size, check_integer("n_fit", n_fit, 1, _NUMBER))
        if n_predict is not None:
            n_predict = check_integer("n_predict", n_predict, 1, f"{_NUMBER}, or None")
        check_alpha(self.alpha)
        check_training_time(self.training_time)
        job = self._kernel()._job(image_to_estimate_for(_own_shape(self), image_shape))
        solver = Solver.of(self, n)
        landmarks = solver.n_components if solver.name == "nystroem" else None
        if n_predict is not None:
            return estimate(job, n_predict, n if landmarks is None else landmarks)
        cost = estimate(job, n, landmarks)
        if job.engine.devices or solver.name == "cg":
            return cost
        if landmarks is not None:  # n m² operations; a factor takes m³/3
            return together([cost], algebra_seconds(cho_factor, landmarks) * 3 * n / landmarks)
        # Probabilities need predictions of rows from the others: with a training time, from four
        # fifths of the rows; otherwise, for as much work as a factor.
        if self.training_time is not None:
            parts = self._is_calibrated * min(5, max(1, 5000 // n))
            return together([cost], algebra_seconds(eigh, n) * (1 + parts / 2))
        return together([cost], algebra_seconds(cho_factor, n) * (1 + self._is_calibrated))


@fill_docs
class SearchEstimate:
    """`estimate` of searches."""

    if TYPE_CHECKING:
        cv: Any
        _checked_alphas: Any
        image_shape: Any
        n_jobs: Any
        _jobs: Any

    def estimate(self, n_fit: int, *, image_shape: ImageShape = None) -> Estimate:
        """Estimate the cost of `fit` on the devices used now.

        {measured}

        Parameters
        ----------
        n_fit : int
            Number of training images.
        {image_shape_to_estimate_for}

        Returns
        -------
        {Estimate}

        Raises
        ------
        {unusable}

        Examples
        --------
        >>> from sklearn_cntk import CNTKClassifierCV
        >>> cost = CNTKClassifierCV(depths=(2, 3)).estimate(1000, image_shape=(8, 8))
        >>> cost.pairs, cost.bytes
        (500500, 32000000)
        """
        n = check_integer("n_fit", n_fit, 1, _NUMBER)
        jobs = self._jobs(image_to_estimate_for(_own_shape(self), image_shape))
        alphas = self._checked_alphas()
        tasks = sum(len(job.readouts) for _, job in jobs)
        with one_thread():
            if self.cv is None:
                of_task = algebra_seconds(eigh, n)
            else:
                n_splits = _count_splits(self.cv, n)
                tasks *= n_splits
                of_task = algebra_seconds(cho_factor, max(1, n - n // n_splits)) * len(alphas)
        rounds = -(-tasks // effective_n_jobs(self.n_jobs))
        seconds = rounds * of_task + algebra_seconds(cho_factor, n)  # and the fit of the best one
        return together([estimate(job, n) for _, job in jobs], seconds)


_NUMBER = "use a number of images"


def _own_shape(estimator):
    """Return the image shape of an estimator's parameter, or else of its fit, or None."""
    if estimator.image_shape is not None:
        return estimator.image_shape
    return getattr(estimator, "image_shape_", None)


def _count_splits(cv, n):
    """Return the number of splits, without consuming a generator."""
    if hasattr(cv, "get_n_splits"):
        try:
            return cv.get_n_splits(np.zeros(n))
        except ValueError as error:  # as without groups
            raise ValueError(
                f"cv={cv!r} cannot tell its number of splits ({error}): estimate with a number "
                "of folds as cv."
            ) from error
    if isinstance(cv, (list, tuple)) and cv:
        return len(cv)
    if hasattr(cv, "__iter__"):
        raise TypeError("cv is an iterator, which can be read once: use a list of its splits.")
    return check_integer("cv", cv, 2, "use a number of folds, a splitter, or a list of splits")
