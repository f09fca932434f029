"""A short vector of numbers that Numba code handles like one number.

Numba vectorises only the innermost loop, and keeps whatever that loop carries over in memory.
The CNTK recursion slides a window along image columns while every lane (sample) does the same
arithmetic, so the loop to vectorise is not the inner one.  :class:`Lanes` expresses this
directly: a value of this type is one LLVM vector, lives in registers, and supports ``+ - * /``,
:func:`fma`, :func:`sqrt` and the few other operations that the kernel needs.  LLVM splits a
vector that is wider than the machine's registers, so the same code serves SSE, AVX2, AVX-512
and NEON.
"""

import operator

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model


def _vector_bytes():
    """Return the bytes of one vector: one register of AVX-512 or AVX2, or two of NEON or SSE.

    AVX2 has only 16 registers: with two per vector, the inner loop spills and loses up to a third
    of its speed.
    """
    features = config.CPU_FEATURES  # NUMBA_CPU_FEATURES, which overrides the host's
    if features is None:
        features = get_host_cpu_features().flatten()
    return 64 if "+avx512f" in features.split(",") else 32


VECTOR_BYTES = _vector_bytes()


def lane_count(dtype):
    """Return the number of samples that one vector of `dtype` holds."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class Lanes(types.Type):
    """Numba type of a vector with the element type `dtype` (a Numba float type)."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.count = VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Lanes({dtype} x {self.count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, vector_of(fe_type))


def _scalar(lanes):
    return ir.FloatType() if lanes.dtype.bitwidth == 32 else ir.DoubleType()


def vector_of(lanes):
    return ir.VectorType(_scalar(lanes), lanes.count)


def constant(lanes, value):
    return ir.Constant(vector_of(lanes), [value] * lanes.count)


def call_intrinsic(builder, name, vector_type, *args):
    """Call the LLVM intrinsic `name` overloaded for `vector_type`."""
    element = "f32" if isinstance(vector_type.element, ir.FloatType) else "f64"
    function_type = ir.FunctionType(vector_type, [vector_type] * len(args))
    function = cgutils.get_or_insert_function(
        builder.module, function_type, f"llvm.{name}.v{vector_type.count}{element}"
    )
    return builder.call(function, args)


def _register_operator(op, emit):
    @infer_global(op)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)

    @lower_builtin(op, Lanes, Lanes)
    def _lower(context, builder, sig, args):
        return emit(builder, *args)


_register_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_register_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_register_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_register_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))


def element_pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def is_flat(array_type):
    return (
        isinstance(array_type, types.Array)
        and array_type.ndim == 1
        and array_type.layout == "C"
        and isinstance(array_type.dtype, types.Float)
    )


def is_window(value):
    return isinstance(value, types.UniTuple) and isinstance(value.dtype, Lanes)


