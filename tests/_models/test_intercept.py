"""Targets far from 0: `fit_intercept` of the regressors, with every solver and by leave-one-out."""

import numpy as np
import pytest
from double_precision import IMAGES, INK, TEST, N, matrices, small
from sklearn.kernel_ridge import KernelRidge

from sklearn_cntk import CNTKRegressor, CNTKRegressorCV
from sklearn_cntk._models.candidates import leave_one_out

WEIGHTS = 1.0 + np.arange(N) % 4
TWO = np.column_stack([INK, INK**2])

SOLVERS = {
    "cholesky": {},
    "cg": {"solver": "cg", "alpha": 1e-2, "tol": 1e-12},
    "nystroem": {"solver": "nystroem", "n_components": 20, "random_state": 0},
    "time": {"training_time": 3.0},
}


@pytest.mark.parametrize("targets", [INK, TWO], ids=["one", "two"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_constant_added_to_targets_is_added_to_predictions(solver, weights, targets):
    model = small(CNTKRegressor, **SOLVERS[solver])
    near = model.fit(IMAGES, targets, weights).predict(TEST)
    far = model.fit(IMAGES, targets + 1e4, weights).predict(TEST)
    np.testing.assert_allclose(far - 1e4, near, atol=1e-7)
    np.testing.assert_allclose(
        model.intercept_, 1e4 + np.average(targets, axis=0, weights=weights), rtol=1e-14
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_it_is_kernel_ridge_on_centred_targets(weights):
    K, cross, _ = matrices()
    alpha = 1e-3 * np.average(K.diagonal(), weights=weights)
    ridge = KernelRidge(kernel="precomputed", alpha=alpha)
    mean = np.average(TWO, axis=0, weights=weights)
    centred = ridge.fit(K, TWO - mean, weights).predict(cross) + mean
    model = small(CNTKRegressor, alpha=1e-3).fit(IMAGES, TWO, weights)
    np.testing.assert_allclose(model.predict(TEST), centred, rtol=1e-8)
    without = ridge.fit(K, TWO, weights).predict(cross)
    model.set_params(fit_intercept=False).fit(IMAGES, TWO, weights)
    np.testing.assert_allclose(model.predict(TEST), without, rtol=1e-8)
    np.testing.assert_array_equal(model.intercept_, [0, 0])


def test_training_starts_from_the_mean():
    model = small(CNTKRegressor, alpha=1e-3).fit(IMAGES, TWO + 5)
    start, end = model.staged_predict(TEST, [0, None])
    np.testing.assert_allclose(start, np.tile(TWO.mean(axis=0) + 5, (N, 1)), rtol=1e-12)
    np.testing.assert_allclose(end, model.predict(TEST), rtol=1e-8)


def test_train_size_is_drawn_first():
    model = small(CNTKRegressor, train_size=5, random_state=0).fit(IMAGES, INK)
    rows = [np.flatnonzero((IMAGES == image[..., 0]).all(axis=(1, 2)))[0] for image in model.X_fit_]
    assert len(rows) == 5
    assert model.intercept_ == pytest.approx(INK[rows].mean(), rel=1e-14)


@pytest.mark.parametrize("targets", [INK + 300, TWO + [300, 0]], ids=["one", "two"])
def test_leave_one_out_is_brute_force(targets):
    """Each row by the others, from their own mean; the ridge is that of all rows."""
    K, _, unit = matrices()
    alphas = [1e-3, 1.0]
    predictions = leave_one_out(K, targets, alphas, True)
    for alpha, of_ridge in zip(alphas, predictions, strict=True):
        for row in range(N):
            others = np.delete(np.arange(N), row)
            mean = targets[others].mean(axis=0)
            matrix = K[np.ix_(others, others)] + alpha * unit * np.eye(N - 1)
            expected = K[row, others] @ np.linalg.solve(matrix, targets[others] - mean) + mean
            np.testing.assert_allclose(of_ridge[row], expected, rtol=1e-9)


@pytest.mark.parametrize("cv", [None, 3])
def test_searches(cv):
    """Scores and predictions of targets far from 0 are those of targets near 0."""
    search = CNTKRegressorCV((2, 3), alphas=(1e-3, 1e-1), cv=cv, dtype="float64")
    near = search.fit(IMAGES, INK)
    scores, predicted = near.cv_results_["mean_test_score"], near.predict(TEST)
    far = search.fit(IMAGES, INK + 1e4)
    np.testing.assert_allclose(far.cv_results_["mean_test_score"], scores, rtol=1e-6)
    np.testing.assert_allclose(far.predict(TEST) - 1e4, predicted, rtol=1e-6)
    search.set_params(fit_intercept=False).fit(IMAGES, INK + 1e4)
    assert search.best_score_ < scores.max()
    assert search.best_estimator_.intercept_ == 0


def test_what_is_no_flag():
    for model in (CNTKRegressor(fit_intercept="yes"), CNTKRegressorCV(fit_intercept="yes")):
        with pytest.raises(TypeError, match="fit_intercept must be True or False, got 'yes'"):
            model.fit(IMAGES, INK)


def test_means_beyond_the_range():
    with pytest.raises(ValueError, match="beyond the range of float64: divide y by a constant"):
        CNTKRegressor(3).fit(IMAGES, np.full(N, 1e308))


def test_differences_beyond_the_range():
    y = np.zeros(N)
    y[:2] = 1.7e308, -1.7e308
    for model in (CNTKRegressor(3), CNTKRegressorCV((2, 3))):
        with pytest.raises(ValueError, match="beyond the range of float64: divide y by a constant"):
            model.fit(IMAGES, y)


def test_one_row_says_nothing_about_itself():
    K = matrices()[0][:1, :1]
    np.testing.assert_allclose(leave_one_out(K, np.array([5.0]), [0.1], True), 0, atol=1e-12)


def test_coefficients_and_mean_are_of_one_fit():
    """Where the next one fails, too."""
    model = small(CNTKRegressor).fit(IMAGES, INK)
    before = model.predict(TEST)
    with pytest.raises(np.linalg.LinAlgError):
        model.set_params(alpha=0).fit(np.zeros_like(IMAGES), INK + 100)
    np.testing.assert_array_equal(model.predict(TEST), before)
