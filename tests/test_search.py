"""CNTKRegressorCV and CNTKClassifierCV: against brute force and GridSearchCV."""

import pickle
import time

import numpy as np
import pandas as pd
import pytest
from engines import RecordingEngine, RefusingEngine
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import FitFailedWarning, UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.metadata_routing import MetadataRouter

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, CNTKRegressorCV
from sklearn_cntk._models.candidates import leave_one_out
from sklearn_cntk.preprocessing import ImageStandardizer

N = 50
IMAGES, LABELS = load_digits().images[:N], load_digits().target[:N] % 3
TEST = load_digits().images[N : N + 20]
INK = IMAGES.sum(axis=(1, 2))
SEARCHES = [CNTKRegressorCV, CNTKClassifierCV]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([cls(depths=(2, 3)) for cls in SEARCHES])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("targets", [INK, np.column_stack([INK, np.sin(INK)])])
def test_leave_one_out_is_brute_force(targets):
    K = CNTK(3, gap=False)(IMAGES)
    alphas = [1e-5, 0.1]
    predictions = leave_one_out(K, targets, alphas)
    for alpha, prediction in zip(alphas, predictions, strict=True):
        ridge = alpha * K.diagonal().mean()
        for i in range(N):
            rest = np.delete(np.arange(N), i)
            matrix = K[np.ix_(rest, rest)] + ridge * np.eye(N - 1)
            expected = K[i, rest] @ np.linalg.solve(matrix, targets[rest])
            np.testing.assert_allclose(prediction[i], expected, rtol=1e-6, atol=1e-8)


def test_default_scores_are_those_of_leave_one_out():
    """Up to the reference of the relative ridge, which has one image more."""
    search = CNTKClassifierCV(depths=[3], gaps=[False], alphas=[1e-5]).fit(IMAGES, LABELS)
    model = CNTKClassifier(3, False)
    predictions = cross_val_predict(model, IMAGES, LABELS, cv=LeaveOneOut())
    assert search.best_score_ == pytest.approx(np.mean(predictions == LABELS))


SHUFFLED = KFold(4, shuffle=True, random_state=0)


@pytest.mark.parametrize(
    ("search", "model", "y", "scoring", "cv"),
    [
        (CNTKClassifierCV, CNTKClassifier, LABELS, None, 3),
        (CNTKClassifierCV, CNTKClassifier, LABELS % 2, "roc_auc", SHUFFLED),
        (CNTKRegressorCV, CNTKRegressor, INK, "neg_mean_absolute_error", 3),
        (CNTKRegressorCV, CNTKRegressor, np.column_stack([INK, -INK]), None, SHUFFLED),
    ],
)
def test_same_as_grid_search(search, model, y, scoring, cv):
    ours = search(depths=[2, 3], alphas=[1e-3, 1.0], cv=cv, scoring=scoring).fit(IMAGES, y)
    grid = {"alpha": [1e-3, 1.0], "depth": [2, 3], "gap": [True, False], "lap": [0]}
    theirs = GridSearchCV(model(), grid, cv=cv, scoring=scoring).fit(IMAGES, y)
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for params, mean, rank in zip(
        *(ours.cv_results_[k] for k in ("params", "mean_test_score", "rank_test_score")),
        strict=True,
    ):
        index = theirs.cv_results_["params"].index(params)
        assert mean == pytest.approx(theirs.cv_results_["mean_test_score"][index], rel=1e-6)
        assert rank == theirs.cv_results_["rank_test_score"][index]
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-6)
    refitted = model(**ours.best_params_).fit(IMAGES, y)
    np.testing.assert_allclose(ours.predict(TEST), refitted.predict(TEST), rtol=1e-9)


def test_one_pass_and_one_architecture_in_predictions():
    engine = RecordingEngine()
    search = CNTKClassifierCV(depths=(2, 3, 4), laps=(1,), device=engine).fit(IMAGES, LABELS)
    search.predict(TEST)
    assert engine.calls == [(N, "symmetric"), (20, N)]
    assert engine.n_readouts == [9, 1]


