"""The parameters `network` and `frozen_layers` of kernels, estimators and searches."""

import pickle

import numpy as np
import pytest
from bad_networks import BAD_NETWORKS, BLOCKS, RELU
from engines import CountingEngine
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_cntk import (
    CNTK,
    CNTKClassifier,
    CNTKClassifierCV,
    CNTKRegressor,
    cntk_path,
)
from sklearn_cntk.networks import Activation, AvgPool, Conv, LayerNorm, Network, Residual


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images, data.target


@pytest.fixture
def images(rng):
    return rng.normal(size=(6, 8, 8))


# --- Which network ------------------------------------------------------------------------------


def test_names_are_networks(images):
    assert np.array_equal(CNTK(network="myrtle5")(images), CNTK(network=Network.myrtle(5))(images))
    plain = CNTK(4, filter_size=5)(images)
    assert np.array_equal(CNTK(network=Network.plain(4, 5))(images), plain)


def test_no_depth_is_the_whole_network(images):
    assert np.array_equal(CNTK()(images), CNTK(6)(images))
    assert np.array_equal(CNTK(network=BLOCKS)(images), CNTK(3, network=BLOCKS)(images))
    shallow = CNTK(network=Network([Conv(), RELU, AvgPool()]))(images)
    assert np.array_equal(CNTK(2, network=Network.plain(9, pool_after=(1,)))(images), shallow)


@pytest.mark.parametrize("network", ["plain", "myrtle7"])
def test_depth_1_is_the_linear_kernel_of_the_pixels(images, network):
    rows = images.reshape(6, 64)
    K = CNTK(1, gap=False, network=network, dtype="float64")(images)
    np.testing.assert_allclose(K, rows @ rows.T, rtol=1e-12)
    means = images.mean(axis=(1, 2))
    K = CNTK(1, network=network, dtype="float64")(images)
    np.testing.assert_allclose(K, np.outer(means, means), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        *BAD_NETWORKS,
        (
            {"network": Network([Conv(), Residual([RELU, Conv(), RELU, Conv()])]), "depth": 3},
            ValueError,
            "depth=3 is not one .* do not cut a residual block",
        ),
        ({"frozen_layers": 1.0}, TypeError, "frozen_layers must be an integer"),
        (
            {"network": Network([Conv(), RELU, AvgPool(3)]), "flip": True},
            ValueError,
            r"layer 3, AvgPool\(pool_size=3\), does not with 8 columns",
        ),
    ],
)
def test_bad_parameters(images, parameters, error, message):
    for estimator in (CNTK(**parameters), CNTKRegressor(**parameters)):
        with pytest.raises(error, match=message):
            estimator(images) if isinstance(estimator, CNTK) else estimator.fit(images, range(6))


def test_only_the_prefix_has_to_suit_the_images(images):
    small = images[:, :3, :3]
    assert CNTK(2, network="myrtle5")(small).shape == (6, 6)
    with pytest.raises(ValueError, match=r"layer 8, AvgPool\(\), has nothing .* smaller depth"):
        CNTK(network="myrtle5")(small)
    with pytest.raises(ValueError, match="one pixel, unless image_shape gives their shape"):
        CNTK(network="myrtle5")(images[:, 1:].reshape(6, -1))


# --- Frozen layers ------------------------------------------------------------------------------


def test_frozen_layers(images):
    """None is "all", all of them "last"; of the first one, "hidden" freezes the dense layer too."""
    kernel = CNTK(4, dtype="float64")
    K = {k: kernel.set_params(frozen_layers=k)(images) for k in range(4)}
    last, hidden = (CNTK(4, trained_layers=t, dtype="float64")(images) for t in ("last", "hidden"))
    np.testing.assert_allclose(K[3], last, rtol=1e-12)
    np.testing.assert_allclose(K[1], hidden + last, rtol=1e-12)
    for fewer, more in ((0, 1), (1, 2), (2, 3)):  # each trained layer adds a kernel
        eigenvalues = np.linalg.eigvalsh(K[fewer] - K[more])
        assert eigenvalues[0] > -1e-9 * eigenvalues[-1]
        assert eigenvalues[-1] > 0


# --- Paths, searches, stores --------------------------------------------------------------------