def load_at(context, builder, array_type, array, position):
    vector = vector_of(Lanes(array_type.dtype))
    pointer = element_pointer(context, builder, array_type, array, position)
    pointer = builder.bitcast(pointer, vector.as_pointer())
    return builder.load(pointer, align=array_type.dtype.bitwidth // 8)


def sum_of(builder, vectors):
    result = vectors[0]
    for vector in vectors[1:]:
        result = builder.fadd(result, vector)
    return result


@intrinsic
def load(typingctx, array, index):
    """Return the vector that starts at element `index` of a contiguous 1-D array."""
    if not is_flat(array) or not isinstance(index, types.Integer):
        return None
    lanes = Lanes(array.dtype)

    def codegen(context, builder, sig, args):
        return load_at(context, builder, sig.args[0], *args)

    return lanes(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write the vector `value` at element `index` of a contiguous 1-D array."""
    if not is_flat(array) or not isinstance(value, Lanes) or value.dtype != array.dtype:
        return None

    def codegen(context, builder, sig, args):
        pointer = element_pointer(context, builder, sig.args[0], *args[:2])
        pointer = builder.bitcast(pointer, vector_of(value).as_pointer())
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


def _broadcast(builder, vector_type, scalar):
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    mask_type = ir.VectorType(ir.IntType(32), vector_type.count)
    return builder.shuffle_vector(first, undefined, ir.Constant(mask_type, None))


@intrinsic
def broadcast(typingctx, array, index):
    """Return the vector whose lanes all hold element `index` of a 1-D array."""
    if not is_flat(array):
        return None
    lanes = Lanes(array.dtype)

    def codegen(context, builder, sig, args):
        pointer = element_pointer(context, builder, sig.args[0], *args)
        return _broadcast(builder, vector_of(lanes), builder.load(pointer))

    return lanes(array, types.intp), codegen


@intrinsic
def zeros(typingctx, array):
    """Return the zero vector for elements of `array`'s type."""
    if not is_flat(array):
        return None
    lanes = Lanes(array.dtype)
    return lanes(array), lambda context, builder, sig, args: constant(lanes, 0.0)


@intrinsic
def fma(typingctx, a, b, c):
    """Return ``a * b + c``, rounded once if the machine has the instruction."""
    if not (isinstance(a, Lanes) and a == b == c):
        return None

    def codegen(context, builder, sig, args):
        return call_intrinsic(builder, "fmuladd", vector_of(a), *args)

    return a(a, a, a), codegen


@intrinsic
def fms(typingctx, a, b, c):
    """Return ``a * b - c``, likewise."""
    if not (isinstance(a, Lanes) and a == b == c):
        return None

    def codegen(context, builder, sig, args):
        negated = builder.fneg(args[2])
        return call_intrinsic(builder, "fmuladd", vector_of(a), *args[:2], negated)

    return a(a, a, a), codegen


@intrinsic
def sqrt(typingctx, a):
    """Return the square root of every lane."""
    if not isinstance(a, Lanes):
        return None

    def codegen(context, builder, sig, args):
        return call_intrinsic(builder, "sqrt", vector_of(a), *args)

    return a(a), codegen


@intrinsic
def distance_to_one(typingctx, a):
    """Return ``max(1 - |a|, 0)`` for every lane."""
    if not isinstance(a, Lanes):
        return None

    def codegen(context, builder, sig, args):
        magnitude = call_intrinsic(builder, "fabs", vector_of(a), *args)
        distance = builder.fsub(constant(a, 1.0), magnitude)
        return _at_least_zero(builder, a, distance)

    return a(a), codegen


@intrinsic
def distance_to_one_within(typingctx, a, limit):
    """Return ``1 - |a|`` in the lanes where ``|a| <= limit``, 0 in the rest."""
    if not (isinstance(a, Lanes) and a == limit):
        return None

    def codegen(context, builder, sig, args):
        magnitude = call_intrinsic(builder, "fabs", vector_of(a), args[0])
        distance = builder.fsub(constant(a, 1.0), magnitude)
        inside = builder.fcmp_ordered("<=", magnitude, args[1])
        return builder.select(inside, distance, constant(a, 0.0))

    return a(a, a), codegen


@intrinsic
def positive_part(typingctx, a):
    """Return ``max(a, 0)`` for every lane."""
    if not isinstance(a, Lanes):
        return None

    def codegen(context, builder, sig, args):
        return _at_least_zero(builder, a, args[0])

    return a(a), codegen


def _at_least_zero(builder, lanes, value):
    zero = constant(lanes, 0.0)
    return builder.select(builder.fcmp_ordered(">", value, zero), value, zero)


@intrinsic
def where_negative(typingctx, condition, negative, otherwise):
    """Return `negative` in the lanes where `condition` < 0, `otherwise` in the rest."""
    if not (isinstance(condition, Lanes) and condition == negative == otherwise):
        return None

    def codegen(context, builder, sig, args):
        is_negative = builder.fcmp_ordered("<", args[0], constant(condition, 0.0))
        return builder.select(is_negative, args[1], args[2])

    return condition(condition, condition, condition), codegen


@intrinsic(prefer_literal=True)
def coefficients(typingctx, array, start, count):
    """Return a tuple of `count` (a constant) broadcast elements of a 1-D array from `start` on."""
    if not is_flat(array) or not isinstance(count, types.IntegerLiteral):
        return None
    result, codegen = _broadcast_elements(array, count.literal_value)
    return result(array, types.intp, count), codegen


@intrinsic(prefer_literal=True)
def coefficients_of_precision(typingctx, array, start, single, double):
    """Return the same for `single` elements of a float32 array, `double` of a float64 array."""
    counts = single, double
    if not is_flat(array) or not all(isinstance(n, types.IntegerLiteral) for n in counts):
        return None
    count = counts[array.dtype == types.float64].literal_value
    result, codegen = _broadcast_elements(array, count)
    return result(array, types.intp, single, double), codegen


def _broadcast_elements(array, count):
    """Return type and code of a tuple of `count` broadcast elements of an array."""
    lanes = Lanes(array.dtype)
    result = types.UniTuple(lanes, count)

    def codegen(context, builder, sig, args):
        values = []
        for k in range(count):
            index = builder.add(args[1], ir.Constant(args[1].type, k))
            pointer = element_pointer(context, builder, sig.args[0], args[0], index)
            values.append(_broadcast(builder, vector_of(lanes), builder.load(pointer)))
        return context.make_tuple(builder, sig.return_type, values)

    return result, codegen


@intrinsic
def polynomial(typingctx, coefs, u):
    """Evaluate a polynomial by Horner's rule; the constant term comes first."""
    if not isinstance(coefs, types.UniTuple) or coefs.dtype != u or not isinstance(u, Lanes):
        return None

    def codegen(context, builder, sig, args):
        terms = cgutils.unpack_tuple(builder, args[0])
        value = terms[-1]
        for term in reversed(terms[:-1]):
            value = call_intrinsic(builder, "fmuladd", vector_of(u), value, args[1], term)
        return value

    return u(coefs, u), codegen


@intrinsic
def times_each(typingctx, factor, values):
    """Return a tuple of vectors, each times `factor`."""
    if not is_window(values) or values.dtype != factor:
        return None

    def codegen(context, builder, sig, args):
        products = [builder.fmul(args[0], v) for v in cgutils.unpack_tuple(builder, args[1])]
        return context.make_tuple(builder, sig.return_type, products)

    return values(factor, values), codegen


@intrinsic(prefer_literal=True)
def zero_window(typingctx, array, count):
    """Return a tuple of `count` (a constant) zero vectors for elements of `array`'s type."""
    if not is_flat(array) or not isinstance(count, types.IntegerLiteral):
        return None
    result = types.UniTuple(Lanes(array.dtype), count.literal_value)

    def codegen(context, builder, sig, args):
        values = [constant(result.dtype, 0.0)] * len(result)
        return context.make_tuple(builder, sig.return_type, values)

    return result(array, count), codegen


@intrinsic
def slide(typingctx, window, value):
    """Return the window without its first vector and with `value` appended."""
    if not is_window(window) or window.dtype != value:
        return None

    def codegen(context, builder, sig, args):
        values = [*cgutils.unpack_tuple(builder, args[0])[1:], args[1]]
        return context.make_tuple(builder, sig.return_type, values)

    return window(window, value), codegen


@intrinsic
def total(typingctx, window):
    """Return the sum of the vectors of a window."""
    if not is_window(window):
        return None

    def codegen(context, builder, sig, args):
        return sum_of(builder, cgutils.unpack_tuple(builder, args[0]))

    return window.dtype(window), codegen
