"""Descriptions of networks: what is refused, prefixes, shapes, parameters."""

import copy
import pickle

import pytest
from sklearn.base import clone

from sklearn_cntk.networks import Activation, AvgPool, Conv, LayerNorm, Network, Residual

RELU = Activation("relu")
DOWN = Residual([RELU, Conv(strides=2), RELU, Conv()], [RELU, Conv(1, strides=2)])


# --- Layers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv(2), ValueError, "filter_size=2 is even: use an odd number such as 3"),
        (lambda: Conv((3, 4)), ValueError, r"filter_size=\(3, 4\) is even.*such as 5"),
        (lambda: Conv((3, 3, 3)), ValueError, r"filter_size=\(3, 3, 3\) must be an integer, or a"),
        (lambda: Conv(3.0), TypeError, "filter_size must be an integer, got 3.0"),
        (lambda: Conv(strides=0), ValueError, "strides=0 is too small: use 1 or more pixels"),
        (lambda: Conv(padding="same"), ValueError, "padding='same' is unknown: use one of"),
        (lambda: Conv(weight_variance=-1), ValueError, "weight_variance=-1 is not a variance of"),
        (lambda: Conv(weight_variance=0), ValueError, "weight_variance=0 leaves nothing of the"),
        (lambda: Conv(bias_variance=None), TypeError, "bias_variance must be a number, got None"),
        (lambda: Conv(bias_variance=float("nan")), ValueError, "bias_variance=nan is not a var"),
        (lambda: AvgPool(0), ValueError, "pool_size=0 is too small"),
        (lambda: Activation("tanh"), ValueError, "kind='tanh' is unknown: use one of"),
        (lambda: Activation("relu", gamma=1), TypeError, "no parameter 'gamma': it takes none"),
        (lambda: Activation("gaussian", gamma=2), TypeError, "no parameter 'gamma'"),
        (
            lambda: Activation("leaky_relu", gamma=1),
            TypeError,
            "no parameter 'gamma': it takes negative_slope",
        ),
        (lambda: Activation("exp_normalized", gamma=0), ValueError, "gamma=0 makes a constant"),
        (
            lambda: Residual([AvgPool()]),
            ValueError,
            r"layer 1 of a residual block's body is AvgPool\(\): use Conv",
        ),
        (
            lambda: Residual([Conv(strides=2)]),
            ValueError,
            r"divides the sides by \(2, 2\), and its shortcut by \(1, 1\): give both",
        ),
        (lambda: Residual(Conv()), TypeError, r"body=Conv\(\) must be a sequence"),
    ],
)
def test_layers_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_reprs_are_constructors():
    layers = [
        Conv((3, 5), strides=2, padding="circular", weight_variance=1.5, bias_variance=0.1),
        Activation("leaky_relu", negative_slope=0.1),
        Activation("exp_normalized", gamma=2.0),
        AvgPool((2, 1)),
        LayerNorm(),
        DOWN,
        Network.myrtle(7),
        Network([Conv(), RELU], dense_weight_variance=1.0, dense_bias_variance=0.5),
    ]
    for layer in layers:
        assert eval(repr(layer)) == layer
    assert repr(Conv(5)) == "Conv(filter_size=5)"


def test_networks_are_values():
    network = Network([Conv(), DOWN, RELU])
    assert hash(network) == hash(Network([Conv(), DOWN, RELU]))
    assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network
    assert clone(network) is network
    with pytest.raises(AttributeError):
        network.layers = ()


