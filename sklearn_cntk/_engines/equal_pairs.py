"""Pairs of images that are equal or multiples of each other, with λ = 1 on the plane (0, 0).

There κ₀ would lose half of the digits.  For pairs with equal ids (see ``image_ids``), engines leave
that plane out and add its closed form.
"""

import numpy as np

from .._support.architecture import lap_weights
from .diagonals import self_sums
from .image_ids import ImageIds
from .scales import scale_images


def values_of_equal(architecture, own_values, X, Y, i, j):
    """Return the kernel values of pairs (X[i], Y[j]) whose ids are equal.

    For multiples x and y the value is sqrt(K(x, x) K(y, y)); each factor is computed once.

    Parameters
    ----------
    architecture : Architecture
    own_values : callable
        Maps images (n, P, Q, C) to kernel values (readouts, n) of each with itself.
    X, Y : ndarray (n, P, Q, C), (m, P, Q, C)
    i, j : ndarray of int, of the same length, which is above 0

    Returns
    -------
    ndarray of float64, shape (readouts, len(i))
    """
    distinct, x, y = _distinct(X, Y, i, j)
    exponents = np.zeros(len(distinct), dtype=int)
    if architecture.is_homogeneous:  # powers of 2 keep all digits, and squares stay in range
        distinct = distinct.astype(np.float64)
        _, exponents = np.frexp(np.abs(distinct).max(axis=(1, 2, 3)))
        distinct = np.ldexp(distinct, -exponents[:, None, None, None])
    own = own_values(distinct)
    values = own[:, x]
    others = x != y
    values[:, others] = np.sqrt(own[:, x[others]]) * np.sqrt(own[:, y[others]])
    with np.errstate(over="ignore"):  # callers check the values
        return np.ldexp(values, exponents[x] + exponents[y])


def _distinct(X, Y, i, j):
    """Return the distinct images among X[i] and Y[j], and the places of each pair's images."""
    if X is Y and np.array_equal(i, j):  # the usual case
        rows, x = np.unique(i, return_inverse=True)
        return X[rows], x, x
    (rows, x), (columns, y) = (np.unique(index, return_inverse=True) for index in (i, j))
    images = [*(X[row] for row in rows), *(Y[column] for column in columns)]
    ids = ImageIds(X.dtype, Y.dtype).of(images)
    _, firsts, places = np.unique(ids, return_index=True, return_inverse=True)
    distinct = np.array([images[first] for first in firsts])
    return distinct, places[: len(rows)][x], places[len(rows) :][y]


def self_values(plan, images):
    """Return what the plane (0, 0) adds to the kernel values of images with themselves.

    Returns
    -------
    ndarray of float64, shape (readouts, n)
    """
    rows, columns, _ = plan.architecture.image_shape
    radius = plan.architecture.radius
    weights = np.zeros((len(plan.poolings), rows, columns + radius))
    weights[:, :, :columns] = 1.0
    for of_pooling, pooling in zip(weights, plan.poolings, strict=True):
        if pooling > 0:
            of_rows, of_columns = (
                np.diagonal(lap_weights(side, pooling)) for side in (rows, columns)
            )
            of_pooling[:, :columns] = np.multiply.outer(of_rows, of_columns)
    pixels, scales = scale_images(images, plan.architecture.filter_size)
    sums = np.empty((len(images), len(plan.poolings), plan.n_layers, len(plan.states)))
    weights = weights.reshape(len(plan.poolings), -1)
    self_sums(pixels, radius, plan.gauge.factors, weights, np.array(plan.starts), sums)

    def sum_of(pooling, layer, state):
        return sums[:, plan.poolings.index(pooling), layer, plan.states.index(state)]

    with np.errstate(over="ignore", invalid="ignore"):  # callers check the values
        return plan.read(sum_of) * scales**2