@pytest.mark.parametrize("cv", [None, 2])
def test_candidates_that_fail_do_not_end_the_search(cv):
    """Images that occur twice have a singular kernel matrix."""
    images, ink = np.concatenate([IMAGES[:20]] * 2), np.concatenate([INK[:20]] * 2)
    images[:, 0, 0] = 0.0
    if cv is not None:
        cv = KFold(cv, shuffle=True, random_state=0)
    options = {"depths": (3,), "gaps": (False,), "dtype": "float64", "cv": cv}
    with pytest.warns(FitFailedWarning, match=r"1 of 2 .* depth=3, gap=False, lap=0, alpha=0.0 "):
        search = CNTKRegressorCV(alphas=(0, 1e-3), **options).fit(images, ink)
    alone = CNTKRegressorCV(alphas=(1e-3,), **options).fit(images, ink)
    assert search.best_params_ == alone.best_params_
    assert search.best_score_ == alone.best_score_
    np.testing.assert_array_equal(search.predict(TEST), alone.predict(TEST))
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    np.testing.assert_array_equal(search.cv_results_["rank_test_score"], [2, 1])
    with pytest.raises(np.linalg.LinAlgError, match="All 1 candidates failed: .* larger alphas"):
        CNTKRegressorCV(alphas=(0,), **options).fit(images, ink)


def test_the_best_candidate_may_fail_with_all_rows():
    """Each half of the images has none twice."""
    images, ink = np.concatenate([IMAGES[:20]] * 2), np.concatenate([INK[:20]] * 2)
    options = {"depths": (3,), "gaps": (False,), "dtype": "float64", "cv": 2}
    with pytest.warns(FitFailedWarning, match=r"'alpha': 0.0}, scores NaN after all.* Set alpha"):
        search = CNTKRegressorCV(alphas=(0, 1e-3), **options).fit(images, ink)
    alone = CNTKRegressorCV(alphas=(1e-3,), **options).fit(images, ink)
    assert search.best_params_ == alone.best_params_
    np.testing.assert_array_equal(search.predict(TEST), alone.predict(TEST))
    np.testing.assert_array_equal(search.cv_results_["rank_test_score"], [2, 1])
    with pytest.raises(np.linalg.LinAlgError, match="alpha=0.0 is not positive definite"):
        CNTKRegressorCV(alphas=(0,), **options).fit(images, ink)


def test_normalized_rows():
    options = {"normalize": True, "flip": True, "image_shape": (8, 8)}
    search = CNTKRegressorCV(depths=(2, 3), **options).fit(IMAGES.reshape(N, 64), INK)
    model = CNTKRegressor(**search.best_params_, **options).fit(IMAGES.reshape(N, 64), INK)
    rows = TEST.reshape(20, 64)
    np.testing.assert_allclose(search.predict(rows), model.predict(rows), rtol=1e-9)
    np.testing.assert_allclose(search.best_estimator_.predict(rows), model.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("cls", SEARCHES)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"alphas": []}, ValueError, r"alphas=\[\] is empty"),
        ({"alphas": [-1]}, ValueError, "alpha=-1 cannot be used: alpha must be finite"),
        ({"alphas": 1.0}, TypeError, "alphas=1.0 must be a sequence"),
        ({"depths": []}, ValueError, r"no readout results from depths=\[\], gaps="),
        ({"depths": 3}, TypeError, "depths=3 must be a sequence"),
        ({"gaps": True}, TypeError, "gaps=True must be a sequence"),
        ({"laps": 1}, TypeError, "laps=1 must be a sequence"),
        ({"depths": [0]}, ValueError, "depth=0 is too small"),
        ({"laps": [-1]}, ValueError, "lap=-1 is too small"),
        ({"dtype": "half"}, ValueError, "dtype='half'"),
        ({"scoring": "fame"}, ValueError, "fame"),
        ({"scoring": []}, ValueError, r"scoring=\[\] must hold at least one metric"),
        ({"scoring": [len]}, TypeError, "scoring=.* must be a metric's name, a callable"),
        ({"scoring": ["r2", "neg_max_error"]}, ValueError, r"refit=True must name the metric of"),
        ({"refit": False}, ValueError, "refit=False cannot be used with scoring=None: use"),
        ({"refit": "r2"}, ValueError, "refit='r2' cannot be used"),
        ({"refit": None}, ValueError, "refit=None cannot be used"),
        ({"cv": []}, ValueError, "cv gives no splits"),
        ({"cv": [([], [0])]}, ValueError, "cv gives a split without training rows"),
        ({"cv": [([0], [])]}, ValueError, "cv gives a split without test rows"),
        ({"cv": [([0.5], [1])]}, TypeError, "cv gives training rows .* dtype float64"),
        ({"cv": [([[0]], [1])]}, TypeError, r"cv gives training rows .* shape \(1, 1\)"),
        ({"cv": [([0], [50])]}, ValueError, "cv gives test rows from 50 to 50"),
        (
            {"cv": [([True] * 3, [False] * 3)]},
            ValueError,
            r"cv gives a mask of shape \(3,\), .* 50 rows",
        ),
    ],
)
def test_bad_parameters(cls, parameters, error, message):
    with pytest.raises(error, match=message):
        cls(device=RefusingEngine(), **parameters).fit(IMAGES, LABELS)


