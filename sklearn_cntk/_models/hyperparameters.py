"""Hyperparameters that Gaussian processes optimise, and the kernel's gradient for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone
from sklearn.gaussian_process.kernels import Hyperparameter

from .._compute.normalisation import Normalizer
from .._engines.feature_vectors import gram_and_rates
from .._support.architecture import check_network
from .._support.checks import is_number
from .._support.images import check_same_shape
from .._support.layers import check_bias_variance, check_weight_variance
from .._support.parameters import parameter, parameters
from .parameters import KernelParameters

if TYPE_CHECKING:
    from .._support.typing import Any, Bounds, FloatArray, Sequence

# Step of a logarithm.  Truncation is about depth³ · 1e-10 of the derivative, and rounding 1e-10.
_STEP = 2e-5

# Pairs of vectors at a time; the formulas hold a few dozen numbers per pair.
_BLOCK = 2**18

_CHECKS = {"bias_variance": check_bias_variance, "weight_variance": check_weight_variance}


@parameters(kw_only=True)
class HyperparameterBounds(KernelParameters):
    """Bounds of the variances, between which Gaussian processes search for the best."""

    bias_variance_bounds: Bounds = parameter(
        'pair of floats above 0 or "fixed"',
        """
        Bounds between which a :class:`~sklearn.gaussian_process.GaussianProcessRegressor` optimises
        `bias_variance`, whose logarithm is then part of ``theta``.  With free bounds, everything
        is computed in float64 whatever the `dtype`, because rounding in float32 misleads
        optimisers.
        """,
        default="fixed",
    )
    weight_variance_bounds: Bounds = parameter(
        'pair of floats above 0 or "fixed"',
        """
        The same for `weight_variance`, which must then be a number, such as 2.0.
        """,
        default="fixed",
    )

    @property
    def hyperparameter_bias_variance(self) -> Hyperparameter:
        """The variance of biases and its bounds."""
        return _hyperparameter(self, "bias_variance")

    @property
    def hyperparameter_weight_variance(self) -> Hyperparameter:
        """The variance of weights and its bounds."""
        return _hyperparameter(self, "weight_variance")


def _hyperparameter(kernel: Any, name: str) -> Hyperparameter:
    """Return scikit-learn's description of a variance."""
    bounds = getattr(kernel, f"{name}_bounds")
    if isinstance(bounds, str) and bounds == "fixed":
        return Hyperparameter(name, "numeric", bounds)
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if not (len(pair) == 2 and all(map(is_number, pair)) and 0 < pair[0] <= pair[1]):
        raise ValueError(
            f"{name}_bounds={bounds!r} is not valid: use 'fixed', or two numbers above 0 such as "
            "(1e-5, 1e5), the smaller one first."
        )
    if check_network(kernel.network) != "plain":
        raise ValueError(
            f"{name}_bounds={bounds!r} has no meaning for network={kernel.network!r}, whose layers "
            f"have variances of their own: use {name}_bounds='fixed', or network='plain'."
        )
    value = _CHECKS[name](name, getattr(kernel, name))
    if not value:
        raise ValueError(
            f"{name}={value} has no logarithm for {name}_bounds={bounds!r} to bound: use a "
            f"value above 0, such as 1.0, or {name}_bounds='fixed'."
        )
    return Hyperparameter(name, "numeric", pair)


def has_formulas(kernel: Any, images: FloatArray) -> bool:
    """Whether variances are free and `gram_of_vectors` can compute the kernel of these images."""
    return bool(kernel.n_dims) and images.shape[1:3] == (1, 1) and kernel.lap == 0


def gram_of_vectors(
    kernel: Any, X: FloatArray, Y: FloatArray | None = None, free: Sequence[str] = ()
) -> tuple[FloatArray, FloatArray]:
    """Return the Gram matrix of one-pixel images, and derivatives (n, m, len(free)), by formulas.

    Derivatives are with respect to the logarithms of `free` variances; there are none with a Y.
    """
    job = kernel._job(X)  # which checks the parameters
    (readout,) = job.readouts
    check_same_shape(X, X if Y is None else Y)
    of_rows = job.raw_diagonals(X)  # which checks their range
    rows, columns = (
        np.asarray(Z, dtype=np.float64).reshape(len(Z), -1) for Z in (X, X if Y is None else Y)
    )
    K = np.empty((len(rows), len(columns)))
    K_gradient = np.empty((*K.shape, len(free)))
    height = max(1, _BLOCK // len(columns))
    for start in range(0, len(rows), height):
        first = start if Y is None else 0
        values, rates = gram_and_rates(
            rows[start : start + height],
            columns[first:],
            readout,
            kernel.weight_variance,
            kernel.bias_variance,
            free,
        )
        _place(K, values, start, symmetric=Y is None)
        for k, rate in enumerate(rates):
            _place(K_gradient[..., k], rate, start, symmetric=Y is None)
    if kernel.normalize:
        of_columns = of_rows if Y is None else job.raw_diagonals(Y)
        everything = slice(None)
        normalizer = Normalizer(of_rows, of_columns, symmetric=Y is None)
        normalizer.divide(K[np.newaxis], everything, everything)
        for k in range(len(free)):
            _normalize_rate(K_gradient[..., k], K, of_rows[0])
    return K, K_gradient


def _place(target, values, start, symmetric):
    """Put values into the rows from `start` on.

    Values of a symmetric matrix are those from the diagonal on; those below are equal, bit for bit.
    """
    height = len(values)
    if symmetric:
        diagonal = values[:, :height]
        values = np.hstack([np.triu(diagonal) + np.triu(diagonal, 1).T, values[:, height:]])
        target[start:, start : start + height] = values.T
    target[start : start + height, -values.shape[1] :] = values


def _normalize_rate(rate, K, diagonal):
    """Turn the derivative of `raw`, whose `diagonal` is d, into that of K = raw / sqrt(d d')."""
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    relative = inverse * rate.diagonal()
    rate *= np.sqrt(np.outer(inverse, inverse))
    rate -= K * np.add.outer(relative, relative) / 2


def gram_and_gradient(kernel: Any, images: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Gram matrix of a kernel, and its derivatives (n, n, len(theta)) by ``theta``.

    For feature vectors they come from formulas, otherwise from central differences of two kernels
    per hyperparameter.  Nothing is kept in the kernel's `memory`, since it would not be used again.
    """
    kernel = clone(kernel).set_params(memory=None)
    if has_formulas(kernel, images):
        free = [one.name for one in kernel.hyperparameters if not one.fixed]
        return gram_of_vectors(kernel, images, free=free)
    K, theta = kernel._gram(images), kernel.theta
    K_gradient = np.empty((*K.shape, len(theta)))
    for k, step in enumerate(_STEP * np.eye(len(theta))):
        above, below = (
            kernel.clone_with_theta(end)._gram(images) for end in (theta + step, theta - step)
        )
        K_gradient[..., k] = (above - below) / (2 * _STEP)
    return K, K_gradient
