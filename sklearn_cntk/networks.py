"""Networks beyond the plain stack, for the parameter `network` of kernels, estimators and searches.

A :class:`Network` is a sequence of layers, followed by a dense layer.  Networks and layers are
immutable, hashable, and validated on construction.
"""

# Architecture and Readout are for engines, their tests and benchmarks.
from ._support.architecture import Architecture, Readout  # noqa: F401
from ._support.layers import Activation, AvgPool, Conv, LayerNorm, Residual
from ._support.network import Network

__all__ = ["Activation", "AvgPool", "Conv", "LayerNorm", "Network", "Residual"]