def test_memory_is_checked_first(free_memory):
    free_memory(1000)
    with pytest.raises(MemoryError, match="A search of 2 Gram matrices needs"):
        CNTKRegressorCV(depths=[3], device=RefusingEngine()).fit(IMAGES, INK)


# --- As GridSearchCV: metrics, splits, groups, weights, routing ----------------------------------

OPTIONS = {"depths": [2, 3], "gaps": [False], "alphas": [1e-3, 1.0], "cv": 3}
GRID = {"alpha": [1e-3, 1.0], "depth": [2, 3], "gap": [False], "lap": [0]}
HALVES = LABELS % 2


def both(y, fit_params=None, grid_cv=None, **options):
    """The one-pass search of a classifier and the same by GridSearchCV, both fitted."""
    cv = options.pop("cv", 3)
    ours = CNTKClassifierCV(**OPTIONS | {"cv": cv} | options)
    theirs = GridSearchCV(CNTKClassifier(), GRID, cv=grid_cv or cv, **options)
    return ours.fit(IMAGES, y, **fit_params or {}), theirs.fit(IMAGES, y, **fit_params or {})


def assert_same_results(ours, theirs):
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    index = [theirs.cv_results_["params"].index(params) for params in ours.cv_results_["params"]]
    for name, values in ours.cv_results_.items():
        if "_test_" in name:
            np.testing.assert_allclose(
                values, theirs.cv_results_[name][index], rtol=1e-6, atol=1e-9
            )


def two_metrics(estimator, X, y):
    return {
        "accuracy": np.mean(estimator.predict(X) == y),
        "least": abs(estimator.decision_function(X)).min(),
    }


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        (["accuracy", "neg_log_loss"], "neg_log_loss"),
        ({"auc": "roc_auc", "hits": make_scorer(accuracy_score)}, "auc"),
        (two_metrics, "least"),
        (["accuracy", "roc_auc"], lambda results: int(results["mean_test_roc_auc"].argmin())),
    ],
)
def test_several_metrics(scoring, refit):
    ours, theirs = both(HALVES, scoring=scoring, refit=refit)
    assert_same_results(ours, theirs)
    assert ours.best_params_ == theirs.best_params_
    assert ours.multimetric_
    assert ours.n_splits_ == 3
    if callable(refit):
        assert not hasattr(ours, "best_score_")
    else:
        assert ours.best_score_ == pytest.approx(theirs.best_score_)
        assert ours.score(TEST, HALVES[:20]) == pytest.approx(theirs.score(TEST, HALVES[:20]))


def test_score_is_that_of_the_metric():
    search = CNTKRegressorCV(**OPTIONS, scoring="neg_max_error").fit(IMAGES, INK)
    ink = TEST.sum(axis=(1, 2))
    assert search.score(TEST, ink) == -max(abs(search.predict(TEST) - ink))
    weighted = CNTKRegressorCV(**OPTIONS, scoring="r2").fit(IMAGES, INK)
    weights = np.arange(20.0)
    expected = r2_score(ink, weighted.predict(TEST), sample_weight=weights)
    assert weighted.score(TEST, ink, weights) == expected


