"""Identities of networks of any layers, and the CPU engine against the reference on random ones."""

import numpy as np
import pytest
from engines import cpu, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_cntk.networks import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    LayerNorm,
    Network,
    Readout,
    Residual,
)

RELU = Activation("relu")
ACTIVATIONS = [
    RELU,
    Activation("leaky_relu", negative_slope=0.2),
    Activation("erf"),
    Activation("gelu"),
    Activation("gaussian"),
    Activation("exp_normalized", gamma=2.5),
]

few = settings(max_examples=15, deadline=None)


@st.composite
def networks(draw, shape):
    """A network of two to four convolutions for images of a shape."""
    padding = draw(st.sampled_from(["zeros", "circular"]))
    sides = st.sampled_from([1, 3, 5, (1, 3)])
    variances = st.sampled_from([0.0, 0.3])

    def conv(strides=1, side=None):
        side = draw(sides) if side is None else side
        return Conv(side, strides, padding, bias_variance=draw(variances))

    def gaussian(strides=1):
        """Layers that end with Gaussian features."""
        return [conv(strides), *[LayerNorm()][: draw(st.integers(0, 1))]]

    layers, at = [], shape
    for _ in range(draw(st.integers(1, 2))):
        strides = draw(st.sampled_from([1, 1, 2, (1, 2)]))
        layers += gaussian(strides)
        at = layers[-1].output_shape(at) if isinstance(layers[-1], Conv) else at
        at = Network(layers).shapes(shape)[-1]
        if draw(st.booleans()):
            body = [draw(st.sampled_from(ACTIVATIONS)), *gaussian()]
            shortcut = draw(st.sampled_from([None, [conv(side=1)]]))
            layers.append(Residual(body, shortcut))
        layers.append(draw(st.sampled_from(ACTIVATIONS)))
        size = draw(st.sampled_from([None, 2, 3, (1, 2)]))
        if size is not None and at != (1, 1) and min(AvgPool(size).output_shape(at)) > 0:
            layers.append(AvgPool(size))
    return Network(layers, dense_bias_variance=draw(variances))


