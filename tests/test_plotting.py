"""Displays: their data against independent computation, what is drawn, and errors."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor
from sklearn_cntk.preprocessing import ImageStandardizer

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import (  # noqa: E402
    DepthDisplay,
    GramDisplay,
    NeighborsDisplay,
    TrainSizeDisplay,
)
from sklearn_cntk.plotting._neighbors import to_display  # noqa: E402

DIGITS = load_digits(n_class=4)
IMAGES, LABELS = DIGITS.images[:60] / 16, DIGITS.target[:60]
TEST, TEST_LABELS = DIGITS.images[60:66] / 16, DIGITS.target[60:66]
INK = IMAGES.sum(axis=(1, 2))
GAP, FLAT = "global average pooling", "flattening"


def classifier(**parameters):
    return CNTKClassifier(depth=3, gap=False, random_state=0, **parameters)


def draw(display):
    """Everything is laid out, so that what cannot be drawn raises."""
    display.figure_.canvas.draw()
    return display


# --- depth ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search():
    """A search in a pipeline over depth, pooling and ridge."""
    grid = {
        "cntkclassifier__depth": [4, 2],
        "cntkclassifier__gap": [True, False],
        "cntkclassifier__alpha": [1e-5, 1.0],
    }
    model = make_pipeline(ImageStandardizer(), CNTKClassifier())
    return GridSearchCV(model, grid, cv=StratifiedKFold(3)).fit(IMAGES, LABELS)


def test_depth_shows_the_best_candidate_of_each_depth_and_pooling(search):
    display = draw(DepthDisplay.from_estimator(search))
    assert list(display.depths) == [2, 4]
    assert set(display.scores) == {GAP, FLAT}
    results = search.cv_results_
    for label, gap in ((GAP, True), (FLAT, False)):
        for row, depth in enumerate(display.depths):
            of_both = [
                k
                for k, p in enumerate(results["params"])
                if (p["cntkclassifier__depth"], p["cntkclassifier__gap"]) == (depth, gap)
            ]
            assert len(of_both) == 2
            best = max(of_both, key=lambda k: results["mean_test_score"][k])
            expected = [results[f"split{split}_test_score"][best] for split in range(3)]
            np.testing.assert_array_equal(display.scores[label][row], expected)


def test_depth_draws_means_and_spread(search):
    display = draw(DepthDisplay.from_estimator(search))
    for line, band, scores in zip(
        display.lines_, display.fill_between_, display.scores.values(), strict=True
    ):
        np.testing.assert_allclose(line.get_xdata(), [2, 4])
        np.testing.assert_allclose(line.get_ydata(), np.mean(scores, axis=1))
        heights = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(heights.max(), np.max(scores.mean(axis=1) + scores.std(axis=1)))
    assert len({line.get_color() for line in display.lines_}) == 2
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [GAP, FLAT]
    assert display.ax_.get_xlabel() == "Depth (layers)"
    assert display.ax_.get_ylabel() == "Accuracy"
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["2", "4"]
    assert display.figure_ is display.ax_.figure


def test_depth_draws_again_on_given_axes(search):
    import matplotlib.pyplot as plt

    display = DepthDisplay.from_cv_results(search.cv_results_)
    _, ax = plt.subplots()
    again = display.plot(ax, std_display_style="errorbar", line_kw={"color": "black"})
    assert again is display
    assert display.ax_ is ax
    assert display.fill_between_ is None
    assert len(display.errorbar_) == 2
    assert {line.get_color() for line in display.lines_} == {"black"}
    display.plot(std_display_style=None)
    assert display.errorbar_ is None
    with pytest.raises(ValueError, match="std_display_style='band' is unknown"):
        display.plot(std_display_style="band")


def test_depth_of_leave_one_out_has_no_spread():
    search = CNTKClassifierCV(depths=(2, 3), laps=(1,)).fit(IMAGES, LABELS)
    display = draw(DepthDisplay.from_estimator(search))
    assert list(display.scores) == [GAP, FLAT, "local average pooling, radius 1"]
    assert display.fill_between_ is None
    for (gap, lap), scores in zip(
        ((True, 0), (False, 0), (False, 1)), display.scores.values(), strict=True
    ):
        assert scores.shape == (2, 1)
        for depth, score in zip((2, 3), scores[:, 0], strict=True):
            candidates = zip(
                search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
            )
            wanted = {"depth": depth, "gap": gap, "lap": lap}
            assert score == max(s for p, s in candidates if wanted.items() <= p.items())


def test_depth_of_fixed_pooling_and_of_absent_candidates():
    estimator = CNTKClassifier(gap=False)
    grid = [{"depth": [2, 3]}, {"depth": [3], "gap": [True]}]
    search = GridSearchCV(estimator, grid, cv=2).fit(IMAGES, LABELS)
    display = draw(DepthDisplay.from_estimator(search))
    assert np.isnan(display.scores[GAP][0]).all()
    assert not np.isnan(display.scores[FLAT]).any()
    lines = dict(zip(display.scores, display.lines_, strict=True))
    assert lines[GAP].get_xdata().tolist() == [3]
    # The results alone do not tell the pooling that was fixed.
    assert list(DepthDisplay.from_cv_results(search.cv_results_).scores) == ["CNTK", GAP]


def test_scores_by_name():
    search = GridSearchCV(
        CNTKRegressor(gap=False),
        {"depth": [2, 3]},
        scoring=["r2", "neg_mean_squared_error"],
        refit="r2",
        cv=2,
    ).fit(IMAGES, INK)
    display = DepthDisplay.from_cv_results(search.cv_results_, scorer_name="neg_mean_squared_error")
    assert display.ax_.get_ylabel() == "Negative mean squared error"
    (scores,) = display.scores.values()
    np.testing.assert_array_equal(
        scores.mean(axis=1), search.cv_results_["mean_test_neg_mean_squared_error"]
    )
    # The score that chose the best candidate, where none is named.
    (scores,) = DepthDisplay.from_estimator(search).scores.values()
    np.testing.assert_array_equal(scores.mean(axis=1), search.cv_results_["mean_test_r2"])
    with pytest.raises(ValueError, match=r"scorer_name=None is not .*'r2', 'neg_mean_squared"):
        DepthDisplay.from_cv_results(search.cv_results_)


def test_many_depths_have_few_ticks():
    depths = [2, 3, 101]
    display = draw(DepthDisplay(depths, {GAP: np.zeros((3, 1))}).plot())
    assert set(display.ax_.get_xticks()) != set(depths)
    assert all(tick == int(tick) for tick in display.ax_.get_xticks())


def test_depth_errors(search):
    other = GridSearchCV(classifier(), {"gap": [False], "alpha": [1.0]}, cv=2).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="no parameter 'depth'.*parameters are: alpha, gap"):
        DepthDisplay.from_cv_results(other.cv_results_)
    with pytest.raises(ValueError, match="RidgeClassifier has no cv_results_"):
        DepthDisplay.from_estimator(RidgeClassifier())
    with pytest.raises(ValueError, match="cv_results has no 'params'"):
        DepthDisplay.from_cv_results({})
    with pytest.raises(ValueError, match=r"scores\['a'\] has shape \(2, 1\): use \(3, n_splits\)"):
        DepthDisplay([2, 3, 4], {"a": [[1], [1]]})
    results = {
        "params": [{"a__depth": 1, "b__depth": 2}],
        "mean_test_score": [1],
        "split0_test_score": [1],
    }
    with pytest.raises(ValueError, match="two parameters that end in 'depth'"):
        DepthDisplay.from_cv_results(results)


# --- training-set size ----------------------------------------------------------------------------


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


def test_train_size_names_what_varies():
    grid = {"gap": [True, False], "trained_layers": ["all", "last"], "train_size": [10]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(IMAGES, LABELS)
    assert set(TrainSizeDisplay.from_cv_results(search.cv_results_).scores) == {
        f"{pooling}, trained_layers={layers!r}"
        for pooling in (GAP, FLAT)
        for layers in ("all", "last")
    }


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
    with pytest.raises(ValueError, match=r"by numbers and by 0\.5"):
        TrainSizeDisplay.from_cv_results(search.cv_results_)


# --- Gram matrices --------------------------------------------------------------------------------


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
    with pytest.raises(TypeError, match="RidgeClassifier is no CNTK estimator"):
        GramDisplay.from_estimator(RidgeClassifier())


# --- neighbours -----------------------------------------------------------------------------------

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
        np.testing.assert_allclose(display.contributions.sum(axis=1), predicted[:, target])
        np.testing.assert_allclose(display.predictions, predicted[:, target])
    with pytest.raises(ValueError, match="target=2 is no column: use 0 to 1"):
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


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-3, 2), (0, 1)])
def test_any_range_is_scaled(low, high, rng):
    image = rng.uniform(low, high, size=(4, 5, 3))
    shown = to_display(image)
    assert (shown.min(), shown.max()) == (0, 1)
    # Up to scale and offset, it is the same image.
    np.testing.assert_allclose(np.corrcoef(shown.ravel(), image.ravel())[0, 1], 1)
    assert not to_display(np.full((2, 2, 1), 7)).any()


def test_neighbors_errors():
    vectors = classifier().fit(IMAGES.reshape(len(IMAGES), -1), LABELS)
    with pytest.raises(ValueError, match="feature vectors of 64 features"):
        NeighborsDisplay.from_estimator(vectors, TEST.reshape(len(TEST), -1))
    two = np.stack([IMAGES, IMAGES], axis=-1)
    with pytest.raises(ValueError, match="images of 2 channels"):
        NeighborsDisplay.from_estimator(classifier().fit(two, LABELS), two)
    model = classifier().fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="n_neighbors=0 is too small"):
        NeighborsDisplay.from_estimator(model, TEST, n_neighbors=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NeighborsDisplay.from_estimator(model, TEST, y=TEST_LABELS[:2])


# --- matplotlib -----------------------------------------------------------------------------------


def test_displays_are_imported_without_matplotlib():
    code = """
import sys, sklearn_cntk
assert "sklearn_cntk.plotting" not in sys.modules
import sklearn_cntk.plotting
assert not any(name.partition(".")[0] == "matplotlib" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_matplotlib_names_the_extra():
    code = """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from sklearn_cntk.plotting import *
calls = [
    lambda: DepthDisplay([2], {"a": [[1]]}).plot(),
    lambda: TrainSizeDisplay([2], {"a": [[1]]}).plot(),
    lambda: GramDisplay(np.eye(2)).plot(),
    lambda: DepthDisplay.from_estimator(None),
    lambda: TrainSizeDisplay.from_estimator(None, None, None),
    lambda: GramDisplay.from_estimator(None),
    lambda: NeighborsDisplay.from_estimator(None, None),
    NeighborsDisplay(*[np.zeros((1, 1, 1, 1, 1))] * 6).plot,
]
for call in calls:
    try:
        call()
    except ImportError as error:
        print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(run) == 8
    assert all("needs matplotlib" in line for line in run)
    assert all("pip install 'sklearn-cntk[plot]'" in line for line in run)
