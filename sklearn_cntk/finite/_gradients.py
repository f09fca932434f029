"""Gradients of a network's output with respect to its weights, and their inner products.

The gradient of a convolution for one image is Σ_p g_p ⊗ z_p over the pixels p of its output, where
g is the derivative with respect to the pre-activations and z the patch that its filters saw; the
gradient of its biases is Σ_p g_p.  A single backward pass over a batch yields g for every image,
and so determines all gradients.  Their inner products can be computed in two ways: from the
gradients themselves, or, without forming them, as Σ_pp' (g_p · g'_p') (z_p · z'_p').  The second is
cheaper for small images and wide layers.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from .._support.layers import Conv
from ._layers import pad
from ._network import to_tensor


@dataclass(frozen=True)
class PlainGradients:
    """Gradients (n, n_weights) that are cheap to form: those of the dense layer and of biases."""

    values: torch.Tensor

    def explicit(self):
        return self.values

    def inner(self, other):
        return self.values @ other.values.T

    def squares(self):
        return self.values.square().sum(dim=1)


@dataclass(frozen=True)
class ConvolutionGradients:
    """Gradients of the filters of a convolution, stored as their factors.

    Parameters
    ----------
    derivatives : Tensor (n, C', P', Q')
        Derivatives of the output with respect to the pre-activations, times the layer's factor.
    inputs : Tensor (n, C, P, Q)
    layer : Conv
    """

    derivatives: torch.Tensor
    inputs: torch.Tensor
    layer: Conv

    def explicit(self):
        """Return the gradients (n, C' · C q) for filters of q pixels."""
        padded, layer = pad(self.inputs, self.layer), self.layer
        patches = functional.unfold(padded, layer.sides, stride=layer.steps)
        return torch.bmm(self.derivatives.flatten(2), patches.transpose(1, 2)).flatten(1)

    def inner(self, other):
        """Return the inner products (n, m) with the gradients of other images."""
        if pixelwise_is_cheaper(self.derivatives.shape[1:], self.inputs.shape[1:], self.layer):
            return self._pixelwise(other)
        return self.explicit() @ other.explicit().T

    def squares(self):
        """Return the inner products (n,) of each gradient with itself."""
        return self.explicit().square().sum(dim=1)

    def _pixelwise(self, other):
        sums = _box(_all_pixels(self.inputs, other.inputs), self.layer)
        sums *= _all_pixels(self.derivatives, other.derivatives)
        return sums.sum(dim=(1, 2, 4, 5))


def pixelwise_is_cheaper(after, before, layer):
    """Return whether inner products of a convolution's gradients are cheaper pixel by pixel.

    Parameters
    ----------
    after, before : tuple (channels, rows, columns)
        Shapes of the output and input of the convolution.
    layer : Conv
    """
    q = math.prod(layer.sides)
    (outputs, *pixels_after), (channels, *pixels_before) = after, before
    pairs_after, pairs_before = math.prod(pixels_after) ** 2, math.prod(pixels_before) ** 2
    return pairs_after * (outputs + q) + pairs_before * channels < outputs * channels * q


def _all_pixels(a, b):
    """Return the inner products over channels (n, P, Q, m, P, Q) of all pixels of both sets."""
    (n, channels, rows, columns), m = a.shape, len(b)
    left = a.permute(0, 2, 3, 1).reshape(-1, channels)
    right = b.permute(0, 2, 3, 1).reshape(-1, channels)
    return (left @ right.T).reshape(n, rows, columns, m, rows, columns)


def _box(sums, layer):
    """Return Σ over the pixels (a, b) of a filter of T[:, i+a, j+b, :, i'+a, j'+b], padded."""
    rows, columns = layer.output_shape(sums.shape[1:3])
    padded = pad(sums, layer, axes=((1, 2), (4, 5)))
    result = sums.new_zeros((len(sums), rows, columns, sums.shape[3], rows, columns))
    (down, right), (height, width) = layer.steps, layer.sides
    for a in range(height):
        for b in range(width):
            i = slice(a, a + (rows - 1) * down + 1, down)
            j = slice(b, b + (columns - 1) * right + 1, right)
            result += padded[:, i, j, :, i, j]
    return result


def gradients(network, images):
    """Return the gradients of a one-output network as a list with items for each trained layer."""
    trained = [layer for layer, weight in enumerate(network.filters) if weight.requires_grad]
    with torch.set_grad_enabled(bool(trained)):
        # Images that require gradients ensure that there is a graph if the first layer is frozen.
        outputs, layers = network.layers(images.detach().requires_grad_(bool(trained)))
        values = (
            torch.autograd.grad(outputs.sum(), [layers[n][2] for n in trained]) if trained else ()
        )
    result: list[ConvolutionGradients | PlainGradients] = []
    for number, derivatives in zip(trained, values, strict=True):
        factor, inputs, _ = layers[number]
        layer = network.places[number].layer
        result.append(ConvolutionGradients(factor * derivatives, inputs.detach(), layer))
        if layer.bias_variance:
            sums = derivatives.sum(dim=(2, 3))
            result.append(PlainGradients(math.sqrt(layer.bias_variance) * sums))
    if network.readout.requires_grad:
        factor, inputs, _ = layers[-1]
        result.append(PlainGradients(factor * inputs.detach()))
        if network.readout_bias is not None:
            result.append(PlainGradients(inputs.new_full((len(inputs), 1), network.bias_factor)))
    return result


def _trained_places(network):
    """Yield the trained convolutions with the shapes of their outputs and inputs."""
    for place, weights in zip(network.places, network.filters, strict=True):
        if weights.requires_grad:
            yield place.layer, (len(weights), *place.after), (place.channels, *place.before)


def is_pixelwise(network):
    """Return whether the inner products of any layer are computed pixel by pixel."""
    return any(
        pixelwise_is_cheaper(after, before, layer)
        for layer, after, before in _trained_places(network)
    )


def rows_at_a_time(network, budget):
    """Return for how many images the gradients, and forming them, take `budget` bytes."""
    numbers = number_of_weights(network) + network.kept_numbers
    patches = [place.patch * math.prod(place.after) for place in network.places]
    numbers += 2 * max(patches, default=0)
    itemsize = network.readout.element_size()
    images = budget / (numbers * itemsize)
    if is_pixelwise(network):
        # Products of all pixels of two blocks: before the convolution, padded, and twice after it.
        products = max(
            math.prod(place.before) ** 2 + place.padded**2 + 2 * math.prod(place.after) ** 2
            for place in network.places
        )
        images = min(images, (budget / (products * itemsize)) ** 0.5)
    return max(1, int(images))


def explicit_gradients(network, images, budget):
    """Return the gradients (n, number of trained weights) of images (n, P, Q, C) as a tensor.

    Blocks of images are processed so that forming the gradients takes `budget` bytes at a time.
    """
    weights = network.readout
    size = rows_at_a_time(network, budget)
    blocks = []
    for start in range(0, len(images), size):
        block = to_tensor(images[start : start + size], weights.dtype, weights.device)
        blocks.append(torch.cat([layer.explicit() for layer in gradients(network, block)], dim=1))
    return torch.cat(blocks)


def number_of_weights(network):
    """Return the number of trained weights."""
    return sum(weights.numel() for weights in network.trained.values())
