"""What the kernels compute: the network, and the readouts of its last layer.

For engines, their tests and benchmarks; estimators take the same as parameters.
"""

from ._support.network import Architecture, Readout

__all__ = ["Architecture", "Readout"]
