"""Low-rank approximation of a kernel matrix by randomly pivoted Cholesky.

Chen, Epperly, Tropp and Webber, "Randomly pivoted Cholesky: Practical approximation of a kernel
matrix with few entry evaluations" (2023), with pivots drawn in blocks: each block costs one reading
of the matrix, or one well-filled call of the kernel.  Pivots of a block may be redundant, unless
some are rejected as in Epperly, Tropp and Webber, "Embrace rejection: Kernel matrix approximation
by accelerated randomly pivoted Cholesky" (2024); then they are distributed as if drawn one by one.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

# Shifts of a block's diagonal, relative to the kernel's, of which the first that works is used:
# nearly dependent pivots add nothing, and float32 resolves nearly parallel images only to 1e-4.
_SHIFTS = (1e-10, 1e-8, 1e-6, 1e-4)

# Relative residual below which a pivot would consist of the shift and of rounding errors.
_NOTHING = 1e-9


class PivotedCholesky(NamedTuple):
    """K ≈ F Fᵀ with F = K[:, pivots] L⁻ᵀ (n, rank), L lower triangular."""

    F: np.ndarray
    pivots: np.ndarray
    L: np.ndarray


def randomly_pivoted_cholesky(gram, diagonal, rank, random_state, block, *, reject=False):
    """Factor a positive semidefinite matrix at pivots drawn by the residual's diagonal.

    Parameters
    ----------
    gram : object
        Has ``n`` and ``columns(index)``, float64 (n, len(index)); if `reject`, also
        ``square(index)``, those rows of the columns.
    diagonal : ndarray (n,)
    rank : int
        Largest number of pivots; there are fewer if the residual vanishes before.
    random_state : RandomState
    block : int
        Number of pivots that are drawn together.
    reject : bool, default=False
        Whether to reject drawn pivots that the others of the block represent.

    Returns
    -------
    PivotedCholesky
    """
    residual = diagonal.copy()
    largest = diagonal.max(initial=0)
    F = np.empty((gram.n, rank), order="F")
    L = np.zeros((rank, rank))
    pivots = np.empty(rank, dtype=np.intp)
    done = 0
    while done < rank:
        likely = np.flatnonzero(residual > _NOTHING * largest)
        if len(likely) == 0:
            break
        weights = residual[likely] / residual[likely].sum()
        size = block if reject else min(block, rank - done, len(likely))
        drawn = random_state.choice(likely, size, replace=reject, p=weights)
        if reject:
            inner = gram.square(drawn) - F[drawn, :done] @ F[drawn, :done].T
            drawn = drawn[_accepted(inner, random_state)][: rank - done]
        drawn = np.sort(drawn)
        new = slice(done, done + len(drawn))
        pivots[new] = drawn
        L[new, :done] = F[drawn, :done]
        columns = gram.columns(drawn)
        columns -= F[:, :done] @ L[new, :done].T
        L[new, new] = shifted_cholesky(columns[drawn], largest)
        F[:, new] = solve_triangular(L[new, new], columns.T, lower=True, check_finite=False).T
        residual = np.maximum(residual - np.sum(F[:, new] ** 2, axis=1), 0)
        residual[drawn] = 0
        done = new.stop
    return PivotedCholesky(F[:, :done], pivots[:done], L[:done, :done])


def _accepted(residual, random_state):
    """Return which drawn pivots are kept, given their rows and columns of the residual.

    Each is kept with a probability equal to the share of its diagonal that the ones before leave.
    """
    residual = residual.copy()
    bounds = random_state.uniform(size=len(residual)) * np.diagonal(residual)
    kept: list[int] = []
    for k, bound in enumerate(bounds):
        pivot = residual[k, k]
        if not kept or pivot > max(bound, 0):
            kept.append(k)
            if pivot > 0:  # rounding may make it 0 or negative
                residual -= np.outer(residual[:, k], residual[k]) / pivot
    return kept


def shifted_cholesky(block, scale):
    """Return the lower Cholesky factor of a block of a kernel whose diagonal is about `scale`.

    The smallest shift that makes it positive definite in spite of rounding is added to its
    diagonal.
    """
    scale = scale if scale > 0 else 1.0
    for shift in _SHIFTS:
        shifted = block.copy()
        shifted.flat[:: len(block) + 1] += shift * scale
        try:
            return cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
    raise LinAlgError(
        f"A block of kernel values is not positive definite, even with {_SHIFTS[-1]:.0e} of the "
        "largest value added to its diagonal: use dtype='float64'."
    )
