"""Coefficients of the dual activations of networks of any layers, see `network_plan`.

With u = 1 - |λ| and v = sqrt(u), engines compute for each operation

    RELU    K / (s s') = c λ + v u r(u), K̇ = c ± v p(u) (c and + for λ < 0, else c' and -)
    EXP     K / (s s') = E, K̇ = γ E, E = e(λ)^(2^k)
    ERF     K = 2/π asin(λ)
    GELU    from asin(λ)

where p and r are those of `dual_activations`, and asin(s) = s q(s²) up to s² = 1/2; beyond that, it
is π/2 - asin(t) with t² = 1 - s² = u (2 - u), so that one polynomial serves both.
"""

from functools import lru_cache
from math import comb

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from .dual_activations import arccos_coefficients
from .network_plan import ERF, EXP, GELU, RELU

#: Number of coefficients of an operation, and where its parts start.
SLOTS = 40
START_R = 16
START_NUMBERS = 32

#: Terms of q and e in single and double precision.
Q_TERMS, E_TERMS = (8, 18), (9, 16)


@lru_cache
def arcsin_coefficients(dtype):
    """Return the coefficients of q, constant term first: asin(x)/x in z = x² on [0, 1/2]."""
    series = [comb(2 * i, i) / (4.0**i * (2 * i + 1)) for i in range(64)]
    degree = Q_TERMS[dtype == "float64"] - 1
    q = Chebyshev.interpolate(Polynomial(series), degree, domain=[0, 0.5])
    return q.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef


def exponential_coefficients(gamma, dtype):
    """Return the coefficients of e, and k: e(λ)^(2^k) = exp(γ(λ - 1)) on [-1, 1]."""
    doublings = max(0, int(np.ceil(np.log2(gamma))))
    slope = gamma / 2**doublings
    degree = E_TERMS[dtype == "float64"] - 1
    e = Chebyshev.interpolate(lambda lam: np.exp(slope * (lam - 1)), degree)
    return e.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef, doublings


def operation_coefficients(operation, dtype):
    """Return the SLOTS numbers of an operation, in float64."""
    numbers = np.zeros(SLOTS)
    if operation.kind not in (RELU, EXP, ERF, GELU):
        return numbers
    layer, rest = operation.layer, numbers[START_NUMBERS:]
    rounding = np.finfo(dtype).eps / 2
    rest[2:6] = 1.0, 0.5, rounding, 10 * rounding
    if operation.kind == RELU:
        slope = layer.negative_slope or 0.0
        half = (1 - slope) ** 2 / 2
        first, second = (half * terms for terms in arccos_coefficients(dtype))
        rest[:2] = slope, slope + half
    elif operation.kind == EXP:
        gamma = layer.gamma or 1.0
        first, doublings = exponential_coefficients(gamma, dtype)
        second = ()
        rest[:2] = gamma, doublings
    else:
        first, second = arcsin_coefficients(dtype), ()
        rest[:2] = 2 / np.pi, np.pi / 2
    numbers[: len(first)] = first
    numbers[START_R : START_R + len(second)] = second
    return numbers
