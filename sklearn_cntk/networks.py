"""What the kernels compute: the network, and the readouts of its last layer."""

from ._support.network import Architecture, Readout

__all__ = ["Architecture", "Readout"]
