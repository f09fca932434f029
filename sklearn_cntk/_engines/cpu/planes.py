"""The inner loops of the CPU engine: displacement planes through all layers.

Neither the box sum nor κ changes the displacement (Δi, Δj) = (i' - i, j' - j) of an entry of
Σ or Θ, so each displacement is a plane of (P - |Δi|) × (Q - |Δj|) entries that runs through
all layers on its own and stays in cache.  Lanes are samples: one vector holds the same entry
for as many images of Y (or pairs) as fit.

A plane keeps a state, K or U, *before* the box sum.  The next layer sums q rows while it loads
them and slides a window of q such sums along the columns, in registers, so Σ and Θ are never
stored.  Planes are framed by `radius` zero columns and rows, the convolutions' zero padding.

Layouts (flat arrays of the working dtype, the last axis contiguous):

    x tables  [image, layer, (1/s, s), row, column + radius]
    y tables  [layer, (1/s, s), row, column + radius, lane] of one vector; for pairs, x tables too
    x pixels  [image, row, column, channel]                    y pixels [..., lane] likewise
    layers    [layer, SLOTS]: coefficients of p, of r, and the factor of κ₀
"""

from functools import lru_cache

import numpy as np

from ..compile import compile_lazily
from ..diagonals import fill_tables
from .lanes import (
    broadcast,
    coefficients,
    distance_to_one,
    fma,
    load,
    polynomial,
    positive_part,
    sqrt,
    store,
    where_negative,
    zero_window,
    zeros,
)
from .states import (
    accumulate_last,
    add_each,
    column_sums,
    fma_each,
    load_each,
    slide_each,
    store_each,
    total_each,
    with_thetas,
    zero_windows,
)

#: Elements of a row of the `layers` array, and where its parts start.
SLOTS = 32
START_R = 15
START_FACTOR = 31


@compile_lazily
def clear_frame(planes, start, stride, radius, lanes, size):
    """Zero the frame on the right of a plane and below it; the other sides are never written."""
    zero = zeros(planes)
    for i in range(size[0]):
        at = start + i * stride + size[1] * lanes
        for j in range(radius):
            store(planes, at + j * lanes, zero)
    for i in range(size[0], size[0] + radius):
        at = start + i * stride
        for j in range(size[1] + radius):
            store(planes, at + j * lanes, zero)


@compile_lazily
def pixel_covariance(
    plane,
    start,
    stride,
    x_pixels,
    x,
    x_stride,
    x_lanes,
    y_pixels,
    y,
    y_stride,
    lanes,
    n_channels,
    size,
):
    """Fill a plane with Σ_c x_c[i, j] x'_c[i', j'], which is K and U of the input layer."""
    for i in range(size[0]):
        at_x = x + i * x_stride
        at_y = y + i * y_stride
        at = start + i * stride
        for _ in range(size[1]):
            k = zeros(plane)
            for _ in range(n_channels):
                if x_lanes == 1:
                    value = broadcast(x_pixels, at_x)
                else:
                    value = load(x_pixels, at_x)
                k = fma(value, load(y_pixels, at_y), k)
                at_x += x_lanes
                at_y += lanes
            store(plane, at, k)
            at += lanes


