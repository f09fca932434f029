"""Factors of large matrices, panel by panel."""

import numpy as np
import pytest
from scipy.linalg import LinAlgError, cho_solve

from sklearn_cntk._linalg.cholesky import cholesky_in_place


@pytest.mark.parametrize("n", [17, 30, 31])
def test_factorisation_in_panels(n, rng):
    """As large matrices have it: against NumPy's, of their lower triangles."""
    A = rng.normal(size=(n, n))
    K = A @ A.T + np.eye(n)
    targets = rng.normal(size=(n, 3))
    panels = {"large": 10, "panel_columns": 10}
    factor, lower = cholesky_in_place(np.asfortranarray(K), **panels)
    assert lower
    np.testing.assert_allclose(np.tril(factor), np.linalg.cholesky(K), rtol=1e-12, atol=1e-13)
    solution = cho_solve((factor, lower), targets)
    np.testing.assert_allclose(solution, np.linalg.solve(K, targets), rtol=1e-9, atol=1e-12)
    K[n - 1, n - 1] = -1
    with pytest.raises(LinAlgError, match=f"rows {(n - 1) // 10 * 10} to {n} of the matrix"):
        cholesky_in_place(np.asfortranarray(K), **panels)