@pytest.mark.parametrize("network", ["myrtle5", BLOCKS])
def test_paths_equal_single_kernels_bit_for_bit(images, network):
    depths = (1, 3) if network is BLOCKS else (2, 3, 5)
    grams, readouts = cntk_path(
        images, images[:4], depths=depths, lap=(1,), trained_layers=("all", "last"), network=network
    )
    for K, readout in zip(grams, readouts, strict=True):
        assert np.array_equal(K, CNTK(network=network, **readout)(images, images[:4]))
    grams, readouts = cntk_path(images, depths=(3,), network=network, frozen_layers=1)
    for K, readout in zip(grams, readouts, strict=True):
        assert readout["frozen_layers"] == 1
        assert np.array_equal(K, CNTK(network=network, **readout)(images))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_read_in_between_changes_no_bits(images, dtype):
    """Though sums of blocks, activations and pools are computed in one go where nothing is read."""
    block = Residual([RELU, Conv(bias_variance=0.1)])
    layers = [Conv(), block, block, RELU, AvgPool(), block.body[1], Activation("erf"), AvgPool()]
    network = Network([*layers, Conv(), Activation("gaussian")])
    grams, readouts = cntk_path(images, depths=network.depths[1:], network=network, dtype=dtype)
    for K, readout in zip(grams, readouts, strict=True):
        alone = CNTK(network=network, dtype=dtype, **readout)(images)
        if readout["depth"] == 2:  # a convolution alone, whose unit is another one
            np.testing.assert_allclose(K, alone, rtol=1e-14, atol=1e-15)
        else:
            assert np.array_equal(K, alone)


def test_prefixes_before_a_layer_normalisation_keep_the_size_of_pixels(images, tmp_path):
    network = Network([Conv(), RELU, Conv(), LayerNorm(), RELU])
    alone = CNTK(2, network=network)(images)
    (K, *_), _ = cntk_path(images, depths=(2, 3), network=network)
    assert np.array_equal(K, alone)
    CNTK(network=network, memory=tmp_path)(images)
    assert np.array_equal(CNTK(2, network=network, memory=tmp_path)(images), alone)


def test_a_store_keeps_prefixes_and_knows_networks(images, tmp_path):
    counting = CountingEngine()
    kernel = CNTK(network=Network.myrtle(5), memory=tmp_path, device=counting)
    whole = kernel(images)
    computed = counting.total
    assert np.array_equal(kernel(images), whole)
    kernel.set_params(depth=3)(images)
    assert counting.total == computed  # that of the pass before
    other = kernel.set_params(depth=None, network__bias_variance=0.1)(images)
    assert counting.total == 2 * computed
    assert not np.allclose(other, whole)
    assert len(list(tmp_path.iterdir())) == 2


def test_searches_over_parameters_of_a_network(digits):
    X, y = digits[0][:120], digits[1][:120]
    grid = {"network__bias_variance": [0.0, 0.2], "network__activation": ["relu", "gaussian"]}
    model = CNTKClassifier(network=Network.myrtle(5), gap=False)
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    best = search.best_estimator_
    assert best.network == model.network.with_params(
        **{name.removeprefix("network__"): value for name, value in search.best_params_.items()}
    )
    assert model.network == Network.myrtle(5)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.score(digits[0][200:400], digits[1][200:400]) > 0.85


def test_a_search_over_depths_of_a_network(digits):
    X, y = digits[0][:80], digits[1][:80]
    search = CNTKClassifierCV(networks=["myrtle5"]).fit(X, y)
    assert set(search.cv_results_["param_depth"]) == {5}
    assert search.best_estimator_.network == "myrtle5"
    search.set_params(depths=(2, 3, 5), frozen_layers=1).fit(X, y)
    assert set(search.cv_results_["param_depth"]) == {2, 3, 5}
    single = CNTKClassifier(frozen_layers=1, **search.best_params_).fit(X, y)
    assert np.array_equal(single.dual_coef_, search.best_estimator_.dual_coef_)
    with pytest.raises(ValueError, match=r"depth=6 is not one"):
        search.set_params(depths=(3, 6)).fit(X, y)


