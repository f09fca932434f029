"""Kernel regression: what regression and classification share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._linalg.gradient_flow import GradientFlow
from .._linalg.ridge import beyond_range, ridge_dual
from .._linalg.threads import threads_for
from .._support.checks import check_alpha, check_training_time
from .._support.docstrings import fill_docs
from .base import ImageEstimator
from .network_params import SettableNetwork
from .parameters import RegressionParameters
from .solver import Solver
from .training_rows import choose_rows
from .weights import checked_weights

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

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Compute the Gram matrix of the training images and solve for the dual coefficients.

        Parameters
        ----------
        {X}
        {y}
        sample_weight : array-like (n,) or float, default=None
            A weight of 2 equals giving a row twice.

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
            The matrix is nearly singular, likewise.
        """
        return self._fit(X, y, sample_weight)

    def _kernel(self):
        """The kernel with this estimator's parameters."""
        raise NotImplementedError

    def _centre(self, targets, sample_weight=None):
        """The targets that dual coefficients are fitted to."""
        return targets

    @property
    def _offset(self):
        """What predictions have beside the kernel's part."""
        return 0.0

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
        if sample_weight is not None and not sample_weight.any():
            raise ValueError("sample_weight is 0 for every training row: give one a weight.")
        centred = self._centre(targets, sample_weight)
        solver, job = Solver.of(self, len(images)), self._kernel()._job(images)
        if solver.name == "nystroem":
            kept, dual = solver.on_landmarks(job, images, centred, sample_weight)
            return self._keep(images[kept], dual)
        if solver.name == "cg":
            dual, n_iter = solver.iterate(job, images, centred, sample_weight)
            return self._keep(images, dual, targets, sample_weight, n_iter)
        if solver.device is not None:
            dual = solver.dual_on_device(job, images, centred, sample_weight)
            return self._keep(images, dual, targets, sample_weight)
        return self._solve(images, solver.gram(job, images), targets, sample_weight)

    def _solve(self, images, K, targets, sample_weight=None):
        """Fit the dual coefficients, given the Gram matrix `K`, which is overwritten."""
        flow = None
        centred = self._centre(targets, sample_weight)
        with threads_for(len(K)):
            if self.training_time is None:
                dual = ridge_dual(K, centred, self.alpha, sample_weight)
            else:
                flow = GradientFlow(K, self.alpha, sample_weight)
                dual = flow.dual(centred, self.training_time)
        return self._keep(images, dual, targets, sample_weight, flow=flow)

    def _keep(self, images, dual, targets=None, sample_weight=None, n_iter=1, flow=None):
        """Keep what predictions need, and of the training what other times of it need."""
        if not np.isfinite(dual).all():
            raise beyond_range()
        self.dual_coef_ = dual
        self.n_iter_ = n_iter
        self._flow = flow  # an eigendecomposition, which serves other times
        self._fit_alpha, self._fit_time = self.alpha, self.training_time
        self._fit_targets = None if targets is None else targets.copy()
        self._fit_weight = None if sample_weight is None else np.copy(sample_weight)
        # Copies, so that predictions change neither with the caller's array nor by set_params.
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
        """K(images, X_fit_) @ dual_coef; by blocks, so memory does not grow with the images."""
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
