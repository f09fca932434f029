"""Networks as sequences of layers: valid orders, prefixes, shapes, weights and cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from . import checks, network_shapes
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
    within,
)
from .network_shapes import Summary

#: Convolutions between the pools of the named networks.
MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}

NAMES = ("plain", *(f"myrtle{depth}" for depth in MYRTLE))


class _State(NamedTuple):
    """What is known about the input of a layer, during a walk through the layers."""

    gaussian: bool  # whether its channels are Gaussian in the limit, as activations need
    variance: float  # the weight variance that None means


@dataclass(frozen=True, repr=False)
class Network:
    """A network: layers, followed by a dense layer.

    `gap` and `lap` of :class:`~sklearn_cntk.CNTK` define how the last layer's output becomes the
    dense layer's input.  Networks are immutable: `with_params` returns a changed copy.

    Parameters
    ----------
    layers : sequence of layers
        Instances of :class:`Conv`, :class:`Activation`, :class:`AvgPool`, :class:`LayerNorm` and
        :class:`Residual`.
    dense_weight_variance : float or None, default=None
        Weight variance of the dense layer; None works as in :class:`Conv`.
    dense_bias_variance : float, default=0.0
        Bias variance of the dense layer.

    Attributes
    ----------
    depths : tuple of int
        The depths at which the network may be cut: the number of convolutions before the cut, plus
        1 for the dense layer.  The prefix of a depth is everything before the next convolution,
        pools included; a residual block is not cut.

    Raises
    ------
    ValueError, TypeError
        Layers in an order that has no kernel; the message gives the layer's number and kind.

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
        """Return a network of convolutions with an activation each.

        Parameters
        ----------
        depth : int
            Number of convolutions, plus 1 for the dense layer; at least 1.
        filter_size : int or tuple (rows, columns), default=3
            Sides of the filters of every convolution.
        pool_after : sequence of int, default=()
            Numbers of the convolutions, counted from 1, after whose activation there is a 2×2
            average pool.
        activation : str or Activation, default="relu"
            One of the kinds of :class:`Activation`, or one with parameters.
        bias_variance : float, default=0.0
            Bias variance of every convolution and of the dense layer.

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
        """Return a Myrtle network: three groups of 3×3 convolutions, 2×2 average pools between.

        Parameters
        ----------
        depth : {5, 7, 10}, default=5
            Groups of 2, 1 and 1 convolutions, of 2 each, or of 3 each, and a dense layer.
        activation : str or Activation, default="relu"
            As in `plain`.

        Returns
        -------
        Network
            The convolutional part of Shankar et al., "Neural Kernels Without Tangents" (ICML 2020),
            followed by a plain dense layer, as in neural-tangents' examples.

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
        """Return the network of a name such as "myrtle5"."""
        return cls.myrtle(int(name.removeprefix("myrtle")))

    # --- Prefixes -------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """The number of all convolutions, plus 1 for the dense layer."""
        return self.depths[-1]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The depths at which the network may be cut."""
        return tuple(self._ends)

    @cached_property
    def _ends(self) -> dict[int, int]:
        """How many layers the prefix of each depth has."""
        ends, depth = {}, 1
        for number, layer in enumerate(self.layers):
            convolutions = sum(isinstance(one, Conv) for one in within(layer))
            if convolutions:
                ends[depth] = number
                depth += convolutions
        return {**ends, depth: len(self.layers)}

    def prefix(self, depth: int) -> Network:
        """Return everything before the next convolution, and a dense layer for it.

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
            The depth is larger than the network's, or falls within a residual block.
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
        """Weight variances of the convolutions, in order, and of the dense layer.

        Bodies of residual blocks come before their shortcuts.
        """
        variances: list[float] = []
        state = _walk(self.layers, _State(False, 1.0), variances, "layer")
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
        """The network's name in stores: 16 hexadecimal digits, equal for equal layers."""
        text = f"{self.layers} {self.weight_variances} {self.dense_bias_variance!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def channel_degree(self) -> int | None:
        """The power of an image's scale with which its features scale, or None if there is none.

        1 if all layers are homogeneous; 0 after layer normalisation.
        """
        degree = 1
        for top in self.layers:
            several = list(within(top))
            for layer in several:
                if isinstance(layer, LayerNorm):
                    if len(several) > 1:  # a sum of features of different degrees
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
            A layer treats the two sides differently; the message names it.
        """
        network_shapes.check_mirror_symmetry(self, image_shape)

    # --- Shapes ---------------------------------------------------------------------------------

    def shapes(self, image_shape: Sequence[int]) -> list[tuple[int, int]]:
        """Return the rows and columns of the input and of each layer's output.

        Parameters
        ----------
        image_shape : tuple (height, width) or (height, width, channels)

        Returns
        -------
        list of tuple (height, width)
            One entry more than there are layers.

        Raises
        ------
        ValueError
            Images of this shape are too small for a layer, or the strides of a residual block do
            not suit circular convolutions; the message names the layer.
        """
        return network_shapes.shapes(self, image_shape)

    def summary(self, image_shape: Sequence[int]) -> Summary:
        """Return the layers with their output shapes and their work, for images of a shape.

        Parameters
        ----------
        image_shape : tuple (height, width) or (height, width, channels)

        Returns
        -------
        Summary
            A tuple of named tuples (layer, output_shape, element_layers), which prints as a table.
            The work is that of a pair of images with GAP: the entries of the covariance that each
            convolution computes.  Flattening needs only a small share of it.

        Raises
        ------
        ValueError
            An invalid image shape, or images too small for the network.

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
        return network_shapes.summary(self, image_shape)

    # --- Parameters -----------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters that `with_params` accepts and scikit-learn's searches set.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include what layers share: `activation` of all activations, and
            `bias_variance` and `weight_variance` of all convolutions and the dense layer.  Each is
            included only if these layers have the same value.

        Returns
        -------
        dict
        """
        own = ("layers", "dense_weight_variance", "dense_bias_variance")
        params: dict[str, object] = {name: getattr(self, name) for name in own}
        if deep:
            each = [layer for top in self.layers for layer in within(top)]
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
        """Return a copy with other parameters.

        Parameters
        ----------
        **params
            Those of the constructor, and `activation`, `bias_variance` and `weight_variance`, which
            are set in all layers that have one.

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
                raise ValueError(f"{name!r} is not a parameter of a Network: use one of {known}.")
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
            if self == Network.myrtle(depth):
                return f"Network.myrtle({depth})"
        given = [repr(list(self.layers))]
        if self.dense_weight_variance is not None:
            given.append(f"dense_weight_variance={self.dense_weight_variance!r}")
        if self.dense_bias_variance:
            given.append(f"dense_bias_variance={self.dense_bias_variance!r}")
        return f"Network({', '.join(given)})"


