"""Gradients of a network's output with respect to its weights, and their inner products.

A layer's gradient for one image is Σ_p g_p ⊗ z_p over the pixels p, with g the derivative by the
layer's pre-activations and z the patch that its filters saw.  So a single backward pass over a
batch, which yields g for every image, holds all gradients, and their inner products can be taken
in two ways: from the gradients themselves, or, without forming them, as
Σ_pp' (g_p · g'_p') (z_p · z'_p').  The second is cheaper where images are small and layers wide.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ._network import to_tensor


@dataclass(frozen=True)
class DenseGradients:
    """Gradients (n, inputs) of the dense layer, which are its inputs times the factor."""

    values: torch.Tensor

    def explicit(self):
        return self.values

    def inner(self, other):
        return self.values @ other.values.T

    def squares(self):
        return self.values.square().sum(dim=1)


@dataclass(frozen=True)
class ConvolutionGradients:
    """Gradients of a convolution's filters, as what they are made of.

    Parameters
    ----------
    derivatives : Tensor (n, C', P, Q)
        Derivatives of the output by the pre-activations, times the layer's factor.
    inputs : Tensor (n, C, P, Q)
    radius : int
        Of the filters.
    """

    derivatives: torch.Tensor
    inputs: torch.Tensor
    radius: int

    def explicit(self):
        """Gradients (n, C' · C q²)."""
        q = 2 * self.radius + 1
        patches = functional.unfold(self.inputs, q, padding=self.radius)
        return torch.bmm(self.derivatives.flatten(2), patches.transpose(1, 2)).flatten(1)

    def inner(self, other):
        """Inner products (n, m) with the gradients of other images."""
        _, _, rows, columns = self.derivatives.shape
        outputs, channels = self.derivatives.shape[1], self.inputs.shape[1]
        if pixelwise_is_cheaper(rows * columns, outputs, channels, self.radius):
            return self._pixelwise(other)
        return self.explicit() @ other.explicit().T

    def squares(self):
        """Inner products (n,) of each gradient with itself."""
        return self.explicit().square().sum(dim=1)

    def _pixelwise(self, other):
        sums = _box(_all_pixels(self.inputs, other.inputs), self.radius)
        sums *= _all_pixels(self.derivatives, other.derivatives)
        return sums.sum(dim=(1, 2, 4, 5))


def pixelwise_is_cheaper(pixels, outputs, channels, radius):
    """Whether inner products of a convolution's gradients cost less without forming them."""
    q = 2 * radius + 1
    return pixels**2 * (outputs + channels + q**2) < outputs * channels * q**2


def _all_pixels(a, b):
    """Inner products over channels (n, P, Q, m, P, Q) of all pixels of both sets."""
    (n, channels, rows, columns), m = a.shape, len(b)
    left = a.permute(0, 2, 3, 1).reshape(-1, channels)
    right = b.permute(0, 2, 3, 1).reshape(-1, channels)
    return (left @ right.T).reshape(n, rows, columns, m, rows, columns)


def _box(sums, radius):
    """Σ over |a|, |b| <= radius of T[:, i+a, j+b, :, i'+a, j'+b], zeros outside."""
    rows, columns = sums.shape[1:3]
    padding = (radius, radius, radius, radius, 0, 0) * 2
    padded = functional.pad(sums, padding)
    result = torch.zeros_like(sums)
    for a in range(2 * radius + 1):
        for b in range(2 * radius + 1):
            i, j = slice(a, a + rows), slice(b, b + columns)
            result += padded[:, i, j, :, i, j]
    return result


def gradients(network, images):
    """Gradients of a one-output network by its trained weights, a list with an item a layer."""
    weights = [*network.filters, network.readout]
    trained = [layer for layer, weight in enumerate(weights) if weight.requires_grad]
    convolutions = [layer for layer in trained if layer < len(network.filters)]
    derivatives = {}
    with torch.set_grad_enabled(bool(convolutions)):
        # Derivatives by the images make sure of a graph where the first layer is frozen.
        outputs, layers = network.layers(images.detach().requires_grad_(bool(convolutions)))
        if convolutions:
            wanted = [layers[layer][2] for layer in convolutions]
            values = torch.autograd.grad(outputs.sum(), wanted)
            derivatives = dict(zip(convolutions, values, strict=True))
    result: list[ConvolutionGradients | DenseGradients] = []
    for layer in trained:
        factor, inputs, _ = layers[layer]
        if layer in derivatives:
            result.append(
                ConvolutionGradients(factor * derivatives[layer], inputs.detach(), network.radius)
            )
        else:
            result.append(DenseGradients(factor * inputs.detach()))
    return result


def is_pixelwise(network, pixels):
    """Whether any layer's inner products are taken pixel by pixel."""
    return any(
        pixelwise_is_cheaper(pixels, weights.shape[0], weights.shape[1], network.radius)
        for weights in network.filters
        if weights.requires_grad
    )


def rows_at_a_time(network, image_shape, budget):
    """How many images' gradients, with what is needed to form them, take `budget` bytes."""
    pixels = image_shape[0] * image_shape[1]
    width, q = network.filters[0].shape[0], 2 * network.radius + 1
    numbers = number_of_weights(network) + width * pixels * (3 * len(network.filters) + 2 * q**2)
    itemsize = network.readout.element_size()
    images = budget / (numbers * itemsize)
    if is_pixelwise(network, pixels):
        # Three arrays with the products of all pixels of two blocks.
        images = min(images, (budget / (3 * itemsize)) ** 0.5 / pixels)
    return max(1, int(images))


def explicit_gradients(network, images, budget):
    """Gradients (n, number of trained weights) of images (n, P, Q, C), as a tensor.

    What is needed to form them takes `budget` bytes at a time.
    """
    weights = network.readout
    size = rows_at_a_time(network, images.shape[1:], budget)
    blocks = []
    for start in range(0, len(images), size):
        block = to_tensor(images[start : start + size], weights.dtype, weights.device)
        blocks.append(torch.cat([layer.explicit() for layer in gradients(network, block)], dim=1))
    return torch.cat(blocks)


def number_of_weights(network):
    """How many weights are trained."""
    return sum(weights.numel() for weights in network.trained.values())
