"""Kernels of feature vectors and their derivatives with respect to the variances, in float64 NumPy.

Gaussian processes optimise variances, often for a single variable that is not standardised, such as
years.  Such vectors are nearly parallel: the rounding error of 1 - λ exceeds the noise level of the
process, and differences of kernels would amplify it.  So this recursion for the plain network
carries the angle t = arccos λ, computed from the determinant

    D = Σ(x, x) Σ(x', x') - Σ(x, x')²,      t = atan2(sqrt(D), Σ(x, x')),

which every layer computes without cancellation from its features φ, with weight variance w and
bias variance b:

    D = w² [|φ|² |φ'|² - (φ·φ')²] + w b |φ - φ'|²,

where after an activation, with s² = Σ(x, x) before it and ρ = 1 - κ₁,

    |φ|² |φ'|² - (φ·φ')² = (s s')² ρ (1 + κ₁) / 4,      |φ - φ'|² = (s - s')² / 2 + s s' ρ.

κ₀ and κ₁ are those of Arora et al. 2019, eqs. 11 and 12; Σ, Θ and their scales are as in
``reference_network``.
"""

import math

import numpy as np

#: Below this angle a series is accurate to rounding, whereas a difference is not.
_SMALL = 0.05


class Rates:
    """Numbers and their derivatives by the logarithms of some variances: sums and products."""

    def __init__(self, value, rates):
        self.value, self.rates = value, rates

    def __add__(self, other):
        rates = [a + b for a, b in zip(self.rates, other.rates, strict=True)]
        return Rates(self.value + other.value, rates)

    def __mul__(self, other):
        if not isinstance(other, Rates):
            return Rates(self.value * other, [rate * other for rate in self.rates])
        rates = [
            a * other.value + self.value * b for a, b in zip(self.rates, other.rates, strict=True)
        ]
        return Rates(self.value * other.value, rates)

    def through(self, value, derivative):
        """Return a function of these numbers, given its values and its derivatives."""
        return Rates(value, [derivative * rate for rate in self.rates])


def gram_and_rates(X, Y, readout, weight_variance, bias_variance, free):
    """Return kernel values of vectors, and their derivatives by the logarithms of variances.

    Parameters
    ----------
    X, Y : ndarray of float64, shapes (n, d) and (m, d)
    readout : Readout
    weight_variance : float or None
        None is that of the paper, and is not free.
    bias_variance : float
    free : sequence of {"bias_variance", "weight_variance"}
        The variances with respect to which derivatives are taken.

    Returns
    -------
    K : ndarray (n, m)
    rates : list of ndarray (n, m)
        One for each name in `free`.
    """

    def constant(value):
        return Rates(value, [0.0 for _ in free])

    def variance(name, value):
        return Rates(value, [value if name == one else 0.0 for one in free])

    weights = [1.0] + [2.0] * readout.convolutions
    if weight_variance is not None:
        weights = [weight_variance] * len(weights)
    *weights, dense = (variance("weight_variance", value) for value in weights)
    # K(cX, b) = c² K(X, b/c²): scale to numbers near 1, whose fourth powers do not overflow.
    unit = max(abs(X).max(), abs(Y).max(), math.sqrt(bias_variance))
    unit = 2.0 ** (math.frexp(unit)[1] - 1) if unit else 1.0
    X, Y = X / unit, Y / unit
    b = variance("bias_variance", bias_variance / unit / unit)

    n_features = X.shape[1]
    # K and Θ of the features, their squared norms on both sides, and the difference of these.
    k, theta = constant(X @ Y.T / n_features), constant(np.zeros((len(X), len(Y))))
    k_x, k_y = (constant(np.sum(Z**2, axis=1) / n_features) for Z in (X, Y))
    distance, gap, area = (constant(values) for values in _differences(X, Y))
    for layer, w in enumerate(weights):
        v_x, v_y, sigma = w * k_x + b, w * k_y + b, w * k + b
        determinant = w * w * area + w * b * distance
        theta = w * theta + (sigma if layer >= readout.frozen else constant(0.0))
        s_x, s_y = _root(v_x), _root(v_y)
        scale = _outer(s_x, s_y)
        angle = _angle(determinant, sigma, scale)
        kappa, rest = _kappa1(angle)
        k = scale * kappa * 0.5
        theta = theta * angle.through(0.5 - 0.5 * angle.value / math.pi, -0.5 / math.pi)
        k_x, k_y, gap = v_x * 0.5, v_y * 0.5, w * gap * 0.5
        s_gap = gap * 2.0 * _inverse_sum(s_x, s_y)
        distance = s_gap * s_gap * 0.5 + scale * rest
        area = scale * scale * rest * (kappa + constant(1.0)) * 0.25

    nngp = dense * k + b
    outputs = {"last": nngp, "all": dense * theta + nngp, "hidden": dense * theta}
    result = outputs[readout.trained_layers] * float(n_features) * unit * unit
    return result.value, [np.broadcast_to(rate, result.value.shape) for rate in result.rates]


def _differences(X, Y):
    """Return |x - x'|², |x|² - |x'|² and |x|²|x'|² - (x·x')², free of cancellation, per feature."""
    n_features = X.shape[1]
    distances, gaps, areas = (np.empty((len(X), len(Y))) for _ in range(3))
    for i, x in enumerate(X):  # row by row, since there are n m d numbers in total
        apart = Y - x
        distances[i] = np.sum(apart**2, axis=1) / n_features
        gaps[i] = -np.sum(apart * (Y + x), axis=1) / n_features
        along = apart @ x / n_features
        areas[i] = np.sum(x**2) / n_features * distances[i] - along**2
    if n_features == 1:
        areas[:] = 0.0
    return distances, gaps, np.maximum(areas, 0.0)


def _over(numerator, denominator):
    """Divide, giving 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _root(v):
    root = np.sqrt(v.value)
    return v.through(root, _over(0.5, root))


def _outer(a, b):
    rates = [
        np.multiply.outer(of_a, b.value) + np.multiply.outer(a.value, of_b)
        for of_a, of_b in zip(a.rates, b.rates, strict=True)
    ]
    return Rates(np.multiply.outer(a.value, b.value), rates)


def _inverse_sum(a, b):
    """Return 1 / (s + s') for all pairs."""
    inverse = _over(1.0, np.add.outer(a.value, b.value))
    rates = [-np.add.outer(*pair) * inverse**2 for pair in zip(a.rates, b.rates, strict=True)]
    return Rates(inverse, rates)


def _angle(determinant, sigma, scale):
    """Return t = atan2(sqrt(D), Σ)."""
    root = np.sqrt(determinant.value)
    share, norm = _over(0.5, root) * sigma.value, _over(1.0, scale.value**2)
    rates = [
        (share * of_d - root * of_sigma) * norm
        for of_d, of_sigma in zip(determinant.rates, sigma.rates, strict=True)
    ]
    return Rates(np.arctan2(root, sigma.value), rates)


def _kappa1(angle):
    """Return κ₁ and 1 - κ₁."""
    t = angle.value
    series = t**3 * (1 / 3 - t**2 * (1 / 30 - t**2 * (1 / 840 - t**2 / 45360)))
    area = np.where(t < _SMALL, series, np.sin(t) - t * np.cos(t))
    rest = 2 * np.sin(t / 2) ** 2 - area / math.pi
    derivative = np.sin(t) * (1.0 - t / math.pi)
    return angle.through(1.0 - rest, -derivative), angle.through(rest, derivative)
