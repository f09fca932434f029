"""Networks beyond the plain stack: layers, and what the kernels read from them.

A :class:`Network` is the `network` parameter of :class:`~sklearn_cntk.CNTK`, the estimators and the
searches.  :class:`Architecture` and :class:`Readout` are for engines, their tests and benchmarks.
"""

from ._support.architecture import Architecture, Readout
from ._support.layers import Activation, AvgPool, Conv, LayerNorm, Residual
from ._support.network import Network

__all__ = [
    "Activation",
    "Architecture",
    "AvgPool",
    "Conv",
    "LayerNorm",
    "Network",
    "Readout",
    "Residual",
]
