"""1-D signals: shapes, filters along the signal alone, and pipelines."""

import numpy as np
import pytest
from engines import reference
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor
from sklearn_cntk.networks import Architecture, Network, Readout
from sklearn_cntk.preprocessing import ImageStandardizer

EXACT = {"dtype": "float64"}


@pytest.fixture
def signals(rng):
    """Six signals of 12 samples in two channels."""
    return rng.normal(size=(6, 12, 2))


def test_every_form_of_the_same_signals(signals):
    expected = CNTK(4)(signals[:, None])
    shaped = CNTK(4, image_shape=(1, 12, 2))
    for form in (signals, signals[:, None], signals.reshape(6, 24), signals.tolist()):
        np.testing.assert_array_equal(shaped(form), expected)
    np.testing.assert_array_equal(shaped.diag(signals), expected.diagonal())
    one = signals[..., 0]
    expected = CNTK(4)(one[:, None])  # (n, 1, length) are images of one row
    for form in (one, one[:, None], one[..., None], one[:, None, :, None]):
        np.testing.assert_array_equal(CNTK(4, image_shape=(12,))(form), expected)
    assert not np.allclose(CNTK(4)(signals), expected)  # images of 12 × 2 pixels


@pytest.mark.parametrize("gap", [True, False])
@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("along", [1, 2])
def test_filters_have_one_pixel_across(along, gap, trained_layers, signals):
    """By an engine that knows them as layers, where they are said to be (1, q)."""
    sides = (1, 3) if along == 2 else (3, 1)
    images = signals[:, None] if along == 2 else signals[:, :, None]
    plain = CNTK(4, gap, trained_layers=trained_layers, **EXACT)
    layers = CNTK(network=Network.plain(4, sides), gap=gap, trained_layers=trained_layers, **EXACT)
    np.testing.assert_allclose(plain(images), layers(images), rtol=1e-11)
    literal = reference.gram(
        images[:2], images, Architecture(images.shape[1:]), [Readout(4, gap, trained_layers)]
    )
    np.testing.assert_allclose(plain(images[:2], images), literal[0], rtol=1e-11)


@pytest.mark.parametrize("bias_variance", [0.0, 0.5])
@pytest.mark.filterwarnings("ignore:filter_size=5.*no effect:UserWarning")
def test_samples_of_one_time_are_feature_vectors(bias_variance, rng):
    """So a bias means the same, whatever the size of filters."""
    rows = rng.normal(size=(5, 7))
    parameters = {"bias_variance": bias_variance, **EXACT}
    expected = CNTK(4, filter_size=1, **parameters)(rows)
    for filter_size in (3, 5):
        np.testing.assert_array_equal(
            CNTK(4, filter_size=filter_size, **parameters)(rows), expected
        )
    network = Network.plain(4, 1, bias_variance=bias_variance)
    np.testing.assert_allclose(CNTK(network=network, **EXACT)(rows), expected, rtol=1e-12)


def test_the_layers_of_a_network_are_taken_at_their_word(signals):
    """Of 3×3 filters of a `Network` two rows see padding alone: constants, without biases."""
    images = signals[:, None]
    square = CNTK(network=Network.plain(4, 3), **EXACT)(images)
    np.testing.assert_allclose(square * 3**3, CNTK(4, **EXACT)(images), rtol=1e-11)


def test_a_constant_signal_is_a_pixel_where_padding_is_circular(rng):
    """An identity, without a formula in common with zero padding."""
    from sklearn_cntk.networks import Activation, Conv

    layers = [Conv((1, 3), padding="circular", bias_variance=0.2), Activation("relu")] * 2
    rows = rng.normal(size=(4, 3))
    constant = np.repeat(rows[:, None], 9, axis=1)
    network = Network(layers, dense_bias_variance=0.2)
    of_signals = CNTK(network=network, image_shape=(1, 9, 3), **EXACT)(constant)
    of_rows = CNTK(3, bias_variance=0.2, weight_variance=None, **EXACT)(rows)
    np.testing.assert_allclose(of_signals, of_rows, rtol=1e-12)


@pytest.mark.parametrize("cls", [CNTKClassifier, CNTKRegressor])
def test_estimators_and_pipelines(cls, rng):
    """The place of a bump in noise, in two channels."""
    labels = np.arange(80) % 2
    signals = rng.normal(scale=0.5, size=(80, 24, 2))
    places = rng.integers(0, 16, 80)
    for signal, place, label in zip(signals, places, labels, strict=True):
        signal[place : place + 8, label] += 2  # in one channel or the other, anywhere
    shape = {"image_shape": (1, 24, 2)}
    model = make_pipeline(ImageStandardizer(**shape), cls(depth=3, alpha=0.01, **shape))
    model.fit(signals[:60], labels[:60])
    assert model.score(signals[60:], labels[60:]) > 0.5
    assert model[-1].image_shape_ == (1, 24, 2)
    np.testing.assert_allclose(
        model.predict(signals[60:]), model.predict(signals[60:, None]), rtol=1e-12
    )
    flat = cls(depth=3, alpha=0.01, **shape).fit(signals[:60].reshape(60, 48), labels[:60])
    assert flat.n_features_in_ == 48


@pytest.mark.parametrize(
    ("image_shape", "X", "message"),
    [
        (
            (12,),
            np.ones((3, 11)),
            r"image_shape=\(1, 12, 1\) needs 12 features per row, but X has 11",
        ),
        ((1, 12, 2), np.ones((3, 12, 3)), r"images of shape \(12, 3, 1\), but image_shape="),
        ((), np.ones((3, 12)), r"image_shape=\(\) is not a shape: use .* or \(length,\)"),
        ((0,), np.ones((3, 12)), r"image_shape=\(0,\) is not a shape"),
        ((1, 2, 3, 4), np.ones((3, 24)), "is not a shape"),
        (12, np.ones((3, 12)), r"image_shape=12 is not a shape: use .* or \(length,\)"),
    ],
)
def test_bad_shapes(image_shape, X, message):
    with pytest.raises(ValueError, match=message):
        CNTK(3, image_shape=image_shape)(X)
