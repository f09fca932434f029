"""Factors of large matrices, panel by panel."""

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from sklearn_cntk._linalg import cholesky as _cholesky
from sklearn_cntk._linalg.ridge import ridge_dual


@pytest.mark.parametrize("n", [17, 30, 31])
def test_factorisation_in_panels(n, monkeypatch, rng):
    """As large matrices have it: against NumPy's, of their lower triangles."""
    monkeypatch.setattr(_cholesky, "_LARGE", 10)
    monkeypatch.setattr(_cholesky, "_PANEL", 10)
    A = rng.normal(size=(n, n))
    K = A @ A.T + np.eye(n)
    targets = rng.normal(size=(n, 3))
    expected = np.linalg.cholesky(K)
    factor, lower = _cholesky.cholesky_in_place(np.asfortranarray(K))
    assert lower
    np.testing.assert_allclose(np.tril(factor), expected, rtol=1e-12, atol=1e-13)
    dual = ridge_dual(K.copy(), targets, 0.5)
    ridge = 0.5 * K.diagonal().mean() * np.eye(n)
    np.testing.assert_allclose(dual, np.linalg.solve(K + ridge, targets), rtol=1e-9, atol=1e-12)
    K[n - 1, n - 1] = -1
    with pytest.raises(LinAlgError, match="alpha=0 is not positive definite"):
        ridge_dual(K, targets, 0)
