"""Networks as sequences of layers: which make sense, their prefixes, shapes, weights and cost."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from . import checks
from .layers import (
    Activation,
    AvgPool,
    Conv,
    Layer,
    LayerNorm,
    Residual,
    check_bias_variance,
    check_layers,
    check_weight_variance,
)

#: Convolutions between the pools of the networks that have a name.
MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}

NAMES = ("plain", *(f"myrtle{depth}" for depth in MYRTLE))


class LayerRow(NamedTuple):
    """A row of the table that `Network.summary` prints.

    Attributes
    ----------
    layer : str
        The layer; those of a residual block are indented.
    output_shape : tuple (height, width)
    element_layers : int
        Work of a pair of images: covariance entries of a convolution's output.
    """

    layer: str
    output_shape: tuple[int, int]
    element_layers: int


class Summary(tuple[LayerRow, ...]):
    """The layers of a network for images of a shape; `print` shows them as a table."""

    @property
    def element_layers(self) -> int:
        """Work of a pair of images, with GAP."""
        return sum(row.element_layers for row in self)

    def __repr__(self):
        rows = [("layer", "output", "element-layers")]
        rows += [
            (row.layer, "×".join(map(str, row.output_shape)), f"{row.element_layers:,}")
            for row in self
        ]
        rows.append(("in all", "", f"{self.element_layers:,}"))
        first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{a:<{first}}  {b:>{second}}  {c:>{third}}" for a, b, c in rows)

    __str__ = __repr__


class _State(NamedTuple):
    """What is known of an input while one walks through layers."""

    strides: int  # rows and columns are those of images divided by this, or less
    gaussian: bool  # whether its channels are Gaussian in the limit, as activations need
    variance: float  # the weight variance that None means


@dataclass(frozen=True, repr=False)
class Network:
    """A network: layers, and the dense layer behind them.

    The dense layer's input is what `gap` and `lap` of :class:`~sklearn_cntk.CNTK` make of the last
    layer's output.  Networks are immutable: `with_params` returns a changed copy.

    Parameters
    ----------
    layers : sequence of layers
        Of :class:`Conv`, :class:`Activation`, :class:`AvgPool`, :class:`LayerNorm` and
        :class:`Residual`.
    dense_weight_variance : float or None, default=None
        Weight variance of the dense layer; None as in :class:`Conv`.
    dense_bias_variance : float, default=0.0
        Bias variance of the dense layer.

    Attributes
    ----------
    depths : tuple of int
        The depths at which the network may be cut: convolutions before the cut, and the dense
        layer.  The prefix of a depth is everything before the next convolution, pools included; a
        residual block is not cut.

    Raises
    ------
    ValueError, TypeError
        Layers in an order that has no kernel: the message names the layer by number and kind.

    Examples
    --------
    >>> from sklearn_cntk.networks import Activation, AvgPool, Conv, Network
    >>> network = Network([Conv(), Activation("relu"), AvgPool(), Conv(), Activation("relu")])
    >>> network.depths
    (1, 2, 3)
    >>> Network.myrtle(5).depth
    5
    """

    layers: tuple[Layer, ...]
    dense_weight_variance: float | None = None
    dense_bias_variance: float = 0.0

    def __post_init__(self):
        values = {
            "layers": check_layers(self.layers, "layers"),
            "dense_weight_variance": check_weight_variance(
                "dense_weight_variance", self.dense_weight_variance
            ),
            "dense_bias_variance": check_bias_variance(
                "dense_bias_variance", self.dense_bias_variance
            ),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.weight_variances  # noqa: B018 - walks through the layers, and checks their order

    # --- Named networks -------------------------------------------------------------------------

    @classmethod
    def plain(
        cls,
        depth: int,
        filter_size: int | tuple[int, int] = 3,
        pool_after: Sequence[int] = (),
        activation: str | Activation = "relu",
        bias_variance: float = 0.0,
    ) -> Network:
        """Convolutions with an activation each.

        Parameters
        ----------
        depth : int
            Convolutions and the dense layer, at least 1.
        filter_size : int or tuple (rows, columns), default=3
            Of every convolution.
        pool_after : sequence of int, default=()
            Convolutions, the first of which is 1, whose activation a 2×2 average pool follows.
        activation : str or Activation, default="relu"
            One of the kinds of :class:`Activation`, or one with parameters.
        bias_variance : float, default=0.0
            Of every convolution and of the dense layer.

        Returns
        -------
        Network

        Examples
        --------
        >>> from sklearn_cntk.networks import Network
        >>> Network.plain(2, bias_variance=0.1).layers
        (Conv(bias_variance=0.1), Activation('relu'))
        """
        depth = checks.check_integer("depth", depth, 1, "use 1 or more")
        checks.check_sequence("pool_after", pool_after, "(2, 3)")
        after = [
            checks.check_integer("pool_after", number, 1, "convolutions count from 1")
            for number in pool_after
        ]
        if after and max(after) >= depth:
            raise ValueError(
                f"pool_after={tuple(after)}, but depth={depth} has {depth - 1} convolutions: use "
                f"numbers up to {depth - 1}."
            )
        behind = _activation(activation)
        layers: list[Layer] = []
        for number in range(1, depth):
            layers += [Conv(filter_size, bias_variance=bias_variance), behind]
            layers += [AvgPool()] * after.count(number)
        return cls(layers, dense_bias_variance=bias_variance)  # type: ignore[arg-type]

    @classmethod
    def myrtle(cls, depth: int = 5, activation: str | Activation = "relu") -> Network:
        """A Myrtle network: 3×3 convolutions in three groups with 2×2 average pools between.

        Parameters
        ----------
        depth : {5, 7, 10}, default=5
            Groups of 2, 1 and 1 convolutions, of 2 each, or of 3 each; and the dense layer.
        activation : str or Activation, default="relu"
            As in `plain`.

        Returns
        -------
        Network
            The convolutional part of Shankar et al., "Neural Kernels Without Tangents" (ICML 2020),
            behind which a plain dense layer comes, as in neural-tangents' examples.

        Examples
        --------
        >>> from sklearn_cntk.networks import Network
        >>> Network.myrtle(5) == Network.plain(5, pool_after=(2, 3))
        True
        """
        groups = MYRTLE[checks.check_choice("depth", depth, tuple(MYRTLE))]
        return cls.plain(depth, pool_after=(groups[0], sum(groups[:2])), activation=activation)

    @classmethod
    def named(cls, name: str) -> Network:
        """The network of a name such as "myrtle5"."""
        return cls.myrtle(int(name.removeprefix("myrtle")))

    # --- Prefixes -------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Convolutions in all, and the dense layer."""
        return self.depths[-1]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The depths at which the network may be cut."""
        return tuple(self._ends)

    @cached_property
    def _ends(self) -> dict[int, int]:
        """Of each depth, how many layers its prefix has."""
        ends, depth = {}, 1
        for number, layer in enumerate(self.layers):
            convolutions = sum(isinstance(one, Conv) for one in _within(layer))
            if convolutions:
                ends[depth] = number
                depth += convolutions
        return {**ends, depth: len(self.layers)}

    def prefix(self, depth: int) -> Network:
        """Everything before the next convolution, and the dense layer with that prefix's variance.

        Parameters
        ----------
        depth : int
            One of `depths`.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            The depth is larger than the network's, or lies within a residual block.
        """
        depth = checks.check_integer("depth", depth, 1, f"use one of {self.depths}")
        if depth not in self._ends:
            raise ValueError(
                f"depth={depth} is not one of this network's: use one of {self.depths}"
                f"{', which do not cut a residual block' if depth < self.depth else ''}."
            )
        return replace(self, layers=self.layers[: self._ends[depth]])

    @cached_property
    def weight_variances(self) -> tuple[float, ...]:
        """Weight variances of the convolutions in their order, and of the dense layer.

        Bodies of residual blocks come before their shortcuts.
        """
        variances: list[float] = []
        state = _walk(self.layers, _State(1, False, 1.0), variances, "layer")
        dense = self.dense_weight_variance
        return (*variances, state.variance if dense is None else dense)

    @cached_property
    def plain_filter_size(self) -> int | None:
        """The filters' side if this is a plain network of the paper, of any depth; else None."""
        first = self.layers[0] if self.layers else None
        if not isinstance(first, Conv) or first.sides[0] != first.sides[1]:
            return None
        side = first.sides[0]
        return side if self == Network.plain(self.depth, side) else None

    @cached_property
    def digest(self) -> str:
        """What stores call the network: 16 hexadecimal digits, equal for equal layers."""
        text = f"{self.layers} {self.weight_variances} {self.dense_bias_variance!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def channel_degree(self) -> int | None:
        """The power of an image's scale that its features have, or None if they have none.

        1 where all layers are homogeneous; 0 behind layer normalisation.
        """
        degree = 1
        for top in self.layers:
            within = list(_within(top))
            for layer in within:
                if isinstance(layer, LayerNorm):
                    if len(within) > 1:  # a sum of features of different degrees
                        return None
                    degree = 0
                bent = isinstance(layer, Activation) and layer.kind in ("erf", "gelu")
                if degree and (bent or isinstance(layer, Conv) and layer.bias_variance):
                    return None
        return degree

    def check_mirror_symmetry(self, image_shape: Sequence[int]) -> None:
        """Raise unless K(Fx, z) = K(x, Fz), where F mirrors images left to right.

        Raises
        ------
        ValueError
            A layer treats the two sides differently: the message names it.
        """
        shapes = self.shapes(image_shape)
        for number, (top, shape) in enumerate(zip(self.layers, shapes, strict=False), start=1):
            if isinstance(top, AvgPool) and shape[1] % top.windows(shape)[1]:
                self._refuse_flip(number, top, shape)
            for branch in (
                [branch for _, branch in top.branches] if isinstance(top, Residual) else [(top,)]
            ):
                inside = shape
                for layer in branch:
                    if isinstance(layer, Conv):
                        step, q = layer.steps[1], layer.sides[1]
                        added = (-(-inside[1] // step) - 1) * step + q - inside[1]
                        if added < 0 or added % 2:
                            self._refuse_flip(number, layer, inside)
                    inside = layer.output_shape(inside)

    def _refuse_flip(self, number, layer, shape):
        raise ValueError(
            f"flip=True needs a network that treats left and right alike, and layer {number}, "
            f"{layer!r}, does not with {shape[1]} columns before it. Use flip=False and add the "
            "mirror images to the training set, or change the width of the images."
        )

    # --- Shapes ---------------------------------------------------------------------------------

    def shapes(self, image_shape: Sequence[int]) -> list[tuple[int, int]]:
        """Rows and columns of the input, and of what each layer makes of it.

        Parameters
        ----------
        image_shape : tuple (height, width) or (height, width, channels)

        Returns
        -------
        list of tuple (height, width)
            One more than there are layers.

        Raises
        ------
        ValueError
            A layer that images of this shape leave nothing to, or a residual block whose strides do
            not suit a circular convolution: the message names it.
        """
        shape = image_shape[0], image_shape[1]
        shapes = [shape]
        circular = any(
            isinstance(one, Conv) and one.padding == "circular"
            for layer in self.layers
            for one in _within(layer)
        )
        rows = ""
        if shape == (1, 1):
            rows = (
                " Rows of 2-D input are images of one pixel, unless image_shape says their shape."
            )
        for number, layer in enumerate(self.layers, start=1):
            name = f"layer {number}, {layer!r},"
            if isinstance(layer, AvgPool) and shape == (1, 1):
                raise ValueError(
                    f"{name} has nothing to pool: images of shape {tuple(image_shape)} are one "
                    f"pixel there. Use fewer pools, a smaller depth, or larger images.{rows}"
                )
            after = layer.output_shape(shape)
            if min(after) < 1:
                raise ValueError(
                    f"{name} leaves nothing of images of shape {tuple(image_shape)}, which are "
                    f"{shape[0]}×{shape[1]} before it. Use smaller pools, a smaller depth, or "
                    "larger images."
                )
            if circular and isinstance(layer, Residual) and not layer.steps_divide(shape):
                raise ValueError(
                    f"{name} has strides that do not divide a map of {shape[0]}×{shape[1]}, in a "
                    "network with circular convolutions: use images whose sides they divide, or "
                    "padding='zeros'."
                )
            shape = after
            shapes.append(shape)
        return shapes

    def summary(self, image_shape: Sequence[int]) -> Summary:
        """The layers with their output's shape and their work, for images of a shape.

        Parameters
        ----------
        image_shape : tuple (height, width) or (height, width, channels)

        Returns
        -------
        Summary
            A tuple of named tuples (layer, output_shape, element_layers), which prints as a table.
            The work is that of a pair of images with GAP: the entries of the covariance that each
            convolution computes.  Flattened networks take a small share of it.

        Raises
        ------
        ValueError
            No image shape, or images too small for the network.

        Examples
        --------
        >>> from sklearn_cntk.networks import Network
        >>> Network.plain(3, pool_after=(1,)).summary((8, 8))
        layer               output  element-layers
        Conv()                 8×8           4,096
        Activation('relu')     8×8               0
        AvgPool()              4×4               0
        Conv()                 4×4             256
        Activation('relu')     4×4               0
        in all                               4,352
        """
        from .images import check_image_shape

        shape = check_image_shape(image_shape)
        if shape is None:
            raise ValueError("image_shape=None: give the shape of the images, such as (32, 32).")
        shapes = self.shapes(shape)
        rows: list[LayerRow] = []
        for layer, before, after in zip(self.layers, shapes, shapes[1:], strict=False):
            rows.append(_row(layer, repr(layer), after))
            if not isinstance(layer, Residual):
                continue
            rows[-1] = rows[-1]._replace(layer="Residual")
            for name, branch in layer.branches:
                inside = before
                for one in branch:
                    inside = one.output_shape(inside)
                    rows.append(_row(one, f"  {name}: {one!r}", inside))
        return Summary(rows)

    # --- Parameters -----------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Parameters that `with_params` takes, and scikit-learn's searches set.

        Parameters
        ----------
        deep : bool, default=True
            Whether those that all layers share are among them: `activation` of all activations,
            `bias_variance` of all convolutions and the dense layer, and `weight_variance` likewise;
            each only where the layers have the same.

        Returns
        -------
        dict
        """
        own = ("layers", "dense_weight_variance", "dense_bias_variance")
        params: dict[str, object] = {name: getattr(self, name) for name in own}
        if deep:
            each = [layer for top in self.layers for layer in _within(top)]
            convolutions = [layer for layer in each if isinstance(layer, Conv)]
            shared: dict[str, list] = {
                "activation": [layer for layer in each if isinstance(layer, Activation)],
                "bias_variance": [c.bias_variance for c in convolutions]
                + [self.dense_bias_variance],
                "weight_variance": [c.weight_variance for c in convolutions]
                + [self.dense_weight_variance],
            }
            params |= {name: values[0] for name, values in shared.items() if len(set(values)) == 1}
        return params

    def with_params(self, **params: Any) -> Network:
        """A copy with other parameters.

        Parameters
        ----------
        **params
            Those of the constructor, `activation`, `bias_variance` and `weight_variance`, of all
            layers that have one.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            Unknown parameters.

        Examples
        --------
        >>> from sklearn_cntk.networks import Network
        >>> Network.myrtle(5).with_params(activation="gelu").layers[:2]
        (Conv(), Activation('gelu'))
        """
        of_layers = ("activation", "bias_variance", "weight_variance")
        known = (*self.get_params(deep=False), *of_layers)
        for name in params:
            if name not in known:
                raise ValueError(f"{name!r} is no parameter of a Network: use one of {known}.")
        shared: dict[str, Any] = {name: params.pop(name) for name in of_layers if name in params}
        changed = replace(self, **params)
        activation = _activation(shared.pop("activation")) if "activation" in shared else None

        def change(layer):
            if isinstance(layer, Conv):
                return replace(layer, **shared)
            if isinstance(layer, Activation) and activation is not None:
                return activation
            if isinstance(layer, Residual):
                shortcut = layer.shortcut
                return Residual(
                    tuple(change(one) for one in layer.body),
                    None if shortcut is None else tuple(change(one) for one in shortcut),
                )
            return layer

        dense: dict[str, Any] = {f"dense_{name}": value for name, value in shared.items()}
        return replace(changed, layers=tuple(map(change, changed.layers)), **dense)

    def __sklearn_clone__(self):
        return self

    def __repr__(self):
        for depth in MYRTLE:
            if self.layers and self == _MYRTLES.get(depth):
                return f"Network.myrtle({depth})"
        given = [repr(list(self.layers))]
        if self.dense_weight_variance is not None:
            given.append(f"dense_weight_variance={self.dense_weight_variance!r}")
        if self.dense_bias_variance:
            given.append(f"dense_bias_variance={self.dense_bias_variance!r}")
        return f"Network({', '.join(given)})"


def _activation(value):
    """An Activation from itself or its kind."""
    if isinstance(value, str):
        return Activation(value)
    if not isinstance(value, Activation):
        raise TypeError(
            f"activation must be a kind such as 'relu', or an Activation, got {value!r}."
        )
    return value


def _row(layer, text, shape):
    work = math.prod(shape) ** 2 if isinstance(layer, Conv) else 0
    return LayerRow(text, shape, work)


def _within(layer: Layer) -> Iterator[Layer]:
    """The layer, and those of its branches, bodies before shortcuts."""
    yield layer
    if isinstance(layer, Residual):
        for _, branch in layer.branches:
            for one in branch:
                yield from _within(one)


def _walk(layers, state, variances, where):
    """Walk through layers: note the convolutions' weight variances, and check their order."""
    for number, layer in enumerate(layers, start=1):
        name = f"{where} {number}, {layer!r},"
        if isinstance(layer, Conv):
            given = layer.weight_variance
            variances.append(state.variance if given is None else given)
            state = state._replace(gaussian=True, variance=1.0)
        elif isinstance(layer, Activation):
            if not state.gaussian:
                raise ValueError(
                    f"{name} needs Gaussian inputs, which a convolution makes: put a Conv between "
                    "it and the input, activation, or residual sum of activations before it."
                )
            state = state._replace(gaussian=False, variance=layer.weight_variance)
        elif isinstance(layer, LayerNorm):
            if not state.gaussian:
                raise ValueError(
                    f"{name} needs inputs of mean 0, which a convolution makes: put it directly "
                    "behind a Conv."
                )
            state = state._replace(variance=1.0)
        elif isinstance(layer, Residual):
            ends = []
            for branch_name, branch in layer.branches:
                inside = f"{where} {number}, Residual, {branch_name} layer"
                end = _walk(branch, state, variances, inside)
                if branch and not end.gaussian:
                    raise ValueError(
                        f"{inside} {len(branch)}, {branch[-1]!r}, ends a branch: end it with a "
                        "Conv, since the sum has a kernel only where its terms are uncorrelated."
                    )
                ends.append(end.gaussian)
            state = state._replace(gaussian=all(ends), variance=1.0)
    return state


_MYRTLES: dict[int, Network] = {}
_MYRTLES |= {depth: Network.myrtle(depth) for depth in MYRTLE}
