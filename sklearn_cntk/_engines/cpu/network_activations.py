"""Activations and normalisation for the CPU engine's network planes, see ``network_planes``.

Each kind is compiled for each place that it can have in a network, but only once a network has it
there: a pass receives the addresses of compiled functions.
"""

import numpy as np
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ..compile import compile_lazily
from ..dual_activations import DEGREES
from ..dual_networks import E_TERMS, Q_TERMS, START_NUMBERS, START_R
from ..network_arrays import (
    FIRST_OPERATION,
    KIND,
    LAST_OPERATION,
    N_FUSED,
    NUMBER,
    SOURCE,
    TARGET,
    WHOLE_WINDOWS,
)
from ..network_plan import ERF, EXP, GELU, NORM, RELU, TABLES
from .lanes import (
    Lanes,
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
)
from .network_planes import x_table

# Numbers of terms of p, r, q and e in single and double precision, constants to the compiler.
_P_SINGLE, _P_DOUBLE = (DEGREES[dtype][0] + 1 for dtype in ("float32", "float64"))
_R_SINGLE, _R_DOUBLE = (DEGREES[dtype][1] + 1 for dtype in ("float32", "float64"))
_Q_SINGLE, _Q_DOUBLE = Q_TERMS
_E_SINGLE, _E_DOUBLE = E_TERMS


#: The place of an activation: on its own; fused with the convolution before it; also with the sum
#: of a residual block in between; or also with the pool after it.
ALONE, BEHIND_CONV, RESIDUAL, POOLED = range(4)


@compile_lazily
def _relu(lam, p, r, limit, numbers):
    """Return κ and K̇ of a (leaky) ReLU at correlation λ, which counts as ±1 beyond `limit`.

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
    """Return asin(λ) and sqrt(1 - λ²); λ = ±1 is approached from inside."""
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
    """Return K over its scale, and K̇, of GELU; a and b are v t² (see ``network_tables``)."""
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
    """Return the sum of three vectors in consecutive rows."""
    return load(planes, at) + load(planes, at + pitch) + load(planes, at + 2 * pitch)


@compile_lazily
def _entry(place, x, x_at, x_lanes, y, y_at):
    """Return the product of both images' entries of a table."""
    if place != ALONE:
        return broadcast(x, x_at) * load(y, y_at)
    return x_table(x, x_at, x_lanes) * load(y, y_at)


def _compile_activation(kind, place):
    """Compile activations of a kind in a place; both are constants to the compiler."""

    def activate(arguments):
        """Compute K and Θ + K after an activation, from Σ and Θ + Σ; for `arguments` see below."""
        planes, source, pitch, target, size, source_step, step, n_thetas = arguments[:8]
        x, at_x, x_lanes, y, at_y, table, lanes = arguments[8:15]
        exact, coefs, at_coefs, unit, offset, residual, slots, pool, normalised = arguments[15:]
        added, other, factors, kept = residual
        rows_in_slots, slot_step, (window, far_from, first_column) = pool
        numbers = coefficients(coefs, at_coefs + START_NUMBERS, 6)
        one = numbers[2]
        if kind == RELU:
            p = coefficients_of_precision(coefs, at_coefs, _P_SINGLE, _P_DOUBLE)
            r = coefficients_of_precision(coefs, at_coefs + START_R, _R_SINGLE, _R_DOUBLE)
            p = times_each(unit, p)  # and so K̇
            below, above = numbers[0], numbers[1]
            of_relu = (one - one - below, above, below * unit, above * unit)
            # Correlations within rounding of 1 count as 1: with biases, pixels that see only zeros
            # are parallel in all images, and the root of a rounding error would cost half of the
            # digits.
            limit = where_negative(exact, exact, one - numbers[5])
        elif kind == EXP:
            e = coefficients_of_precision(coefs, at_coefs, _E_SINGLE, _E_DOUBLE)
            doublings = int(coefs[at_coefs + START_NUMBERS + 1])
            dot_unit = unit * numbers[0]
        else:
            q = coefficients_of_precision(coefs, at_coefs, _Q_SINGLE, _Q_DOUBLE)
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
                    # Bit for bit the result of the separate operations, which run if there is a
                    # `READ` in between.
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


@compile_lazily
def _normalise(arguments):
    """Compute Σ/(s s') and (Θ + Σ)/(s s')."""
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


