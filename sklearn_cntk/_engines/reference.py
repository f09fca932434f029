"""The reference engine: the paper's formulas, one after the other, in float64 NumPy.

For reading and testing.  A covariance is kept as the full tensor T[i, j, i', j'] of a pair of
images or, if only traces are requested, as its plane T[i, j, i, j], to which all formulas can be
restricted.  Equation numbers are those of Arora et al., "On Exact Computation with an
Infinitely Wide Neural Net", NeurIPS 2019.
"""

import math

import numpy as np

from .._support.architecture import lap_weights
from .host import HostEngine
from .image_ids import ids_for
from .plan import is_plain
from .reference_network import network_values


def kernel_values(x, y, architecture, readouts):
    """Return the kernel values (len(readouts),) of two images (P, Q, C)."""
    if not all(is_plain(architecture, readout) for readout in readouts):
        return network_values(x, y, architecture, readouts)
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    size, radius = math.prod(architecture.filter_sides), architecture.radius  # size is q²
    only_traces = all(not readout.gap and readout.lap == 0 for readout in readouts)
    outer = np.multiply if only_traces else np.multiply.outer
    covariance = np.sum(x * y, axis=-1) if only_traces else np.tensordot(x, y, axes=(-1, -1))

    x_id, y_id = ids_for(architecture, "float64", x.dtype).of([x, y])
    parallel, values = x_id == y_id, {}
    scales = zip(_scales(x, size, radius), _scales(y, size, radius), strict=False)
    sigma = box(covariance, radius)  # Σ⁰: the covariance of the first pre-activations
    theta = {"all": sigma, "hidden": np.zeros_like(sigma)}  # Θ⁰; 0 if the layer is frozen
    for depth in range(2, max(readout.depth for readout in readouts) + 1):
        scale = outer(*next(scales))  # sqrt(Σ(x, x) Σ(x', x')), the diagonal of Λ in eq. 8
        lam = np.divide(sigma, scale, out=np.zeros_like(sigma), where=scale > 0)
        lam = np.clip(lam, -1, 1)
        if parallel:
            _set_diagonal(lam, scale > 0)  # an image has correlation 1 with its multiples
        k = scale * kappa1(lam) / size  # eq. 11
        k_dot = kappa0(lam) / size  # eq. 12
        u = {name: k_dot * theta[name] + k for name in theta}
        outputs = {
            "all": u["all"],
            "hidden": k_dot * theta["hidden"],  # the dense layer is not trained: no K
            "last": k,
        }
        for readout in readouts:
            if readout.depth == depth:
                values[readout] = read(outputs[readout.trained_layers], readout)
        sigma = box(k, radius)  # tr over patches: Σ^h
        theta = {name: box(u[name], radius) for name in u}  # Θ^h
    return np.array([values[readout] for readout in readouts])


def kappa0(lam):
    """Arc-cosine kernel of degree 0: 2 E[1(u > 0) 1(v > 0)] at correlation λ."""
    return 1 - np.arccos(lam) / np.pi


def kappa1(lam):
    """Arc-cosine kernel of degree 1: 2 E[relu(u) relu(v)] at correlation λ."""
    return lam * kappa0(lam) + np.sqrt(1 - lam**2) / np.pi


def box(tensor, radius):
    """Sum T[i+a, j+b, i'+a, j'+b] over |a|, |b| <= radius, with zeros outside the images."""
    padded = np.pad(tensor, radius)
    rows, columns = tensor.shape[:2]
    result = np.zeros_like(tensor)
    for a in range(2 * radius + 1):
        for b in range(2 * radius + 1):
            window = (slice(a, a + rows), slice(b, b + columns)) * (tensor.ndim // 2)
            result += padded[window]
    return result


def read(tensor, readout):
    """Return the kernel value that a readout computes from U (or K) after the last convolution."""
    rows, columns = tensor.shape[:2]
    if tensor.ndim == 2:
        return tensor.sum()  # the trace of section 4, "CNTK-V"
    if readout.gap:
        return tensor.mean()  # section 4, "CNTK-GAP"
    row_weights = lap_weights(rows, readout.lap)
    column_weights = lap_weights(columns, readout.lap)
    return np.einsum("ijkl,ik,jl->", tensor, row_weights, column_weights)


def _scales(image, size, radius):
    """Yield s = sqrt(Σ^h(x, x)[i, j, i, j]) for h = 0, 1, …, where λ = 1 and κ₁ = 1."""
    diagonal = box(np.sum(image**2, axis=-1), radius)
    while True:
        yield np.sqrt(diagonal)
        diagonal = box(diagonal / size, radius)


def _set_diagonal(tensor, values):
    if tensor.ndim == 2:
        tensor[...] = values
    else:
        i, j = np.indices(tensor.shape[:2])
        tensor[i, j, i, j] = values[i, j, i, j]


class ReferenceEngine(HostEngine):
    """See ``protocol.Engine``.  Always computes in float64, whatever the `dtype`."""

    def gram(self, X, Y, architecture, readouts, *, dtype="float64", triu=None):
        """Return the kernel values of all pairs, computed one after the other."""
        values = np.zeros((len(readouts), len(X), len(Y)))
        for a, x in enumerate(X):
            for b, y in enumerate(Y):
                if triu is None or b - a >= triu:
                    values[:, a, b] = kernel_values(x, y, architecture, readouts)
        return values

    def pairs(self, X, Y, architecture, readouts, *, dtype="float64"):
        """Return the kernel values of the pairs (X[i], Y[i])."""
        columns = [kernel_values(x, y, architecture, readouts) for x, y in zip(X, Y, strict=True)]
        return np.reshape(columns, (len(X), len(readouts))).T
