"""ConvolutionalNetwork alone."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import ConvolutionalNetwork  # noqa: E402


def test_network_alone():
    network = ConvolutionalNetwork((5, 6, 3), 4, False, width=7, n_outputs=2, seed=1)
    assert network(torch.zeros(2, 3, 5, 6)).shape == (2, 2)
    assert [tuple(weights.shape) for weights in network.filters] == [
        (7, 3, 3, 3),
        (7, 7, 3, 3),
        (7, 7, 3, 3),
    ]


def test_network_of_two_dimensional_images():
    network = ConvolutionalNetwork((8, 8), depth=3, width=4)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 1)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"image_shape": None}, TypeError, "image_shape must be .* got None"),
        ({"image_shape": 8}, ValueError, "image_shape=8 is not a shape"),
        ({"image_shape": (8, 0, 1)}, ValueError, r"image_shape=\(8, 0, 1\) is not a shape"),
        ({"image_shape": (8, 8, 1, 1)}, ValueError, "image_shape=.* is not a shape"),
        ({"n_outputs": 0}, ValueError, "n_outputs=0 is too small"),
        ({"n_outputs": 1.0}, TypeError, "n_outputs must be an integer"),
        ({"seed": -1}, ValueError, "seed=-1 is too small"),
        ({"seed": True}, TypeError, "seed must be an integer"),
        ({"seed": 2**64}, ValueError, r"seed=18446744073709551616 is too large: .* 2\*\*64 - 1"),
        ({"dtype": "float32"}, ValueError, "dtype='float32' is unknown: use torch.float32"),
        ({"dtype": torch.int32}, ValueError, "dtype=torch.int32 is unknown"),
    ],
)
def test_bad_parameters_of_a_network(parameters, error, message):
    with pytest.raises(error, match=message):
        ConvolutionalNetwork(**{"image_shape": (8, 8, 1), "depth": 3, "width": 4, **parameters})
