"""The inner loops of the CPU engine: displacement planes through all layers.

Neither the box sum nor κ changes the displacement (Δi, Δj) = (i' - i, j' - j) of an entry of
Σ or Θ, so each displacement is a plane of (P - |Δi|) × (Q - |Δj|) entries that runs through
all layers on its own and stays in cache.  Lanes are samples: one vector holds the same entry
for as many images of Y (or pairs) as fit.

A plane keeps K and U *before* the box sum.  The next layer sums q rows while it loads them and
slides a window of q such sums along the columns, in registers, so Σ and Θ are never stored.
Planes are framed by `radius` zero columns and rows: the zero padding of the convolutions.

Layouts (flat arrays of the working dtype, the last axis contiguous):

    x tables  [image, layer, (1/s, s), row, column + radius]
    y tables  [layer, (1/s, s), row, column + radius, lane] of one vector; x tables too, of pairs
    x pixels  [image, row, column, channel]                    y pixels [..., lane] likewise
    layers    [layer, SLOTS]: coefficients of p, of r, and the factor of κ₀
"""

from functools import lru_cache

import numpy as np

from ..compile import compile_lazily
from ..scales import fill_tables
from .lanes import (
    accumulate,
    broadcast,
    coefficients,
    column_sum,
    distance_to_one,
    fma,
    load,
    polynomial,
    positive_part,
    slide,
    sqrt,
    store,
    total,
    where_negative,
    zero_window,
    zeros,
)

#: Elements of a row of the `layers` array, and where its parts start.
SLOTS = 32
START_R = 15
START_FACTOR = 31


