"""Training for a finite time: gradient flow on the squared loss, in closed form.

The infinitely wide network's outputs u(t) on the training images obey du/dt = −Θ (u − y) with the
constant kernel Θ (Arora et al. 2019, eqs. 3 to 5).  From u(0) = 0, in the eigenvectors of Θ, every
component approaches its target at the rate of its eigenvalue, and so

    f_t(x) = k(x, X) Θ⁻¹ (1 − exp(−Θ t)) y.

With a ridge λ, the penalty of kernel ridge regression, it is the same with Θ + λ for Θ, whose limit
is ridge regression.  Time is counted in units of 1 / mean of Θ's diagonal: like the relative ridge
it means the same at every depth, and t acts much like a ridge ``alpha`` of 1 / t.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sklearn.base import BaseEstimator as _Mixin

    from ._typing import Array, ArrayLike, FloatArray
else:
    _Mixin = object


def check_training_time(training_time):
    """Raise unless `training_time` is None or a time."""
    if training_time is None:
        return
    if isinstance(training_time, bool) or not isinstance(training_time, Real):
        raise TypeError(f"training_time must be None or a number, got {training_time!r}.")
    if not training_time >= 0:
        raise ValueError(
            f"training_time={training_time} is no time: use a number of 0 or more, or None."
        )


def check_whole_training(estimator, what):
    """Raise if an estimator was fitted on landmarks, whose Gram matrix says less than is needed."""
    if estimator._fit_targets is None:
        raise ValueError(
            f"{what} need the Gram matrix of all training images, but this was fitted with "
            "solver='nystroem': use solver='cholesky'."
        )


class GradientFlow:
    """Dual coefficients of the linearised network at any time, from one eigendecomposition.

    Parameters
    ----------
    K : ndarray of float64, shape (n, n)
        Positive semidefinite; overwritten.
    alpha : float
        Ridge, relative to the mean of K's diagonal.
    sample_weight : ndarray (n,) or None
        Weights of the squared errors.  The mean is weighted likewise.
    """

    def __init__(self, K, alpha, sample_weight=None):
        mean = np.average(np.diagonal(K), weights=sample_weight)
        mean = mean if mean > 0 else 1.0
        self._root = None if sample_weight is None else np.sqrt(sample_weight)
        if self._root is not None:
            # The flow of √W u has the symmetric kernel √W K √W.
            K *= self._root[:, None]
            K *= self._root
        eigenvalues, self._vectors = eigh(K, overwrite_a=True, check_finite=False)
        # Eigenvalues below 0 are rounding errors, which would grow without limit.
        self._rates = np.maximum(eigenvalues / mean, 0) + alpha
        self._mean = mean

    def dual(self, targets, time):
        """Dual coefficients (n,) or (n, k) after a relative `time`."""
        targets = self._weighted(targets)
        projected = (self._vectors.T @ targets).T * self._gains(time)
        return self._weighted(self._vectors @ projected.T)

    def _gains(self, time):
        """(1 − exp(−rate t)) / rate in units of 1 / mean, whose limit at rate 0 is t."""
        if np.isinf(time):
            small = np.finfo(float).eps * len(self._rates) * self._rates[-1]
            inverse = np.zeros_like(self._rates)
            np.divide(1, self._rates, out=inverse, where=self._rates > small)
            return inverse / self._mean
        exponents = self._rates * time
        gains = np.full_like(exponents, time)
        np.divide(-np.expm1(-exponents), self._rates, out=gains, where=exponents > 0)
        return gains / self._mean

    def _weighted(self, values):
        return values if self._root is None else (values.T * self._root).T


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
            (K,) = self.kernel_._job(self.X_fit_).gram(self.X_fit_)
            flow = GradientFlow(K, self._fit_alpha, self._fit_weight)
        # One pass over the images: the kernel's values are what costs.
        dual = [flow.dual(self._fit_targets, time) for time in times]
        if not dual:
            return
        stacked = np.stack(dual, axis=-1).reshape(len(self.X_fit_), -1)
        predicted = self._predict_images(images, stacked)
        predicted = predicted.reshape(len(images), *self._fit_targets.shape[1:], len(times))
        yield from np.moveaxis(predicted, -1, 0)


class StagedRegression(StagedPrediction):
    """`staged_predict` of regressors."""

    def staged_predict(self, X: ArrayLike, times: Iterable[float | None]) -> Iterator[FloatArray]:
        """Predict targets at several times of training.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`
        times : sequence of float or None
            Training times as in `training_time`; None is the end of training.

        Yields
        ------
        ndarray of float64, shape (m,) or (m, n_targets)
            For one time after the other.

        Notes
        -----
        An estimator that was fitted with a `training_time` keeps the eigendecomposition this
        needs; any other computes its Gram matrix again.
        """
        yield from self._staged_targets(X, times)


class StagedClassification(StagedPrediction):
    """`staged_decision_function` and `staged_predict` of classifiers."""

    def staged_decision_function(
        self, X: ArrayLike, times: Iterable[float | None]
    ) -> Iterator[FloatArray]:
        """Predicted targets at several times of training.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`
        times : sequence of float or None
            Training times as in `training_time`; None is the end of training.

        Yields
        ------
        ndarray of float64, shape (m, n_classes), or (m,) for the second of two classes
            For one time after the other.
        """
        yield from self._staged_targets(X, times)

    def staged_predict(self, X: ArrayLike, times: Iterable[float | None]) -> Iterator[Array]:
        """Predict class labels at several times of training.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`
        times : sequence of float or None
            Training times as in `training_time`; None is the end of training.

        Yields
        ------
        ndarray (m,) of elements of ``classes_``
            For one time after the other.

        Notes
        -----
        An estimator that was fitted with a `training_time` keeps the eigendecomposition this
        needs; any other computes its Gram matrix again.
        """
        for decision in self._staged_targets(X, times):
            yield self._labels(decision)
