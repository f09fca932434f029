"""Kernel ridge regression by conjugate gradients, for Gram matrices that are too large to factor.

The preconditioner is a low-rank approximation by randomly pivoted Cholesky plus the ridge (Díaz,
Epperly, Frangella, Tropp and Webber, "Robust, randomized preconditioning for kernel ridge
regression", 2023).
"""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning

from .pivoted_cholesky import randomly_pivoted_cholesky
from .ridge import beyond_range, mean_diagonal, not_positive_definite

# Rank of the preconditioner, and the number of blocks in which its pivots are drawn, each of which
# reads the matrix once.
_RANK = 1000
_BLOCKS = 4

# Fraction of the mean diagonal of the low-rank approximation's residual that the preconditioner
# adds to the ridge: the remaining spectrum is of that size.  Saves a third of the iterations on
# CIFAR-10.
_SHARE = 1 / 3


def ridge_cg(
    gram,
    targets,
    alpha,
    sample_weight=None,
    *,
    tol,
    max_iter,
    random_state,
    verbose=0,
    warn=True,
):
    """Solve (K + λ W⁻¹) A = targets with λ = `alpha` times the mean of K's diagonal.

    Parameters
    ----------
    gram : ArrayGram or ZarrGram
        Has ``n``, ``diagonal()``, ``columns(index)`` and ``product(V)``.
    targets : ndarray (n,) or (n, k)
        All outputs are solved for together.
    alpha : float
    sample_weight : ndarray (n,) or None
        Diagonal of W, as in `ridge_dual`.
    tol : float
        Largest norm of the residual, relative to that of the targets, of any output.
    max_iter : int
    random_state : RandomState
        Draws the pivots.
    verbose : int
        1 prints the residual every ten iterations.
    warn : bool
        Whether to warn as below.

    Returns
    -------
    dual : ndarray, the shape of `targets`
    n_iter : int

    Raises
    ------
    LinAlgError
        The residual is not finite, or the matrix is singular and no solution comes near the
        targets.
    ValueError
        Targets and weights exceed the range of float64.

    Warns
    -----
    ConvergenceWarning
        `tol` was not reached in `max_iter` iterations: the iterate with the smallest residual is
        returned.
    """
    diagonal = gram.diagonal()
    mean = mean_diagonal(diagonal, sample_weight)
    ridge = alpha * (mean if mean > 0 else 1.0)
    root = np.ones(gram.n) if sample_weight is None else np.sqrt(sample_weight)
    b = (targets.T * root).T.reshape(gram.n, -1)
    # Squares of targets of 1e200, or 1e-200, would leave the range of numbers.
    sizes = np.abs(b).max(axis=0)
    sizes[sizes == 0] = 1.0
    if not np.isfinite(sizes).all():
        raise beyond_range()
    b = b / sizes

    def product(V):
        return root[:, None] * gram.product(root[:, None] * V) + ridge * V

    rank = min(_RANK, gram.n // 2)
    block = -(-rank // _BLOCKS)
    F = randomly_pivoted_cholesky(gram, diagonal, rank, random_state, block).F
    left = np.average(diagonal - np.sum(F**2, axis=1), weights=sample_weight)
    F *= root[:, None]
    precondition = _preconditioner(
        F, max(ridge + _SHARE * left, 1e-8 * (mean if mean > 0 else 1.0))
    )
    # Scales that give the matrix a diagonal of 1, whatever the weights.
    row_scales = np.sqrt(diagonal * root**2 + ridge)
    row_scales[row_scales == 0] = 1.0
    solution, n_iter, residual = _conjugate_gradients(
        product, b, precondition, tol, max_iter, row_scales[:, None], verbose
    )
    if solution is None:
        raise not_positive_definite(alpha)
    if not np.isfinite(residual):
        raise LinAlgError(
            f"solver='cg' obtained a residual of {residual} in iteration {n_iter}: values of the "
            "Gram matrix, or their products, are beyond the range of float64. Divide the pixels by "
            "a constant, or use solver='cholesky'."
        )
    if warn and not residual <= tol:
        warnings.warn(
            f"solver='cg' reached a relative residual of {residual:.1e} in {n_iter} iterations "
            f"(max_iter={max_iter}), above tol={tol:.1e}: raise max_iter, tol or "
            f"alpha={alpha}.",
            ConvergenceWarning,
            stacklevel=6,
        )
    return ((solution * sizes).reshape(targets.shape).T * root).T, n_iter


def _preconditioner(F, shift):
    """Return the function v ↦ (F Fᵀ + shift)⁻¹ v, by the Woodbury identity."""
    if not F.shape[1]:  # an all-zero matrix; SciPy 1.10 does not solve systems of 0 rows
        return lambda V: V / shift
    inner = F.T @ F
    inner.flat[:: len(inner) + 1] += shift
    factor = cho_factor(inner, lower=True, check_finite=False)
    return lambda V: (V - F @ cho_solve(factor, F.T @ V, check_finite=False)) / shift


def _conjugate_gradients(product, b, precondition, tol, max_iter, row_scales, verbose):
    """Return the solution, number of iterations, and largest relative residual of its columns.

    The solution is the iterate with the smallest residual.  It is None if the matrix is singular:
    if a column grows to a size that only an eigenvalue indistinguishable from 0 can cause, or if
    the search directions consist of rounding errors only while the residual is still large.
    """
    norms = np.linalg.norm(b, axis=0)
    norms[norms == 0] = 1.0
    largest = np.linalg.norm(b / row_scales, axis=0) / np.finfo(np.float64).eps
    x = np.zeros_like(b)
    best, smallest = x, np.inf
    r = b.copy()
    z = precondition(r)
    p = z.copy()
    rz = np.sum(r * z, axis=0)
    for n_iter in range(1, max_iter + 1):
        q = product(p)
        curvature = np.sum(p * q, axis=0)
        # A column that is solved exactly does not change.
        step = np.divide(rz, curvature, out=np.zeros_like(rz), where=curvature > 0)
        if not np.isfinite(curvature).all():
            return x, n_iter, np.nan
        x = x + step * p
        r -= step * q
        residual = np.max(np.linalg.norm(r, axis=0) / norms)
        if (np.linalg.norm(row_scales * x, axis=0) > largest).any():
            return None, n_iter, residual
        if verbose and (n_iter % 10 == 0 or residual <= tol):
            print(f"conjugate gradients: iteration {n_iter}, relative residual {residual:.1e}")
        if not np.isfinite(residual):
            return x, n_iter, residual
        if residual < smallest:
            best, smallest = x, residual
        if residual <= tol:
            break
        if not step.any():
            return None, n_iter, residual
        z = precondition(r)
        rz, previous = np.sum(r * z, axis=0), rz
        p = z + np.divide(rz, previous, out=np.zeros_like(rz), where=previous > 0) * p
    return best, n_iter, smallest