def _activation(value):
    """Return an Activation, given as such or by its kind."""
    if isinstance(value, str):
        return Activation(value)
    if not isinstance(value, Activation):
        raise TypeError(
            f"activation must be a kind such as 'relu', or an Activation, got {value!r}."
        )
    return value


def _walk(layers, state, variances, where):
    """Walk through layers to note the weight variances of convolutions and check the order."""
    for number, layer in enumerate(layers, start=1):
        name = f"{where} {number}, {layer!r},"
        if isinstance(layer, Conv):
            given = layer.weight_variance
            variances.append(state.variance if given is None else given)
            state = state._replace(gaussian=True, variance=1.0)
        elif isinstance(layer, Activation):
            if not state.gaussian:
                raise ValueError(
                    f"{name} needs Gaussian inputs, as from a convolution: put a Conv between "
                    "it and the input, activation, or residual sum of activations before it."
                )
            state = state._replace(gaussian=False, variance=layer.weight_variance)
        elif isinstance(layer, LayerNorm):
            if not state.gaussian:
                raise ValueError(
                    f"{name} needs inputs of mean 0, as from a convolution: put it directly "
                    "after a Conv."
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
                        "Conv, since the sum has a kernel only if its terms are uncorrelated."
                    )
                ends.append(end.gaussian)
            if (layer.body or layer.shortcut) and not any(
                isinstance(one, Conv) for one in within(layer)
            ):
                raise ValueError(
                    f"{name} has no convolution: put a Conv into its body, since the sum has a "
                    "kernel only if its terms are uncorrelated."
                )
            state = state._replace(gaussian=all(ends), variance=1.0)
    return state