def test_scores_of_scorers_that_look_at_the_estimator():
    """Which is the best one, as in GridSearchCV."""
    ours, theirs = both(HALVES, scoring=lambda estimator, X, y: -estimator.depth)
    assert ours.score(TEST, HALVES[:20]) == theirs.score(TEST, HALVES[:20]) == -2
    ours, theirs = both(HALVES, scoring=lambda estimator, X, y: estimator.score(X, y))
    assert ours.score(TEST, HALVES[:20]) == theirs.score(TEST, HALVES[:20])
    ours = CNTKClassifierCV(**OPTIONS, scoring={"own": None}, refit="own").fit(IMAGES, HALVES)
    assert ours.score(TEST, HALVES[:20]) == theirs.score(TEST, HALVES[:20])


def test_several_metrics_without_one_to_score_by():
    search = CNTKClassifierCV(
        **OPTIONS, scoring=["accuracy", "roc_auc"], refit=lambda results: 1
    ).fit(IMAGES, HALVES)
    with pytest.raises(ValueError, match="refit is a function, and scoring gives"):
        search.score(TEST, HALVES[:20])


def test_best_scores_go_with_their_fit():
    search = CNTKClassifierCV(**OPTIONS, scoring=["accuracy"], refit="accuracy")
    assert search.fit(IMAGES, HALVES).best_score_ > 0.5
    search.set_params(refit=lambda results: 1).fit(IMAGES, HALVES)
    assert not hasattr(search, "best_score_")


def test_metrics_that_a_scorer_does_not_return():
    with pytest.raises(ValueError, match=r"refit='f1' must name one of .*'accuracy', 'least'"):
        CNTKClassifierCV(**OPTIONS, scoring=two_metrics, refit="f1").fit(IMAGES, HALVES)


@pytest.mark.parametrize("index", [4, -1, "best", 1.0])
def test_functions_that_choose_no_candidate(index):
    with pytest.raises(ValueError, match="refit returned .*: the index of one of 4 candidates"):
        CNTKClassifierCV(**OPTIONS, refit=lambda results: index).fit(IMAGES, HALVES)


def test_callables_see_the_candidate_and_the_images():
    """As those that GridSearchCV calls do: the data as they were given, the parameters."""
    frame = pd.DataFrame(IMAGES.reshape(N, 64))
    seen = []

    def scoring(estimator, X, y):
        seen.append((estimator.depth, estimator.alpha, len(X), type(X), type(estimator).__name__))
        return (np.asarray(X).sum(axis=1) > 300).mean() - estimator.depth

    options = {"image_shape": (8, 8), "scoring": scoring, "n_jobs": 1}
    search = CNTKClassifierCV(**OPTIONS | {"cv": 2}, **options).fit(frame, HALVES)
    assert search.best_params_["depth"] == 2
    assert {(depth, alpha) for depth, alpha, *_ in seen} == {
        (depth, alpha) for depth in (2, 3) for alpha in (1e-3, 1.0)
    }
    assert {entry[2:] for entry in seen} == {(25, pd.DataFrame, "CNTKClassifier")}


def test_scorers_that_predict_other_data():
    def scoring(estimator, X, y):
        return estimator.score(X[:5], y[:5])

    with pytest.raises(ValueError, match=r"CNTKClassifierCV has none: use .* GridSearchCV"):
        CNTKClassifierCV(**OPTIONS, scoring=scoring).fit(IMAGES, HALVES)


def test_scorers_may_take_the_data_in_another_form():
    def scoring(estimator, X, y):
        return estimator.score(X.to_numpy().reshape(-1, 8, 8), y)

    frame, options = pd.DataFrame(IMAGES.reshape(N, 64)), {"image_shape": (8, 8), **OPTIONS}
    ours = CNTKClassifierCV(**options, scoring=scoring).fit(frame, HALVES)
    assert_same_results(ours, CNTKClassifierCV(**OPTIONS).fit(IMAGES, HALVES))


