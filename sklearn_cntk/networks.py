"""Networks beyond the plain stack, for the parameter `network` of kernels, estimators and searches.

A :class:`Network` is a sequence of layers with a dense layer behind it.  All of them are immutable,
hashable, and validated when they are made.
"""

# Architecture and Readout are for engines, their tests and benchmarks.
from ._support.architecture import Architecture, Readout  # noqa: F401
from ._support.layers import Activation, AvgPool, Conv, LayerNorm, Residual
from ._support.network import Network

__all__ = ["Activation", "AvgPool", "Conv", "LayerNorm", "Network", "Residual"]
