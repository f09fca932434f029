"""How certain predictions are: Gaussian-process posterior and the spread of trained networks.

With random weights, infinitely wide networks are draws f₀ from the Gaussian process of covariance
s² times the NNGP kernel 𝒦, ``trained_layers="last"``.  Training is linear in f₀: it turns f₀ into

    f(x) = f₀(x) + A(x) (y − f₀(X)),   A(x) = Θ(x, X) (Θ + λ)⁻¹ (1 − exp(−(Θ + λ) t)),

so over networks f has the mean A y, which is what `predict` returns, and s² times the covariance

    𝒦(x, x') − A(x) 𝒦(X, x') − 𝒦(x, X) A(x')ᵀ + A(x) 𝒦(X, X) A(x')ᵀ

(Lee et al., "Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent",
2019, eq. 16).  If only the dense layer is trained, and to the end, Θ = 𝒦, and exact Bayesian
inference with noise of variance s² λ is used instead: 𝒦(x, x') − 𝒦(x, X) (𝒦 + λ)⁻¹ 𝒦(X, x'), the
same for λ = 0.

The scale s, in units of y, is that of the prior under which the n targets are likeliest:
s² = yᵀ (𝒦 + λ)⁻¹ y / n, which maximises eq. 5.8 of Rasmussen and Williams ("Gaussian Processes for
Machine Learning", 2006), with λ equal to `alpha` times the mean of 𝒦's diagonal.  A row of weight w
counts as w rows, also in n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from scipy.linalg import eigh
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._linalg.gradient_flow import GradientFlow
from .._support.checks import check_flag, check_integer
from .._support.docstrings import fill_docs
from .._support.ram import check_memory
from .staged import check_whole_training

if TYPE_CHECKING:
    from collections.abc import Callable

    from sklearn.base import BaseEstimator as _Mixin

    from .._compute.job import Job
    from .._support.typing import Array, ArrayLike, FloatArray, RandomState
else:
    _Mixin = object


@fill_docs
class Posterior(_Mixin):
    """Standard deviations, covariances and samples of a regressor's predictions."""

    if TYPE_CHECKING:
        _predict_targets: Callable[[ArrayLike], FloatArray]
        _check_images: Callable[..., Array]

    @property
    def _fitted_model(self):
        """The estimator with dual coefficients."""
        return self

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[False] = False, return_cov: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[True], return_cov: Literal[False] = False
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[False] = False, *, return_cov: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False, return_cov: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict targets, optionally with standard deviations or covariances.

        Parameters
        ----------
        {X_seen}
        return_std : bool, default=False
            Whether to also return standard deviations, in the unit of y.  With
            ``trained_layers="last"`` and without a `training_time`, they are those of the Gaussian
            process with the NNGP kernel as prior and noise of variance `alpha` times the mean of
            its diagonal; otherwise, those of infinitely wide networks that are trained from
            different random weights (Lee et al. 2019, eq. 16).  The noise of new targets is not
            included.
        return_cov : bool, default=False
            Whether to also return the covariances of the predictions for X; excludes `return_std`.

        Returns
        -------
        y_mean : ndarray of float64, shape (m,) or (m, n_targets)
        y_std : ndarray of float64, shape (m,) or (m, n_targets)
            Only with ``return_std=True``.
        y_cov : ndarray of float64, shape (m, m) or (m, m, n_targets)
            Only with ``return_cov=True``.

        Raises
        ------
        ValueError
            Both are requested; or one is requested of a kernel with ``normalize=True`` and without
            ``trained_layers="last"``, which is not the covariance of any network's outputs.
        MemoryError
            The Gram matrices that this needs do not fit into memory.

        Notes
        -----
        The prior is scaled by the factor under which the training targets (without their mean, see
        `fit_intercept`) are likeliest; a weight of 2 counts as a row given twice.  Targets twice as
        large thus have standard deviations twice as large.  These do not include the uncertainty of
        the estimated mean.  With ``alpha=0`` and noisy targets or equal images, rounding errors may
        determine the factor.

        Standard deviations and covariances need the Gram matrices of the training images again,
        including that of the NNGP kernel.
        """
        wants_std = check_flag("return_std", return_std)
        if check_flag("return_cov", return_cov) and wants_std:
            raise ValueError(
                "return_std=True and return_cov=True: ask for one. Standard deviations are the "
                "square roots of the covariances' diagonal."
            )
        check_is_fitted(self)
        if not wants_std and not return_cov:
            return self._predict_targets(X)
        model, images = self._fitted_model, self._check_images(X, reset=False)
        # The spread comes first, for its errors.
        with np.errstate(over="ignore", invalid="ignore"):
            if return_cov:
                covariance, sizes = _covariance(model, images)
                spread = np.multiply.outer(covariance, sizes) * sizes
                spread = _in_range(spread, "covariances")
            else:
                variance, sizes = _variance(model, images)
                spread = np.multiply.outer(np.sqrt(variance), sizes)
                spread = _in_range(spread, "standard deviations")
        return model._predict_images(images), spread

    def sample_y(
        self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = 0
    ) -> FloatArray:
        """Draw samples from the posterior, or of networks with different random weights.

        Parameters
        ----------
        {X_seen}
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=0
            As in :class:`~sklearn.gaussian_process.GaussianProcessRegressor`.

        Returns
        -------
        ndarray of float64, shape (m, n_samples) or (m, n_targets, n_samples)

        Raises
        ------
        ValueError, MemoryError
            As for :meth:`predict` with ``return_cov=True``.
        """
        check_integer("n_samples", n_samples, 1, "use 1 or more")
        rng = check_random_state(random_state)
        check_is_fitted(self)
        model, images = self._fitted_model, self._check_images(X, reset=False)
        n_targets = model.dual_coef_.shape[1:]
        shape = (len(images), *n_targets, n_samples)
        check_memory(
            8 * 4 * math.prod(shape), f"n_samples={n_samples} of {shape[:-1]}", "draw fewer"
        )
        covariance, sizes = _covariance(model, images)
        eigenvalues, vectors = eigh(covariance)
        root = vectors * np.sqrt(np.maximum(eigenvalues, 0))  # below 0 by rounding
        draws = np.tensordot(root, rng.normal(size=shape), axes=1)
        with np.errstate(over="ignore", invalid="ignore"):
            draws = draws * np.asarray(sizes)[..., None]
        return model._predict_images(images)[..., None] + _in_range(draws, "samples")


@dataclass(frozen=True)
class _Trained:
    """What training has turned the prior into."""

    job: Job  # of the kernel, and of the prior if that differs
    flow: GradientFlow
    time: float
    prior_gram: FloatArray | None  # None where inference is Bayesian
    sizes: Any  # s, a number or one per target

    @classmethod
    def of(cls, model, images, what, more_bytes=0):
        """Return that of a fitted model; `more_bytes` are needed besides the Gram matrices."""
        check_whole_training(model, what)
        kernel, rows, weight = model.kernel_, model.X_fit_, model._fit_weight
        if kernel.normalize and kernel.trained_layers != "last":
            raise ValueError(
                f"{what} have no meaning with normalize=True and "
                f"trained_layers={kernel.trained_layers!r}: the normalised kernel is not "
                "the covariance of any network's outputs. Use normalize=False, or "
                "trained_layers='last'."
            )
        job = kernel._job(images).of_known_store()
        with_prior = kernel.trained_layers != "last"
        if with_prior:  # both kernels come from one pass
            job = replace(job, readouts=[*job.readouts, *_last(job.readouts)])
        bayesian = not with_prior and model._fit_time is None
        n = len(rows)
        # The matrices, the copy of one that is factored, its eigenvectors, and blocks.
        check_memory(
            8 * n**2 * (len(job.readouts) + 2) + more_bytes,
            f"{what} with {n} training images",
            "fit fewer with train_size, or predict without them",
        )
        targets = model._fit_targets - model._offset
        grams = job.gram(rows)
        prior_gram = None if bayesian else grams[-1].copy()
        if with_prior:
            prior = GradientFlow(grams[-1], model._fit_alpha, weight)
            sizes = _likeliest_sizes(prior, targets, weight)
            del prior
        flow = GradientFlow(grams[0], model._fit_alpha, weight)
        if not with_prior:
            sizes = _likeliest_sizes(flow, targets, weight)
        time = np.inf if model._fit_time is None else model._fit_time
        return cls(job, flow, time, prior_gram, sizes)

    def weights(self, cross):
        """Return A(x)ᵀ (n, m) for kernel values (m, n)."""
        # The operator that makes dual coefficients of targets, from the other side.
        return self.flow.dual(cross.T, self.time)


def _likeliest_sizes(prior, targets, weight):
    """Return the likeliest s of targets (n,) or (n, k), by the flow of the prior's matrix."""
    total = len(targets) if weight is None else weight.sum()
    largest = np.abs(targets).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)  # squares could exceed the range of float64
    targets = targets / unit
    squares = np.sum(targets * prior.dual(targets, np.inf), axis=0) / total
    return unit * np.sqrt(np.maximum(squares, 0))


