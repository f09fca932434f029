"""Displays: what they refuse and why, sizes of searches, and names too long to draw."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.preprocessing import ImageStandardizer

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import TrainSizeDisplay  # noqa: E402

DIGITS = load_digits(n_class=4)
IMAGES, LABELS = DIGITS.images[:60] / 16, DIGITS.target[:60]


def classifier(**parameters):
    return CNTKClassifier(depth=2, gap=False, random_state=0, **parameters)


# --- training-set sizes of a search ---------------------------------------------------------------


def test_train_sizes_of_a_search_are_fractions_of_its_own_training_rows():
    search = GridSearchCV(classifier(), {"alpha": [1e-5, 1.0]}, cv=2, error_score="raise")
    model = make_pipeline(ImageStandardizer(), search)
    images, labels = DIGITS.images[:180], DIGITS.target[:180]
    display = TrainSizeDisplay.from_estimator(model, images, labels, cv=2)  # the default sizes
    assert display.train_sizes.tolist() == [0.125, 0.25, 0.5, 1.0]
    assert display.ax_.get_xlabel() == "Fraction of the training images"
    (scores,) = display.scores.values()
    model.set_params(gridsearchcv__estimator__train_size=0.5)
    np.testing.assert_array_equal(scores[2], cross_val_score(model, images, labels, cv=2))
    # All rows, which need no train_size.
    model.set_params(gridsearchcv__estimator__train_size=None)
    np.testing.assert_array_equal(scores[3], cross_val_score(model, images, labels, cv=2))


def test_train_sizes_of_a_search_that_cannot_be():
    def draw(train_sizes, grid=None):
        search = GridSearchCV(classifier(), grid or {"alpha": [1.0]}, cv=2)
        TrainSizeDisplay.from_estimator(search, IMAGES, LABELS, train_sizes=train_sizes, cv=2)

    with pytest.raises(ValueError, match=r"train_sizes holds 10, but GridSearchCV .* fractions"):
        draw([0.5, 10])
    with pytest.raises(ValueError, match=r"train_sizes holds 1.5: use fractions"):
        draw([1.5])
    with pytest.raises(ValueError, match=r"GridSearchCV searches over train_size itself"):
        draw([0.5], [{"alpha": [1.0]}, {"train_size": [0.5, None]}])
