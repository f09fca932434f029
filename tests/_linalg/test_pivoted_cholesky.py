"""Randomly pivoted Cholesky factors."""

import numpy as np
import pytest

from sklearn_cntk._linalg.gram_operators import ArrayGram
from sklearn_cntk._linalg.pivoted_cholesky import randomly_pivoted_cholesky, shifted_cholesky


def test_preconditioner_approximates(rng):
    A = rng.normal(size=(80, 10))
    K = A @ A.T
    pivoted = randomly_pivoted_cholesky(
        ArrayGram(K), K.diagonal(), 40, np.random.RandomState(0), block=10
    )
    F, pivots, L = pivoted
    assert 10 <= F.shape[1] <= 40
    np.testing.assert_allclose(F @ F.T, K, atol=1e-6 * K.max())
    assert len(set(pivots)) == len(pivots) == F.shape[1]
    np.testing.assert_array_equal(L, np.tril(L))
    np.testing.assert_allclose(F @ L.T, K[:, pivots], atol=1e-8 * K.max())


def test_rejection_draws_as_one_by_one(rng):
    """Shares of the 6 pairs of pivots among 4, against their probabilities."""

    class Square(ArrayGram):
        def square(self, index):
            return self.K[np.ix_(index, index)]

    A = rng.normal(size=(4, 3))
    K = A @ A.T + np.diag([0.1, 0.2, 2.0, 0.3])
    expected = np.zeros((4, 4))
    for i in range(4):
        residual = np.diagonal(K - np.outer(K[:, i], K[i]) / K[i, i])
        expected[i] = K[i, i] / np.trace(K) * residual / residual.sum()
    expected += expected.T
    random_state = np.random.RandomState(0)
    found = np.zeros((4, 4))
    n_draws = 4000
    for _ in range(n_draws):
        _, pivots, _ = randomly_pivoted_cholesky(
            Square(K), K.diagonal(), 2, random_state, block=3, reject=True
        )
        found[*pivots] += 1
        found[*pivots[::-1]] += 1
    deviation = np.sqrt(expected * (1 - expected) / n_draws)
    off_diagonal = ~np.eye(4, dtype=bool)
    assert np.all((abs(found / n_draws - expected) < 4 * deviation)[off_diagonal])


def test_rounding_makes_no_factor_fail():
    K = np.ones((3, 3))
    K[0, 1] = K[1, 0] = 1 + 1e-7  # as float32 may have it: an eigenvalue of -1e-7
    np.testing.assert_allclose(shifted_cholesky(K, 1.0) @ shifted_cholesky(K, 1.0).T, K, atol=2e-6)
    with pytest.raises(np.linalg.LinAlgError, match="use dtype='float64'"):
        shifted_cholesky(-K, 1.0)