def _in_range(spread, what):
    """Return a spread in the unit of y, or raise if it exceeds the range of float64."""
    if not np.isfinite(spread).all():
        raise ValueError(
            f"The {what} of predictions are beyond the range of float64: divide y by a constant."
        )
    return spread


def _variance(model, images):
    """Return the variance (m,) of predictions with a prior of size 1, and the prior's sizes."""
    trained = _Trained.of(model, images, "standard deviations")
    job = trained.job
    raw = job.raw_diagonals(images)
    variance = job.of_raw(raw)[-1]
    known = {"x_diagonals": raw, "y_diagonals": model._fit_diagonals}
    for part, values in job.blocks(images, model.X_fit_, **known):
        weights, prior_cross = trained.weights(values[0]), values[-1]
        covariance = np.sum(weights.T * prior_cross, axis=1)
        variance[part] -= covariance
        if trained.prior_gram is not None:
            variance[part] -= covariance
            variance[part] += np.sum(weights * (trained.prior_gram @ weights), axis=0)
    return np.maximum(variance, 0), trained.sizes


def _covariance(model, images):
    """Return the covariance (m, m) of predictions with a prior of size 1, and the prior's sizes."""
    m, n = len(images), len(model.X_fit_)
    n_targets = math.prod(model.dual_coef_.shape[1:])
    more = 8 * ((4 + 2 * n_targets) * m**2 + 4 * m * n)
    trained = _Trained.of(model, images, "covariances", more)
    job = trained.job
    covariance = job.gram(images)[-1]
    cross = job.gram(images, model.X_fit_)
    weights = trained.weights(cross[0])
    half = cross[-1] @ weights
    if trained.prior_gram is None:
        covariance -= (half + half.T) / 2  # equal but for rounding
    else:
        covariance -= half + half.T
        covariance += weights.T @ (trained.prior_gram @ weights)
    diagonal = covariance.reshape(-1)[:: m + 1]
    np.maximum(diagonal, 0, out=diagonal)
    return covariance, trained.sizes


def _last(readouts):
    """Return the readouts of the NNGP kernel."""
    return [replace(readout, trained_layers="last") for readout in readouts]
