"""Operations of the layers on tensors, and the convolutions of a network in order.

Nothing here has weights: `ConvolutionalNetwork` draws them and runs the layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from .._support.layers import Activation, AvgPool, Conv, LayerNorm, Residual


class Place(NamedTuple):
    """A convolution and its position in a network.

    Attributes
    ----------
    layer : Conv
    channels : int
        Number of channels of its input.
    before, after : tuple (rows, columns)
        Shapes of its input and output.
    """

    layer: Conv
    channels: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def patch(self):
        """Number of values that a filter sees."""
        return self.channels * math.prod(self.layer.sides)

    @property
    def padded(self):
        """Number of pixels of the padded input."""
        return math.prod(
            side + sum(margin)
            for side, margin in zip(self.before, margins(self.layer, self.before), strict=True)
        )


def places(network, image_shape, width):
    """Return the convolutions of a network, and channels and shape of the last layer's output.

    Raises
    ------
    ValueError
        If the images are too small for a layer, or if finite networks do not support a residual
        block: the message names it.
    """
    network.shapes(image_shape)  # raises if a layer has no output pixels
    found: list[Place] = []

    def walk(layers, channels, shape):
        for layer in layers:
            if isinstance(layer, Conv):
                after = layer.output_shape(shape)
                found.append(Place(layer, channels, shape, after))
                channels = width
            shape = layer.output_shape(shape)
        return channels

    *shape, channels = image_shape
    shape = tuple(shape)
    for number, layer in enumerate(network.layers, start=1):
        if isinstance(layer, Residual):
            counted = len(found)
            ends = [walk(branch, channels, shape) for _, branch in layer.branches]
            name = f"layer {number}, {layer!r},"
            if len(found) == counted:
                raise ValueError(
                    f"{name} has no convolution: in a finite network both branches are functions "
                    "of the same input, but the kernel adds the covariances of independent terms. "
                    "Add a Conv to the body, or leave the block out."
                )
            if ends[0] != ends[1]:
                raise ValueError(
                    f"{name} adds {ends[0]} channels to {ends[1]}: a finite network needs a Conv "
                    "before the block, or in both of its branches, such as shortcut=[Conv(1)]."
                )
            channels = ends[0]
        else:
            channels = walk([layer], channels, shape)
        shape = layer.output_shape(shape)
    return found, channels, shape


def kept_numbers(network, image_shape, width):
    """Return about how many numbers automatic differentiation keeps and computes per image."""

    def walk(layers, shape):
        total = 0
        for layer in layers:
            after = layer.output_shape(shape)
            largest = width * max(math.prod(shape), math.prod(after))
            if isinstance(layer, Residual):
                total += largest + sum(walk(branch, shape) for _, branch in layer.branches)
            elif _divides_by_size(layer):
                total += 7 * largest
            else:
                total += (3 if isinstance(layer, Conv) else 1) * largest
            shape = after
        return total

    return walk(network.layers, tuple(image_shape[:2]))


def _divides_by_size(layer):
    """Return whether a layer calls `_normalised`."""
    by_activation = isinstance(layer, Activation) and layer.kind in ("exp_normalized", "gaussian")
    return by_activation or isinstance(layer, LayerNorm)


def margins(layer, shape):
    """Return how many pixels a convolution adds before and after the rows and columns."""
    sizes = zip(
        layer.padding_before(shape),
        layer.output_shape(shape),
        layer.steps,
        layer.sides,
        shape,
        strict=True,
    )
    return [(first, max((m - 1) * step + q - n - first, 0)) for first, m, step, q, n in sizes]


def pad(tensor, layer, axes=((2, 3),)):
    """Pad pairs of axes, the rows and columns of images, as a convolution does."""
    amounts = [0] * (2 * tensor.ndim)  # from the last axis to the first, as PyTorch expects
    for pair in axes:
        shape = tuple(tensor.shape[axis] for axis in pair)
        for axis, n, (first, last) in zip(pair, shape, margins(layer, shape), strict=True):
            if layer.padding == "circular":
                # PyTorch's own circular padding wraps around once at most.
                index = torch.arange(-first, n + last, device=tensor.device) % n
                tensor = tensor.index_select(axis, index)
            else:
                place = 2 * (tensor.ndim - 1 - axis)
                amounts[place : place + 2] = first, last
    return functional.pad(tensor, amounts) if any(amounts) else tensor


def convolve(inputs, weights, layer):
    """Convolve images (n, C, P, Q) with the filters."""
    both = margins(layer, inputs.shape[2:])
    if layer.padding == "zeros" and all(first == last for first, last in both):
        padding = tuple(first for first, _ in both)
        return functional.conv2d(inputs, weights, stride=layer.steps, padding=padding)
    return functional.conv2d(pad(inputs, layer), weights, stride=layer.steps)


def apply(layer, inputs):
    """Apply a layer without weights to images (n, C, P, Q)."""
    if isinstance(layer, AvgPool):
        return functional.avg_pool2d(inputs, layer.windows(tuple(inputs.shape[2:])))
    if isinstance(layer, LayerNorm):
        return _normalised(inputs)[0]
    if layer.kind == "relu":
        return functional.relu(inputs)
    if layer.kind == "leaky_relu":
        return functional.leaky_relu(inputs, layer.negative_slope)
    if layer.kind == "erf":
        return torch.erf(inputs)
    if layer.kind == "gelu":
        return functional.gelu(inputs)
    gamma = layer.gamma or 1.0  # "gaussian" is "exp_normalized" with 1
    unit, scale = _normalised(inputs)
    return scale * torch.exp(math.sqrt(gamma) * unit - gamma)


def _normalised(inputs):
    """Return inputs divided by their RMS over channels, and the RMS; 0 if all channels are 0."""
    # Dividing by the largest channel first keeps squares from overflowing, or underflowing to 0.
    # Both results are homogeneous in the inputs, so it can be treated as a constant in derivatives.
    largest = inputs.detach().abs().amax(dim=1, keepdim=True)
    some = largest > 0
    largest = torch.where(some, largest, 1)
    scaled = inputs / largest
    square = scaled.square().mean(dim=1, keepdim=True)
    # The root's derivative at 0 is infinite.
    size = torch.sqrt(torch.where(some, square, 1))
    return scaled / size, largest * torch.where(some, size, 0)
