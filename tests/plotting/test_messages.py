"""Displays: what they refuse and why, sizes of searches, and names too long to draw."""

import ast
from itertools import pairwise

import numpy as np
import pytest
from displays import DIGITS, IMAGES, INK, LABELS, classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTKRegressor
from sklearn_cntk.preprocessing import ImageStandardizer

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import (  # noqa: E402
    DepthDisplay,
    GramDisplay,
    NeighborsDisplay,
    TrainSizeDisplay,
)

# --- training-set sizes of a search ---------------------------------------------------------------


def test_train_sizes_of_a_search_are_fractions_of_its_own_training_rows():
    search = GridSearchCV(classifier(depth=2), {"alpha": [1e-5, 1.0]}, cv=2, error_score="raise")
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
        search = GridSearchCV(classifier(depth=2), grid or {"alpha": [1.0]}, cv=2)
        TrainSizeDisplay.from_estimator(search, IMAGES, LABELS, train_sizes=train_sizes, cv=2)

    with pytest.raises(ValueError, match=r"train_sizes holds 10, but GridSearchCV .* fractions"):
        draw([0.5, 10])
    with pytest.raises(ValueError, match=r"train_sizes holds 1.5: use fractions"):
        draw([1.5])
    with pytest.raises(ValueError, match=r"GridSearchCV searches over train_size itself"):
        draw([0.5], [{"alpha": [1.0]}, {"train_size": [0.5, None]}])


# --- what cannot be shown -------------------------------------------------------------------------


def test_target_is_of_regressors_with_several():
    binary = LABELS > 1
    for model, message in (
        (
            classifier(depth=2).fit(IMAGES, LABELS),
            "target=7 is for regressors: for a CNTKClassifier",
        ),
        (classifier(depth=2).fit(IMAGES, binary), "target=7 is for regressors"),
        (CNTKRegressor(2, False).fit(IMAGES, INK), "target=7 is not a column .* use 0, since"),
    ):
        with pytest.raises(ValueError, match=message):
            NeighborsDisplay.from_estimator(model, IMAGES[:1], target=7)
    two = CNTKRegressor(2, False).fit(IMAGES, np.c_[INK, -INK])
    with pytest.raises(ValueError, match="target=-1 is not a column of the targets: use 0 to 1"):
        NeighborsDisplay.from_estimator(two, IMAGES[:1], target=-1)


def test_search_that_was_not_refitted():
    search = GridSearchCV(classifier(depth=2), {"alpha": [1e-5, 1.0]}, cv=2, refit=False)
    for draw in (GramDisplay.from_estimator, NeighborsDisplay.from_estimator):
        with pytest.raises(NotFittedError):
            draw(search, IMAGES[:1])
    search.fit(IMAGES, LABELS)
    for draw in (GramDisplay.from_estimator, NeighborsDisplay.from_estimator):
        with pytest.raises(ValueError, match="fitted with refit=False.*fit it with refit=True"):
            draw(search, IMAGES[:1])


def test_results_from_a_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    search = GridSearchCV(classifier(depth=2), {"depth": [2, 3], "train_size": [10]}, cv=2)
    expected = DepthDisplay.from_estimator(search.fit(IMAGES, LABELS)).scores["flattening"]
    pandas.DataFrame(search.cv_results_).to_csv(tmp_path / "results.csv")
    table = pandas.read_csv(tmp_path / "results.csv")
    for display in (DepthDisplay, TrainSizeDisplay):
        with pytest.raises(TypeError, match=r"holds \"{'depth': 2, .* \(str\): use dicts"):
            display.from_cv_results(table)
    # What the message advises.
    table["params"] = table["params"].map(ast.literal_eval)
    np.testing.assert_allclose(DepthDisplay.from_cv_results(table).scores["CNTK"], expected)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"train_size": 0.5}, r"kept 30 rows of those given to fit \(train_size=0.5\)"),
        (
            {"solver": "nystroem", "n_components": 10},
            r'kept 10 rows .* as landmarks \(solver="nystroem"\)',
        ),
    ],
)
def test_labels_of_more_rows_than_were_kept(parameters, reason):
    model = classifier(depth=2, **parameters).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=f"y has 60 values, but .* {reason}: give .* X too"):
        GramDisplay.from_estimator(model, y=LABELS)
    assert GramDisplay.from_estimator(model, IMAGES, LABELS).gram.shape == (60, 60)
    kept = np.arange(len(model.X_fit_))
    np.testing.assert_array_equal(GramDisplay.from_estimator(model, y=kept).labels, kept)


# --- matplotlib's short names ---------------------------------------------------------------------


def test_short_names_of_keywords():
    display = DepthDisplay([2, 3], {"a": np.arange(4.0).reshape(2, 2)})
    display.plot(line_kw={"c": "red", "ls": ":", "ms": 9}, spread_kw={"lw": 2})
    (line,) = display.lines_
    assert (line.get_color(), line.get_linestyle(), line.get_markersize()) == ("red", ":", 9)
    assert display.fill_between_[0].get_linewidth() == [2]
    display.plot(std_display_style="errorbar", spread_kw={"c": "black"})
    assert display.errorbar_[0].lines[2][0].get_colors()[0].tolist() == [0, 0, 0, 1]
    gram = GramDisplay.from_gram(np.diag([1.0, 2.0]), line_kw={"c": "red", "lw": 3})
    (line,) = gram.axes_[1].lines
    assert (line.get_color(), line.get_linewidth()) == ("red", 3)


# --- long names -----------------------------------------------------------------------------------

NAMES = [
    "n02085620-Chihuahua, a small dog",
    "n02085782-Japanese spaniel",
    "n02085936-Maltese dog, Maltese terrier",
    "automobile",
]


@pytest.fixture(scope="module")
def named():
    """A classifier of long names, and the names of its training images."""
    labels = np.array(NAMES)[LABELS]
    return classifier(depth=2).fit(IMAGES, labels), labels


def test_neighbors_have_titles_apart(named):
    model, labels = named
    display = NeighborsDisplay.from_estimator(model, IMAGES[:4], y=labels[:4])
    display.figure_.canvas.draw()
    for row in display.axes_:
        boxes = [ax.title.get_window_extent() for ax in row]
        assert boxes[0].x0 >= 0
        assert boxes[-1].x1 <= display.figure_.bbox.x1
        for left, right in pairwise(boxes):
            assert left.x1 < right.x0
    np.testing.assert_array_equal(display.labels, labels[:4])
    np.testing.assert_array_equal(display.neighbor_labels, labels[display.neighbors])


def test_gram_keeps_its_size(named):
    def width(y):
        display = GramDisplay.from_estimator(named[0], IMAGES, y)
        display.figure_.canvas.draw()
        return display, display.ax_.get_window_extent().width

    display, long = width(named[1])
    assert long > 0.7 * width(LABELS)[1]
    np.testing.assert_array_equal(display.labels, named[1])
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert len(set(ticks)) == len(NAMES)
    for tick, name in zip(ticks, sorted(NAMES), strict=True):
        first, ellipsis, last = tick.partition("…")
        assert name.startswith(first)
        assert name.endswith(last)
        assert bool(ellipsis) == (name != "automobile")