# --- Orders of layers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([RELU], r"layer 1, Activation\('relu'\), needs Gaussian inputs"),
        ([Conv(), RELU, RELU], r"layer 3, Activation\('relu'\), needs Gaussian inputs"),
        ([Conv(), RELU, AvgPool(), RELU], r"layer 4, Activation\('relu'\), needs Gaussian inputs"),
        ([LayerNorm()], r"layer 1, LayerNorm\(\), needs inputs of mean 0"),
        ([Conv(), RELU, LayerNorm()], r"layer 3, LayerNorm\(\), needs inputs of mean 0"),
        (
            [Conv(), Residual([Conv(), RELU])],
            r"layer 2, Residual, body layer 2, Activation\('relu'\), ends a branch",
        ),
        (
            [Conv(), Residual([LayerNorm()])],
            r"layer 2, Residual\(body=\(LayerNorm\(\),\)\), has no convolution: put a Conv into",
        ),
        (
            [Conv(), RELU, Residual([Conv()]), RELU],
            r"layer 4, Activation\('relu'\), needs Gaussian inputs",
        ),
        (
            [Conv(), Residual([RELU, RELU, Conv()])],
            r"layer 2, Residual, body layer 2, Activation\('relu'\), needs Gaussian",
        ),
    ],
)
def test_orders_that_have_no_kernel(layers, message):
    with pytest.raises(ValueError, match=message):
        Network(layers)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([Conv], TypeError, r"layer 1 of layers is <class .*use Conv\(\)"),
        (["relu"], TypeError, "layer 1 of layers is 'relu', which is not a layer"),
        (Conv(), TypeError, r"layers=Conv\(\) must be a sequence"),
    ],
)
def test_what_is_no_layer(layers, error, message):
    with pytest.raises(error, match=message):
        Network(layers)


def test_shapes_name_the_layer_that_leaves_nothing():
    myrtle = Network.myrtle(5)
    assert myrtle.shapes((32, 32, 3))[-1] == (8, 8)
    assert myrtle.shapes((9, 7))[-1] == (2, 1)
    assert myrtle.shapes((1, 20))[-1] == (1, 5)
    with pytest.raises(ValueError, match=r"layer 5, AvgPool\(\), has nothing to pool.*\(1, 1, 4\)"):
        myrtle.shapes((1, 1, 4))
    with pytest.raises(ValueError, match=r"layer 2, AvgPool\(pool_size=3\), leaves nothing.*2×4"):
        Network([Conv(), AvgPool(3)]).shapes((2, 4))


# --- Prefixes -----------------------------------------------------------------------------------


def test_depths_do_not_cut_residual_blocks():
    network = Network([Conv(), DOWN, RELU, AvgPool(), Conv(), RELU])
    assert network.depths == (1, 2, 5, 6)
    assert network.prefix(5).layers == (Conv(), DOWN, RELU, AvgPool())
    assert network.prefix(1).layers == ()
    for depth in (3, 4, 7):
        with pytest.raises(ValueError, match=rf"depth={depth} is not one.*\(1, 2, 5, 6\)"):
            network.prefix(depth)
    with pytest.raises(TypeError, match="depth must be an integer, got '3'"):
        network.prefix("3")


def test_weight_variances():
    """c of the activation before a layer, pools between or not; else 1."""
    network = Network([Conv(), RELU, AvgPool(), Conv(weight_variance=3), Conv(), RELU])
    assert network.weight_variances == (1.0, 3.0, 1.0, 2.0)
    assert network.prefix(2).weight_variances == (1.0, 2.0)
    normalised = Network([Conv(), LayerNorm(), RELU, Residual([Conv()])])
    assert normalised.weight_variances == (1.0, 2.0, 1.0)
    assert Network([Conv(), DOWN]).weight_variances == (1.0, 2.0, 2.0, 2.0, 1.0)


