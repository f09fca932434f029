"""The arc-cosine functions of degree 0 and 1 as polynomials.

With u = 1 - |λ|, both functions of the kernel (paper, eqs. 11 and 12 with c = 2) are smooth
up to a power of sqrt(u):

    κ₀(λ) = 1 - t  (λ >= 0)  or  t  (λ < 0),      t = arccos(|λ|)/π = sqrt(u) · p(u)
    κ₁(λ) = max(λ, 0) + g,                        g = u · sqrt(u) · r(u)

because κ₁' = κ₀.  p and r are analytic on [0, 1], with their nearest singularity at u = 2, so
each degree of a Chebyshev interpolant reduces the error by a factor of 5.8.
"""

from functools import lru_cache
from math import comb

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

# Degrees of (p, r).  Absolute errors of κ₀ and κ₁: 6e-8 and 5e-8 (float32: half a unit in the
# last place of 1), 2e-14 and 3e-14 (float64).
DEGREES = {"float32": (6, 5), "float64": (14, 12)}

_TERMS = 64  # of the Taylor series at u = 0, whose terms fall like 2**-k at u = 1


@lru_cache
def arccos_coefficients(dtype):
    """Return the coefficients of p and r, constant terms first, as two float64 arrays."""
    k = np.arange(_TERMS)
    # arccos(1 - u) = sqrt(2u) Σ binom(2k, k) u^k / ((2k + 1) 8^k); r is its integral over u^1.5.
    p = [comb(2 * i, i) / ((2 * i + 1) * 8.0**i) for i in range(_TERMS)]
    p = np.sqrt(2) / np.pi * np.array(p)
    r = p / (k + 1.5)
    return tuple(
        Chebyshev.interpolate(Polynomial(series), degree, domain=[0, 1])
        .convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
        .coef
        for series, degree in zip((p, r), DEGREES[dtype], strict=True)
    )
