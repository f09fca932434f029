"""Planes through the layers of networks: box sums, activations, normalisation, sums.

A plane of a state is rows of vectors, a pitch apart; the planes of the states, K first and then
Θ + K of each Θ, lie `step` elements apart.  Tables are those of ``network_tables``, coefficients
those of ``dual_networks``; `at_x` and `at_y` are the tables' entries of a plane's first entry.
"""

from ..compile import compile_lazily
from ..dual_activations import DEGREES
from ..dual_networks import E_TERMS, Q_TERMS, START_NUMBERS, START_R
from ..network_plan import ERF, EXP, GELU, NORM, RELU
from .lanes import (
    broadcast,
    coefficients,
    coefficients_of_precision,
    distance_to_one,
    distance_to_one_within,
    fma,
    fms,
    load,
    polynomial,
    slide,
    sqrt,
    store,
    times_each,
    total,
    where_negative,
    zero_window,
    zeros,
)
from .states import accumulate_last

# Terms of p, r, q and e, single and double, which are constants to the compiler.
_P_SINGLE, _P_DOUBLE = (DEGREES[dtype][0] + 1 for dtype in ("float32", "float64"))
_R_SINGLE, _R_DOUBLE = (DEGREES[dtype][1] + 1 for dtype in ("float32", "float64"))
_Q_SINGLE, _Q_DOUBLE = Q_TERMS
_E_SINGLE, _E_DOUBLE = E_TERMS


#: Where an activation is: on its own, or in one go with the convolution before it; with that, the
#: sum of a residual block in between, or the pool behind it.
ALONE, BEHIND_CONV, RESIDUAL, POOLED = range(4)


@compile_lazily
def box_3x3(planes, source, pitch, target, size, row_stride, lanes, offset):
    """3 × 3 box sums plus `offset`; `source` is at the first window."""
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
    """The same of filters of any sides and strides; `scratch` has room for a row."""
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
    """The sum of two planes, times a factor each."""
    for i in range(size[0]):
        for at in range(i * pitch, i * pitch + size[1] * lanes, lanes):
            value = load(planes, first + at) * first_factor
            store(planes, target + at, value + load(planes, second + at) * second_factor)


@compile_lazily
def x_table(tables, at, x_lanes):
    """The vector of an entry of x's tables: of one image, or of an image a lane."""
    if x_lanes == 1:
        return broadcast(tables, at)
    return load(tables, at)


@compile_lazily
def _relu(lam, p, r, limit, numbers):
    """κ and K̇ of a (leaky) ReLU at correlation λ, which is ±1 beyond a `limit`.

    `numbers` are -c and c' of κ, and those of K̇, see ``dual_networks``.  With |λ| = 1 - u, κ is
    ±c + u (v r(u) ∓ c).
    """
    below, above, dot_below, dot_above = numbers
    u = distance_to_one_within(lam, limit)
    v = sqrt(u)
    slope = where_negative(lam, below, above)
    kappa = fma(u, fms(v, polynomial(r, u), slope), slope)
    t = v * polynomial(p, u)
    return kappa, where_negative(lam, dot_below + t, dot_above - t)


@compile_lazily
def _arcsin(lam, q, numbers):
    """asin(λ) and sqrt(1 - λ²), from below where λ is ±1."""
    _, quarter_turn, one, _, tiny, _ = numbers
    zero = one - one
    u = distance_to_one(lam)
    u = where_negative(u - tiny, tiny, u)
    rest = u * (one + one - u)
    root = sqrt(rest)
    square = lam * lam
    is_small = square - rest  # if negative
    size = where_negative(lam, zero - lam, lam)
    angle = where_negative(is_small, size, root)
    angle = angle * polynomial(q, where_negative(is_small, square, rest))
    angle = where_negative(is_small, angle, quarter_turn - angle)
    return where_negative(lam, zero - angle, angle), root


@compile_lazily
def _gelu(lam, q, numbers, a, b):
    """K over its scale, and K̇, of GELU; a and b are v t² of both images, see ``network_tables``."""
    one, quarter = numbers[2], numbers[3] * numbers[3]
    angle, root = _arcsin(lam, q, numbers)
    over_two_pi = numbers[0] * quarter
    density = over_two_pi / root
    probability = fma(over_two_pi, angle, quarter)
    rest = fma(lam * lam, one - a - b, a * b)
    c, d = one - a, one - b
    k = fma(lam, probability, density * rest)
    return k, fma(density * lam, c + d + c * d / (root * root), probability)


@compile_lazily
def _column(planes, at, pitch):
    """Sum of three vectors below each other."""
    return load(planes, at) + load(planes, at + pitch) + load(planes, at + 2 * pitch)