def test_scorers_see_all_parameters():
    seen = []

    def scoring(estimator, X, y):
        seen.append(estimator.get_params() | {"image_shape_": estimator.image_shape_})
        return type(clone(estimator)) is CNTKClassifier

    fixed = {"filter_size": 5, "bias_variance": 0.1, "normalize": True, "image_shape": (8, 8)}
    CNTKClassifierCV(**OPTIONS, **fixed, scoring=scoring).fit(IMAGES.reshape(N, 64), HALVES)
    assert all((fixed | {"image_shape_": (8, 8, 1)}).items() <= params.items() for params in seen)


@pytest.mark.parametrize("cv", [None, 3])
def test_scorers_that_change_what_they_get(cv):
    """Their own copies."""

    def spoil(estimator, X, y):
        estimator.decision_function(X).__imul__(0)
        X *= 0
        y[:] = 0
        return 1.0

    images = IMAGES.copy()
    options = OPTIONS | {"cv": cv}
    scoring = {"accuracy": "accuracy", "loss": "neg_log_loss", "spoil": spoil}
    ours = CNTKClassifierCV(**options, scoring=scoring, refit="loss").fit(images, HALVES)
    np.testing.assert_array_equal(images, IMAGES)
    for name in ("accuracy", "neg_log_loss"):
        alone = CNTKClassifierCV(**options, scoring=name).fit(IMAGES, HALVES)
        metric = {"neg_log_loss": "loss"}.get(name, name)
        expected = alone.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(ours.cv_results_[f"mean_test_{metric}"], expected)


def test_scorers_that_fail_at_times():
    """Where y holds two of three classes, there is no AUC."""
    test = np.flatnonzero(LABELS < 2)[:20]
    lacking = (np.setdiff1d(np.arange(N), test), test)
    whole = (np.arange(25), np.arange(25, 50))
    options = OPTIONS | {"cv": [lacking, whole]}
    with pytest.warns(UserWarning, match="Scoring failed 4 times.* ValueError: Number of classes"):
        search = CNTKClassifierCV(**options, scoring="roc_auc_ovr").fit(IMAGES, LABELS)
    assert np.isnan(search.cv_results_["split0_test_score"]).all()
    assert np.isfinite(search.cv_results_["split1_test_score"]).all()
    with pytest.raises(ValueError, match="Number of classes"):
        CNTKClassifierCV(**options | {"cv": [lacking]}, scoring="roc_auc_ovr").fit(IMAGES, LABELS)


def failing_in(*folds):
    """A scorer that fails in some folds."""
    starts = [IMAGES[(0, 17, 34)[fold]] for fold in folds]  # those of KFold(3)

    def scoring(estimator, X, y):
        if any(np.array_equal(X[0], start) for start in starts):
            raise KeyError("boom")
        return accuracy_score(y, estimator.predict(X))

    return scoring


@pytest.mark.filterwarnings("ignore:Scoring failed:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Scoring failed")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
@pytest.mark.parametrize(
    "scoring",
    [
        {"a": failing_in(0), "b": failing_in(1), "c": "accuracy"},
        {"a": failing_in(0, 1, 2), "c": "accuracy"},
    ],
)
def test_metrics_that_fail_beside_others(scoring):
    ours, theirs = both(HALVES, cv=KFold(3), scoring=scoring, refit="c")
    assert_same_results(ours, theirs)
    with pytest.raises(KeyError, match="boom"):
        CNTKClassifierCV(
            **OPTIONS | {"cv": KFold(3)}, scoring={"a": failing_in(0, 1, 2), "c": "r2"}, refit="a"
        ).fit(IMAGES, HALVES)


def test_scores_that_are_no_numbers_are_told():
    def scoring(estimator, X, y):
        return np.nan if estimator.depth == 2 else np.array([0.5])

    with pytest.warns(UserWarning, match="Scores are not finite: score") as caught:
        search = CNTKClassifierCV(**OPTIONS, scoring=scoring).fit(IMAGES, HALVES)
    assert [warning.filename for warning in caught] == [__file__]
    assert search.best_params_["depth"] == 3


