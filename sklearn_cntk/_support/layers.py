"""The layers that networks are made of: frozen, hashable, and validated on construction.

Their names are those of Keras and neural-tangents.  Nothing here depends on arrays or engines;
`Network` defines which sequences of layers are valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import ClassVar, cast

import numpy as np

from . import checks

PADDINGS = ("zeros", "circular")

#: Parameters of each activation, and their defaults.
ACTIVATIONS: dict[str, dict[str, float]] = {
    "relu": {},
    "leaky_relu": {"negative_slope": 0.3},
    "erf": {},
    "gelu": {},
    "exp_normalized": {"gamma": 1.0},
    "gaussian": {},
}


class Layer:
    """What all layers share."""

    _sizes: ClassVar[tuple[str, ...]] = ()  # names of sizes, which are kept as pairs

    def __repr__(self):
        """Return the constructor's call, without defaults."""
        given = []
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if one.name in self._sizes and len(set(value)) == 1:
                value = value[0]
            if value != one.default:
                given.append(f"{one.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"

    def output_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of the output for an input of a shape."""
        return shape


def _pair(name, value, minimum, remedy):
    """Return a size as (rows, columns)."""
    several = isinstance(value, (tuple, list))
    sizes = tuple(value) if several else (value, value)
    if len(sizes) != 2:
        raise ValueError(f"{name}={value!r} must be an integer, or a pair (rows, columns).")
    first, second = (checks.check_integer(name, size, minimum, remedy) for size in sizes)
    return first, second


def check_bias_variance(name, value):
    """Return the variance of biases as a float."""
    remedy = "use a finite number of 0 or more"
    return checks.check_number(name, value, 0, math.inf, remedy, problem="is not a variance")


def check_weight_variance(name, value):
    """Return the variance of weights as a float, or None."""
    if value is None:
        return None
    options = {"problem": "is not a variance of weights", "kind": "a number or None"}
    remedy = "use a finite number above 0, or None"
    number = checks.check_number(name, value, 0, math.inf, remedy, **options)
    if number == 0:
        raise ValueError(f"{name}={value} leaves nothing of the input: {remedy}.")
    return number


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    """A convolution with Gaussian weights and biases, in NTK parametrisation.

    For an input x of C channels, the output is
    ``sqrt(weight_variance / (C * q)) * W * x + sqrt(bias_variance) * b``, with W and b drawn from
    N(0, 1), and q pixels per filter.

    Parameters
    ----------
    filter_size : int or tuple (rows, columns), default=3
        Sides of the filters, odd.
    strides : int or tuple (rows, columns), default=1
        Steps between filters.  The output has ``ceil(side / stride)`` rows or columns.  Padding is
        that of Keras' "same": if the number of added pixels is odd, the end gets one more.
    padding : {"zeros", "circular"}, default="zeros"
        What filters see beyond the edges: zeros, or the opposite edge.
    weight_variance : float or None, default=None
        Variance of the weights, above 0.  None preserves the size of the preceding activation's
        output, with or without a pool in between: 2 after a ReLU.  Elsewhere, such as at the input,
        it is 1.
    bias_variance : float, default=0.0
        Variance of the biases.

    Raises
    ------
    ValueError, TypeError
        Invalid parameters; the message names them.

    Examples
    --------
    >>> from sklearn_cntk.networks import Conv
    >>> Conv(5, strides=2, bias_variance=0.1)
    Conv(filter_size=5, strides=2, bias_variance=0.1)
    """

    filter_size: int | tuple[int, int] = 3
    strides: int | tuple[int, int] = 1
    padding: str = "zeros"
    weight_variance: float | None = None
    bias_variance: float = 0.0

    _sizes: ClassVar[tuple[str, ...]] = ("filter_size", "strides")

    def __post_init__(self):
        sides = _pair("filter_size", self.filter_size, 1, "use an odd number such as 3")
        for side in sides:
            if side % 2 == 0:
                raise ValueError(
                    f"filter_size={self.filter_size!r} is even: use an odd number such as "
                    f"{side + 1}."
                )
        values = {
            "filter_size": sides,
            "strides": _pair("strides", self.strides, 1, "use 1 or more pixels"),
            "padding": checks.check_choice("padding", self.padding, PADDINGS),
            "weight_variance": check_weight_variance("weight_variance", self.weight_variance),
            "bias_variance": check_bias_variance("bias_variance", self.bias_variance),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns of the filters."""
        return cast("tuple[int, int]", self.filter_size)

    @property
    def steps(self) -> tuple[int, int]:
        """Rows and columns from one filter to the next."""
        return cast("tuple[int, int]", self.strides)

    def output_shape(self, shape):
        """Return the numbers of steps along rows and columns."""
        rows, columns = (-(-n // step) for n, step in zip(shape, self.steps, strict=True))
        return rows, columns

    def padding_before(self, shape):
        """Return the numbers of pixels added before the first row and column of an input."""
        return tuple(
            max((-(-n // step) - 1) * step + q - n, 0) // 2
            for n, step, q in zip(shape, self.steps, self.sides, strict=True)
        )


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """A function applied to every entry.

    Parameters
    ----------
    kind : {"relu", "leaky_relu", "erf", "gelu", "exp_normalized", "gaussian"}
        "gelu" is the exact GELU, ``z * Phi(z)``.  "exp_normalized" is
        ``s * exp(sqrt(gamma) * z / s - gamma)``, where s is the root mean square over channels; its
        kernel is ``s * s' * exp(gamma * (lam - 1))`` at correlation ``lam``.  "gaussian" is that
        with ``gamma=1`` (the normalised Gaussian kernel of Shankar et al. [1]_).
    negative_slope : float or None, default=None
        Slope of "leaky_relu" below 0, 0.3 by default; None for the others.
    gamma : float or None, default=None
        Parameter of "exp_normalized", above 0, 1.0 by default; None for the others.

    Raises
    ------
    ValueError, TypeError
        An unknown `kind`, or invalid parameters or parameters of other kinds; the message names
        them.

    References
    ----------
    .. [1] V. Shankar, A. Fang, W. Guo, S. Fridovich-Keil, L. Schmidt, J. Ragan-Kelley, B. Recht,
       "Neural Kernels Without Tangents", ICML 2020.

    Examples
    --------
    >>> from sklearn_cntk.networks import Activation
    >>> Activation("leaky_relu", negative_slope=0.1)
    Activation('leaky_relu', negative_slope=0.1)
    """

    kind: str
    negative_slope: float | None = field(default=None, kw_only=True)
    gamma: float | None = field(default=None, kw_only=True)

    def __post_init__(self):
        known = ACTIVATIONS[checks.check_choice("kind", self.kind, tuple(ACTIVATIONS))]
        for name in ("negative_slope", "gamma"):
            value = getattr(self, name)
            if value is not None and name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise TypeError(f"Activation({self.kind!r}) has no parameter {name!r}: {takes}.")
            if value is None:
                object.__setattr__(self, name, known.get(name))
        if self.kind == "leaky_relu":
            remedy = "use a number from 0 to below 1"
            slope = checks.check_number("negative_slope", self.negative_slope, 0, 1, remedy)
            object.__setattr__(self, "negative_slope", slope)
        if self.kind == "exp_normalized":
            remedy = "use a finite number above 0"
            gamma = checks.check_number("gamma", self.gamma, 0, math.inf, remedy)
            if gamma == 0:
                raise ValueError("gamma=0 makes a constant of every input: use a number above 0.")
            object.__setattr__(self, "gamma", gamma)

    def __repr__(self):
        known = (f"{name}={getattr(self, name)!r}" for name in ACTIVATIONS[self.kind])
        return f"Activation({', '.join([repr(self.kind), *known])})"

    @property
    def weight_variance(self):
        """The paper's c: 1/E[φ(z)²] for z from N(0, 1), the default variance of later weights."""
        if self.kind == "relu":
            return 2.0
        if self.kind == "leaky_relu":
            return 2 / (1 + (self.negative_slope or 0.0) ** 2)
        if self.kind == "erf":
            return np.pi / 2 / math.asin(2 / 3)
        if self.kind == "gelu":  # E[z² Φ(z)²]
            return 1 / (1 / 4 + math.asin(1 / 2) / (2 * np.pi) + 1 / (2 * np.pi * math.sqrt(3)))
        return 1.0


@dataclass(frozen=True, repr=False)
class AvgPool(Layer):
    """Average pooling over adjacent, non-overlapping windows.

    Parameters
    ----------
    pool_size : int or tuple (rows, columns), default=2
        Sides of the windows.  Rows and columns that fill no window are dropped, as with
        Keras' "valid".  An axis of length 1 is not pooled.

    Raises
    ------
    ValueError, TypeError
        A size below 1, or not an integer or a pair of integers.

    Examples
    --------
    >>> from sklearn_cntk.networks import AvgPool
    >>> AvgPool().output_shape((9, 1))
    (4, 1)
    """

    pool_size: int | tuple[int, int] = 2

    _sizes: ClassVar[tuple[str, ...]] = ("pool_size",)

    def __post_init__(self):
        sizes = _pair("pool_size", self.pool_size, 1, "use 1 or more pixels")
        object.__setattr__(self, "pool_size", sizes)

    def windows(self, shape):
        """Return the sides of the windows in an input of a shape."""
        rows, columns = (
            1 if n == 1 else p
            for n, p in zip(shape, cast("tuple[int, int]", self.pool_size), strict=True)
        )
        return rows, columns

    def output_shape(self, shape):
        """Return the numbers of windows along rows and columns."""
        rows, columns = (n // p for n, p in zip(shape, self.windows(shape), strict=True))
        return rows, columns


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Layer normalisation over channels: every pixel gets variance 1; a pixel of zeros stays 0.

    Examples
    --------
    >>> from sklearn_cntk.networks import LayerNorm
    >>> LayerNorm()
    LayerNorm()
    """


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """A residual block: the sum of the outputs of `body` and `shortcut`.

    Parameters
    ----------
    body : sequence of layers
        Convolutions, activations and layer normalisation; it ends with a convolution, which a
        layer normalisation may follow.  An empty body is the identity.
    shortcut : sequence of layers or None, default=None
        None is the identity.  A body with strides needs a shortcut with the same ones.

    Raises
    ------
    ValueError, TypeError
        Layers that a block cannot contain; the message gives their number and kind.

    Examples
    --------
    >>> from sklearn_cntk.networks import Activation, Conv, Residual
    >>> Residual([Activation("relu"), Conv()])
    Residual(body=(Activation('relu'), Conv()))
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None = None

    _inside: ClassVar[tuple[type[Layer], ...]] = (Conv, Activation, LayerNorm)

    def __post_init__(self):
        object.__setattr__(self, "body", check_layers(self.body, "body"))
        if self.shortcut is not None:
            object.__setattr__(self, "shortcut", check_layers(self.shortcut, "shortcut"))
        for name, branch in self.branches:
            for number, layer in enumerate(branch, start=1):
                if not isinstance(layer, self._inside):
                    raise ValueError(
                        f"layer {number} of a residual block's {name} is {layer!r}: use Conv, "
                        "Activation and LayerNorm there, and put pools and further blocks before "
                        "or after the block."
                    )
        body, shortcut = (self._strides(branch) for _, branch in self.branches)
        if body != shortcut:
            raise ValueError(
                f"the body of a residual block divides the sides by {body}, and its shortcut by "
                f"{shortcut}: give both the same strides, for example "
                f"shortcut=[Conv(1, strides={body})]."
            )

    @property
    def branches(self):
        """Names and layers of the body and of the shortcut, in this order."""
        return ("body", self.body), ("shortcut", self.shortcut or ())

    def steps_divide(self, shape):
        """Whether the strides divide a map of a shape along every axis of more than one pixel."""
        return all(
            n == 1 or n % step == 0 for n, step in zip(shape, self._strides(self.body), strict=True)
        )

    def _strides(self, branch):
        strides = [layer.steps for layer in branch if isinstance(layer, Conv)]
        return tuple(math.prod(axis) for axis in zip((1, 1), *strides, strict=True))

    def output_shape(self, shape):
        """Return the output shape of both branches."""
        for layer in self.body:
            shape = layer.output_shape(shape)
        return shape


def check_layers(layers, name):
    """Return a sequence of layers as a tuple, or say which element is not a layer."""
    checks.check_sequence(name, layers, "[Conv(), Activation('relu')]")
    layers = tuple(layers)
    for number, layer in enumerate(layers, start=1):
        if not isinstance(layer, Layer):
            made = f": use {layer.__name__}()" if isinstance(layer, type) else ""
            raise TypeError(
                f"layer {number} of {name} is {layer!r}, which is not a layer of "
                f"sklearn_cntk.networks{made}."
            )
    return layers


def within(layer: Layer) -> Iterator[Layer]:
    """Yield the layer and those of its branches, bodies before shortcuts."""
    yield layer
    if isinstance(layer, Residual):
        for _, branch in layer.branches:
            for one in branch:
                yield from within(one)
