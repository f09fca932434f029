"""Pairs of equal images and of multiples: which they are, and what their plane (0, 0) adds."""

import numpy as np
import pytest
from engines import reference

from sklearn_cntk import CNTK
from sklearn_cntk._engines.equal_pairs import DirectionIds, ImageIds, ratios, self_values
from sklearn_cntk._engines.plan import Plan
from sklearn_cntk.networks import Activation, Architecture, Conv, LayerNorm, Network, Readout


@pytest.mark.parametrize("collide", [False, True])
@pytest.mark.parametrize(
    "dtypes", [("f4", "f4"), ("u1", "f4"), ("i8", "f8"), ("g", "f8"), ("?", "u1"), ("i8", "u8")]
)
def test_images_are_equal_as_engines_see_them(dtypes, collide):
    """Across dtypes, with zeros of either sign, whatever their hashes are."""
    X = np.array([[0, 1], [1, 1], [0, 1], [1, 0]]).astype(dtypes[0])
    Y = np.array([[1, 0], [0, 1], [0, 0]]).astype(dtypes[1])
    if Y.dtype.kind == "f":
        Y[Y == 0] = -0.0
    if dtypes[0] in ("i8", "g"):  # more digits than float64 has
        X[1] += X[1] * np.array(2, X.dtype) ** 53
        Y[2] = X[1] - 1 if dtypes == ("i8", "u8") else 2.0**53
    ids = ImageIds(X.dtype, Y.dtype, hash_of=(lambda data: 0) if collide else hash)
    x, y = (ids.of(images.reshape(-1, 1, 2, 1)) for images in (X, Y))
    equal = (X.astype("f8")[:, None] == Y.astype("f8")).all(axis=2)
    np.testing.assert_array_equal(x[:, None] == y, equal)
    assert equal.any()


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("filter_size", [1, 3, 5])
def test_self_values_are_kernel_values_where_no_other_plane_counts(
    trained_layers, filter_size, rng
):
    """Which take no other plane."""
    images, architecture = rng.normal(size=(4, 5, 3, 2)), Architecture((5, 3, 2), filter_size)
    readouts = [Readout(depth, False, trained_layers) for depth in (3, 6)]
    values = self_values(Plan(architecture, readouts, "float32"), images)
    expected = reference.pairs(images, images, architecture, readouts)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


# --- Multiples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multiples_are_equal_up_to_rounding(dtype, rng):
    images = rng.normal(size=(70, 4, 3, 2)).astype(dtype)
    images[5] = 0
    factors = rng.uniform(0.1, 10, size=70).astype(dtype)
    for factor in (1, dtype == "float32" or 1e150, 1e-30):
        multiples = images * (factors * factor)[:, None, None, None].astype(dtype)
        ids = DirectionIds(dtype)
        np.testing.assert_array_equal(ids.of(images), ids.of(multiples))
    assert len(set(ids.of(images))) == 70
    assert not np.isin(ids.of(-images[6:]), ids.of(images)).any()
    near = images[:1] + 100 * np.finfo(dtype).eps * rng.normal(size=(1, 4, 3, 2))
    assert ids.of(near.astype(dtype)) != ids.of(images[:1])


def test_ratios(rng):
    images = rng.normal(size=(3, 4, 3, 2))
    np.testing.assert_allclose(ratios(images, images * 1e-300), 1e-300)
    np.testing.assert_array_equal(ratios(images, images), 1)
    assert ratios(np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 1))) == 1


HOMOGENEOUS = [
    "plain",
    "myrtle5",
    Network.myrtle(5, activation="gaussian"),
    Network.plain(4, activation=Activation("leaky_relu", negative_slope=0.2), pool_after=(1,)),
]


@pytest.mark.parametrize("network", HOMOGENEOUS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_of_multiples(engine, network, dtype, rng):
    """As of equal images: without the half of the digits that κ₀ loses at λ = 1."""
    X = rng.normal(size=(3, 8, 7, 1))
    factors = np.array([3.7, 0.01, 12.3])
    Y = X * factors[:, None, None, None]
    architecture = Architecture((8, 7, 1), network=network)
    readouts = [Readout(depth, False, trained) for depth in (3, 4) for trained in ("all", "last")]
    own = engine.pairs(X, X, architecture, readouts, dtype=dtype)
    every = np.arange(3)
    for values in (
        engine.gram(X, Y, architecture, readouts, dtype=dtype)[:, every, every],
        engine.gram(Y, X, architecture, readouts, dtype=dtype)[:, every, every],
        engine.pairs(X, Y, architecture, readouts, dtype=dtype),
    ):
        np.testing.assert_allclose(values, own * factors, rtol=1e-12)


def test_depth_does_not_cost_digits(rng):
    images = rng.normal(size=(2, 6, 6, 2))
    for depth in (11, 100):
        K = CNTK(depth, gap=False, normalize=True)(images, 3.7 * images)
        np.testing.assert_allclose(K.diagonal(), 1, rtol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        Network.plain(4, bias_variance=0.1),
        Network.plain(4, activation="erf"),
        Network([Conv(), LayerNorm(), Activation("relu"), Conv(), Activation("relu")]),
        Network([Conv(), Activation("relu")], dense_bias_variance=0.1),
    ],
)
def test_multiples_of_other_networks(engine, network, rng):
    """Where multiples of images have no multiples of kernel values, they are images like others."""
    X, architecture = rng.normal(size=(3, 5, 4, 1)), Architecture((5, 4, 1), network=network)
    assert not architecture.is_homogeneous
    readouts = [Readout(network.depth, False), Readout(network.depth)]
    values = engine.gram(X, 3.7 * X, architecture, readouts, dtype="float64")
    nearly = engine.gram(X, 3.7 * X * (1 + 1e-13 * X), architecture, readouts, dtype="float64")
    np.testing.assert_allclose(values, nearly, rtol=1e-5)
