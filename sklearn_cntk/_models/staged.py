"""Predictions at several training times, see `gradient_flow`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._linalg.gradient_flow import GradientFlow
from .._support.checks import check_training_time
from .._support.docstrings import fill_docs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sklearn.base import BaseEstimator as _Mixin

    from .._support.typing import Array, ArrayLike, FloatArray
else:
    _Mixin = object


def check_whole_training(estimator, what):
    """Raise if an estimator was fitted on landmarks, whose Gram matrix is not enough."""
    if estimator._fit_targets is None:
        raise ValueError(
            f"{what} need the Gram matrix of all training images, but this model was fitted with "
            "solver='nystroem': use solver='cholesky'."
        )


class StagedPrediction(_Mixin):
    """Predictions at several training times, for estimators that fit dual coefficients."""

    def _staged_targets(self, X, times):
        """Yield predicted targets after each of `times`."""
        check_is_fitted(self)
        times = [np.inf if time is None else time for time in times]
        for time in times:
            check_training_time(time)
        images = self._check_images(X, reset=False)
        check_whole_training(self, "staged predictions")
        flow = self._flow
        if flow is None:
            job = self.kernel_._job(self.X_fit_).of_known_store()
            (K,) = job.gram(self.X_fit_)
            flow = GradientFlow(K, self._fit_alpha, self._fit_weight)
        # One pass over the images, since the kernel values are what is expensive.
        targets = self._fit_targets - self._offset
        dual = [flow.dual(targets, time) for time in times]
        if not dual:
            return
        stacked = np.stack(dual, axis=-1).reshape(len(self.X_fit_), -1)
        predicted = self._kernel_part(images, stacked)
        predicted = predicted.reshape(len(images), *targets.shape[1:], len(times))
        for of_time in np.moveaxis(predicted, -1, 0):
            yield of_time + self._offset


@fill_docs
class StagedRegression(StagedPrediction):
    """`staged_predict` of regressors."""

    def staged_predict(self, X: ArrayLike, times: Iterable[float | None]) -> Iterator[FloatArray]:
        """Predict targets at several training times.

        Parameters
        ----------
        {X_seen}
        {times}

        Yields
        ------
        ndarray of float64, shape (m,) or (m, n_targets)
            For each of the times in turn.

        Notes
        -----
        {staged}
        """
        yield from self._staged_targets(X, times)


@fill_docs
class StagedClassification(StagedPrediction):
    """`staged_decision_function` and `staged_predict` of classifiers."""

    def staged_decision_function(
        self, X: ArrayLike, times: Iterable[float | None]
    ) -> Iterator[FloatArray]:
        """Predict targets of the classes at several training times.

        Parameters
        ----------
        {X_seen}
        {times}

        Yields
        ------
        ndarray of float64, shape (m, n_classes), or (m,) for the second of two classes
            For each of the times in turn.
        """
        yield from self._staged_targets(X, times)

    def staged_predict(self, X: ArrayLike, times: Iterable[float | None]) -> Iterator[Array]:
        """Predict class labels at several training times.

        Parameters
        ----------
        {X_seen}
        {times}

        Yields
        ------
        ndarray (m,) of elements of ``classes_``
            For each of the times in turn.

        Notes
        -----
        {staged}
        """
        for decision in self._staged_targets(X, times):
            yield self._labels(decision)