@compile_lazily
def _entry(place, x, x_at, x_lanes, y, y_at):
    """The product of both images' entries of a table."""
    if place != ALONE:
        return broadcast(x, x_at) * load(y, y_at)
    return x_table(x, x_at, x_lanes) * load(y, y_at)


def _compile_activation(kind, place):
    """Compile what activations of a kind do in a place, both of them constants to the compiler."""

    def activate(planes, source, pitch, target, size, source_step, step, n_thetas, x, at_x, x_lanes,
                 y, at_y, table, lanes, exact, coefs, at_coefs, unit, offset, residual, slots, pool,
                 normalised):  # fmt: skip
        """K and Θ + K behind an activation, of Σ and Θ + Σ.

        source : behind a convolution, the first window of a 3 × 3 convolution whose biases are
            `offset`, and all of whose states are trained
        n_thetas, x_lanes : 0 or 1, and 1, behind a convolution
        table : (pixels, columns) of a table
        exact : negative in the lanes whose entries have λ = 1, those of equal images
        unit : what K̇ ⊙ Θ is multiplied by, for the sake of K's unit
        residual : of `RESIDUAL`, whether another plane is added to the sums before the activation;
            where it lies; factors of the sums and of that plane; and where this sum is kept, 0 for
            nowhere, both behind the target
        slots, pool : of `POOLED`, the array that the states are added to, and where, see
            ``slot_rows`` of ``network_pools``
        normalised : whether a layer normalisation comes in between
        """
        numbers = coefficients(coefs, at_coefs + START_NUMBERS, 6)
        one = numbers[2]
        if kind == RELU:
            p = coefficients_of_precision(coefs, at_coefs, _P_SINGLE, _P_DOUBLE)
            r = coefficients_of_precision(coefs, at_coefs + START_R, _R_SINGLE, _R_DOUBLE)
            p = times_each(unit, p)  # and K̇ with it
            below, above = numbers[0], numbers[1]
            of_relu = (one - one - below, above, below * unit, above * unit)
            # What differs from 1 by rounding is 1: with biases, pixels that see zeros alone are
            # parallel in all images, and the root of a rounding error would be half of the digits.
            limit = where_negative(exact, exact, one - numbers[5])
        elif kind == EXP:
            e = coefficients_of_precision(coefs, at_coefs, _E_SINGLE, _E_DOUBLE)
            doublings = int(coefs[at_coefs + START_NUMBERS + 1])
            dot_unit = unit * numbers[0]
        else:
            q = coefficients_of_precision(coefs, at_coefs, _Q_SINGLE, _Q_DOUBLE)
        added, other, factors, kept = residual
        rows_in_slots, slot_step, (window, far_from, first_column) = pool
        x_step, y_step = table[0] * x_lanes, table[0] * lanes
        for i in range(size[0]):
            at, to = source + i * pitch, target + i * pitch
            x_at, y_at = at_x + i * table[1] * x_lanes, at_y + i * table[1] * lanes
            if place == POOLED:
                near, far, in_window = rows_in_slots[i, 0], rows_in_slots[i, 1], first_column
            if place != ALONE:
                window_k, window_u = zero_window(planes, 3), zero_window(planes, 3)
            for j in range(0 if place == ALONE else -2, size[1]):
                if place == ALONE:
                    sigma = load(planes, at)
                else:
                    window_k = slide(window_k, _column(planes, at, pitch))
                    if n_thetas > 0:
                        window_u = slide(window_u, _column(planes, at + source_step, pitch))
                    if j < 0:
                        at += lanes
                        continue
                    sigma, of_theta = total(window_k) + offset, total(window_u) + offset
                if place == RESIDUAL:
                    # Bit for bit what the operations do one after the other, which they do where
                    # there is something to read in between.
                    u = of_theta + sigma
                    if added:
                        sigma = sigma * factors[0] + load(planes, to + other) * factors[1]
                        if n_thetas > 0:
                            u = u * factors[0] + load(planes, to + other + step) * factors[1]
                    if kept != 0:
                        store(planes, to + kept, sigma)
                        if n_thetas > 0:
                            store(planes, to + kept + step, u)
                    of_theta = u - sigma

                inverse = _entry(place, x, x_at, x_lanes, y, y_at)
                lam = sigma * inverse
                if kind == RELU:
                    kappa, dot = _relu(lam, p, r, limit, of_relu)
                    k = kappa * _entry(place, x, x_at + x_step, x_lanes, y, y_at + y_step)
                elif kind == EXP:
                    kappa = polynomial(e, where_negative(exact, one, lam))
                    for _ in range(doublings):
                        kappa = kappa * kappa
                    k = kappa * _entry(place, x, x_at + x_step, x_lanes, y, y_at + y_step)
                    dot = kappa * dot_unit
                elif kind == ERF:
                    angle, root = _arcsin(lam, q, numbers)
                    k = numbers[0] * angle
                    dot = numbers[0] * inverse / root
                else:
                    a, b = x_table(x, x_at + x_step, x_lanes), load(y, y_at + y_step)
                    scale = _entry(place, x, x_at + 2 * x_step, x_lanes, y, y_at + 2 * y_step)
                    k, dot = _gelu(lam, q, numbers, a, b)
                    k, dot = k * scale, dot * (inverse * scale)
                if normalised:
                    dot = dot * inverse

                if place == POOLED:
                    slot = near if in_window < far_from else far
                    in_window += 1
                    if in_window == window:
                        in_window = 0
                        near += lanes
                        far += lanes
                    store(slots, slot, load(slots, slot) + k)
                    if n_thetas > 0:
                        slot += slot_step
                        store(slots, slot, load(slots, slot) + fma(dot, of_theta, k))
                elif place == ALONE:
                    store(planes, to, k)
                    for theta in range(1, n_thetas + 1):
                        u = load(planes, at + theta * source_step)
                        store(planes, to + theta * step, fma(dot, u - sigma, k))
                else:
                    store(planes, to, k)
                    if n_thetas > 0:
                        store(planes, to + step, fma(dot, of_theta, k))
                at += lanes
                to += lanes
                x_at += x_lanes
                y_at += lanes

    return compile_lazily(activate)


