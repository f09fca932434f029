"""Kernel ridge regression by conjugate gradients, where the Gram matrix is too large to factor.

The preconditioner is a low-rank approximation by randomly pivoted Cholesky (Chen, Epperly, Tropp
and Webber, "Randomly pivoted Cholesky", 2023), its pivots drawn in blocks, since each block costs
a reading of the matrix, plus the ridge.
"""

import warnings

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.exceptions import ConvergenceWarning

# Rank of the preconditioner, and the blocks in which its pivots are drawn.
_RANK = 1000
_BLOCKS = 4


def ridge_cg(gram, targets, alpha, sample_weight=None, *, tol, max_iter, random_state, verbose=0):
    """Solve (K + λ W⁻¹) A = targets with λ = `alpha` times the mean of K's diagonal.

    Parameters
    ----------
    gram : ArrayGram or ZarrGram
        Offers ``n``, ``diagonal()``, ``columns(index)`` and ``product(V)``.
    targets : ndarray (n,) or (n, k)
        All outputs are solved for at once.
    alpha : float
    sample_weight : ndarray (n,) or None
        Diagonal of W, as in `ridge_dual`.
    tol : float
        Largest norm of the residual, relative to that of the targets, of any output.
    max_iter : int
    random_state : RandomState
        Draws the pivots.
    verbose : int
        1 prints the residual of every tenth iteration.

    Returns
    -------
    dual : ndarray, the shape of `targets`
    n_iter : int

    Warns
    -----
    ConvergenceWarning
        `tol` was not reached in `max_iter` iterations.
    """
    diagonal = gram.diagonal()
    mean = np.average(diagonal, weights=sample_weight)
    ridge = alpha * (mean if mean > 0 else 1.0)
    root = np.ones(gram.n) if sample_weight is None else np.sqrt(sample_weight)
    b = (targets.T * root).T.reshape(gram.n, -1)

    def product(V):
        return root[:, None] * gram.product(root[:, None] * V) + ridge * V

    F = randomly_pivoted_cholesky(gram, diagonal, min(_RANK, gram.n // 2), random_state)
    precondition = _preconditioner(root[:, None] * F, ridge, mean)
    solution, n_iter, residual = _conjugate_gradients(
        product, b, precondition, tol, max_iter, verbose
    )
    if residual > tol:
        warnings.warn(
            f"solver='cg' reached a relative residual of {residual:.1e} in max_iter={max_iter} "
            f"iterations, tol={tol:.1e} was asked for: raise max_iter, tol or alpha={alpha}.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return (solution.reshape(targets.shape).T * root).T, n_iter


def randomly_pivoted_cholesky(gram, diagonal, rank, random_state):
    """Factor F (n, at most `rank`) with K ≈ F Fᵀ, its pivots drawn by the residual's diagonal."""
    residual = diagonal.copy()
    F = np.zeros((gram.n, 0))
    for size in np.diff(np.linspace(0, rank, min(_BLOCKS, max(rank, 1)) + 1).astype(int)):
        likely = np.flatnonzero(residual > 1e-12 * diagonal.max())
        size = min(size, len(likely))
        if size == 0:
            break
        weights = residual[likely] / residual[likely].sum()
        pivots = np.sort(random_state.choice(likely, size, replace=False, p=weights))
        columns = gram.columns(pivots) - F @ F[pivots].T
        block = columns[pivots]
        # Pivots that are nearly dependent add nothing: the shift keeps the factor real.
        block.flat[:: size + 1] += 1e-10 * np.trace(block)
        factor = cholesky(block, lower=True, check_finite=False)
        new = solve_triangular(factor, columns.T, lower=True, check_finite=False).T
        F = np.hstack([F, new])
        residual = np.maximum(residual - np.sum(new**2, axis=1), 0)
    return F


def _preconditioner(F, ridge, mean):
    """v ↦ (F Fᵀ + μ)⁻¹ v by the Woodbury identity, where μ is the ridge or not far above it."""
    shift = max(ridge, 1e-8 * mean)
    inner = F.T @ F
    inner.flat[:: len(inner) + 1] += shift
    factor = cho_factor(inner, lower=True, check_finite=False)
    return lambda V: (V - F @ cho_solve(factor, F.T @ V, check_finite=False)) / shift


def _conjugate_gradients(product, b, precondition, tol, max_iter, verbose):
    """Solution, number of iterations, and the largest relative residual of its columns."""
    norms = np.linalg.norm(b, axis=0)
    norms[norms == 0] = 1.0
    x = np.zeros_like(b)
    r = b.copy()
    z = precondition(r)
    p = z.copy()
    rz = np.sum(r * z, axis=0)
    for n_iter in range(1, max_iter + 1):
        q = product(p)
        curvature = np.sum(p * q, axis=0)
        # A column that is solved exactly stands still.
        step = np.divide(rz, curvature, out=np.zeros_like(rz), where=curvature > 0)
        x += step * p
        r -= step * q
        residual = np.max(np.linalg.norm(r, axis=0) / norms)
        if verbose and (n_iter % 10 == 0 or residual <= tol):
            print(f"conjugate gradients: iteration {n_iter}, relative residual {residual:.1e}")
        if residual <= tol:
            break
        z = precondition(r)
        rz, previous = np.sum(r * z, axis=0), rz
        p = z + np.divide(rz, previous, out=np.zeros_like(rz), where=previous > 0) * p
    return x, n_iter, residual
