"""Kernel ridge regression on landmarks: n × m kernel entries instead of n²."""

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, solve_triangular

from .._support.ram import check_memory
from .cholesky import cholesky_in_place
from .pivoted_cholesky import randomly_pivoted_cholesky, shifted_cholesky
from .ridge import mean_diagonal, not_positive_definite

#: Ways to choose landmarks.
LANDMARKS = ("uniform", "pivoted")

# Float64 kernel values that are held at a time: 64 MB.
_BLOCK_VALUES = 2**23

# Largest number of pivots that are drawn at a time: enough for tiles that are worth a call.
_PIVOT_BLOCK = 128


def ridge_nystroem(
    job,
    images,
    targets,
    alpha,
    n_components,
    landmarks,
    sample_weight,
    random_state,
    draw_rows=None,
):
    """Return landmarks and their dual coefficients.

    With the images Z of m landmarks, the predictions k(x, Z) A minimise
    |√W (targets − K(X, Z) A)|² + λ Aᵀ K(Z, Z) A, where λ is `alpha` times the mean of the diagonal
    of K(X, X) (Williams and Seeger, "Using the Nyström method to speed up kernel machines", 2001).
    With all images as landmarks, this is exact kernel ridge regression.

    Parameters
    ----------
    job : Job
    images : ndarray (n, P, Q, C)
    targets : ndarray (n,) or (n, k)
    alpha : float
    n_components : int
        Number m of landmarks.
    landmarks : {"uniform", "pivoted"}
        Drawn uniformly, or as the pivots of a randomly pivoted Cholesky factorisation, which
        holds the n × m entries.  These entries are computed once, and some of them twice: with
        "uniform", the m × m ones of the landmarks; with "pivoted", the square blocks of pivots that
        are drawn together, some of which are rejected.
    sample_weight : ndarray (n,) or None
    random_state : RandomState
    draw_rows : callable or None
        Called with the landmarks and `random_state`, whose state it does not change; returns rows
        to predict by regression on all others, with the same landmarks.

    Returns
    -------
    rows : ndarray (m,)
        Indices of the landmarks; fewer than m pivots if these reproduce the kernel matrix.
    dual : ndarray (m,) or (m, k)
    left_out : (rows, predictions) or None
        NaN where the other rows determine no prediction.

    Raises
    ------
    LinAlgError
        The normal equations are not positive definite: `alpha` is too small.
    """
    raw = job.raw_diagonals(images)
    gram = _ComputedGram(job, images, raw)
    diagonal = job.of_raw(raw)[0]
    mean = mean_diagonal(diagonal, sample_weight)
    # With features Φ = K(X, Z) L⁻ᵀ and L Lᵀ = K(Z, Z), the problem is ridge regression on Φ.
    choose = _pivots if landmarks == "pivoted" else _uniform
    rows, L, features = choose(gram, diagonal, n_components, random_state)
    weights = np.ones(len(images)) if sample_weight is None else sample_weight
    targets_2d = targets.reshape(len(targets), -1)
    inner = np.zeros_like(L)
    outer = np.zeros((len(L), targets_2d.shape[1]))
    block = max(1, _BLOCK_VALUES // len(L))
    drawn = np.arange(0) if draw_rows is None else draw_rows(rows, random_state)
    of_drawn = np.empty((len(L), len(drawn)))
    for start in range(0, len(images), block):
        part = slice(start, start + block)
        transposed = features(part)
        here = (drawn >= start) & (drawn < start + block)
        of_drawn[:, here] = transposed[:, drawn[here] - start]
        weighted = transposed * weights[part]
        inner += weighted @ transposed.T
        outer += weighted @ targets_2d[part]
    inner.flat[:: len(L) + 1] += alpha * (mean if mean > 0 else 1.0)
    try:
        factor = cholesky_in_place(inner.T)
    except LinAlgError as error:
        raise not_positive_definite(alpha) from error
    coefficients = cho_solve(factor, outer, check_finite=False)
    dual = solve_triangular(L, coefficients, lower=True, trans="T", check_finite=False)
    left_out = None
    if draw_rows is not None:
        # The effect of a row's target on its own prediction, per unit of weight.
        shares = np.sum(of_drawn * cho_solve(factor, of_drawn, check_finite=False), axis=0)
        others = 1 - shares * np.minimum(weights[drawn], 1)
        others[others < 10 * len(L) * np.finfo(float).eps] = np.nan  # 0 up to rounding
        fitted = (of_drawn.T @ coefficients).reshape(len(drawn), *targets.shape[1:])
        left_out = drawn, targets[drawn] - ((targets[drawn] - fitted).T / others).T
    return rows, dual.reshape(len(rows), *targets.shape[1:]), left_out


def _uniform(gram, diagonal, n_components, random_state):
    """Return rows drawn uniformly, L, and a function that computes Φᵀ for some rows."""
    rows = np.sort(random_state.permutation(gram.n)[:n_components])
    L = shifted_cholesky(gram.square(rows), diagonal.max())

    def features(part):
        values = gram.block(part, rows)
        return solve_triangular(L, values.T, lower=True, check_finite=False)

    return rows, L, features


def _pivots(gram, diagonal, n_components, random_state):
    """Return the same with pivots as rows; Φ comes from the pivoted factorisation."""
    n_bytes = 8 * gram.n * n_components
    remedy = "use landmarks='uniform', which holds only blocks of them, or a smaller n_components"
    check_memory(n_bytes, f"{gram.n} × {n_components} kernel entries for pivots", remedy)
    block = min(_PIVOT_BLOCK, -(-n_components // 4))
    F, rows, L = randomly_pivoted_cholesky(
        gram, diagonal, n_components, random_state, block, reject=True
    )
    if len(rows) == 0:  # a kernel that is 0 everywhere has no pivots, but predictions need a row
        return _uniform(gram, diagonal, 1, random_state)
    return rows, L, lambda part: F[part].T


class _ComputedGram:
    """The Gram matrix of images, whose entries are computed on request.

    Parameters
    ----------
    job : Job
    images : ndarray (n, P, Q, C)
    diagonals : ndarray (1, n)
        Raw kernel values of the images with themselves.
    """

    def __init__(self, job, images, diagonals):
        self.job = job
        self.images = images
        self.diagonals = diagonals
        self.n = len(images)

    def block(self, rows, columns):
        """Return the entries of some rows and columns, float64."""
        known = {"x_diagonals": self.diagonals[:, rows], "y_diagonals": self.diagonals[:, columns]}
        (values,) = self.job.gram(self.images[rows], self.images[columns], **known)
        return values

    def columns(self, index):
        """Return columns (n, len(index)), float64."""
        return self.block(slice(None), index)

    def square(self, index):
        """Return the square block (len(index), len(index)) of some rows, float64."""
        (values,) = self.job.gram(self.images[index])
        return values
