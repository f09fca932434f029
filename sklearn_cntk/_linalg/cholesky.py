"""Cholesky factorisation of matrices of any size, and the diagonals of their inverses.

LAPACK's factorisation in OpenBLAS 0.3.30, which SciPy 1.17 includes, ends in a segmentation fault
when several threads factor 16 500 rows or more.  So large matrices are factored in panels of
columns, by the right-looking blocked algorithm (Golub and Van Loan, "Matrix Computations", 4th ed.,
section 4.2.9).
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, solve_triangular
from scipy.linalg.blas import dtrsm

# Number of rows from which panels are used, and columns of a panel.
_LARGE = 8192
_PANEL = 2048


def cholesky_in_place(A, *, large=_LARGE, panel_columns=_PANEL):
    """Replace a matrix by its lower Cholesky factor; entries above the diagonal are undefined.

    Parameters
    ----------
    A : ndarray of float64, shape (n, n), in Fortran order
        Symmetric; only the lower triangle is read.
    large, panel_columns : int
        Number of rows from which panels are used, and columns of a panel.

    Returns
    -------
    (A, True)
        In the form that ``scipy.linalg.cho_solve`` expects.

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    """
    n = len(A)
    if n < large:
        return cho_factor(A, lower=True, overwrite_a=True, check_finite=False)
    for start in range(0, n, panel_columns):
        stop = min(start + panel_columns, n)
        try:
            corner, _ = cho_factor(A[start:stop, start:stop], lower=True, check_finite=False)
        except LinAlgError as error:
            raise LinAlgError(f"rows {start} to {stop} of the matrix: {error}") from error
        A[start:stop, start:stop] = corner
        if stop == n:
            break
        # L₂₁ = A₂₁ L₁₁⁻ᵀ, then A₂₂ −= L₂₁ L₂₁ᵀ, panel by panel of its lower triangle.
        panel = dtrsm(1.0, corner, A[stop:, start:stop], side=1, lower=1, trans_a=1)
        A[stop:, start:stop] = panel
        for later in range(stop, n, panel_columns):
            rows = panel[later - stop :]
            A[later:, later : later + panel_columns] -= rows @ rows[:panel_columns].T
    return A, True


def inverse_diagonal(L, *, panel_columns=_PANEL // 4):
    """Return the diagonal (n,) of the inverse of L Lᵀ for a lower triangular matrix L (n, n).

    Its entries are the squared norms of the columns of L⁻¹, which are computed in panels, in n³ / 3
    operations and without a second matrix.
    """
    n = len(L)
    diagonal = np.empty(n)
    for first in range(0, n, panel_columns):
        columns = np.eye(n - first, min(panel_columns, n - first))  # 0 above row `first`
        for start in range(first, n, panel_columns):
            stop = min(start + panel_columns, n)
            at = columns[start - first : stop - first]
            at[...] = solve_triangular(
                L[start:stop, start:stop], at, lower=True, check_finite=False
            )
            columns[stop - first :] -= L[stop:, start:stop] @ at
        diagonal[first : first + columns.shape[1]] = np.sum(columns**2, axis=0)
    return diagonal
