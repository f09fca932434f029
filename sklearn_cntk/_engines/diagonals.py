"""The diagonals D of Σ(x, x), compiled: scales and their tables, and sums for equal images.

Planes are flat (P, Q + radius, lanes), so that a shift of the whole plane is one contiguous loop:
entries that leave a row at one end fall into the zero columns of another.

Elements are copied in loops, since Numba takes seconds to compile an assignment to a slice, because
of its error message.
"""

import numpy as np

from .compile import compile_lazily


@compile_lazily
def _add(source, target):
    for k in range(source.size):
        target[k] += source[k]


@compile_lazily
def _copy(source, target):
    for k in range(source.size):
        target[k] = source[k]


@compile_lazily
def box_sum(plane, shape, radius, lanes, scratch):
    """Replace `plane` by its sums over (2·radius + 1)² neighbours.

    `plane` and `scratch` are flat (P, Q + radius, lanes), so that a shift of the whole plane is
    one contiguous loop: entries that leave a row at one end fall into the zero columns of another.
    """
    rows, columns = shape
    width = (columns + radius) * lanes
    _copy(plane, scratch)
    for shift in range(width, min(radius + 1, rows) * width, width):
        _add(plane[shift:], scratch[:-shift])
        _add(plane[:-shift], scratch[shift:])
    _copy(scratch, plane)
    for shift in range(lanes, (radius + 1) * lanes, lanes):
        _add(scratch[shift:], plane[:-shift])
        _add(scratch[:-shift], plane[shift:])
    for end in range(width, plane.size + 1, width):
        for k in range(end - radius * lanes, end):
            plane[k] = 0.0


@compile_lazily
def pixel_energy(pixels, radius, lanes, energy):
    """Fill a flat plane (P, Q + radius, lanes) with Σ_c x_c² of `pixels` (P, Q, C·lanes)."""
    rows, columns, depth = pixels.shape
    for k in range(energy.size):
        energy[k] = 0.0
    for i in range(rows):
        for j in range(columns):
            at = (i * (columns + radius) + j) * lanes
            for c in range(0, depth, lanes):
                for lane in range(lanes):
                    pixel = np.float64(pixels[i, j, c + lane])
                    energy[at + lane] += pixel * pixel


@compile_lazily
def _fill_layer(diagonal, factor, smallest, inverse, scale):
    """Compute 1/s and s·sqrt(factor) from a plane of D, and turn D into that of the layer's K."""
    root = np.sqrt(factor)
    for k in range(diagonal.size):
        s = np.sqrt(diagonal[k])
        visible = s > smallest
        inverse[k] = 1.0 / s if visible else 0.0
        scale[k] = s * root if visible else 0.0
        diagonal[k] *= factor


@compile_lazily
def fill_tables(pixels, vector, lanes, shape, radius, factors, smallest, diagonals, tables):
    """Fill `tables`, flat (layers, 2, P, Q + radius, lanes), with 1/s and s·sqrt(factor).

    The images are those of one `vector` of `pixels`, flat (vectors, P, Q, C, lanes) and scaled;
    `factors` holds the gauged 1/q² of each layer, and `diagonals` has room for two planes.
    `tables` may be longer than needed.
    """
    rows, columns, channels = shape
    size = rows * (columns + radius) * lanes
    n_pixels = rows * columns * channels * lanes
    image = pixels[vector * n_pixels : (vector + 1) * n_pixels]
    diagonal, scratch = diagonals[0, :size], diagonals[1, :size]
    pixel_energy(image.reshape((rows, columns, channels * lanes)), radius, lanes, diagonal)
    for layer in range(factors.size):
        box_sum(diagonal, (rows, columns), radius, lanes, scratch)
        inverse = tables[2 * layer * size : (2 * layer + 1) * size]
        scale = tables[(2 * layer + 1) * size : (2 * layer + 2) * size]
        _fill_layer(diagonal, factors[layer], smallest, inverse, scale)


@compile_lazily
def self_sums(pixels, radius, factors, weights, starts, sums):
    """Fill `sums` (images, poolings, layers, states) for planes (0, 0) of images with themselves.

    There λ = 1, so no arc-cosine is needed, which would lose half of the digits near 1.  The states
    are D, then a Θ for each other entry of `starts`, which says whether it starts as D rather than
    0.  `weights` is (poolings, P·(Q + radius)), 0 beyond the image; `pixels` is (images, P, Q, C),
    scaled.
    """
    images, rows, columns, _ = pixels.shape
    lanes = np.int64(1)  # a constant would make Numba compile the functions below again
    scratch = np.empty(weights.shape[1])
    states = np.empty((starts.size, weights.shape[1]))
    for image in range(images):
        pixel_energy(pixels[image], radius, lanes, states[0])
        for state in range(1, starts.size):
            for k in range(states.shape[1]):
                states[state, k] = states[0, k] if starts[state] else 0.0
        for layer in range(factors.size):
            for state in range(starts.size):
                box_sum(states[state], (rows, columns), radius, lanes, scratch)
                for k in range(states.shape[1]):
                    states[state, k] *= factors[layer]
                if state > 0:
                    _add(states[0], states[state])  # U = K̇ ⊙ Θ + K with K̇ = 1/q², K = D/q²
            for pooling in range(weights.shape[0]):
                for state in range(starts.size):
                    total = 0.0
                    for k in range(states.shape[1]):
                        total += weights[pooling, k] * states[state, k]
                    sums[image, pooling, layer, state] = total