def test_scorers_that_return_no_number():
    with pytest.raises(ValueError, match="scoring returned 'good' as score: a number is needed"):
        CNTKClassifierCV(**OPTIONS, scoring=lambda estimator, X, y: "good").fit(IMAGES, HALVES)


def test_masks():
    """As indices in `cv`."""
    test = np.arange(N) % 3 == 0
    by_mask, by_index = (
        CNTKClassifierCV(**OPTIONS | {"cv": cv}).fit(IMAGES, LABELS)
        for cv in ([(~test, test)], [(np.flatnonzero(~test), np.flatnonzero(test))])
    )
    assert_same_results(by_mask, by_index)


def test_groups():
    groups = np.arange(N) // 5
    assert_same_results(*both(HALVES, {"groups": groups}, cv=GroupKFold(4)))
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        CNTKClassifierCV(device=RefusingEngine(), cv=GroupKFold(4)).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="groups cannot be used with cv=None"):
        CNTKClassifierCV(device=RefusingEngine()).fit(IMAGES, LABELS, groups=groups)
    with pytest.raises(TypeError, match="fit takes X, y, sample_weight and groups, not group"):
        CNTKClassifierCV(device=RefusingEngine()).fit(IMAGES, LABELS, group=groups)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("targets", [INK, np.column_stack([INK, np.sin(INK)])])
def test_weighted_leave_one_out_is_brute_force(targets, fit_intercept, rng):
    K = CNTK(3, gap=False)(IMAGES)
    weights = rng.integers(0, 3, N) * rng.uniform(0.5, 2, N)
    alphas = [1e-5, 0.1]
    predictions = leave_one_out(K, targets, alphas, fit_intercept, weights)
    for alpha, prediction in zip(alphas, predictions, strict=True):
        ridge = alpha * np.average(K.diagonal(), weights=weights)
        for i in range(N):
            rest = np.flatnonzero((np.arange(N) != i) & (weights > 0))
            mean = fit_intercept * np.average(targets[rest], axis=0, weights=weights[rest])
            matrix = K[np.ix_(rest, rest)] + np.diag(ridge / weights[rest])
            expected = K[i, rest] @ np.linalg.solve(matrix, targets[rest] - mean) + mean
            np.testing.assert_allclose(prediction[i], expected, rtol=1e-5, atol=1e-7)


def test_weights_are_rows_given_twice():
    """In fits and in scores, where copies are in one fold."""
    weights = np.arange(N) % 3
    rows = np.repeat(np.arange(N), weights)
    fold = np.arange(N) % 4
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    repeated = [
        (np.flatnonzero(fold[rows] != k), np.flatnonzero(fold[rows] == k)) for k in range(4)
    ]
    weighted = CNTKRegressorCV(**OPTIONS | {"cv": folds}).fit(IMAGES, INK, sample_weight=weights)
    given = CNTKRegressorCV(**OPTIONS | {"cv": repeated}).fit(IMAGES[rows], INK[rows])
    assert_same_results(weighted, given)
    np.testing.assert_allclose(weighted.predict(TEST), given.predict(TEST), rtol=1e-6)
    with pytest.raises(ValueError, match="(?i)sample.weight"):
        CNTKRegressorCV(device=RefusingEngine()).fit(IMAGES, INK, sample_weight=np.zeros(N))


def test_small_weights_are_as_good_as_none():
    """A weight's square root divides in the closed form, where it leaves no digits."""
    K = CNTK(3, gap=True)(IMAGES)
    weights = np.arange(N) % 2.0
    expected = leave_one_out(K, INK, [1e-5], True, weights)
    for small in (1e-22, 1e-34, 1e-60, 1e-100, 1e-300):
        given = np.where(weights == 0, small, weights)
        predictions = leave_one_out(K, INK, [1e-5], True, given)
        np.testing.assert_allclose(predictions, expected, rtol=1e-6, atol=1e-6 * INK.std())


