"""CNTKRegressorCV and CNTKClassifierCV: against brute force and GridSearchCV."""

import numpy as np
import pytest
from engines import RecordingEngine, RefusingEngine
from sklearn.datasets import load_digits
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, CNTKRegressorCV
from sklearn_cntk._models.candidates import leave_one_out

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


@pytest.mark.parametrize(
    ("search", "model", "y", "scoring"),
    [
        (CNTKClassifierCV, CNTKClassifier, LABELS, None),
        (CNTKClassifierCV, CNTKClassifier, LABELS % 2, "roc_auc"),
        (CNTKRegressorCV, CNTKRegressor, INK, "neg_mean_absolute_error"),
        (CNTKRegressorCV, CNTKRegressor, np.column_stack([INK, -INK]), None),
    ],
)
@pytest.mark.parametrize("cv", [3, KFold(4, shuffle=True, random_state=0)])
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
        ({"depths": []}, ValueError, r"no readout is left of depths=\[\], gaps="),
        ({"depths": 3}, TypeError, "depths=3 must be a sequence"),
        ({"gaps": True}, TypeError, "gaps=True must be a sequence"),
        ({"laps": 1}, TypeError, "laps=1 must be a sequence"),
        ({"depths": [0]}, ValueError, "depth=0 is too small"),
        ({"laps": [-1]}, ValueError, "lap=-1 is too small"),
        ({"dtype": "half"}, ValueError, "dtype='half'"),
        ({"scoring": "fame"}, ValueError, "fame"),
    ],
)
def test_bad_parameters(cls, parameters, error, message):
    with pytest.raises(error, match=message):
        cls(device=RefusingEngine(), **parameters).fit(IMAGES, LABELS)


def test_memory_is_checked_first(free_memory):
    free_memory(1000)
    with pytest.raises(MemoryError, match="A search of 2 Gram matrices needs"):
        CNTKRegressorCV(depths=[3], device=RefusingEngine()).fit(IMAGES, INK)
