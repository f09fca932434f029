"""Networks of any layers in the reference engine: their formulas, one after the other.

For reading and testing, in float64.  Σ and Θ of a pair of images are full tensors T[i, j, i', j'].
The effect of an activation on Σ also depends on the variances Σ(x, x)[i, j, i, j] and
Σ(x', x')[i', j', i', j'], so the pairs (x, x) and (x', x') pass through the layers with (x, x').
"""

import numpy as np

from .._support.architecture import lap_weights
from .._support.layers import Activation, AvgPool, Conv, LayerNorm
from .image_ids import ids_for


def network_values(x, y, architecture, readouts):
    """Return the kernel values (len(readouts),) of two images (P, Q, C)."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    passes = {(readout.depth, readout.frozen) for readout in readouts}
    results = {key: _result(x, y, architecture, *key) for key in passes}
    return np.array([_value(results[r.depth, r.frozen], architecture, r) for r in readouts])


def _result(x, y, architecture, depth, frozen):
    """Return the pair before the dense layer; the first `frozen` convolutions are not trained."""
    network = architecture.layers(depth)
    channels = x.shape[-1]
    sigmas = [np.tensordot(a, b, axes=(-1, -1)) / channels for a, b in ((x, y), (x, x), (y, y))]
    x_id, y_id = ids_for(architecture, "float64", x.dtype).of([x, y])
    pair = _Pair(sigmas, np.zeros_like(sigmas[0]), x_id == y_id)
    variances = network.weight_variances[:-1]
    weights = [(w, number >= frozen) for number, w in enumerate(variances)]
    return _run(network.layers, pair, iter(weights))


def _value(pair, architecture, readout):
    """Return the kernel value of a readout, from the pair before the dense layer."""
    network = architecture.layers(readout.depth)
    rows, columns = pair.theta.shape[:2]

    def mean(tensor):
        if readout.gap:
            return tensor.mean()
        along_rows, along_columns = (lap_weights(n, readout.lap) for n in (rows, columns))
        return np.einsum("ijkl,ik,jl->", tensor, along_rows, along_columns) / (rows * columns)

    dense = network.weight_variances[-1]
    nngp = dense * mean(pair.sigmas[0]) + network.dense_bias_variance
    ntk = dense * mean(pair.theta)
    value = {"last": nngp, "all": ntk + nngp, "hidden": ntk}[readout.trained_layers]
    channels = architecture.image_shape[-1]
    return value * channels * (1 if readout.gap else rows * columns)


class _Pair:
    """Σ of (x, x'), (x, x) and (x', x'), and Θ of (x, x'), at one point in the network."""

    def __init__(self, sigmas, theta, equal):
        self.sigmas, self.theta, self.equal = sigmas, theta, equal

    def with_values(self, sigmas, theta):
        return _Pair(sigmas, theta, self.equal)

    @property
    def variances(self):
        """For each Σ, the variances of its rows and columns, as tensors that broadcast."""
        x, y = (np.einsum("ijij->ij", sigma) for sigma in self.sigmas[1:])
        pairs = (x, y), (x, x), (y, y)
        return [(a[:, :, None, None], b[None, None]) for a, b in pairs]


def _run(layers, pair, weights):
    """Apply layers to a pair; `weights` yields (variance, whether trained) per convolution."""
    for layer in layers:
        if isinstance(layer, Conv):
            variance, trained = next(weights)
            rows, columns = layer.sides
            factor = variance / (rows * columns)
            sigmas = [factor * _box(s, layer) + layer.bias_variance for s in pair.sigmas]
            theta = factor * _box(pair.theta, layer)
            pair = pair.with_values(sigmas, theta + sigmas[0] if trained else theta)
        elif isinstance(layer, Activation):
            outputs = []
            for number, (sigma, (a, b)) in enumerate(zip(pair.sigmas, pair.variances, strict=True)):
                same = number > 0 or pair.equal
                outputs.append(dual_activation(layer, sigma, a, b, same))
            theta = outputs[0][1] * pair.theta
            pair = pair.with_values([k for k, _ in outputs], theta)
        elif isinstance(layer, LayerNorm):
            scales = [np.sqrt(a * b) for a, b in pair.variances]
            sigmas = [_ratio(s, scale) for s, scale in zip(pair.sigmas, scales, strict=True)]
            pair = pair.with_values(sigmas, _ratio(pair.theta, scales[0]))
        elif isinstance(layer, AvgPool):
            sigmas = [_pool(sigma, layer) for sigma in pair.sigmas]
            pair = pair.with_values(sigmas, _pool(pair.theta, layer))
        else:
            body = _run(layer.body, pair, weights)
            shortcut = _run(layer.shortcut or (), pair, weights)
            sigmas = [a + b for a, b in zip(body.sigmas, shortcut.sigmas, strict=True)]
            pair = pair.with_values(sigmas, body.theta + shortcut.theta)
    return pair


def dual_activation(activation, sigma, a, b, same=False):
    """Return K = E[φ(u) φ(v)] and K̇ = E[φ'(u) φ'(v)] for Gaussians of covariance `sigma`.

    `a` and `b` are the variances of u and v.  If `same`, entries [i, j, i, j] belong to equal
    pixels, whose correlation is exactly 1.
    """
    scale = np.sqrt(a * b)
    lam = np.clip(_ratio(sigma, scale), -1, 1)
    if same:
        i, j = np.indices(lam.shape[:2])
        lam[i, j, i, j] = scale[i, j, i, j] > 0
    if activation.kind in ("relu", "leaky_relu"):
        slope = activation.negative_slope or 0.0
        kappa0 = 1 - np.arccos(lam) / np.pi
        kappa1 = lam * kappa0 + np.sqrt(1 - lam**2) / np.pi
        # φ(z) = slope z + (1 - slope) relu(z)
        half = (1 - slope) ** 2 / 2
        return scale * (half * kappa1 + slope * lam), half * kappa0 + slope
    if activation.kind in ("exp_normalized", "gaussian"):
        gamma = activation.gamma or 1.0
        k_dot = np.exp(gamma * (lam - 1))
        return scale * k_dot, gamma * k_dot
    if activation.kind == "erf":
        product = (1 + 2 * a) * (1 + 2 * b)
        k = 2 / np.pi * np.arcsin(np.clip(2 * sigma / np.sqrt(product), -1, 1))
        determinant = np.maximum(a * b - sigma**2, 0)
        return k, 4 / np.pi / np.sqrt(1 + 2 * a + 2 * b + 4 * determinant)
    # GELU, z Φ(z), by Stein's identity: docs/networks.md.
    product = (1 + a) * (1 + b)
    rest = 1 + a + b + np.maximum(a * b - sigma**2, 0)
    probability = 1 / 4 + np.arcsin(sigma / np.sqrt(product)) / (2 * np.pi)
    density = 1 / (2 * np.pi * np.sqrt(rest))
    inverse = 1 / (1 + a) + 1 / (1 + b)
    k = sigma * probability + density * (a * b + sigma**2 * (inverse - 1))
    return k, probability + density * sigma * (inverse + 1 / rest)


def _ratio(tensor, scale):
    return np.divide(tensor, scale, out=np.zeros_like(tensor), where=scale > 0)


def _box(tensor, layer):
    """Return sums over the pixels under each filter, in both images simultaneously."""
    shape = tensor.shape[:2]
    first = layer.padding_before(shape)
    rows, columns = layer.output_shape(shape)
    last = [
        max((n_out - 1) * step + q - n - before, 0)
        for n_out, step, q, n, before in zip(
            (rows, columns), layer.steps, layer.sides, shape, first, strict=True
        )
    ]
    margins = [*zip(first, last, strict=True)] * 2
    padded = np.pad(tensor, margins, mode="wrap" if layer.padding == "circular" else "constant")
    result = np.zeros((rows, columns) * 2)
    for a in range(layer.sides[0]):
        for b in range(layer.sides[1]):
            under = (
                slice(a, a + rows * layer.steps[0], layer.steps[0]),
                slice(b, b + columns * layer.steps[1], layer.steps[1]),
            )
            result += padded[under * 2][:rows, :columns, :rows, :columns]
    return result


def _pool(tensor, layer):
    """Return means over a window in each image."""
    p, q = layer.windows(tensor.shape[:2])
    rows, columns = layer.output_shape(tensor.shape[:2])
    kept = (slice(rows * p), slice(columns * q))
    windows = tensor[kept * 2].reshape((rows, p, columns, q) * 2)
    return windows.mean(axis=(1, 3, 5, 7))