@lru_cache
def compile_sweep(radius, n_states, n_sums, paired, p_terms, r_terms, lanes):
    """Compile the pass of all displacement planes of a tile through all layers.

    The arguments are constants to the compiler: the filter's radius; the number of states (K, and a
    U for each Θ), and how many of them, the last ones, are summed; whether a lane is a pair of
    images rather than an image of Y; the terms of the two polynomials; and the lanes of a vector.
    """
    filter_size = 2 * radius + 1
    x_lanes = lanes if paired else 1

    def sweep(
        x_side,
        y_side,
        factors,
        smallest,
        layers,
        starts,
        displacements,
        poolings,
        weights,
        triu,
        equal_pairs,
        planes,
        sums,
        shape,
    ):
        """Add the sums of K and U over every plane to `sums`.

        x_side, y_side : (pixels, room for tables), the layouts above; tables of one vector, but
                         of all images of X if each is paired with every vector of Y
        factors, smallest : as in `fill_tables`
        layers : polynomials and factors of the layers, in the layout above
        starts : for each state, whether it starts as Σ⁰ rather than 0
        displacements : (n, 2) array of (Δi, Δj), (0, 0) first
        poolings : -1 global average, 0 trace, c > 0 local average of radius c
        weights : (poolings, P² + Q²) array of w_P and w_Q, used if c > 0
        triu : skip vectors of pairs with j < i + triu
        equal_pairs : (x, y) whether the images are equal: their plane (0, 0) is left out
        planes : zeros, room for two framed planes of each state
        sums : flat [x, y vector, pooling, layer, sum, lane], then room for unused sums
        """
        x_pixels, x_tables = x_side
        y_pixels, y_tables = y_side
        n_rows, n_columns, n_channels = shape
        n_layers = layers.size // SLOTS
        n_pixels = n_rows * n_columns
        table_columns = n_columns + radius
        table_size = n_rows * table_columns
        n_x = 1 if paired else x_pixels.size // (n_pixels * n_channels)
        n_y = y_pixels.size // (n_pixels * n_channels * lanes)
        stride = (n_columns + 2 * radius) * lanes
        plane_size = (n_rows + 2 * radius) * stride
        interior = radius * (stride + lanes)
        layer_size = n_sums * lanes
        pool_size = n_layers * layer_size
        unused = sums.size - pool_size
        diagonals = np.empty((2, table_size * lanes))
        # Not constants, for which Numba would compile the functions below again each time.
        any_lanes, any_radius = np.int64(lanes), np.int64(radius)

        def advance_row(source, target, at_x, at_y, width, p, r, factor, at_sums):
            """Pass one row of a plane through one layer: box sum, κ, K and U, and their sums."""
            windows = zero_windows(planes, n_states, filter_size)
            row_sums = zero_window(planes, n_states)
            for j in range(-radius, width):
                columns = column_sums(planes, source, stride, filter_size, plane_size, n_states)
                windows = slide_each(windows, columns)
                source += lanes
                if j < 0:
                    continue  # the first box is not complete yet

                if paired:
                    x_inverse = load(x_tables, at_x)
                    x_scale = load(x_tables, at_x + table_size * lanes)
                else:
                    x_inverse = broadcast(x_tables, at_x)
                    x_scale = broadcast(x_tables, at_x + table_size)
                y_inverse = load(y_tables, at_y)
                y_scale = load(y_tables, at_y + table_size * lanes)
                at_x += x_lanes
                at_y += lanes

                boxes = total_each(windows)
                lam = boxes[0] * (x_inverse * y_inverse)
                u = distance_to_one(lam)
                v = sqrt(u)
                kappa1 = fma(v * u, polynomial(r, u), positive_part(lam))
                t = v * polynomial(p, u)
                kappa0 = where_negative(lam, t, factor - t)
                states = with_thetas(kappa1 * (x_scale * y_scale), kappa0, boxes)
                store_each(planes, target, plane_size, states)
                row_sums = add_each(row_sums, states)
                target += lanes
            accumulate_last(sums, at_sums, row_sums, n_sums)

        def add_pooled(source, weights, row_weight, column_weight, size, at_sums):
            """Add Σ w_P[i, i'] w_Q[j, j'] K[i, j] over a plane to the sums, and of U likewise.

            `row_weight` and `column_weight` are the indices of the first entry's weights.
            """
            plane_sums = zero_window(planes, n_states)
            for i in range(size[0]):
                row_sums = zero_window(planes, n_states)
                for j in range(size[1]):
                    weight = broadcast(weights, column_weight + j * (n_columns + 1))
                    states = load_each(planes, source + j * lanes, plane_size, n_states)
                    row_sums = fma_each(weight, states, row_sums)
                weight = broadcast(weights, row_weight + i * (n_rows + 1))
                plane_sums = fma_each(weight, row_sums, plane_sums)
                source += stride
            accumulate_last(sums, at_sums, plane_sums, n_sums)

        if not paired:
            for x in range(n_x):
                tables = x_tables[2 * n_layers * table_size * x :]
                fill_tables(
                    x_pixels,
                    x,
                    np.int64(1),
                    shape,
                    any_radius,
                    factors,
                    smallest,
                    diagonals,
                    tables,
                )
        for y in range(n_y):
            # Filled just before they are read, so that they are in the cache.
            fill_tables(
                y_pixels, y, any_lanes, shape, any_radius, factors, smallest, diagonals, y_tables
            )
            if paired:
                fill_tables(
                    x_pixels,
                    y,
                    any_lanes,
                    shape,
                    any_radius,
                    factors,
                    smallest,
                    diagonals,
                    x_tables,
                )
            for x in range(min(n_x, (y + 1) * lanes - triu)):
                x_image = y * lanes if paired else x
                pair = (x * n_y + y) * poolings.size * pool_size
                for d in range(displacements.shape[0]):
                    di = displacements[d, 0]
                    dj = displacements[d, 1]
                    size = (n_rows - abs(di), n_columns - abs(dj))
                    x_first = (max(0, -di), max(0, -dj))
                    y_first = (max(0, di), max(0, dj))
                    x_offset = (x_first[0] * n_columns + x_first[1]) * x_lanes
                    y_offset = (y_first[0] * n_columns + y_first[1]) * lanes

                    # The unweighted sums go to the first pool that needs them, GAP or trace.
                    plain = unused
                    for pool in range(poolings.size):
                        if poolings[pool] < 0 or (poolings[pool] == 0 and d == 0):
                            plain = pair + pool * pool_size
                            break

                    for state in range(2 * n_states):
                        start = state * plane_size + interior
                        clear_frame(planes, start, stride, any_radius, any_lanes, size)
                    for state in range(n_states):
                        # The Θ⁰ of a frozen first layer is 0, a sum over no channels.
                        pixel_covariance(
                            planes,
                            state * plane_size + interior,
                            stride,
                            x_pixels,
                            (x_image * n_pixels + x_offset) * n_channels,
                            n_columns * n_channels * x_lanes,
                            x_lanes,
                            y_pixels,
                            (y * n_pixels * lanes + y_offset) * n_channels,
                            n_columns * n_channels * lanes,
                            lanes,
                            n_channels if starts[state] else 0,
                            size,
                        )

                    source = 0
                    target = n_states * plane_size
                    for layer in range(n_layers):
                        p = coefficients(layers, layer * SLOTS, p_terms)
                        r = coefficients(layers, layer * SLOTS + START_R, r_terms)
                        factor = broadcast(layers, layer * SLOTS + START_FACTOR)
                        at_x = 2 * table_size * (x * n_layers + layer * x_lanes)
                        at_x += (x_first[0] * table_columns + x_first[1]) * x_lanes
                        at_y = 2 * table_size * layer * lanes
                        at_y += (y_first[0] * table_columns + y_first[1]) * lanes
                        for i in range(size[0]):
                            advance_row(
                                source + i * stride + radius * lanes,
                                target + i * stride + interior,
                                at_x + i * table_columns * x_lanes,
                                at_y + i * table_columns * lanes,
                                size[1],
                                p,
                                r,
                                factor,
                                plain + layer * layer_size,
                            )
                        for pool in range(poolings.size):
                            c = poolings[pool]
                            if c > 0 and abs(di) <= 2 * c and abs(dj) <= 2 * c:
                                add_pooled(
                                    target + interior,
                                    weights[pool],
                                    x_first[0] * n_rows + y_first[0],
                                    n_rows * n_rows + x_first[1] * n_columns + y_first[1],
                                    size,
                                    pair + pool * pool_size + layer * layer_size,
                                )
                        source, target = target, source

                    if d == 0:
                        for pool in range(poolings.size):
                            at = pair + pool * pool_size
                            if poolings[pool] <= 0 and at != plain:
                                for k in range(pool_size):
                                    sums[at + k] = sums[plain + k]
                            for lane in range(lanes):
                                if equal_pairs[x, y * lanes + lane]:
                                    for k in range(lane, pool_size, lanes):
                                        sums[at + k] = 0.0

    return compile_lazily(sweep)
