"""The networks whose infinite-width limit is the CNTK, in NTK parametrisation.

With weights and biases drawn from N(0, 1), `width` channels C, and filters of q pixels that see c
channels (Arora et al. 2019, section 4)::

    u = sqrt(weight_variance / (c q)) W * x + sqrt(bias_variance) b
    f = sqrt(S) (sqrt(dense_weight_variance / n) Σ w z + sqrt(dense_bias_variance) b)

for the n values z of the last layer, which global average pooling first averages over the pixels.
S is the number of channels of the images, multiplied with flattening by the number of pixels of
the last layer: these are the units of the paper and of the kernel.  The paper's plain networks
arrive at the same outputs differently, without a factor in the first layer, so that E[u¹ u¹'] is
the paper's Σ⁰ = box(x · x')::

    u¹ = W¹ * x                              u^h = sqrt(2 / (C q)) W^h * relu(u^(h-1))
    f  = sqrt(2 / (C q)) Σ_ijc w_ijc relu(u^L)_ijc                      flattening, "CNN-V"
    f  = sqrt(2 / (C q)) Σ_c w_c mean_ij relu(u^L)_ijc                  pooling, "CNN-GAP"
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .._support.architecture import Architecture, Readout, check_depth
from .._support.checks import check_device, check_dtype, check_integer, check_seed
from .._support.docstrings import fill_docs_like
from .._support.images import check_image_shape
from .._support.layers import Conv, Residual
from .._support.parameters import declared
from .._support.ram import check_memory
from . import _layers
from ._parameters import FiniteNetworkParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._support.network import Network
    from .._support.typing import TrainedLayers


@fill_docs_like(FiniteNetworkParameters)
class ConvolutionalNetwork(nn.Module):
    """A convolutional network with random weights, in NTK parametrisation.

    Parameters
    ----------
    image_shape : tuple (height, width, channels), (height, width) or (length,)
        Shape of an image, or of a signal.
    {parameters}
    n_outputs : int, default=1
        Number of outputs, each with its own dense layer.
    seed : int, default=0
        Determines the random weights; from 0 to 2**64 - 1.  They are drawn in float64 on the CPU,
        so they are the same for every device and precision.
    dtype : torch.dtype, default=torch.float32
        Precision of the weights: torch.float32 or torch.float64.

    Attributes
    ----------
    filters : ParameterList
        Weights of the ``depth - 1`` convolutions, (width, channels, rows, columns).
    biases : ParameterDict
        Biases (width,) of the convolutions that have them, with keys "0" for the first convolution,
        and so on.
    readout : Parameter (n_outputs, width) or (n_outputs, width * n_pixels)
        Weights of the dense layer: (n_outputs, width) with pooling.  With flattening, n_pixels
        is the number of pixels of the last layer's output.
    readout_bias : Parameter (n_outputs,) or None

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid; the message names it.
    MemoryError
        If the weights do not fit in memory; nothing is drawn.

    References
    ----------
    {arora}

    Examples
    --------
    >>> import torch
    >>> from sklearn_cntk.finite import ConvolutionalNetwork
    >>> network = ConvolutionalNetwork((8, 8, 3), depth=4, width=32, n_outputs=10)
    >>> network(torch.randn(5, 3, 8, 8)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        depth: int | None = None,
        gap: bool = True,
        *,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        bias_variance: float = 0.0,
        weight_variance: float | None = None,
        network: str | Network = "plain",
        frozen_layers: int = 0,
        width: int = 128,
        n_outputs: int = 1,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        readout = Readout(
            check_depth(network, depth), gap, trained_layers, frozen_layers=frozen_layers
        )
        shape = check_image_shape(image_shape)
        if shape is None:
            raise TypeError("image_shape must be (height, width, channels), got None.")
        architecture = Architecture(shape, filter_size, network, bias_variance, weight_variance)
        width = check_integer("width", width, 1, "use 1 or more channels")
        n_outputs = check_integer("n_outputs", n_outputs, 1, "use 1 or more outputs")
        seed = check_seed("seed", seed, bits=64)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype={dtype!r} is unknown: use torch.float32 or torch.float64.")
        self.network = architecture.layers(readout.depth)
        self.gap = readout.gap
        self.places, channels, last = _layers.places(self.network, shape, width)
        self.kept_numbers = _layers.kept_numbers(self.network, shape, width)
        self._set_factors(architecture, channels, last)

        layers = [(width, place.channels, *place.layer.sides) for place in self.places]
        biased = [n for n, place in enumerate(self.places) if place.layer.bias_variance]
        dense = (n_outputs, channels if self.gap else channels * math.prod(last))
        sizes = [math.prod(layer) for layer in (*layers, dense)]
        drawn = 0 if dtype == torch.float64 else 8 * max(sizes)  # in float64, before it is cast
        check_memory(
            sum(sizes) * dtype.itemsize + drawn,
            f"A network of width={width}, with {sum(sizes)} weights,",
            "use a smaller width",
        )
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape, trained):
            values = torch.randn(shape, generator=generator, dtype=torch.float64)
            return nn.Parameter(values.to(dtype), requires_grad=trained)

        trains_dense = trained_layers != "hidden"
        self.filters = nn.ParameterList(
            normal(*layer, trained=n >= readout.frozen) for n, layer in enumerate(layers)
        )
        self.readout = normal(*dense, trained=trains_dense)
        # Drawn after all weights, so that these do not depend on whether there are biases.
        self.biases = nn.ParameterDict(
            {str(n): normal(width, trained=n >= readout.frozen) for n in biased}
        )
        self.readout_bias = (
            normal(n_outputs, trained=trains_dense) if self.network.dense_bias_variance else None
        )

    def _set_factors(self, architecture, channels, last):
        """Set the factors of the weights of each layer, the dense one last, and of its bias."""
        *variances, dense = self.network.weight_variances
        scale = architecture.image_shape[-1]
        self.bias_factor = math.sqrt(
            self.network.dense_bias_variance * scale * (1 if self.gap else math.prod(last))
        )
        if architecture.is_plain and self.places:
            later = math.sqrt(2 / (channels * math.prod(architecture.filter_sides)))
            self.factors = [1.0] + [later] * len(variances)
            return
        self.factors = [
            math.sqrt(variance / place.patch)
            for variance, place in zip(variances, self.places, strict=True)
        ]
        # With flattening, the number of inputs of the dense layer and the scale both grow with the
        # number of pixels, which cancels.
        self.factors.append(math.sqrt(dense * scale / channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the outputs of the network.

        Parameters
        ----------
        images : Tensor (n, channels, height, width)
            With the dtype of the network and on its device.

        Returns
        -------
        Tensor (n, n_outputs)
        """
        outputs, _ = self.layers(images)
        return outputs

    def layers(
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, list[tuple[float, torch.Tensor, torch.Tensor]]]:
        """Compute the outputs, and what gradients need from each layer.

        Parameters
        ----------
        images : Tensor (n, channels, height, width)

        Returns
        -------
        outputs : Tensor (n, n_outputs)
        layers : list of (float, Tensor, Tensor)
            For each layer with weights their factor, the inputs and the pre-activations.
        """
        layers: list[tuple[float, torch.Tensor, torch.Tensor]] = []
        activations = self._run(self.network.layers, images, layers)
        inputs = activations.mean(dim=(2, 3)) if self.gap else activations.flatten(1)
        factor = self.factors[-1]
        outputs = factor * inputs @ self.readout.T
        if self.readout_bias is not None:
            outputs = outputs + self.bias_factor * self.readout_bias
        layers.append((factor, inputs, outputs))
        return outputs, layers

    def _run(self, layers, activations, seen):
        """Apply layers to their input; convolutions append an entry to `seen`."""
        for layer in layers:
            if isinstance(layer, Residual):
                body, shortcut = (
                    self._run(branch, activations, seen) for _, branch in layer.branches
                )
                activations = body + shortcut
            elif isinstance(layer, Conv):
                number, inputs = len(seen), activations
                factor = self.factors[number]
                activations = factor * _layers.convolve(inputs, self.filters[number], layer)
                if layer.bias_variance:
                    bias = math.sqrt(layer.bias_variance) * self.biases[str(number)]
                    activations = activations + bias[:, None, None]
                seen.append((factor, inputs, activations))
            else:
                activations = _layers.apply(layer, activations)
        return activations

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """Names and values of the trained weights."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


def network_of(model, image_shape, seed, n_outputs=1):
    """Return the network for the parameters of an estimator or kernel, on its device."""
    names = set(declared(FiniteNetworkParameters)) - {"image_shape"}
    network = ConvolutionalNetwork(
        image_shape,
        **{name: getattr(model, name) for name in names},
        n_outputs=n_outputs,
        seed=seed,
        dtype=select_dtype(model.dtype),
    )
    return network.to(select_device(model.device))


def described(model, image_shape):
    """Return the Network that the parameters of an estimator or kernel describe."""
    readout = Readout(check_depth(model.network, model.depth), model.gap, model.trained_layers)
    return Architecture.of(model, image_shape).layers(readout.depth)


def degree_of(network):
    """Return the degree of homogeneity of a Network's gradients in an image, or None."""
    degree = network.channel_degree
    return None if degree and network.dense_bias_variance else degree


def split_scale(images, dtype, degree):
    """Divide images (n, P, Q, C) by powers of two; return them and the exponents for gradients.

    If the gradients with respect to the weights are homogeneous of some `degree` in an image, those
    of the original images are 2**exponents times those of the divided ones, whose largest values
    lie between 1 and 2 and overflow in no torch `dtype`.  Dividing by powers of two does not round.
    """
    if degree is None:
        return images, np.zeros(len(images), dtype=int)
    axes = (1, 2, 3)
    largest = images.max(axis=axes).astype(np.float64)
    largest = np.maximum(largest, -images.min(axis=axes).astype(np.float64))
    exponents = np.frexp(largest)[1] - 1
    scaled = np.empty(images.shape, _name(dtype))
    scales = np.ldexp(1.0, exponents)[:, None, None, None]
    np.divide(images, scales, out=scaled, casting="same_kind")
    return scaled, degree * exponents


def restore_scale(values, exponents, what, dtype):
    """Multiply `values` by 2**exponents in place, or raise if `what` exceed their dtype.

    `dtype` is that of the network; the values may have exceeded it already.
    """
    finite = np.isfinite(values).all()
    with np.errstate(over="ignore"):
        np.ldexp(values, exponents, out=values)
    if not np.isfinite(values).all():
        exceeded = values.dtype.name if finite else dtype
        remedy = ", or use dtype='float64'" * (exceeded == "float32")
        raise ValueError(
            f"{what} of these images exceed dtype={exceeded!r}: divide the images by a number"
            f"{remedy}."
        )
    return values


def to_tensor(images, dtype, device):
    """Convert images (n, P, Q, C) of any NumPy dtype to a tensor (n, C, P, Q).

    Raises
    ------
    ValueError
        If pixels exceed `dtype`.
    """
    # A copy, because PyTorch warns about read-only arrays.
    with np.errstate(over="ignore"):
        channels_first = np.array(images.transpose(0, 3, 1, 2), dtype=_name(dtype))
    if not np.isfinite(channels_first).all():
        remedy = ", or use dtype='float64'" if dtype == torch.float32 else ""
        raise ValueError(
            f"pixels of up to {abs(images).max():.3g} exceed dtype={_name(dtype)!r}: scale the "
            f"images, for example with preprocessing.ImageStandardizer{remedy}."
        )
    return torch.from_numpy(channels_first).to(device)


def _name(dtype):
    return str(dtype).split(".")[1]


def select_device(device):
    """Return the torch.device named by "auto", "cpu", "cuda" or "cuda:N"."""
    kind, index = check_device(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return torch.device("cuda" if count else "cpu")
    if kind == "cuda" and (index or 0) >= count:
        raise RuntimeError(
            f"device={device!r} is not available: PyTorch sees {count} CUDA devices. Use 'cpu'."
        )
    return torch.device(kind, index)


def device_label(device):
    """Return the name of a torch.device for a progress bar, in the style of the exact kernel."""
    if device.type == "cpu":
        return "CPU"
    return f"{device} ({torch.cuda.get_device_name(device)})"


def select_dtype(dtype):
    """Return the torch.dtype named by "float32" or "float64"."""
    return getattr(torch, check_dtype(dtype))
