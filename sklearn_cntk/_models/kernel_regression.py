"""Kernel regression: what regression and classification share."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._linalg.gradient_flow import GradientFlow
from .._linalg.ridge import beyond_range, ridge_dual
from .._linalg.threads import threads_for
from .._support.checks import check_alpha, check_training_time
from .._support.docstrings import fill_docs
from .base import ImageEstimator
from .calibration import folds_to_hold_out, predict_by_folds, rows_to_leave_out
from .network_params import SettableNetwork
from .parameters import RegressionParameters
from .solver import Solver
from .training_rows import choose_rows
from .weights import checked_weights, require_some_weight

if TYPE_CHECKING:
    from typing import Self

    from .._support.typing import Array, ArrayLike, FloatArray


@fill_docs
class KernelRegression(RegressionParameters, SettableNetwork, ImageEstimator):
    """Images, rows, kernel and dual coefficients, for any task and any kernel of images."""

    if TYPE_CHECKING:
        dual_coef_: FloatArray
        X_fit_: Array
        n_iter_: int
        _offset: Any

    _is_calibrated = False

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Compute the Gram matrix of the training images and solve for the dual coefficients.

        Parameters
        ----------
        {X}
        {y}
        sample_weight : array-like (n,) or float, default=None
            Weights of the rows: a weight of 2 is equivalent to giving a row twice.

        Returns
        -------
        self

        Raises
        ------
        {unusable}
        LinAlgError
            The matrix is not positive definite: `alpha` is too small.

        Warns
        -----
        LinAlgWarning
            The matrix is nearly singular, for the same reason.
        """
        return self._fit(X, y, sample_weight)

    def _kernel(self):
        """The kernel with this estimator's parameters."""
        raise NotImplementedError

    def _target_mean(self, targets, sample_weight):
        """Return what is subtracted from the targets and added to predictions."""
        return 0.0

    def _calibrate(self, decisions, targets, sample_weight):
        """Learn from predictions of rows that were not fitted to, if needed."""

    def _fit(self, X, y, sample_weight):
        """Check everything, choose the rows, and fit the dual coefficients."""
        images = self._check_images(X, reset=True)
        targets, classes = self._encode(images, y)
        check_alpha(self.alpha)
        check_training_time(self.training_time)
        sample_weight = checked_weights(sample_weight, images)
        rows = choose_rows(self.train_size, len(images), self.random_state, classes)
        if rows is not None:
            images, targets = images[rows], targets[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        require_some_weight(sample_weight)
        solver, job = Solver.of(self, len(images)), self._kernel()._job(images)
        if solver.name in ("nystroem", "cg"):
            return self._iterate(solver, job, images, targets, sample_weight)
        if solver.device is None:
            return self._solve(images, solver.gram(job, images), targets, sample_weight)
        mean = self._target_mean(targets, sample_weight)
        solved = solver.dual_on_device(
            job, images, targets - mean, sample_weight, self._is_calibrated
        )
        return self._keep_solved(images, solved, mean, targets, sample_weight)

    def _solve(self, images, K, targets, sample_weight=None):
        """Fit the dual coefficients, given the Gram matrix `K`, which is overwritten."""
        mean = self._target_mean(targets, sample_weight)
        if self.training_time is None:
            with threads_for(len(K)):
                solved = ridge_dual(
                    K,
                    targets - mean,
                    self.alpha,
                    sample_weight,
                    return_left_out=self._is_calibrated,
                )
            return self._keep_solved(images, solved, mean, targets, sample_weight)
        predicted = None
        with threads_for(len(K)):
            if self._is_calibrated:
                predicted = self._trained_on_parts(K, targets, sample_weight)
            flow = GradientFlow(K, self.alpha, sample_weight)
            dual = flow.dual(targets - mean, self.training_time)
        self._keep(images, dual, mean, targets, sample_weight, flow=flow)
        return self._calibrate_by(predicted, targets, sample_weight)

    def _iterate(self, solver, job, images, targets, sample_weight):
        """Fit the dual coefficients without a factor of the Gram matrix."""

        def draw_folds(rng):
            return folds_to_hold_out(targets, sample_weight, rng)

        def draw_rows(landmarks, rng):
            return rows_to_leave_out(targets, sample_weight, landmarks, deepcopy(rng))

        mean = self._target_mean(targets, sample_weight)
        given = job, images, targets - mean, sample_weight
        if solver.name == "cg":
            dual, n_iter, predicted = solver.iterate(
                *given, draw_folds if self._is_calibrated else None
            )
            self._keep(images, dual, mean, targets, sample_weight, n_iter)
        else:
            kept, dual, predicted = solver.on_landmarks(
                *given, draw_rows if self._is_calibrated else None
            )
            self._keep(images[kept], dual, mean)
        return self._calibrate_by(predicted, targets, sample_weight)

    def _keep_solved(self, images, solved, mean, targets, sample_weight):
        """Keep what `ridge_dual` returns."""
        if not self._is_calibrated:
            return self._keep(images, solved, mean, targets, sample_weight)
        dual, left_out = solved
        self._keep(images, dual, mean, targets, sample_weight)
        return self._calibrate_by((slice(None), left_out), targets, sample_weight)

    def _trained_on_parts(self, K, targets, sample_weight):
        """Return rows, and their predictions by training on the others for the same time."""
        rng = deepcopy(check_random_state(self.random_state))  # which other fits may share

        def predict(held):
            others = np.delete(np.arange(len(K)), held)
            weights = None if sample_weight is None else sample_weight[others]
            flow = GradientFlow(K[np.ix_(others, others)], self.alpha, weights)
            dual = flow.dual(targets[others], self.training_time)
            return K[np.ix_(held, others)] @ dual

        folds = folds_to_hold_out(targets, sample_weight, rng)
        return predict_by_folds(folds, targets, predict)

    def _calibrate_by(self, predicted, targets, sample_weight):
        """Calibrate by predictions of rows that were not fitted to, if there are any."""
        if predicted is not None:
            rows, decisions = predicted
            weights = None if sample_weight is None else sample_weight[rows]
            self._calibrate(decisions, targets[rows], weights)
        return self

    def _keep(self, images, dual, mean, targets=None, sample_weight=None, n_iter=1, flow=None):
        """Keep what predictions need, including those for other training times."""
        if not np.isfinite(dual).all():
            raise beyond_range()
        self.dual_coef_ = dual
        self._offset = mean
        self.n_iter_ = n_iter
        self._flow = flow  # an eigendecomposition, which serves other times
        self._fit_alpha, self._fit_time = self.alpha, self.training_time
        self._fit_targets = None if targets is None else targets.copy()
        self._fit_weight = None if sample_weight is None else np.copy(sample_weight)
        # Copies, so that neither changes to the caller's array nor set_params affect predictions.
        self.X_fit_ = images.copy()
        self.kernel_ = self._kernel()
        normalize = self.kernel_.normalize
        self._fit_diagonals = self.kernel_._job(images).raw_diagonals(images) if normalize else None
        return self

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self._predict_images(self._check_images(X, reset=False))

    def _predict_images(self, images):
        """Predicted targets."""
        return self._kernel_part(images, self.dual_coef_) + self._offset

    def _kernel_part(self, images, dual_coef):
        """Return K(images, X_fit_) @ dual_coef, in blocks so that memory use stays bounded."""
        predicted = np.empty((len(images), *dual_coef.shape[1:]))
        blocks = (
            self.kernel_._job(images)
            .of_known_store()
            .blocks(images, self.X_fit_, y_diagonals=self._fit_diagonals)
        )
        for rows, (K,) in blocks:
            with threads_for(len(self.X_fit_)):
                predicted[rows] = K @ dual_coef
        return predicted
