"""Dual coefficients of kernel ridge regression."""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, cho_solve
from scipy.linalg.lapack import dlange, dpocon

from .cholesky import cholesky_in_place, inverse_diagonal
from .left_out import left_out_predictions


def ridge_dual(K, targets, alpha, sample_weight=None, *, return_left_out=False):
    """Solve (K + λ W⁻¹) A = targets with λ = `alpha` times the mean of K's diagonal.

    The kernel's scale varies by orders of magnitude with depth; a ridge relative to it has the same
    meaning at every depth.

    Parameters
    ----------
    K : ndarray of float64, shape (n, n)
        Positive semidefinite; overwritten.
    targets : ndarray (n,) or (n, k)
    alpha : float
        At least 0.
    sample_weight : ndarray (n,) or None
        Diagonal of W, at least 0.  The mean of the diagonal is weighted likewise, so that a
        weight of 2 is equivalent to a row that occurs twice.
    return_left_out : bool
        Whether to also return predictions of each row from the others, for n³ / 3 more operations.

    Returns
    -------
    dual : ndarray, the shape of `targets`
    left_out : ndarray, the shape of `targets`
        Only with `return_left_out`; NaN where the weight is 0.

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    ValueError
        Weights exceed the range of float64.

    Warns
    -----
    LinAlgWarning
        The matrix is so close to singular that no digit of the result is reliable.
    """
    mean = mean_diagonal(np.diagonal(K), sample_weight)
    root = 1.0
    if sample_weight is not None:
        # The symmetric form √W K √W + λ needs no division by weights of 0.
        root = np.sqrt(sample_weight)
        K *= root[:, None]
        K *= root
    ridge = alpha * (mean if mean > 0 else 1.0)
    K.flat[:: len(K) + 1] += ridge
    norm = dlange("1", K.T)  # NumPy would need a second matrix
    try:
        factor = cholesky_in_place(K.T)  # the same matrix in LAPACK's order
    except LinAlgError as error:
        raise not_positive_definite(alpha) from error
    reciprocal_condition, _ = dpocon(factor[0], norm, uplo="L")
    warn_if_nearly_singular(reciprocal_condition, alpha, stacklevel=4)
    solution = cho_solve(factor, (targets.T * root).T, check_finite=False)
    dual = (solution.T * root).T
    if not return_left_out:
        return dual
    diagonal = inverse_diagonal(factor[0])
    return dual, left_out_predictions(solution, diagonal, targets, ridge, sample_weight)


def mean_diagonal(diagonal, sample_weight=None):
    """Return the weighted mean of a kernel matrix's diagonal, the unit of the ridge.

    Raises
    ------
    ValueError
        Weights times the diagonal exceed the range of float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(diagonal, weights=sample_weight)
        weighted = diagonal if sample_weight is None else diagonal * sample_weight
    if not (np.isfinite(mean) and np.isfinite(weighted).all()):
        raise beyond_range()
    return mean


def beyond_range():
    """Return the error for targets and weights whose products exceed the range of float64."""
    return ValueError(
        "y, sample_weight and kernel values, or their products, are beyond the range of float64: "
        "divide y by a constant; divide sample_weight and alpha by the same constant; or "
        "standardise the pixels."
    )


def not_positive_definite(alpha):
    """Return the error for a matrix that has no Cholesky factor with this ridge."""
    return LinAlgError(
        f"The kernel matrix with alpha={alpha} is not positive definite. {_remedy(alpha)}"
    )


def warn_if_nearly_singular(reciprocal_condition, alpha, stacklevel):
    """Warn if a matrix of this condition number has no reliable solution."""
    if reciprocal_condition < np.finfo(np.float64).eps:
        warnings.warn(
            f"The kernel matrix with alpha={alpha} is nearly singular (reciprocal condition "
            f"number {reciprocal_condition:.0e}): predictions may be inaccurate. {_remedy(alpha)}",
            LinAlgWarning,
            stacklevel=stacklevel,
        )


def _remedy(alpha):
    return (
        f"Set alpha to {max(1e-5, 10 * alpha):.0e} or more, or standardise the images. If dtype is "
        "'float32', which cannot distinguish nearly parallel images, 'float64' may also help."
    )
