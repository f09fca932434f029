"""GramDisplay: its data against independent computation, what is drawn, and errors."""

import numpy as np
import pytest
from displays import IMAGES, INK, LABELS, TEST, TEST_LABELS, classifier, draw
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor
from sklearn_cntk.preprocessing import ImageStandardizer

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import GramDisplay  # noqa: E402


def test_gram_of_an_estimator():
    model = classifier().fit(IMAGES, LABELS)
    display = draw(GramDisplay.from_estimator(model))
    np.testing.assert_array_equal(display.gram, CNTK(3, False)(IMAGES))
    np.testing.assert_array_equal(display.labels, LABELS)
    # Trace and Frobenius norm are the sums of eigenvalues and of their squares.
    assert display.eigenvalues.sum() == pytest.approx(np.trace(display.gram))
    assert (display.eigenvalues**2).sum() == pytest.approx((display.gram**2).sum())
    assert np.all(np.diff(display.eigenvalues) <= 0)

    assert (np.diff(LABELS[display.order_]) >= 0).all()
    drawn = display.image_.get_array()
    np.testing.assert_array_equal(drawn, display.gram[np.ix_(display.order_, display.order_)])
    matrix, spectrum = display.axes_
    assert display.ax_ is matrix
    boundaries = np.cumsum(np.bincount(LABELS))[:-1] - 0.5
    lines = [line.get_ydata()[0] for line in matrix.lines if len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(lines, boundaries)
    assert [label.get_text() for label in matrix.get_yticklabels()] == list("0123")
    assert spectrum.get_yscale() == "log"
    np.testing.assert_array_equal(spectrum.lines[0].get_ydata(), display.eigenvalues)


def test_gram_of_other_images(search):
    display = GramDisplay.from_estimator(search, TEST, TEST_LABELS)
    model = search.best_estimator_
    expected = model[-1].kernel_(model[:-1].transform(TEST))
    np.testing.assert_array_equal(display.gram, expected)
    assert GramDisplay.from_estimator(search, TEST).labels is None


@pytest.mark.parametrize(
    "model",
    [
        classifier(train_size=30),
        CNTKClassifierCV(depths=(2, 3), gaps=(False,)),
        make_pipeline(ImageStandardizer(), classifier()),
    ],
)
def test_training_labels(model):
    """Class labels are those of the rows that were kept, found here by their pixels."""
    names = np.array(["zero", "one", "two", "three"])[LABELS]
    display = draw(GramDisplay.from_estimator(model.fit(IMAGES, names)))
    kept = getattr(model, "best_estimator_", model)
    kept = kept[-1] if hasattr(kept, "steps") else kept
    scale = getattr(model, "steps", None)
    images = model[:-1].transform(IMAGES) if scale else IMAGES
    places = [
        np.flatnonzero((images == image[..., 0]).all(axis=(1, 2)))[0] for image in kept.X_fit_
    ]
    np.testing.assert_array_equal(display.labels, names[places])


def test_gram_of_a_regressor_is_ordered_by_target():
    model = CNTKRegressor(3, False).fit(IMAGES, INK)
    display = draw(GramDisplay.from_estimator(model))
    assert (np.diff(INK[display.order_]) >= 0).all()
    assert display.ax_.get_xlabel() == "Image, ordered by target"
    assert not display.ax_.lines
    two = CNTKRegressor(3, False).fit(IMAGES, np.c_[INK, INK])
    assert GramDisplay.from_estimator(two).labels is None


def test_gram_of_landmarks_has_no_labels():
    model = classifier(solver="nystroem", n_components=10).fit(IMAGES, LABELS)
    display = GramDisplay.from_estimator(model)
    assert display.gram.shape == (10, 10)
    assert display.labels is None


def test_negative_eigenvalues_are_shown():
    K = np.diag([2.0, 1.0, -0.5])
    display = draw(GramDisplay.from_gram(K))
    np.testing.assert_allclose(display.eigenvalues, [2, 1, -0.5])
    positive, negative = display.axes_[1].lines
    assert positive.get_ydata().tolist() == pytest.approx([2, 1])
    assert negative.get_ydata().tolist() == pytest.approx([0.5])
    assert "negative" in display.axes_[1].get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize("gram", [np.zeros((3, 3)), np.ones((3, 3)), np.eye(1)])
def test_gram_of_few_different_values(gram):
    draw(GramDisplay.from_gram(gram, np.arange(len(gram))))


def test_gram_on_given_axes():
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 2)
    display = GramDisplay.from_kernel(CNTK(3, False), TEST, ax=axes)
    assert list(display.axes_) == list(axes)
    with pytest.raises(ValueError, match="ax must be a pair"):
        display.plot(axes[0])


def test_gram_errors():
    with pytest.raises(ValueError, match=r"gram has shape \(2, 3\)"):
        GramDisplay.from_gram(np.ones((2, 3)))
    with pytest.raises(ValueError, match="not symmetric"):
        GramDisplay.from_gram([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GramDisplay.from_gram(np.eye(3), [0, 1])
    with pytest.raises(NotFittedError):
        GramDisplay.from_estimator(CNTKClassifier())
    with pytest.raises(NotFittedError):
        GramDisplay.from_estimator(CNTKClassifierCV())
    with pytest.raises(TypeError, match="RidgeClassifier is not a CNTK estimator"):
        GramDisplay.from_estimator(RidgeClassifier())
