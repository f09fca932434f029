"""How sure predictions are: Gaussian-process posterior and the spread of trained networks.

At random weights, infinitely wide networks are draws f₀ of the Gaussian process whose covariance is
the NNGP kernel 𝒦, ``trained_layers="last"``.  Training is linear in f₀: it turns f₀ into

    f(x) = f₀(x) + A(x) (y − f₀(X)),   A(x) = Θ(x, X) (Θ + λ)⁻¹ (1 − exp(−(Θ + λ) t)),

so over networks f has the mean A y, which is what `predict` returns, and the covariance

    𝒦(x, x') − A(x) 𝒦(X, x') − 𝒦(x, X) A(x')ᵀ + A(x) 𝒦(X, X) A(x')ᵀ

(Lee et al., "Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent",
2019, eq. 16).  Where the dense layer alone is trained to the end, Θ = 𝒦, and exact Bayesian
inference with noise of variance λ is meant instead: 𝒦(x, x') − 𝒦(x, X) (𝒦 + λ)⁻¹ 𝒦(X, x'), the same
for λ = 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._linalg.gradient_flow import GradientFlow
from .._support.docstrings import fill_docs
from .._support.ram import check_memory
from .staged import check_whole_training

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator as _Mixin

    from .._support.typing import ArrayLike, FloatArray
else:
    _Mixin = object


@fill_docs
class Posterior(_Mixin):
    """`predict` of a regressor with standard deviations on request."""

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = False) -> FloatArray: ...

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[True]) -> tuple[FloatArray, FloatArray]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict targets, and how much they vary.

        Parameters
        ----------
        {X_seen}
        return_std : bool, default=False
            Whether to return standard deviations as well.  With ``trained_layers="last"`` and
            without a `training_time` they are those of the Gaussian process with the NNGP kernel
            as prior and noise of variance `alpha` times the mean of its diagonal; otherwise
            those of infinitely wide networks that are trained from different random weights
            (Lee et al. 2019, eq. 16).  Both are in the units of the network's random initial
            function, whose variance is the NNGP kernel's, whatever the size of y.

        Returns
        -------
        y_mean : ndarray of float64, shape (m,) or (m, n_targets)
        y_std : ndarray of float64, shape (m,) or (m, n_targets)
            Only with ``return_std=True``; the same for all targets.

        Raises
        ------
        ValueError
            `return_std` of a kernel with ``normalize=True``, which is not the covariance of any
            network's outputs, unless ``trained_layers="last"``.
        MemoryError
            The Gram matrices that `return_std` needs do not fit.

        Notes
        -----
        Standard deviations take the Gram matrices of the training images anew, the NNGP kernel's
        too.
        """
        mean = super().predict(X)
        if not return_std:
            return mean
        check_is_fitted(self)
        check_whole_training(self, "standard deviations")
        variance = np.maximum(self._variance(self._check_images(X, reset=False)), 0)
        std = np.sqrt(variance)
        return mean, std if mean.ndim == 1 else np.repeat(std[:, None], mean.shape[1], axis=1)

    def _variance(self, images):
        """Variance (m,) of predictions for images."""
        kernel, rows = self.kernel_, self.X_fit_
        if kernel.normalize and kernel.trained_layers != "last":
            raise ValueError(
                "return_std=True has no meaning with normalize=True and "
                f"trained_layers={kernel.trained_layers!r}: the normalized kernel is no covariance "
                "of a network's changes. Use normalize=False, or trained_layers='last'."
            )
        time = np.inf if self._fit_time is None else self._fit_time
        job = kernel._job(images).of_known_store()
        with_prior = kernel.trained_layers != "last"
        if with_prior:  # both kernels come from one pass
            job = replace(job, readouts=[*job.readouts, *_last(job.readouts)])
        bayesian = not with_prior and self._fit_time is None
        n = len(rows)
        # The matrices, the copy of one that is factored, its eigenvectors, and blocks.
        check_memory(
            8 * n**2 * (len(job.readouts) + 2),
            f"return_std=True with {n} training images",
            "fit fewer with train_size, or predict without standard deviations",
        )
        grams = job.gram(rows)
        prior_gram = None if bayesian else grams[-1].copy()
        flow = GradientFlow(grams[0], self._fit_alpha, self._fit_weight)
        del grams
        raw = job.raw_diagonals(images)
        variance = job.of_raw(raw)[-1]
        known = {"x_diagonals": raw, "y_diagonals": self._fit_diagonals}
        for part, values in job.blocks(images, rows, **known):
            cross, prior_cross = values[0], values[-1]
            # A(x)ᵀ for all x: what dual coefficients do to targets, the other way round.
            weights = flow.dual(cross.T, time)
            covariance = np.sum(weights.T * prior_cross, axis=1)
            variance[part] -= covariance
            if not bayesian:
                variance[part] -= covariance
                variance[part] += np.sum(weights * (prior_gram @ weights), axis=0)
        return variance


def _last(readouts):
    """The readouts of the NNGP kernel."""
    return [replace(readout, trained_layers="last") for readout in readouts]
