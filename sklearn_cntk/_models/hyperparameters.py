"""Hyperparameters that Gaussian processes optimise, and the kernel's gradient by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone
from sklearn.gaussian_process.kernels import Hyperparameter

from .._support.checks import is_number
from .._support.parameters import parameter, parameters
from .parameters import KernelParameters

if TYPE_CHECKING:
    from .._support.typing import Any, Bounds

# Of a logarithm.  Truncation is about depth³ · 1e-10 of the derivative, and rounding 1e-10.
_STEP = 2e-5


@parameters(kw_only=True)
class HyperparameterBounds(KernelParameters):
    """Bounds of the variances, between which Gaussian processes look for the best."""

    bias_variance_bounds: Bounds = parameter(
        'pair of floats above 0 or "fixed"',
        """
        Bounds between which a :class:`~sklearn.gaussian_process.GaussianProcessRegressor` optimises
        `bias_variance`, whose logarithm is then part of ``theta``.
        """,
        default="fixed",
    )
    weight_variance_bounds: Bounds = parameter(
        'pair of floats above 0 or "fixed"',
        """
        The same of `weight_variance`, which has to be a number then, such as 2.0.
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
    """scikit-learn's description of a variance."""
    bounds = getattr(kernel, f"{name}_bounds")
    if isinstance(bounds, str) and bounds == "fixed":
        return Hyperparameter(name, "numeric", bounds)
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if not (len(pair) == 2 and all(map(is_number, pair)) and 0 < pair[0] <= pair[1]):
        raise ValueError(
            f"{name}_bounds={bounds!r} are no bounds: use 'fixed', or two numbers above 0 such as "
            "(1e-5, 1e5), the smaller one first."
        )
    value = getattr(kernel, name)
    if not value:
        raise ValueError(
            f"{name}={value} has no logarithm, which {name}_bounds={bounds!r} are to bound: use a "
            f"value above 0, such as 1.0, or {name}_bounds='fixed'."
        )
    return Hyperparameter(name, "numeric", pair)


def gram_and_gradient(kernel: Any, images: Any) -> tuple[Any, Any]:
    """Gram matrix of a kernel, and its derivatives (n, n, len(theta)) by ``theta``.

    By central differences, of two kernels for each hyperparameter.  All are of float64, and none
    is kept in the kernel's `memory`, where it would be of no use again.
    """
    exact = clone(kernel).set_params(dtype="float64", memory=None)
    K, theta = exact._gram(images), kernel.theta
    K_gradient = np.empty((*K.shape, len(theta)))
    for k, step in enumerate(_STEP * np.eye(len(theta))):
        above, below = (
            exact.clone_with_theta(end)._gram(images) for end in (theta + step, theta - step)
        )
        K_gradient[..., k] = (above - below) / (2 * _STEP)
    return K, K_gradient
