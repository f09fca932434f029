"""The networks whose infinitely wide limit is the CNTK, in NTK parametrisation.

With weights N(0, 1), no bias, filters of side q, "same" zero padding and `width` channels C
(Arora et al. 2019, section 4)::

    u¹ = W¹ * x                              u^h = sqrt(2 / (C q²)) W^h * relu(u^(h-1))
    f  = sqrt(2 / (C q²)) Σ_ijc w_ijc relu(u^L)_ijc                      flattening, "CNN-V"
    f  = sqrt(2 / (C q²)) Σ_c w_c mean_ij relu(u^L)_ijc                  pooling, "CNN-GAP"

The first layer has no factor, so that E[u¹ u¹'] is the kernel's Σ⁰ = box(x · x'); each later
factor is 1/q² times c_σ = 2 of eqs. 11 and 12, averaged over the channels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .._support.architecture import Architecture, Readout, check_depth
from .._support.checks import check_device, check_dtype, check_integer, check_seed
from .._support.docstrings import fill_docs_like
from .._support.images import check_image_shape
from .._support.parameters import declared
from .._support.ram import check_memory
from ._parameters import FiniteNetworkParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._support.typing import TrainedLayers


@fill_docs_like(FiniteNetworkParameters)
class ConvolutionalNetwork(nn.Module):
    """A convolutional ReLU network at random weights, in NTK parametrisation.

    Parameters
    ----------
    image_shape : tuple (height, width, channels) or (height, width)
        Shape of an image.
    {parameters}
    n_outputs : int, default=1
        Outputs, each with a dense layer of its own.
    seed : int, default=0
        Draws the weights, in float64 on the CPU: the same for every device and precision.
        From 0 to 2**64 - 1.
    dtype : torch.dtype, default=torch.float32
        Of the weights: torch.float32 or torch.float64.

    Attributes
    ----------
    filters : ParameterList
        Weights of the ``depth - 1`` convolutions, (width, channels, q, q).
    readout : Parameter (n_outputs, width) or (n_outputs, width * height * width)
        Weights of the dense layer.

    Raises
    ------
    ValueError, TypeError
        Parameters that cannot be used, by name.
    MemoryError
        The weights do not fit; nothing is drawn then.

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
        depth: int | None,
        gap: bool = True,
        *,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        width: int = 128,
        n_outputs: int = 1,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        readout = Readout(check_depth("plain", depth), gap, trained_layers)
        if readout.convolutions == 0:
            raise ValueError(
                "depth=1 is too small: a finite network has a convolution, use 2 or more."
            )
        shape = check_image_shape(image_shape)
        if shape is None:
            raise TypeError("image_shape must be (height, width, channels), got None.")
        architecture = Architecture(shape, filter_size)
        width = check_integer("width", width, 1, "use 1 or more channels")
        n_outputs = check_integer("n_outputs", n_outputs, 1, "use 1 or more outputs")
        seed = check_seed("seed", seed, bits=64)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype={dtype!r} is unknown: use torch.float32 or torch.float64.")
        self.gap = readout.gap
        self.radius = architecture.radius
        rows, columns, channels = architecture.image_shape
        q = architecture.filter_size

        layers = [
            (width, width if layer else channels, q, q) for layer in range(readout.convolutions)
        ]
        dense = (n_outputs, width if self.gap else width * rows * columns)
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

        self.filters = nn.ParameterList()
        for layer, shape in enumerate(layers):
            trained = trained_layers == "all" or (trained_layers == "hidden" and layer > 0)
            self.filters.append(normal(*shape, trained=trained))
        self.readout = normal(*dense, trained=trained_layers != "hidden")
        self.factor = math.sqrt(2 / (width * q**2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs of the network.

        Parameters
        ----------
        images : Tensor (n, channels, height, width)
            Of the network's dtype and on its device.

        Returns
        -------
        Tensor (n, n_outputs)
        """
        outputs, _ = self.layers(images)
        return outputs

    def layers(
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, list[tuple[float, torch.Tensor, torch.Tensor]]]:
        """Outputs, and what gradients need of each layer.

        Parameters
        ----------
        images : Tensor (n, channels, height, width)

        Returns
        -------
        outputs : Tensor (n, n_outputs)
        layers : list of (float, Tensor, Tensor)
            For each layer its weights' factor, inputs and pre-activations.
        """
        layers, activations = [], images
        for layer, weights in enumerate(self.filters):
            factor = self.factor if layer else 1.0
            inputs = activations
            u = factor * functional.conv2d(inputs, weights, padding=self.radius)
            layers.append((factor, inputs, u))
            activations = functional.relu(u)
        inputs = activations.mean(dim=(2, 3)) if self.gap else activations.flatten(1)
        outputs = self.factor * inputs @ self.readout.T
        layers.append((self.factor, inputs, outputs))
        return outputs, layers

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """Names and values of the weights that are trained."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


def network_of(model, image_shape, seed, n_outputs=1):
    """The network that an estimator's or kernel's parameters ask for, on its device."""
    names = set(declared(FiniteNetworkParameters)) - {"image_shape"}
    network = ConvolutionalNetwork(
        image_shape,
        **{name: getattr(model, name) for name in names},
        n_outputs=n_outputs,
        seed=seed,
        dtype=select_dtype(model.dtype),
    )
    return network.to(select_device(model.device))


def split_scale(images, dtype):
    """Images (n, P, Q, C) over 2**exponents, whose largest values are from 1 to 2, and exponents.

    There is no bias, so gradients by the weights are homogeneous of degree 1 in an image: those of
    images of any scale are 2**exponents times those of these, which overflow in no torch `dtype`.
    Dividing by powers of two does not round.
    """
    axes = (1, 2, 3)
    largest = images.max(axis=axes).astype(np.float64)
    largest = np.maximum(largest, -images.min(axis=axes).astype(np.float64))
    exponents = np.frexp(largest)[1] - 1
    scaled = np.empty(images.shape, _name(dtype))
    scales = np.ldexp(1.0, exponents)[:, None, None, None]
    np.divide(images, scales, out=scaled, casting="same_kind")
    return scaled, exponents


def restore_scale(values, exponents, what, remedy):
    """Multiply `values` by 2**exponents, in place, or say that `what` exceed their dtype."""
    with np.errstate(over="ignore"):
        np.ldexp(values, exponents, out=values)
    if not np.isfinite(values).all():
        raise ValueError(f"{what} of these images exceed dtype={values.dtype.name!r}: {remedy}.")
    return values


def to_tensor(images, dtype, device):
    """Images (n, P, Q, C) of any NumPy dtype as a tensor (n, C, P, Q).

    Raises
    ------
    ValueError
        Pixels exceed `dtype`.
    """
    # A copy: PyTorch warns about arrays that it may not write to.
    with np.errstate(over="ignore"):
        channels_first = np.array(images.transpose(0, 3, 1, 2), dtype=_name(dtype))
    if not np.isfinite(channels_first).all():
        remedy = ", or use dtype='float64'" if dtype == torch.float32 else ""
        raise ValueError(
            f"pixels of up to {abs(images).max():.3g} exceed dtype={_name(dtype)!r}: scale the "
            f"images, by preprocessing.ImageStandardizer say{remedy}."
        )
    return torch.from_numpy(channels_first).to(device)


def _name(dtype):
    return str(dtype).split(".")[1]


def select_device(device):
    """The torch.device that "auto", "cpu", "cuda" or "cuda:N" names."""
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
    """What a progress bar calls a torch.device, as it calls the exact kernel's."""
    if device.type == "cpu":
        return "CPU"
    return f"{device} ({torch.cuda.get_device_name(device)})"


def select_dtype(dtype):
    """The torch.dtype that "float32" or "float64" names."""
    return getattr(torch, check_dtype(dtype))
