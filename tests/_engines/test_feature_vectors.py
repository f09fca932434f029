"""Kernels of feature vectors and their derivatives, against 80 digits."""

import mpmath
import numpy as np
import pytest

from sklearn_cntk._engines.feature_vectors import gram_and_rates
from sklearn_cntk.networks import Readout

VECTORS = {
    "normal": np.random.default_rng(0).normal(size=(4, 3)),
    "years": np.arange(1950.0, 1953)[:, np.newaxis],
    "near": 1 + np.array([0, 1e-6, 2e-6])[:, np.newaxis],
    "offset": 1000 + np.random.default_rng(1).normal(size=(3, 2)),
    "parallel, opposite and zero": np.array([[1.0, 2], [2, 4], [-1, -2], [0, 0]]),
}


def exact(x, y, readout, w, b):
    """The kernel of two vectors by eqs. 7 to 9 of Arora et al. 2019, with variances w and b."""
    k, k_x, k_y = (mpmath.fdot(*pair) / len(x) for pair in ((x, y), (x, x), (y, y)))
    theta = mpmath.mpf(0)
    for layer in range(readout.convolutions):
        weight = (2 if layer else 1) if w is None else w
        sigma, v_x, v_y = weight * k + b, weight * k_x + b, weight * k_y + b
        theta = weight * theta + (sigma if layer >= readout.frozen else 0)
        scale = mpmath.sqrt(v_x * v_y)
        t = mpmath.acos(min(sigma / scale, 1)) if scale else mpmath.pi / 2
        k = scale * (mpmath.sin(t) + (mpmath.pi - t) * mpmath.cos(t)) / (2 * mpmath.pi)
        theta *= (1 - t / mpmath.pi) / 2
        k_x, k_y = v_x / 2, v_y / 2
    weight = (2 if readout.convolutions else 1) if w is None else w
    nngp = weight * k + b
    of_theta = {"last": 0, "all": weight * theta + nngp, "hidden": weight * theta}
    return len(x) * (nngp if readout.trained_layers == "last" else of_theta[readout.trained_layers])


def exact_gram_and_rates(X, readout, w, b, free):
    """Their kernel matrix, and its derivatives by differences that 80 digits allow for."""
    rows = [[mpmath.mpf(float(value)) for value in x] for x in X]
    step = mpmath.mpf("1e-20")

    def gram(name=None, factor=1):
        w_there = w * factor if name == "weight_variance" else w
        b_there = b * factor if name == "bias_variance" else b
        values = [[exact(x, y, readout, w_there, b_there) for y in rows] for x in rows]
        return np.array(values, dtype=object)

    return [
        values.astype(float)
        for values in (
            gram(),
            *(
                (gram(name, mpmath.exp(step)) - gram(name, mpmath.exp(-step))) / (2 * step)
                for name in free
            ),
        )
    ]


@pytest.mark.parametrize(("w", "b"), [(None, 0.0), (None, 1.0), (2.0, 1e-3), (1.3, 0.0)])
@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("kind", VECTORS)
def test_values_and_derivatives(kind, trained_layers, w, b):
    X = VECTORS[kind]
    free = [n for n, value in (("bias_variance", b), ("weight_variance", w)) if value]
    for depth in (3, 6) if trained_layers == "hidden" else (1, 2, 6):
        readout = Readout(depth, False, trained_layers)
        K, rates = gram_and_rates(X, X, readout, w, b, free)
        with mpmath.workdps(80):
            expected, *derivatives = exact_gram_and_rates(X, readout, w, b, free)
        np.testing.assert_allclose(K, expected, rtol=1e-14, atol=1e-14 * abs(expected).max())
        for rate, derivative in zip(rates, derivatives, strict=True):
            scale = abs(derivative).max()
            np.testing.assert_allclose(rate, derivative, rtol=0, atol=1e-10 * scale)


def test_rows_and_columns(rng):
    X, Y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    arguments = Readout(4, False), 1.5, 0.2, ["weight_variance"]
    K, (rate,) = gram_and_rates(np.vstack([X, Y]), np.vstack([X, Y]), *arguments)
    part, (rate_of_part,) = gram_and_rates(X, Y, *arguments)
    np.testing.assert_allclose(part, K[:4, 4:], rtol=1e-14)
    np.testing.assert_allclose(rate_of_part, rate[:4, 4:], rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_vectors_of_any_size(scale, rng):
    X = rng.normal(size=(4, 3))
    K, (rate,) = gram_and_rates(X, X, Readout(4, False), 1.5, 0.2, ["bias_variance"])
    other, (other_rate,) = gram_and_rates(
        X * scale, X * scale, Readout(4, False), 1.5, 0.2 * scale**2, ["bias_variance"]
    )
    np.testing.assert_allclose(other / scale**2, K, rtol=1e-13)
    np.testing.assert_allclose(other_rate / scale**2, rate, rtol=1e-12)