#: The functions by kind and place; each is compiled only when its address is requested.
_COMPILED = {
    (kind, place): _compile_activation(kind, place)
    for kind, places in {
        RELU: (ALONE, BEHIND_CONV, RESIDUAL, POOLED),
        EXP: (ALONE, BEHIND_CONV, POOLED),
        ERF: (ALONE, BEHIND_CONV, POOLED),
        GELU: (ALONE,),
    }.items()
    for place in places
}
_COMPILED[NORM, ALONE] = _normalise


def _argument_types(real):
    """Return Numba's types of the arguments of these functions, which form one tuple.

    planes, source, pitch, target, size, source_step, step, n_thetas : see ``network_planes``;
        fused with a convolution, source is the first window of a 3 × 3 convolution with biases
        `offset`, all of whose states are trained, and n_thetas is 0 or 1
    x, at_x, x_lanes, y, at_y : tables; x_lanes is 1 if fused with a convolution
    table : (pixels, columns) of a table
    lanes : of a vector
    exact : negative in the lanes whose entries have λ = 1, those of equal images
    coefs, at_coefs : see ``dual_networks``
    unit : factor that brings K̇ ⊙ Θ to the unit of K
    offset : biases
    residual : for `RESIDUAL`, whether another plane is added to the sums before the activation;
        its position; factors of the sums and of that plane; and the position where the result is
        kept, 0 for nowhere; positions are relative to the target
    slots, pool : for `POOLED`, the array that the states are added to, and where, see
        ``slot_rows`` of ``network_pools``
    normalised : whether a layer normalisation comes in between
    """
    flat, vector, whole = types.Array(real, 1, "C"), Lanes(real), types.int64
    pair = types.UniTuple(whole, 2)
    residual = types.Tuple((types.boolean, whole, types.UniTuple(vector, 2), whole))
    rows_in_slots = types.Array(whole, 2, "C")
    pool = types.Tuple((rows_in_slots, whole, types.UniTuple(whole, 3)))
    return types.Tuple((
        flat, whole, whole, whole, pair, whole, whole, whole,
        flat, whole, whole, flat, whole, pair, whole,
        vector, flat, whole, vector, vector, residual, flat, pool, types.boolean,
    ))  # fmt: skip


def activation_calls(arrays, paired):
    """Return which operations are fused with a convolution, and the places of activations.

    Parameters
    ----------
    arrays : PlanArrays
    paired : bool
        Whether the lanes are pairs.

    Returns
    -------
    n_fused : ndarray of int64, shape (operations,)
        For a convolution, how many of the operations after it are fused with it.
    places : ndarray of int64, shape (operations,)
        The places of activations and normalisations.
    """
    operations = arrays.operations
    n_fused = np.zeros(len(operations), np.int64)
    places = np.full(len(operations), ALONE)
    if paired or arrays.n_states > 2:
        return n_fused, places
    for stage in arrays.stages:
        for o in range(stage[FIRST_OPERATION], stage[LAST_OPERATION]):
            convolution = operations[o]
            fused, number = convolution[N_FUSED], convolution[NUMBER]
            if fused == 0 or not arrays.trained[number].all():
                continue
            n_fused[o], behind = fused, operations[o + fused]
            if fused == 2 or behind[SOURCE] != behind[TARGET]:
                places[o + fused] = RESIDUAL
            elif stage[WHOLE_WINDOWS] and o + 2 == stage[LAST_OPERATION]:
                places[o + fused] = POOLED
            else:
                places[o + fused] = BEHIND_CONV
    return n_fused, places


def activation_addresses(arrays, places, dtype):
    """Return the addresses of the functions of activations and normalisations, 0 for others."""
    arguments = (_argument_types(from_dtype(np.dtype(dtype))),)
    addresses = np.zeros(len(places), np.int64)
    for o, key in enumerate(zip(arrays.operations[:, KIND].tolist(), places.tolist(), strict=True)):
        if key[0] in TABLES:
            _COMPILED[key].compile(arguments)
            compiled = _COMPILED[key].overloads[arguments]
            name = compiled.fndesc.llvm_func_name
            addresses[o] = compiled.library.get_pointer_to_function(name)
    return addresses


@intrinsic
def activate(typingctx, address, arguments):
    """Call the function at an address, see `activation_addresses`."""
    wanted = _argument_types(arguments[0].dtype)
    if arguments != wanted:  # the function at the address would misread them
        raise TypingError(f"The arguments of an activation are {wanted}, not {arguments}.")

    def codegen(context, builder, sig, args):
        convention = context.call_conv
        function = convention.get_function_type(types.none, (wanted,))
        pointer = builder.inttoptr(args[0], function.as_pointer())
        status, _ = convention.call_function(builder, pointer, types.none, (wanted,), args[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), codegen
