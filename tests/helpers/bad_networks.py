"""Parameters `network` and `frozen_layers` that exact kernels and finite networks both refuse."""

from sklearn_cntk.networks import Activation, AvgPool, Conv, Network, Residual

RELU = Activation("relu")
BLOCKS = Network([Conv(), Residual([RELU, Conv()]), RELU])

#: For images of 8 × 8 pixels: parameters, error and message.
BAD_NETWORKS = [
    ({"network": "myrtl5"}, ValueError, "network='myrtl5' .* Network; did you mean 'myrtle5'"),
    ({"network": [Conv()]}, TypeError, "network must be a Network or one of"),
    ({"network": BLOCKS, "filter_size": 5}, ValueError, "filter_size=5 has no meaning for"),
    ({"network": BLOCKS, "bias_variance": 1}, ValueError, "bias_variance=1.0 has no meaning for"),
    ({"network": BLOCKS, "depth": 4}, ValueError, r"depth=4 is not one .* \(1, 2, 3\)"),
    ({"network": Network([Conv(), AvgPool(9)])}, ValueError, "layer 2, .* leaves nothing"),
    ({"network": "myrtle5", "frozen_layers": 5}, ValueError, "allows at most 4"),
    ({"trained_layers": "last", "frozen_layers": 1}, ValueError, "frozen_layers=1 has no meaning"),
    ({"frozen_layers": -1}, ValueError, "frozen_layers=-1 is too small"),
]