def test_a_search_over_networks(digits):
    """Each with the depths that it has; equal to searches over one of them."""
    X, y = digits[0][:80], digits[1][:80]
    gaussian = Network.myrtle(5, activation="gaussian")
    options = {"alphas": (1e-5, 1e-2), "gaps": (False,)}
    networks = ["plain", "myrtle5", gaussian]
    search = CNTKClassifierCV((3, 5, 8), networks=networks, **options).fit(X, y)
    params = search.cv_results_["params"]
    found = [(one["network"], one["depth"]) for one in params if one["alpha"] == 1e-5]
    plain = [("plain", depth) for depth in (3, 5, 8)]
    assert found == plain + [(network, depth) for network in networks[1:] for depth in (3, 5)]
    assert list(search.cv_results_["param_network"]) == [one["network"] for one in params]
    for network in networks:
        depths = (3, 5, 8) if network == "plain" else (3, 5)
        alone = CNTKClassifierCV(depths, networks=[network], **options).fit(X, y)
        of_it = [one["network"] == network for one in params]
        scores = search.cv_results_["mean_test_score"][of_it]
        assert np.array_equal(scores, alone.cv_results_["mean_test_score"])
    best = CNTKClassifier(**search.best_params_).fit(X, y)
    assert np.array_equal(best.predict(X), search.predict(X))
    assert clone(search).get_params() == search.get_params()


@pytest.mark.parametrize(
    "parameters", [{"filter_size": 5}, {"bias_variance": 0.1}, {"weight_variance": 1.5}]
)
def test_what_describes_plain_networks_leaves_others_alone(digits, parameters):
    """Also where another network is the best."""
    X, y = digits[0][:60], digits[1][:60]
    options = {"alphas": (1e-2,), "gaps": (False,)}
    search = CNTKClassifierCV([3], networks=["myrtle5"], **options, **parameters).fit(X, y)
    expected = CNTKClassifierCV([3], networks=["myrtle5"], **options).fit(X, y)
    np.testing.assert_array_equal(search.decision_function(X), expected.decision_function(X))
    plain = CNTKClassifierCV([3], networks=["plain"], **options, **parameters).fit(X, y)
    alone = CNTKClassifier(3, gap=False, alpha=1e-2, **parameters).fit(X, y)
    np.testing.assert_array_equal(plain.decision_function(X), alone.decision_function(X))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"networks": "myrtle5"}, TypeError, "networks='myrtle5' must be a sequence"),
        ({"networks": []}, ValueError, r"networks=\[\] is empty"),
        ({"networks": ["myrtle6"]}, ValueError, "network='myrtle6' is unknown"),
        (
            {"networks": ["plain", "myrtle5"], "depths": (6, 8)},
            ValueError,
            r"depths=\(6, 8\) has no depth of network=Network.myrtle\(5\), which has \(1, 2",
        ),
    ],
)
def test_bad_networks_of_a_search(digits, parameters, error, message):
    with pytest.raises(error, match=message):
        CNTKClassifierCV(**parameters).fit(digits[0][:30], digits[1][:30])


# --- scikit-learn -------------------------------------------------------------------------------


def test_models_with_a_network_are_copied_and_pickled(digits, tmp_path):
    X, y = digits[0][:60], digits[1][:60]
    model = make_pipeline(FunctionTransformer(), CNTKRegressor(network=BLOCKS)).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X[:5]), model.predict(X[:5]))
    assert clone(model)[-1].network is BLOCKS
    assert eval(repr(model[-1])).network == BLOCKS


def test_set_params(images):
    kernel = CNTK(network=Network.myrtle(5), image_shape=(8, 8))
    ridge = KernelRidge(kernel=kernel).set_params(kernel__network__bias_variance=0.3)
    assert ridge.kernel.network.dense_bias_variance == 0.3
    ridge.fit(images.reshape(6, 64), range(6))
    model = CNTKRegressor(network=BLOCKS)
    assert model.set_params(**model.get_params()).network == BLOCKS
    with pytest.raises(
        ValueError, match="network__gain is a parameter of a Network, but network='"
    ):
        CNTK().set_params(network__gain=1)
    with pytest.raises(ValueError, match="'gain' is not a parameter of a Network"):
        kernel.set_params(network__gain=1)


def test_flip_of_a_pooled_network(images):
    options = {"network": "myrtle5", "dtype": "float64"}
    mean = (CNTK(**options)(images) + CNTK(**options)(images[:, :, ::-1], images)) / 2
    np.testing.assert_allclose(CNTK(flip=True, **options)(images), mean, rtol=1e-12)