def test_named_networks():
    assert Network.myrtle(10).depths == tuple(range(1, 11))
    assert Network.named("myrtle7") == Network.myrtle(7) == Network.plain(7, pool_after=(2, 4))
    assert Network.plain(4, 5).plain_filter_size == 5
    for other in (
        Network.plain(4, bias_variance=0.1),
        Network.plain(4, (3, 5)),
        Network.plain(4, activation="erf"),
        Network.plain(4, pool_after=(1,)),
        Network([Conv(padding="circular"), RELU]),
        Network([Conv(strides=2), RELU]),
        Network([Conv(), RELU, Conv(5), RELU]),
        Network([Conv(weight_variance=2.0), RELU]),
        Network([Conv()]),
        Network([]),
    ):
        assert other.plain_filter_size is None, other
    with pytest.raises(ValueError, match=r"depth=6 is unknown: use one of \(5, 7, 10\)"):
        Network.myrtle(6)
    with pytest.raises(ValueError, match=r"pool_after=\(3,\), but depth=3 has 2 convolutions"):
        Network.plain(3, pool_after=(3,))
    with pytest.raises(TypeError, match=r"activation must be a kind .* got LayerNorm\(\)"):
        Network.plain(3, activation=LayerNorm())
    with pytest.raises(TypeError, match="activation must be a kind such as 'relu', .* got 3"):
        Network.myrtle(5).with_params(activation=3)


def test_digests_are_those_of_kernels():
    """Equal for equal kernels, and the same in every process."""
    implicit, explicit = Network([Conv(), RELU]), Network([Conv(), RELU], 2.0)
    assert implicit.digest == Network(list(implicit.layers)).digest
    assert len({implicit.digest, Network([Conv(), RELU], 1.0).digest}) == 2
    assert implicit.weight_variances == explicit.weight_variances
    assert Network.myrtle(5).digest == "ef95ce75f5dd5d12"


# --- Parameters ---------------------------------------------------------------------------------


def test_parameters_reach_all_layers():
    network = Network([Conv(), DOWN, RELU])
    changed = network.with_params(bias_variance=0.3, activation=Activation("erf"))
    convolutions = [changed.layers[0], *changed.layers[1].body[1::2], changed.layers[1].shortcut[1]]
    assert [one.bias_variance for one in convolutions] == [0.3] * 4
    assert changed.dense_bias_variance == 0.3
    assert "'relu'" not in repr(changed)
    assert network.get_params()["bias_variance"] == 0.0  # itself, it never changes
    assert changed.get_params()["activation"] == Activation("erf")


def test_parameters_that_differ_are_not_those_of_all_layers():
    mixed = Network([Conv(bias_variance=0.1), RELU, Conv(), Activation("erf")])
    assert not {"bias_variance", "activation"} & set(mixed.get_params())
    assert mixed.with_params(**mixed.get_params()) == mixed
    assert mixed.with_params(bias_variance=0.2).get_params()["bias_variance"] == 0.2
    with pytest.raises(ValueError, match="'depth' is not a parameter of a Network: use one of"):
        mixed.with_params(depth=3)


def test_summary():
    rows = Network([Conv(), DOWN, RELU]).summary((8, 8, 3))
    assert rows.element_layers == 64**2 + 3 * 16**2
    assert [row.output_shape for row in rows][-1] == (4, 4)
    assert "shortcut: Conv(filter_size=1, strides=2)" in str(rows)
    with pytest.raises(ValueError, match="image_shape=None: give the shape"):
        Network.myrtle(5).summary(None)


# --- Mirror images ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "columns", "symmetric"),
    [
        ([Conv(), RELU, AvgPool()], 8, True),
        ([Conv(), RELU, AvgPool()], 7, False),
        ([Conv(), RELU, AvgPool((2, 1))], 7, True),
        ([Conv(strides=2)], 8, False),
        ([Conv(strides=2)], 9, True),
        ([Conv(1, strides=2)], 8, False),
        ([Conv(1, strides=2)], 9, True),
        ([Conv(), DOWN], 8, False),
        ([Conv(), DOWN], 9, True),
    ],
)
def test_mirror_symmetry(layers, columns, symmetric):
    network = Network(layers)
    if symmetric:
        network.check_mirror_symmetry((4, columns, 1))
    else:
        with pytest.raises(ValueError, match=rf"flip=True needs.*with {columns} columns before"):
            network.check_mirror_symmetry((4, columns, 1))
