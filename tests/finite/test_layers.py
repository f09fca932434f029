"""Every kind of layer: mean kernels of finite networks are the exact kernel's, by Monte Carlo."""

import numpy as np
import pytest

from sklearn_cntk import CNTK
from sklearn_cntk.networks import Activation, AvgPool, Conv, LayerNorm, Network, Residual

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import EmpiricalCNTK, RandomCNTKFeatures  # noqa: E402

RELU = Activation("relu")
DOWN = Residual([RELU, Conv(strides=2), RELU, Conv()], [RELU, Conv(1, strides=2)])


def twice(activation):
    return (3, 4, 2), Network.plain(3, activation=activation)


NETWORKS = {
    "strides": ((7, 6, 2), Network([Conv(strides=(2, 1)), RELU, Conv((3, 5), strides=3), RELU])),
    "uneven padding": ((6, 4, 2), Network([Conv(strides=2), RELU, Conv(), RELU])),
    "long strides": ((8, 5, 2), Network([Conv(1, strides=(4, 2)), RELU, Conv(), RELU])),
    "circular": (
        (4, 3, 2),
        # Filters of 9 pixels go twice round 3.
        Network([Conv((3, 9), padding="circular"), RELU, Conv(strides=2, padding="circular")]),
    ),
    "leaky_relu": twice(Activation("leaky_relu", negative_slope=0.2)),
    "erf": twice("erf"),
    "gelu": twice("gelu"),
    "exp_normalized": twice(Activation("exp_normalized", gamma=0.3)),
    "gaussian": ((3, 4, 2), Network.plain(2, activation="gaussian")),
    "pool": ((7, 5, 1), Network([Conv(), RELU, AvgPool((2, 3)), Conv(), RELU])),
    "signals": ((1, 9, 2), Network([AvgPool(), Conv(), RELU, AvgPool(), Conv(), RELU])),
    "layer norm": ((3, 4, 2), Network([Conv(), LayerNorm(), RELU, Conv(), LayerNorm()])),
    "biases": (
        (3, 4, 2),
        Network(
            [Conv(bias_variance=0.3), RELU, Conv(bias_variance=0.1), RELU], dense_bias_variance=0.2
        ),
    ),
    "identity shortcuts": (
        (3, 4, 2),
        Network([Conv(), Residual([RELU, Conv(bias_variance=0.5), LayerNorm()]), RELU]),
    ),
    "shortcut": ((4, 4, 2), Network([Conv(), DOWN, RELU])),
    "variances": (
        (3, 4, 2),
        Network([Conv(weight_variance=0.7), RELU, Conv(weight_variance=3.0)], 2.5),
    ),
    "myrtle": ((8, 8, 1), Network.myrtle(5)),
}


@pytest.mark.parametrize("gap", [True, False])
@pytest.mark.parametrize("kind", NETWORKS)
def test_mean_over_networks_is_the_exact_kernel(kind, gap, rng):
    """Without a formula in common: within four standard errors everywhere."""
    shape, network = NETWORKS[kind]
    images = rng.normal(size=(3, *shape))
    # Pixels so different that no filter may see another one instead, of the size of biases.
    images *= rng.lognormal(sigma=1.5, size=(*shape[:2], 1))
    images /= np.sqrt(np.mean(images**2))
    # Biases are of order 1 / width: largest with the heavy tails of "gaussian", and well below one
    # standard error elsewhere.
    width = 512 if kind == "gaussian" else 128
    # Half of the readouts for either pooling: `test_gradients.py` has all of them.
    readouts = [{}, {"trained_layers": "hidden"}]
    if not gap:
        readouts = [{"trained_layers": "last"}, {"frozen_layers": 1}]
    for readout in readouts[: network.depth - 1]:  # "hidden" needs two convolutions
        parameters = {"network": network, "gap": gap, **readout}
        grams = [
            EmpiricalCNTK(**parameters, width=width, random_state=seed)(images)
            for seed in range(24)
        ]
        exact = CNTK(**parameters, dtype="float64")(images)
        errors = np.std(grams, axis=0, ddof=1) / np.sqrt(len(grams))
        assert (abs(np.mean(grams, axis=0) - exact) < 4 * errors).all()
        # So narrow that wrong factors could not hide.
        assert errors.max() < 0.07 * exact.max()


