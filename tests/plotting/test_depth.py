"""DepthDisplay: its data against independent computation, what is drawn, and errors."""

import numpy as np
import pytest
from displays import FLAT, GAP, IMAGES, INK, LABELS, classifier, draw
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV

from sklearn_cntk import CNTKClassifier, CNTKClassifierCV, CNTKRegressor

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import DepthDisplay  # noqa: E402


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
    other = GridSearchCV(CNTKClassifier(), {"gap": [False, True]}, cv=2).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="2 of 2 candidates have depth=None: search over numbers"):
        DepthDisplay.from_estimator(other)
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