@compile_lazily
def clear_frame(planes, start, stride, radius, lanes, size):
    """Zero the frame right of and below a plane; left and above nothing is ever written."""
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
    """Fill a plane with Σ_c x_c[i, j] x'_c[i', j'], the K and U of the input layer."""
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
def compile_sweep(radius, n_theta, sums_k, paired, p_terms, r_terms, lanes):
    """Compile the pass of all displacement planes of a tile through all layers.

    The arguments are constants to the compiler: the filter's radius, the number of Θ that run
    beside Σ (0, 1 or 2), whether the sums of K are wanted, whether a lane is a pair of images
    rather than an image of Y, the terms of the two polynomials, and the lanes of a vector.
    """
    filter_size = 2 * radius + 1
    n_states = 1 + n_theta
    first_state = 0 if sums_k else 1
    x_lanes = lanes if paired else 1

    def sweep(
        x_side,
        y_side,
        factors,
        smallest,
        layers,
        trains_first,
        displacements,
        pools,
        weights,
        triu,
        twins,
        planes,
        sums,
        shape,
    ):
        """Add the sums of K and U over every plane to `sums`.

        x_side, y_side : (pixels, room for tables), the layouts above; tables of one vector, but
                         of all images of X where each meets every vector of Y
        factors, smallest : what `fill_tables` takes
        layers : polynomials and factors of the layers, the layout above
        trains_first : whether Θ⁰ of the first Θ is Σ⁰ rather than 0
        displacements : (n, 2) array of (Δi, Δj), (0, 0) first
        pools : radius of each pooling: -1 global average, 0 trace, c > 0 local average
        weights : (pools, P² + Q²) array of w_P and w_Q, of use where c > 0
        triu : skip vectors of pairs with j < i + triu
        twins : (x, y) whether the two images are equal: their (0, 0) plane is left out
        planes : zeros, room for two framed planes of each state
        sums : flat [x, y vector, pool, layer, state, lane], then room for unused sums;
               states are K (if wanted), U and, with n_theta = 2, the U of frozen outer layers
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
        layer_size = (n_states - first_state) * lanes
        pool_size = n_layers * layer_size
        unused = sums.size - pool_size
        diagonals = np.empty((2, table_size * lanes))

        def advance_row(source, target, at_x, at_y, width, p, r, factor, at_sums):
            """One row of a plane through one layer: box sum, κ, K and U, and their sums."""
            window = zero_window(planes, filter_size)
            window_1 = zero_window(planes, filter_size)
            window_2 = zero_window(planes, filter_size)
            sum_k = zeros(planes)
            sum_1 = zeros(planes)
            sum_2 = zeros(planes)
            for j in range(-radius, width):
                window = slide(window, column_sum(planes, source, stride, filter_size))
                if n_theta > 0:
                    column = column_sum(planes, source + plane_size, stride, filter_size)
                    window_1 = slide(window_1, column)
                if n_theta > 1:
                    column = column_sum(planes, source + 2 * plane_size, stride, filter_size)
                    window_2 = slide(window_2, column)
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

                lam = total(window) * (x_inverse * y_inverse)
                u = distance_to_one(lam)
                v = sqrt(u)
                kappa1 = fma(v * u, polynomial(r, u), positive_part(lam))
                k = kappa1 * (x_scale * y_scale)
                store(planes, target, k)
                if sums_k:
                    sum_k = sum_k + k
                if n_theta > 0:
                    t = v * polynomial(p, u)
                    kappa0 = where_negative(lam, t, factor - t)
                    u_1 = fma(kappa0, total(window_1), k)
                    store(planes, target + plane_size, u_1)
                    sum_1 = sum_1 + u_1
                    if n_theta > 1:
                        u_2 = fma(kappa0, total(window_2), k)
                        store(planes, target + 2 * plane_size, u_2)
                        sum_2 = sum_2 + u_2
                target += lanes
            if sums_k:
                accumulate(sums, at_sums, sum_k)
                at_sums += lanes
            if n_theta > 0:
                accumulate(sums, at_sums, sum_1)
            if n_theta > 1:
                accumulate(sums, at_sums + lanes, sum_2)

        def add_pooled(source, weights, row_weight, column_weight, size, at_sums):
            """Add Σ w_P[i, i'] w_Q[j, j'] K[i, j] over a plane to the sums, and of U likewise.

            `row_weight` and `column_weight` are the indices of the weights of its first entry.
            """
            sum_k = zeros(planes)
            sum_1 = zeros(planes)
            sum_2 = zeros(planes)
            for i in range(size[0]):
                row_k = zeros(planes)
                row_1 = zeros(planes)
                row_2 = zeros(planes)
                for j in range(size[1]):
                    weight = broadcast(weights, column_weight + j * (n_columns + 1))
                    entry = source + j * lanes
                    if sums_k:
                        row_k = fma(weight, load(planes, entry), row_k)
                    if n_theta > 0:
                        row_1 = fma(weight, load(planes, entry + plane_size), row_1)
                    if n_theta > 1:
                        row_2 = fma(weight, load(planes, entry + 2 * plane_size), row_2)
                weight = broadcast(weights, row_weight + i * (n_rows + 1))
                sum_k = fma(weight, row_k, sum_k)
                sum_1 = fma(weight, row_1, sum_1)
                sum_2 = fma(weight, row_2, sum_2)
                source += stride
            if sums_k:
                accumulate(sums, at_sums, sum_k)
                at_sums += lanes
            if n_theta > 0:
                accumulate(sums, at_sums, sum_1)
            if n_theta > 1:
                accumulate(sums, at_sums + lanes, sum_2)

        if not paired:
            for x in range(n_x):
                tables = x_tables[2 * n_layers * table_size * x :]
                fill_tables(x_pixels, x, 1, shape, radius, factors, smallest, diagonals, tables)
        for y in range(n_y):
            # In the cache, where they are about to be read.
            fill_tables(y_pixels, y, lanes, shape, radius, factors, smallest, diagonals, y_tables)
            if paired:
                fill_tables(
                    x_pixels, y, lanes, shape, radius, factors, smallest, diagonals, x_tables
                )
            for x in range(min(n_x, (y + 1) * lanes - triu)):
                x_image = y * lanes if paired else x
                pair = (x * n_y + y) * pools.size * pool_size
                for d in range(displacements.shape[0]):
                    di = displacements[d, 0]
                    dj = displacements[d, 1]
                    size = (n_rows - abs(di), n_columns - abs(dj))
                    x_first = (max(0, -di), max(0, -dj))
                    y_first = (max(0, di), max(0, dj))
                    x_offset = (x_first[0] * n_columns + x_first[1]) * x_lanes
                    y_offset = (y_first[0] * n_columns + y_first[1]) * lanes

                    # The unweighted sums go to the first pool that wants them, GAP or trace.
                    plain = unused
                    for pool in range(pools.size):
                        if pools[pool] < 0 or (pools[pool] == 0 and d == 0):
                            plain = pair + pool * pool_size
                            break

                    for state in range(2 * n_states):
                        start = state * plane_size + interior
                        clear_frame(planes, start, stride, radius, lanes, size)
                    for state in range(n_states):
                        # Θ⁰ is Σ⁰ or, with a frozen first layer, 0: a sum of no channels.
                        trained = state == 0 or (state == 1 and trains_first)
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
                            n_channels if trained else 0,
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
                        for pool in range(pools.size):
                            c = pools[pool]
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
                        for pool in range(pools.size):
                            at = pair + pool * pool_size
                            if pools[pool] <= 0 and at != plain:
                                for k in range(pool_size):
                                    sums[at + k] = sums[plain + k]
                            for lane in range(lanes):
                                if twins[x, y * lanes + lane]:
                                    for k in range(lane, pool_size, lanes):
                                        sums[at + k] = 0.0

    return compile_lazily(sweep)
