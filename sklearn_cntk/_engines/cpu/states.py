"""Operations on the planes of all states: those that `lanes` applies to one vector or window.

A pass carries K, and a U for each Θ, through the same arithmetic.  The vectors, or windows, of all
states form a tuple; these functions treat all of its elements alike.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import (
    Lanes,
    call_intrinsic,
    constant,
    element_pointer,
    is_flat,
    is_window,
    load_at,
    sum_of,
    vector_of,
)


@intrinsic(prefer_literal=True)
def zero_windows(typingctx, array, n_states, count):
    """Return for each of `n_states` a window of `count` zero vectors (both constants)."""
    literals = isinstance(n_states, types.IntegerLiteral), isinstance(count, types.IntegerLiteral)
    if not is_flat(array) or not all(literals):
        return None
    window = types.UniTuple(Lanes(array.dtype), count.literal_value)
    result = types.UniTuple(window, n_states.literal_value)

    def codegen(context, builder, sig, args):
        zeros = [constant(window.dtype, 0.0)] * len(window)
        windows = [context.make_tuple(builder, window, zeros)] * len(result)
        return context.make_tuple(builder, result, windows)

    return result(array, n_states, count), codegen


@intrinsic(prefer_literal=True)
def column_sums(typingctx, array, index, stride, count, plane_size, n_states):
    """Return for each state the sum of `count` vectors that are `stride` elements apart.

    The states' planes are `plane_size` elements apart; `count` and `n_states` are constants.
    """
    literals = isinstance(n_states, types.IntegerLiteral), isinstance(count, types.IntegerLiteral)
    if not is_flat(array) or not all(literals):
        return None
    result = types.UniTuple(Lanes(array.dtype), n_states.literal_value)

    def codegen(context, builder, sig, args):
        data, start, stride, _, plane_size, _ = args
        sums = []
        for _ in range(len(result)):
            position, vectors = start, []
            for _ in range(count.literal_value):
                vectors.append(load_at(context, builder, sig.args[0], data, position))
                position = builder.add(position, stride)
            sums.append(sum_of(builder, vectors))
            start = builder.add(start, plane_size)
        return context.make_tuple(builder, result, sums)

    signature = result(array, types.intp, types.intp, count, types.intp, n_states)
    return signature, codegen


@intrinsic
def slide_each(typingctx, windows, values):
    """Return the windows without their first vectors and with `values` appended."""
    if not isinstance(windows, types.UniTuple) or not is_window(windows.dtype):
        return None
    if not is_window(values) or len(values) != len(windows):
        return None

    def codegen(context, builder, sig, args):
        windows, values = (cgutils.unpack_tuple(builder, arg) for arg in args)
        slid = []
        for window, value in zip(windows, values, strict=True):
            vectors = [*cgutils.unpack_tuple(builder, window)[1:], value]
            slid.append(context.make_tuple(builder, sig.return_type.dtype, vectors))
        return context.make_tuple(builder, sig.return_type, slid)

    return windows(windows, values), codegen


@intrinsic
def total_each(typingctx, windows):
    """Return the sum of the vectors of each window."""
    if not isinstance(windows, types.UniTuple) or not is_window(windows.dtype):
        return None
    result = types.UniTuple(windows.dtype.dtype, len(windows))

    def codegen(context, builder, sig, args):
        windows = cgutils.unpack_tuple(builder, args[0])
        sums = [sum_of(builder, cgutils.unpack_tuple(builder, window)) for window in windows]
        return context.make_tuple(builder, result, sums)

    return result(windows), codegen


@intrinsic
def with_thetas(typingctx, k, kappa0, sums):
    """Return the states after a layer, K and U = κ₀ Θ + K for each Θ, from their box `sums`."""
    if not is_window(sums) or not sums.dtype == k == kappa0:
        return None

    def codegen(context, builder, sig, args):
        k, kappa0, sums = args
        thetas = cgutils.unpack_tuple(builder, sums)[1:]
        vector = vector_of(sig.args[0])
        states = [
            k,
            *(call_intrinsic(builder, "fmuladd", vector, kappa0, theta, k) for theta in thetas),
        ]
        return context.make_tuple(builder, sig.return_type, states)

    return sums(k, kappa0, sums), codegen


@intrinsic(prefer_literal=True)
def load_each(typingctx, array, index, plane_size, n_states):
    """Return for each state the vector at element `index` of its plane."""
    if not is_flat(array) or not isinstance(n_states, types.IntegerLiteral):
        return None
    result = types.UniTuple(Lanes(array.dtype), n_states.literal_value)

    def codegen(context, builder, sig, args):
        data, position, plane_size, _ = args
        vectors = []
        for _ in range(len(result)):
            vectors.append(load_at(context, builder, sig.args[0], data, position))
            position = builder.add(position, plane_size)
        return context.make_tuple(builder, result, vectors)

    return result(array, types.intp, types.intp, n_states), codegen


@intrinsic
def store_each(typingctx, array, index, plane_size, values):
    """Write the vector of each state at element `index` of its plane."""
    if not is_flat(array) or not is_window(values) or values.dtype.dtype != array.dtype:
        return None

    def codegen(context, builder, sig, args):
        data, position, plane_size, values = args
        vector = vector_of(sig.args[3].dtype)
        for value in cgutils.unpack_tuple(builder, values):
            pointer = element_pointer(context, builder, sig.args[0], data, position)
            pointer = builder.bitcast(pointer, vector.as_pointer())
            builder.store(value, pointer, align=array.dtype.bitwidth // 8)
            position = builder.add(position, plane_size)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, values), codegen


@intrinsic
def add_each(typingctx, a, b):
    """Return ``a + b`` for each state."""
    if not is_window(a) or a != b:
        return None

    def codegen(context, builder, sig, args):
        pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True)
        return context.make_tuple(builder, sig.return_type, [builder.fadd(*p) for p in pairs])

    return a(a, b), codegen


@intrinsic
def fma_each(typingctx, factor, values, addends):
    """Return ``factor * value + addend`` for each state."""
    if not is_window(values) or values != addends or values.dtype != factor:
        return None

    def codegen(context, builder, sig, args):
        factor, values, addends = args
        vector = vector_of(sig.args[0])
        pairs = zip(*(cgutils.unpack_tuple(builder, v) for v in (values, addends)), strict=True)
        results = [call_intrinsic(builder, "fmuladd", vector, factor, *pair) for pair in pairs]
        return context.make_tuple(builder, sig.return_type, results)

    return values(factor, values, addends), codegen


@intrinsic(prefer_literal=True)
def accumulate_last(typingctx, array, index, values, count):
    """Add the vectors of the last `count` (a constant) states to a float64 array from `index` on.

    Lanes are widened to float64.
    """
    if not is_flat(array) or array.dtype != types.float64 or not is_window(values):
        return None
    if not isinstance(count, types.IntegerLiteral):
        return None

    def codegen(context, builder, sig, args):
        data, position, values, _ = args
        lanes = sig.args[2].dtype
        wide = ir.VectorType(ir.DoubleType(), lanes.count)
        step = ir.Constant(position.type, lanes.count)
        for value in cgutils.unpack_tuple(builder, values)[-count.literal_value :]:
            pointer = element_pointer(context, builder, sig.args[0], data, position)
            pointer = builder.bitcast(pointer, wide.as_pointer())
            addend = value if lanes.dtype == types.float64 else builder.fpext(value, wide)
            total = builder.fadd(builder.load(pointer, align=8), addend)
            builder.store(total, pointer, align=8)
            position = builder.add(position, step)
        return context.get_dummy_value()

    return types.void(array, types.intp, values, count), codegen
