"""NeighborsDisplay: its data against independent computation, what is drawn, and errors."""

import numpy as np
import pytest
from displays import IMAGES, INK, LABELS, TEST, TEST_LABELS, classifier, draw

from sklearn_cntk import CNTKRegressor

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import NeighborsDisplay  # noqa: E402
from sklearn_cntk.plotting._pictures import to_display  # noqa: E402

# So few that all of them can be shown.
FEW, FEW_LABELS, FEW_INK = IMAGES[:12], LABELS[:12], INK[:12]


@pytest.mark.parametrize("parameters", [{}, {"flip": True}, {"normalize": True}])
def test_contributions_sum_up_to_the_decision(parameters):
    model = classifier(**parameters).fit(FEW, FEW_LABELS)
    images = TEST[:2]
    display = NeighborsDisplay.from_estimator(model, images, n_neighbors=20)
    assert display.contributions.shape == (2, len(FEW))
    decision = model.decision_function(images)
    np.testing.assert_allclose(display.contributions.sum(axis=1), decision.max(axis=1))
    np.testing.assert_allclose(display.decisions, decision.max(axis=1))
    np.testing.assert_array_equal(display.predictions, model.predict(images))
    assert (np.diff(np.abs(display.contributions), axis=1) <= 0).all()
    np.testing.assert_array_equal(display.neighbor_labels, FEW_LABELS[display.neighbors])
    np.testing.assert_array_equal(display.neighbor_images[..., 0], FEW[display.neighbors])


def test_contributions_of_a_binary_classifier_speak_for_the_predicted_class():
    labels = np.where(FEW_LABELS < 2, "low", "high")
    model = classifier().fit(FEW, labels)
    display = NeighborsDisplay.from_estimator(model, TEST, n_neighbors=12)
    decision = model.decision_function(TEST)
    assert (decision > 0).any()
    assert (decision < 0).any()
    np.testing.assert_allclose(display.contributions.sum(axis=1), np.abs(decision))
    np.testing.assert_array_equal(display.neighbor_labels, labels[display.neighbors])


def test_contributions_of_a_regressor():
    model = CNTKRegressor(3, False).fit(FEW, np.c_[FEW_INK, -FEW_INK])
    predicted = model.predict(TEST[:2])
    for target in (0, 1):
        display = NeighborsDisplay.from_estimator(model, TEST[:2], n_neighbors=12, target=target)
        above_mean = predicted[:, target] - model.intercept_[target]
        np.testing.assert_allclose(display.contributions.sum(axis=1), above_mean)
        targets = (-1) ** target * FEW_INK[display.neighbors]
        np.testing.assert_array_equal(display.neighbor_labels, targets)
        np.testing.assert_allclose(display.predictions, predicted[:, target])
    with pytest.raises(ValueError, match="target=2 is not a column of the targets: use 0 to 1"):
        NeighborsDisplay.from_estimator(model, TEST, target=2)


def test_neighbors_are_drawn(search):
    display = draw(NeighborsDisplay.from_estimator(search, TEST, n_neighbors=2, y=TEST_LABELS))
    assert display.axes_.shape == (len(TEST), 3)
    assert display.ax_ is display.axes_[0, 0]
    titles = [[ax.get_title() for ax in row] for row in display.axes_]
    predicted = search.predict(TEST)
    for row, (first, *others) in enumerate(titles):
        assert first == f"predicted {predicted[row]}\ntrue {TEST_LABELS[row]}"
        for column, title in enumerate(others):
            label, value = title.split("\n")
            assert label == str(display.neighbor_labels[row, column])
            number = float(value.replace("\N{MINUS SIGN}", "-"))
            assert number == pytest.approx(display.contributions[row, column], rel=1e-2)
            assert value[0] in "+\N{MINUS SIGN}"
    shown = display.axes_[0, 0].images[0].get_array()
    assert (shown.min(), shown.max()) == (0, 1)
    with pytest.raises(ValueError, match=r"ax has shape \(6, 2\)"):
        display.plot(display.axes_[:, :2])


def test_images_of_rows_and_of_colour():
    rows = IMAGES.reshape(len(IMAGES), -1)
    model = classifier(image_shape=(8, 8)).fit(rows, LABELS)
    display = draw(NeighborsDisplay.from_estimator(model, TEST[:1].reshape(1, -1)))
    assert display.images.shape == (1, 8, 8, 1)
    colour = np.stack([IMAGES, IMAGES**2, -IMAGES], axis=-1)
    display = NeighborsDisplay.from_estimator(classifier().fit(colour, LABELS), colour[:1])
    assert draw(display).axes_[0, 1].images[0].get_array().shape == (8, 8, 3)


def test_signals_are_lines(rng):
    """One a channel, of any number of channels."""
    signals = rng.normal(size=(20, 12, 2))
    model = classifier(image_shape=(1, 12, 2)).fit(signals, np.arange(20) % 2)
    display = draw(NeighborsDisplay.from_estimator(model, signals[:2], n_neighbors=3))
    lines = display.axes_[1, 0].lines
    np.testing.assert_array_equal([line.get_ydata() for line in lines], signals[1].T)
    assert all(len(ax.lines) == 2 and not ax.images for ax in display.axes_.ravel())


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-3, 2), (0, 1)])
def test_any_range_is_scaled(low, high, rng):
    image = rng.uniform(low, high, size=(4, 5, 3))
    shown = to_display(image)
    assert (shown.min(), shown.max()) == (0, 1)
    # Up to scale and offset, it is the same image.
    np.testing.assert_allclose(np.corrcoef(shown.ravel(), image.ravel())[0, 1], 1)
    assert not to_display(np.full((2, 2, 1), 7)).any()


def test_neighbors_errors():
    vectors = classifier().fit(IMAGES[:, 1:].reshape(len(IMAGES), -1), LABELS)
    with pytest.raises(ValueError, match="feature vectors of 56 features"):
        NeighborsDisplay.from_estimator(vectors, TEST[:, 1:].reshape(len(TEST), -1))
    two = np.stack([IMAGES, IMAGES], axis=-1)
    with pytest.raises(ValueError, match="images of 2 channels"):
        NeighborsDisplay.from_estimator(classifier().fit(two, LABELS), two)
    model = classifier().fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="n_neighbors=0 is too small"):
        NeighborsDisplay.from_estimator(model, TEST, n_neighbors=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NeighborsDisplay.from_estimator(model, TEST, y=TEST_LABELS[:2])