_relu_alone, _relu_behind_conv, _relu_residual, _relu_pooled = (
    _compile_activation(RELU, place) for place in (ALONE, BEHIND_CONV, RESIDUAL, POOLED)
)
_exp_alone, _exp_behind_conv, _exp_pooled = (
    _compile_activation(EXP, place) for place in (ALONE, BEHIND_CONV, POOLED)
)
_erf_alone, _erf_behind_conv, _erf_pooled = (
    _compile_activation(ERF, place) for place in (ALONE, BEHIND_CONV, POOLED)
)
_gelu_alone = _compile_activation(GELU, ALONE)


@compile_lazily
def normalise(arguments):
    """Σ/(s s') and (Θ + Σ)/(s s'), of the arguments of `activate`."""
    planes, source, pitch, target, size, source_step, step, n_thetas = arguments[:8]
    x, at_x, x_lanes, y, at_y, table, lanes = arguments[8:15]
    for i in range(size[0]):
        at, to = source + i * pitch, target + i * pitch
        x_at, y_at = at_x + i * table[1] * x_lanes, at_y + i * table[1] * lanes
        for _ in range(size[1]):
            inverse = x_table(x, x_at, x_lanes) * load(y, y_at)
            for state in range(n_thetas + 1):
                value = load(planes, at + state * source_step)
                store(planes, to + state * step, value * inverse)
            x_at += x_lanes
            y_at += lanes
            at += lanes
            to += lanes


@compile_lazily
def run_elementwise(kind, place, arguments):
    """A plane behind an operation of a kind, in a place; for `arguments` see `activate`."""
    if kind == NORM:
        normalise(arguments)
    elif kind == RELU:
        if place == RESIDUAL:
            _relu_residual(*arguments)
        elif place == POOLED:
            _relu_pooled(*arguments)
        elif place == BEHIND_CONV:
            _relu_behind_conv(*arguments)
        else:
            _relu_alone(*arguments)
    elif kind == EXP:
        if place == POOLED:
            _exp_pooled(*arguments)
        elif place == BEHIND_CONV:
            _exp_behind_conv(*arguments)
        else:
            _exp_alone(*arguments)
    elif kind == ERF:
        if place == POOLED:
            _erf_pooled(*arguments)
        elif place == BEHIND_CONV:
            _erf_behind_conv(*arguments)
        else:
            _erf_alone(*arguments)
    else:
        _gelu_alone(*arguments)


@compile_lazily
def plain_sum(planes, source, pitch, size, lanes, sums, at):
    """Add the sum of a plane to float64 `sums`, row by row."""
    for i in range(size[0]):
        start = source + i * pitch
        end = start + size[1] * lanes
        # Four sums, as each addition would wait for the one before.
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
    """Σ w_P w_Q K of a plane; the weights are at two indices, `steps` from one to the next."""
    plane_sum = zeros(planes)
    for i in range(size[0]):
        row_sum = zeros(planes)
        for j in range(size[1]):
            weight = broadcast(weights, column_weight + j * steps[1])
            row_sum = fma(weight, load(planes, source + i * pitch + j * lanes), row_sum)
        plane_sum = fma(broadcast(weights, row_weight + i * steps[0]), row_sum, plane_sum)
    return plane_sum
