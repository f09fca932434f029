"""Pairs of equal images and of multiples: which they are, and what their plane (0, 0) adds."""

import tracemalloc

import numpy as np
import pytest
from engines import reference

from sklearn_cntk import CNTK
from sklearn_cntk._engines.equal_pairs import self_values
from sklearn_cntk._engines.image_ids import DirectionIds, ImageIds
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


@pytest.mark.parametrize(
    ("dtype", "arrays"), [("float32", "f4"), ("float32", "f8"), ("float64", "f8")]
)
def test_multiples_have_one_id(dtype, arrays, rng):
    images = rng.normal(size=(70, 24, 24, 3)).astype(arrays)
    images[5] = 0
    factors = rng.uniform(0.1, 10, size=(70, 1, 1, 1)).astype(arrays)
    for factor in (1, 1e150, 1e-200) if arrays == "f8" else (1, 1e30, 1e-30):
        ids = DirectionIds(np.dtype(dtype))
        multiples = images * factors * np.array(factor, arrays)
        np.testing.assert_array_equal(ids.of(images), ids.of(multiples))
    assert len(set(ids.of(images))) == 70
    assert not np.isin(ids.of(-images[6:]), ids.of(images)).any()
    near = images[:1] * (1 + 10 * np.sqrt(np.finfo(dtype).eps) * rng.normal(size=images[:1].shape))
    assert ids.of(near) != ids.of(images[:1])


def test_images_with_few_pixels_that_are_seen(rng):
    """Few pixels decide, and no projection may miss them."""
    images = np.zeros((4000, 16, 16, 3))
    images[:, 3, 4:6, 1] = rng.normal(size=(4000, 2))
    for dtype in ("float32", "float64"):
        ids = DirectionIds(dtype).of(images)
        directions = images[:, 3, 4:6, 1]
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        first, second = np.nonzero(np.triu(ids[:, None] == ids, 1))
        assert (np.linalg.norm(directions[first] - directions[second], axis=1) < 3e-4).all()
    images[:, 3, 4:6, 1] = [3, 4]
    images[:, 9, 9, 0] = rng.uniform(1, 2, size=4000).round(2)
    ids = DirectionIds("float32").of(images)
    assert len(np.unique(ids)) == len(np.unique(images[:, 9, 9, 0]))


def test_ids_follow_from_an_image_alone(rng):
    """However close images are, and whatever came before."""
    images = 1 + 1e-4 * rng.normal(size=(200, 4, 4, 1))
    together = DirectionIds("float32").of(images)
    backward = DirectionIds("float32").of(images[::-1])[::-1]
    equal = together[:, None] == together
    np.testing.assert_array_equal(equal, backward[:, None] == backward)
    assert 200 < equal.sum() < 200**2


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


@pytest.mark.parametrize("network", ["plain", "myrtle5"])
@pytest.mark.parametrize("sizes", [(1e-170, 1.0), (1e-160, 0.1), (1e-200, 1e200), (1e150, 1e150)])
def test_multiples_of_any_size(engine, network, sizes, rng):
    """Where values of one image with itself leave the range of float64."""
    if engine is reference:
        pytest.skip("formulas as they stand scale nothing")
    image, architecture = rng.normal(size=(1, 8, 8, 1)), Architecture((8, 8, 1), network=network)
    readouts = [Readout(4, False), Readout(4)]
    X, Y = (size * image for size in sizes)
    (own,) = engine.pairs(image, image, architecture, readouts, dtype="float64").T
    values = engine.gram(X, Y, architecture, readouts, dtype="float64")[:, 0, 0]
    np.testing.assert_allclose(values, own * sizes[0] * sizes[1], rtol=1e-7)


def test_near_duplicates_have_no_correlation_above_1():
    x = np.ones((1, 24, 24, 3))
    y = x.copy()
    y[0, 3, 3, 0] += 1e-4
    images = np.concatenate([x, y, 2 * y])
    K = CNTK(3, gap=False)(images)
    size = np.sqrt(K.diagonal())
    assert (K <= np.multiply.outer(size, size) * (1 + 1e-15)).all()


def test_all_images_alike(rng):
    """As fast, and in as little memory, as others."""
    images = np.zeros((300, 16, 16, 3), dtype=np.float32)
    images[1:, 2:] = rng.uniform(0.1, 3, size=(299, 1, 1, 1))
    tracemalloc.start()
    K = CNTK(2, gap=False, n_jobs=1)(images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * images.nbytes
    assert not K[0].any()
    np.testing.assert_allclose(K[1:, 1:], K[1:, 1:2] * K[1:, 1] / K[1, 1], rtol=1e-6)


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
