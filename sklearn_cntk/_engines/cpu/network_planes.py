"""Planes through the layers of networks: box sums and other sums, see also ``network_activations``.

A plane of a state consists of rows of vectors, `pitch` elements apart.  The planes of the states, K
first and then Θ + K for each Θ, are `step` elements apart.  Tables are those of ``network_tables``,
coefficients those of ``dual_networks``; `at_x` and `at_y` are the positions in the tables for a
plane's first entry.
"""

from ..compile import compile_lazily
from .lanes import broadcast, fma, load, slide, store, total, zero_window, zeros
from .states import accumulate_last


@compile_lazily
def box_3x3(planes, source, pitch, target, size, row_stride, lanes, offset):
    """Compute 3 × 3 box sums plus `offset`; `source` is at the first window."""
    for i in range(size[0]):
        at, to = source + i * row_stride * pitch, target + i * pitch
        window = zero_window(planes, 3)
        for j in range(-2, size[1]):
            column = load(planes, at) + load(planes, at + pitch)
            window = slide(window, column + load(planes, at + 2 * pitch))
            at += lanes
            if j >= 0:
                store(planes, to, total(window) + offset)
                to += lanes


@compile_lazily
def box(planes, source, pitch, target, size, strides, lanes, offset, sides,
        scratch):  # fmt: skip
    """Do the same for filters of any sides and strides; `scratch` has room for a row."""
    for i in range(size[0]):
        first = source + i * strides[0] * pitch
        for j in range((size[1] - 1) * strides[1] + sides[1]):
            column = load(planes, first + j * lanes)
            for row in range(1, sides[0]):
                column = column + load(planes, first + row * pitch + j * lanes)
            store(planes, scratch + j * lanes, column)
        for j in range(size[1]):
            at = scratch + j * strides[1] * lanes
            total_sum = load(planes, at)
            for k in range(1, sides[1]):
                total_sum = total_sum + load(planes, at + k * lanes)
            store(planes, target + i * pitch + j * lanes, total_sum + offset)


@compile_lazily
def combine(planes, target, first, second, pitch, size, lanes, first_factor, second_factor):
    """Write the sum of two planes, each times its factor."""
    for i in range(size[0]):
        for at in range(i * pitch, i * pitch + size[1] * lanes, lanes):
            value = load(planes, first + at) * first_factor
            store(planes, target + at, value + load(planes, second + at) * second_factor)


@compile_lazily
def x_table(tables, at, x_lanes):
    """Return the vector of an entry of x's tables: one image for all lanes, or one per lane."""
    if x_lanes == 1:
        return broadcast(tables, at)
    return load(tables, at)


@compile_lazily
def plain_sum(planes, source, pitch, size, lanes, sums, at):
    """Add the sum of a plane to float64 `sums`, row by row."""
    for i in range(size[0]):
        start = source + i * pitch
        end = start + size[1] * lanes
        # Four sums, since in a single one each addition would wait for the previous one.
        a = b = c = d = zeros(planes)
        for k in range(start, end - 3 * lanes, 4 * lanes):
            a = a + load(planes, k)
            b = b + load(planes, k + lanes)
            c = c + load(planes, k + 2 * lanes)
            d = d + load(planes, k + 3 * lanes)
        for k in range(end - size[1] % 4 * lanes, end, lanes):
            a = a + load(planes, k)
        accumulate_last(sums, at, ((a + b) + (c + d),), 1)


@compile_lazily
def weighted_sum(planes, source, pitch, size, lanes, weights, row_weight, column_weight, steps):
    """Return Σ w_P w_Q K of a plane; the weights start at two indices and are `steps` apart."""
    plane_sum = zeros(planes)
    for i in range(size[0]):
        row_sum = zeros(planes)
        for j in range(size[1]):
            weight = broadcast(weights, column_weight + j * steps[1])
            row_sum = fma(weight, load(planes, source + i * pitch + j * lanes), row_sum)
        plane_sum = fma(broadcast(weights, row_weight + i * steps[0]), row_sum, plane_sum)
    return plane_sum
