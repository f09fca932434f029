"""Training for a finite time: gradient flow on the squared loss, in closed form.

The infinitely wide network's outputs u(t) on the training images obey du/dt = −Θ (u − y) with the
constant kernel Θ (Arora et al. 2019, eqs. 3 to 5).  From u(0) = 0, every component along an
eigenvector of Θ approaches its target at the rate of its eigenvalue, and so

    f_t(x) = k(x, X) Θ⁻¹ (1 − exp(−Θ t)) y.

With a ridge λ, the penalty of kernel ridge regression, Θ + λ replaces Θ, and the limit is ridge
regression.  Time is measured in units of 1 / mean of Θ's diagonal: like the relative ridge, it has
the same meaning at every depth, and t acts much like a ridge ``alpha`` of 1 / t.
"""

import numpy as np
from scipy.linalg import eigh

from .ridge import mean_diagonal


class GradientFlow:
    """Dual coefficients of the linearised network at any time, from one eigendecomposition.

    Parameters
    ----------
    K : ndarray of float64, shape (n, n)
        Positive semidefinite; overwritten.
    alpha : float
        Ridge, relative to the mean of K's diagonal.
    sample_weight : ndarray (n,) or None
        Weights of the squared errors.  The mean of the diagonal is weighted likewise.
    """

    def __init__(self, K, alpha, sample_weight=None):
        mean = mean_diagonal(np.diagonal(K), sample_weight)
        mean = mean if mean > 0 else 1.0
        self._root = None if sample_weight is None else np.sqrt(sample_weight)
        if self._root is not None:
            # The flow of √W u has the symmetric kernel √W K √W.
            K *= self._root[:, None]
            K *= self._root
        eigenvalues, self._vectors = eigh(K, overwrite_a=True, check_finite=False)
        # Eigenvalues below 0 are rounding errors, which would grow without limit.
        self._rates = np.maximum(eigenvalues / mean, 0) + alpha
        self._mean = mean

    def dual(self, targets, time):
        """Return the dual coefficients (n,) or (n, k) after a relative `time`."""
        targets = self._weighted(targets)
        projected = (self._vectors.T @ targets).T * self._gains(time)
        return self._weighted(self._vectors @ projected.T)

    def _gains(self, time):
        """Return (1 − exp(−rate t)) / rate in units of 1 / mean, whose limit at rate 0 is t."""
        if np.isinf(time):
            small = np.finfo(float).eps * len(self._rates) * self._rates[-1]
            inverse = np.zeros_like(self._rates)
            np.divide(1, self._rates, out=inverse, where=self._rates > small)
            return inverse / self._mean
        exponents = self._rates * time
        gains = np.full_like(exponents, time)
        np.divide(-np.expm1(-exponents), self._rates, out=gains, where=exponents > 0)
        return gains / self._mean

    def _weighted(self, values):
        return values if self._root is None else (values.T * self._root).T