def test_bias_of_the_mean_kernel_falls_with_the_width(rng):
    """Of the activation with the heaviest tails, which is the furthest from its limit."""
    network = Network.plain(3, activation="gaussian")
    images = rng.normal(size=(3, 2, 2, 2))
    exact = CNTK(network=network, gap=False, dtype="float64")(images)
    biases = []
    for width, draws in ((16, 400), (128, 200)):
        kernel = EmpiricalCNTK(network=network, gap=False, width=width, n_draws=draws)
        biases.append(np.mean(kernel(images) / exact) - 1)
    assert -0.4 < biases[0] < -0.1
    assert abs(biases[1]) < -biases[0] / 4


def test_a_linear_network_has_the_exact_kernel(rng):
    """Gradients by its dense layer are the pixels, whatever the weights."""
    images = rng.normal(size=(4, 4, 5, 2))
    for gap in (True, False):
        parameters = {"gap": gap, "network": Network([AvgPool()], 0.7, 0.3), "dtype": "float64"}
        exact = CNTK(**parameters)(images)
        np.testing.assert_allclose(EmpiricalCNTK(**parameters)(images), exact, rtol=1e-12)
        plain = {"depth": 1, "gap": gap, "dtype": "float64"}
        np.testing.assert_allclose(EmpiricalCNTK(**plain)(images), CNTK(**plain)(images), 1e-12)


# --- Scales of images ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "degree"), [(LayerNorm(), 0), (AvgPool(), 1), (DOWN, 1)], ids=["norm", "pool", "sum"]
)
@pytest.mark.parametrize("activation", ["gaussian", "relu"])
def test_images_of_any_scale(layer, degree, activation, rng):
    """In float32, which the images' squares exceed."""
    images = rng.normal(size=(4, 4, 4))
    factors = np.array([1e25, 1e-25, 0, 1])
    network = Network([Conv(), layer, Conv(), Activation(activation)])
    kernel = EmpiricalCNTK(network=network, width=8)
    expected = np.outer(factors**degree, factors**degree) * kernel(images)
    expected[2] = expected[:, 2] = 0
    scaled = factors[:, None, None] * images
    np.testing.assert_allclose(kernel(scaled), expected, rtol=1e-4)
    np.testing.assert_allclose(kernel.diag(scaled), expected.diagonal(), rtol=1e-4)


def test_pixels_of_zeros(rng):
    """Where the root mean square over channels has no derivative."""
    images = rng.normal(size=(3, 6, 6, 2))
    images[:, :, 2:] = 0
    network = Network([Conv(), LayerNorm(), Activation("gaussian"), Conv(), LayerNorm()])
    kernel = EmpiricalCNTK(network=network, gap=False, width=256, n_draws=20)
    exact = CNTK(network=network, gap=False, dtype="float64")(images)
    np.testing.assert_allclose(kernel(images), exact, rtol=0.1)


@pytest.mark.parametrize(
    "network",
    [
        Network.plain(3, bias_variance=0.1),
        Network.plain(3, activation="erf"),
        Network([], 1.0, 0.1),
    ],
)
def test_networks_that_are_not_homogeneous(network, rng):
    images = rng.normal(size=(3, 4, 4))
    parameters = {"network": network, "width": 8, "random_state": 0}
    single = EmpiricalCNTK(**parameters)
    double = EmpiricalCNTK(**parameters, dtype="float64")
    for factor in (1e-3, 1, 1e3):
        np.testing.assert_allclose(single(factor * images), double(factor * images), rtol=1e-3)
    assert not np.allclose(double(10 * images), 100 * double(images), rtol=0.01)
    with pytest.raises(ValueError, match="pixels of up to .* exceed dtype='float32': scale"):
        single(1e40 * images)


def test_values_beyond_the_networks_dtype(rng):
    images = rng.normal(size=(3, 4, 4))
    parameters = {"network": Network.plain(2, bias_variance=0.1), "width": 8}
    with pytest.raises(ValueError, match=r"Kernel values .* dtype='float32': .* dtype='float64'\."):
        EmpiricalCNTK(**parameters)(1e30 * images)
    assert np.isfinite(EmpiricalCNTK(**parameters, dtype="float64")(1e30 * images)).all()
    deep = RandomCNTKFeatures(network=Network.plain(2, bias_variance=1e6), width=512)
    with pytest.raises(ValueError, match="Features .* exceed dtype='float32': .* dtype='float64'"):
        deep.fit_transform(1e38 * images)