def test_weights_that_cannot_be_used():
    with pytest.raises(ValueError, match="sample_weight is 0 for all training rows of split 1"):
        CNTKRegressorCV(device=RefusingEngine(), cv=KFold(2)).fit(
            IMAGES, INK, sample_weight=np.arange(N) >= 25
        )
    with pytest.warns(UserWarning, match=r"sample_weight is not used by scoring \(worst\)"):
        CNTKRegressorCV(**OPTIONS, scoring={"worst": "neg_max_error", "r2": "r2"}, refit="r2").fit(
            IMAGES, INK, sample_weight=np.ones(N)
        )


def test_metadata_of_scorers():
    """Rows of them, whatever they are, in all threads; scalars as they are."""

    def metric(y, predicted, colour=None, unit=None):
        assert unit == "cm"
        return sum(one == "red" for one in colour)

    colours = ["red" if k % 5 else "blue" for k in range(N)]
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(metric).set_score_request(colour=True, unit=True)
        given = {"colour": colours, "unit": "cm"}
        ours = CNTKClassifierCV(**OPTIONS | {"cv": KFold(3)}, scoring=scorer, n_jobs=2)
        theirs = GridSearchCV(CNTKClassifier(), GRID, cv=KFold(3), scoring=scorer)
        assert_same_results(ours.fit(IMAGES, HALVES, **given), theirs.fit(IMAGES, HALVES, **given))
        assert ours.score(TEST, HALVES[:20], colour=colours[:20], unit="cm") == 16
        weights = np.arange(N) % 3.0
        own = CNTKClassifierCV(**OPTIONS)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            own.fit(IMAGES, LABELS, sample_weight=weights)
        scores = [
            own.set_score_request(sample_weight=asked).fit(IMAGES, LABELS, sample_weight=weights)
            for asked in (True, False)
        ]
        assert isinstance(own.get_metadata_routing(), MetadataRouter)
    weighted = CNTKClassifierCV(**OPTIONS).fit(IMAGES, LABELS, sample_weight=weights)
    assert len(scores) == 2
    assert weighted.best_score_ != own.best_score_


def test_metadata_routing():
    """Groups go to the splitter, weights to scorers that ask for them."""
    groups, weights = np.arange(N) // 5, 1.0 + np.arange(N) % 3
    with config_context(enable_metadata_routing=True):
        for asked in (True, False):
            scorer = make_scorer(accuracy_score).set_score_request(sample_weight=asked)
            fit_params = {"groups": groups, "sample_weight": weights}
            ours = CNTKClassifierCV(**OPTIONS | {"cv": GroupKFold(4)}, scoring=scorer)
            model = CNTKClassifier().set_fit_request(sample_weight=True)
            theirs = GridSearchCV(model, GRID, cv=GroupKFold(4), scoring=scorer)
            assert_same_results(
                ours.fit(IMAGES, HALVES, **fit_params), theirs.fit(IMAGES, HALVES, **fit_params)
            )
        nested = CNTKClassifierCV(**OPTIONS | {"cv": GroupKFold(4)})
        pipeline = make_pipeline(ImageStandardizer(), nested).fit(IMAGES, HALVES, groups=groups)
        assert pipeline[-1].n_splits_ == 4
        with pytest.raises(TypeError, match="colour"):
            nested.fit(IMAGES, HALVES, groups=groups, colour=groups)


def test_times_hold_the_kernels_share():
    """Those of all candidates and splits are as much as the whole took."""

    class Slow(RecordingEngine):
        def gram(self, *args, **kwargs):
            time.sleep(0.5)
            return super().gram(*args, **kwargs)

    search = CNTKRegressorCV(**OPTIONS, device=Slow()).fit(IMAGES, INK)
    assert 0.5 <= search.cv_results_["mean_fit_time"].sum() * search.n_splits_


@pytest.mark.parametrize("scoring", [None, "r2", ["r2", "neg_max_error"]])
def test_fitted_searches_are_pickled(scoring):
    refit = "r2" if isinstance(scoring, list) else True
    search = CNTKRegressorCV(**OPTIONS, scoring=scoring, refit=refit).fit(IMAGES, INK)
    loaded = pickle.loads(pickle.dumps(search))
    assert loaded.score(IMAGES, INK) == search.score(IMAGES, INK)
