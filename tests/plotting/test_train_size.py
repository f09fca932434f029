"""TrainSizeDisplay: its data against independent computation, what is drawn, and errors."""

import numpy as np
import pytest
from displays import FLAT, GAP, IMAGES, LABELS, classifier, draw
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cntk.preprocessing import ImageStandardizer

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import TrainSizeDisplay  # noqa: E402


def test_train_sizes_are_cross_validated():
    model = make_pipeline(ImageStandardizer(), classifier())
    display = draw(
        TrainSizeDisplay.from_estimator(model, IMAGES, LABELS, train_sizes=(0.25, 20, 1.0), cv=3)
    )
    assert display.train_sizes.tolist() == [10, 20, 40]
    (label,) = display.scores
    assert label == "CNTKClassifier"
    for size, scores in zip(display.train_sizes, display.scores[label], strict=True):
        expected = cross_val_score(
            model.set_params(cntkclassifier__train_size=int(size)), IMAGES, LABELS, cv=3
        )
        np.testing.assert_array_equal(scores, expected)
    assert display.ax_.get_xlabel() == "Training images"
    assert display.ax_.get_ylabel() == "Accuracy"
    assert display.ax_.get_legend() is None


def test_train_sizes_of_a_search_have_a_line_an_architecture():
    grid = {"depth": [2, 3], "train_size": [0.5, None], "alpha": [1e-5, 1.0]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(IMAGES, LABELS)
    display = draw(TrainSizeDisplay.from_cv_results(search.cv_results_))
    assert display.train_sizes.tolist() == [0.5, 1.0]
    assert list(display.scores) == ["depth 2", "depth 3"]
    assert display.ax_.get_xlabel() == "Fraction of the training images"
    results = search.cv_results_
    for depth in (2, 3):
        for row, size in enumerate((0.5, None)):
            means = [
                mean
                for p, mean in zip(results["params"], results["mean_test_score"], strict=True)
                if p["depth"] == depth and p["train_size"] == size
            ]
            assert display.scores[f"depth {depth}"][row].mean() == pytest.approx(max(means))


def test_a_fitted_search_needs_no_images():
    search = GridSearchCV(classifier(), {"gap": [False, True], "train_size": [10, 20]}, cv=2)
    search.fit(IMAGES, LABELS)
    display = draw(TrainSizeDisplay.from_estimator(search))
    assert display.train_sizes.tolist() == [10, 20]
    assert list(display.scores) == ["flattening", "global average pooling"]
    assert display.ax_.get_ylabel() == "Accuracy"
    scores = search.cv_results_["split1_test_score"][1::2]
    np.testing.assert_array_equal([x[1, 1] for x in display.scores.values()], scores)
    for estimator in (classifier(), search):
        with pytest.raises(ValueError, match="X or y is None: .* only a fitted search over"):
            TrainSizeDisplay.from_estimator(estimator, IMAGES)
    for option in ({"cv": 3}, {"train_sizes": (0.5, 1.0)}, {"name": "mine"}):
        with pytest.raises(ValueError, match=f"{next(iter(option))}=.* has no effect on a search"):
            TrainSizeDisplay.from_estimator(search, **option)


def test_train_size_names_what_varies():
    grid = {"gap": [True, False], "trained_layers": ["all", "last"], "train_size": [10]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(IMAGES, LABELS)
    assert set(TrainSizeDisplay.from_cv_results(search.cv_results_).scores) == {
        f"{pooling}, trained_layers={layers!r}"
        for pooling in (GAP, FLAT)
        for layers in ("all", "last")
    }


def test_train_sizes_of_networks():
    grid = {"network": ["plain", "myrtle5"], "bias_variance": [0.0], "train_size": [10]}
    search = GridSearchCV(classifier(depth=3), grid, cv=2).fit(IMAGES, LABELS)
    names = set(TrainSizeDisplay.from_cv_results(search.cv_results_).scores)
    assert names == {"network='plain'", "network='myrtle5'"}


def test_train_size_axis():
    linear = TrainSizeDisplay([20, 40, 80], {"a": np.zeros((3, 2))}).plot()
    assert linear.ax_.get_xscale() == "linear"
    wide = draw(TrainSizeDisplay([10, 100, 1000], {"a": np.zeros((3, 2))}).plot())
    assert wide.ax_.get_xscale() == "log"
    assert [label.get_text() for label in wide.ax_.get_xticklabels()] == ["10", "100", "1000"]


def test_train_size_errors():
    with pytest.raises(ValueError, match="RidgeClassifier has no parameter 'train_size'"):
        TrainSizeDisplay.from_estimator(RidgeClassifier(), IMAGES, LABELS)
    for sizes, message in (
        ((41,), "train_sizes holds 41: use 1 to 40"),
        ((1.5,), r"train_sizes holds 1.5: .*in \(0, 1\]"),
        ((0.0,), "train_sizes holds 0.0"),
        ((), "train_sizes is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainSizeDisplay.from_estimator(classifier(), IMAGES, LABELS, train_sizes=sizes, cv=3)
    with pytest.raises(TypeError, match="train_sizes holds 'all'"):
        TrainSizeDisplay.from_estimator(classifier(), IMAGES, LABELS, train_sizes=("all",), cv=3)
    grid = {"train_size": [10, 0.5]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"with numbers and with 0\.5"):
        TrainSizeDisplay.from_cv_results(search.cv_results_)