@st.composite
def problems(draw):
    """Images, an architecture, and readouts of every depth it has."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X, Y = seed.normal(size=(2, 3, *shape, 2))
    X[0, : shape[0] // 2 + 1] = 0
    Y[0] = X[1]
    network = draw(networks(shape))
    architecture = Architecture((*shape, 2), network=network)
    readouts = [
        Readout(depth, gap, trained, lap)
        for depth in network.depths
        for gap, lap in ((True, 0), (False, 0), (False, 1))
        for trained in ("all", "last")
    ]
    frozen = draw(st.integers(0, network.depth - 1))
    readouts.append(Readout(network.depth, True, "all", frozen_layers=frozen))
    return X, Y, network, architecture, readouts


def relative_error(values, expected):
    return abs(values - expected).max() / abs(expected).max()


@few
@given(problems())
def test_cpu_equals_reference(problem):
    X, Y, _, architecture, readouts = problem
    expected = reference.gram(X, Y, architecture, readouts)
    double = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    single = cpu.gram(X, Y, architecture, readouts)
    for readout, *values in zip(readouts, double, single, expected, strict=True):
        assert relative_error(values[0], values[2]) < 1e-8, readout
        assert relative_error(values[1], values[2]) < 1e-3, readout


@few
@given(problems())
def test_pairs_are_entries_of_the_gram_matrix(problem):
    X, Y, _, architecture, readouts = problem
    gram = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    pairs = cpu.pairs(X, Y, architecture, readouts, dtype="float64")
    np.testing.assert_allclose(
        pairs, gram.diagonal(axis1=1, axis2=2), rtol=0, atol=1e-8 * abs(gram).max()
    )


@few
@given(problems())
def test_symmetric_and_positive_semidefinite(problem):
    X, Y, _, architecture, readouts = problem
    images = np.concatenate([X, Y])
    for K in cpu.gram(images, images, architecture, readouts, dtype="float64"):
        np.testing.assert_allclose(K, K.T, rtol=0, atol=1e-12 * abs(K).max())
        eigenvalues = np.linalg.eigvalsh(K)
        assert eigenvalues[0] >= -1e-7 * eigenvalues[-1]


@few
@given(problems())
def test_a_prefix_is_a_network_of_its_own(problem):
    X, Y, network, architecture, readouts = problem
    together = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    for readout, values in zip(readouts, together, strict=True):
        prefix = Architecture(architecture.image_shape, network=network.prefix(readout.depth))
        (alone,) = reference.gram(X, Y, prefix, [readout])
        assert relative_error(values, alone) < 1e-8, readout


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((3, 3), [Conv(), LayerNorm(), Residual([RELU, Conv()])]),
        ((4, 4), [Conv(), Residual([Conv(), LayerNorm()], [RELU, Conv()])]),
        ((3, 3), [Conv(1, (1, 2)), AvgPool((2, 1)), Conv(1, padding="circular")]),
        ((3, 3), [Conv(3, (1, 2), "circular"), AvgPool((1, 2)), AvgPool((2, 1))]),
        ((6, 6), [Conv(), RELU, Conv(), LayerNorm(), RELU]),
    ],
)
def test_layers_that_meet_in_unusual_ways(rng, shape, layers):
    """Every depth of them at once."""
    X, Y = rng.random((2, 3, *shape, 1))
    network = Network(layers)
    architecture = Architecture((*shape, 1), network=network)
    readouts = [Readout(depth, gap) for depth in network.depths for gap in (True, False)]
    expected = reference.gram(X, Y, architecture, readouts)
    values = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    for readout, value, block in zip(readouts, values, expected, strict=True):
        assert relative_error(value, block) < 1e-10, readout


@pytest.mark.parametrize("kind", ["erf", "gelu"])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 1.0, 10.0])
def test_saturating_activations_of_images_of_any_size(rng, kind, scale):
    X, Y = scale * rng.normal(size=(2, 3, 5, 4, 2))
    architecture = Architecture((5, 4, 2), network=Network.plain(3, activation=kind))
    readouts = [Readout(3), Readout(3, False), Readout(3, False, "last")]
    expected = reference.gram(X, Y, architecture, readouts)
    for dtype, limit in (("float32", 3e-5), ("float64", 1e-10)):
        values = cpu.gram(X, Y, architecture, readouts, dtype=dtype)
        for value, block in zip(values, expected, strict=True):
            assert relative_error(value, block) < limit


def test_equal_images_are_exact_in_single_precision(rng):
    """Where float32 is not, behind an erf of saturated pixels: they are computed in float64."""
    X = np.zeros((3, 6, 6, 1), dtype=np.uint8)
    X[:, 1:4, 2:5] = rng.choice([0, 255], size=(3, 3, 3, 1))
    architecture = Architecture((6, 6, 1), network=Network.plain(3, activation="erf"))
    readouts = [Readout(3), Readout(3, False)]
    expected = reference.gram(X, X, architecture, readouts)
    values = cpu.gram(X[:2], X, architecture, readouts)
    for i in range(2):
        np.testing.assert_allclose(values[:, i, i], expected[:, i, i], rtol=1e-9)


def test_layer_normalisation_of_faint_images_beside_a_branch_without(rng):
    X, Y = 1e-16 * rng.normal(size=(2, 3, 5, 4, 2))
    network = Network([Conv(), Residual([Conv(), LayerNorm()], [Conv()]), Conv()])
    architecture, readouts = Architecture((5, 4, 2), network=network), [Readout(5)]
    expected = reference.gram(X, Y, architecture, readouts)
    for dtype, limit in (("float32", 3e-5), ("float64", 1e-10)):
        values = cpu.gram(X, Y, architecture, readouts, dtype=dtype)
        assert relative_error(values, expected) < limit


SHAPE = (6, 8, 2)
GAP = [Readout(3, True, trained) for trained in ("all", "last")]


def values_of(network, X, Y, readouts=GAP):
    return cpu.gram(X, Y, Architecture(X.shape[1:], network=network), readouts, dtype="float64")


def test_circular_shifts_change_nothing_with_gap(rng):
    X, Y = rng.normal(size=(2, 2, *SHAPE))
    layers = [Conv(padding="circular"), RELU, AvgPool(2), Conv(padding="circular"), RELU]
    shifted = np.roll(X, (2, 4), axis=(1, 2))  # whole windows
    np.testing.assert_allclose(
        values_of(Network(layers), shifted, Y), values_of(Network(layers), X, Y), rtol=1e-12
    )


def test_no_bias_is_the_plain_network(rng):
    """By the code for networks and by that for plain ones."""
    X, Y = rng.normal(size=(2, 2, *SHAPE))
    nearly = Network.plain(3, bias_variance=1e-13)
    plain = Network.plain(3)
    assert Architecture(SHAPE, network=plain).is_plain
    assert not Architecture(SHAPE, network=nearly).is_plain
    np.testing.assert_allclose(values_of(nearly, X, Y), values_of(plain, X, Y), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_networks_by_the_code_for_networks(rng, dtype):
    """Frozen layers take a plain network there: freezing the first is half of "hidden"."""
    X, Y = rng.normal(size=(2, 20, 9, 5, 1))
    architecture = Architecture((9, 5, 1))
    readouts = [
        Readout(d, g, t, frozen_layers=f)
        for d in (3, 5)
        for g in (True, False)
        for t, f in (("hidden", 0), ("last", 0), ("all", 1))
    ]
    hidden, last, frozen = cpu.gram(X, Y, architecture, readouts, dtype=dtype).reshape(
        4, 3, 20, 20
    ).swapaxes(0, 1)  # fmt: skip
    np.testing.assert_allclose(
        frozen, hidden + last, rtol={"float32": 1e-5, "float64": 1e-12}[dtype]
    )


def test_pooling_a_constant_image(rng):
    """Without edges, pools change nothing of what is the same everywhere."""
    X = np.ones((2, *SHAPE)) * rng.normal(size=(2, 1, 1, 2))
    convolution = Conv(padding="circular", bias_variance=0.2)
    pooled = Network([convolution, RELU, AvgPool(2), convolution, RELU])
    whole = Network([convolution, RELU, convolution, RELU])
    np.testing.assert_allclose(values_of(pooled, X, X), values_of(whole, X, X), rtol=1e-12)


def test_a_residual_block_without_a_body_doubles(rng):
    X, Y = rng.normal(size=(2, 2, *SHAPE))
    doubled = Network([Conv(), Residual([]), Conv(), RELU], 2.0)
    once = Network([Conv(), Conv(weight_variance=2.0), RELU], 2.0)
    last = [Readout(3, True, "last"), Readout(3, False, "last")]
    np.testing.assert_allclose(
        values_of(doubled, X, Y, last), values_of(once, X, Y, last), rtol=1e-12
    )


def test_layer_normalisation_forgets_the_size_of_pixels(rng):
    X, Y = rng.normal(size=(2, 2, *SHAPE))
    network = Network([Conv(), LayerNorm(), RELU, Conv(), RELU])
    np.testing.assert_allclose(
        values_of(network, 1e-30 * X, 1e12 * Y), values_of(network, X, Y), rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e8, 1e17])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_biases_beside_images_of_any_size(rng, scale, dtype):
    X, Y = scale * rng.normal(size=(2, 2, *SHAPE))
    network = Network.plain(3, pool_after=(1,), bias_variance=0.1)
    architecture = Architecture(SHAPE, network=network)
    expected = reference.gram(X, Y, architecture, GAP)
    values = cpu.gram(X, Y, architecture, GAP, dtype=dtype)
    np.testing.assert_allclose(values, expected, rtol={"float32": 1e-3, "float64": 1e-8}[dtype])


@pytest.mark.parametrize("kind", ["relu", "gaussian"])
def test_multiples_of_images(rng, kind):
    """Homogeneous layers: K(ax, y) = a K(x, y), at any size that float64 has."""
    X, Y = rng.normal(size=(2, 2, *SHAPE))
    network = Network.plain(3, pool_after=(1,), activation=kind)
    values = values_of(network, X, Y)
    np.testing.assert_allclose(values_of(network, 1e200 * X, Y), 1e200 * values, rtol=1e-13)
    np.testing.assert_allclose(values_of(network, 1e-200 * X, Y), 1e-200 * values, rtol=1e-13)


def test_single_precision_of_dark_regions_with_a_bias():
    """All images have the same zeros there: λ = 1, and not 1 minus a rounding error."""
    rng = np.random.default_rng(3)
    X = np.zeros((4, 12, 12, 1))
    X[:, 4:8, 4:8] = rng.random((4, 4, 4, 1))
    architecture = Architecture((12, 12, 1), network=Network.plain(6, bias_variance=0.1))
    readouts = [Readout(6), Readout(6, False)]
    expected = reference.gram(X[:2], X[2:], architecture, readouts[1:])
    single = cpu.gram(X[:2], X[2:], architecture, readouts)
    double = cpu.gram(X[:2], X[2:], architecture, readouts, dtype="float64")
    np.testing.assert_allclose(double[1:], expected, rtol=1e-12)
    np.testing.assert_allclose(single, double, rtol=3e-6)
