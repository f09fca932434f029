"""Probabilities: calibrated on digits, and leave-one-out against brute force."""

import numpy as np
import pytest
import sklearn
from double_precision import IMAGES, LABELS, TEST, N, matrices, small
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from sklearn_cntk import CNTKClassifier, CNTKClassifierCV, CNTKRegressor
from sklearn_cntk._linalg.cholesky import cholesky_in_place, inverse_diagonal
from sklearn_cntk._linalg.ridge import ridge_dual
from sklearn_cntk._models.calibration import fit_temperature, folds_to_hold_out, rows_to_leave_out

ORDER = np.random.default_rng(0).permutation(1797)
DIGITS, CLASSES = load_digits().images[ORDER], load_digits().target[ORDER]
WEIGHTS = np.arange(N) % 4 * 0.75

SOLVERS = {
    "cholesky": {},
    "cg": {"solver": "cg", "alpha": 1e-3},
    "nystroem": {"solver": "nystroem", "n_components": 200, "random_state": 0},
    "time": {"training_time": 100.0},
}


def calibration_error(probabilities, is_right, n_bins=15):
    """Expected calibration error of the predicted classes (Guo et al. 2017, eq. 3)."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(is_right[bins == k].mean() - confidence[bins == k].mean()) * np.mean(bins == k)
        for k in np.unique(bins)
    ]
    return sum(gaps)


@pytest.mark.parametrize("n_classes", [10, 2])
@pytest.mark.parametrize("solver", SOLVERS)
def test_calibrated_on_digits(solver, n_classes):
    y = CLASSES * n_classes // 10
    model = CNTKClassifier(3, gap=False, **SOLVERS[solver]).fit(DIGITS[:500], y[:500])
    probabilities = model.predict_proba(DIGITS[500:])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    predicted = model.predict(DIGITS[500:])
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], predicted)
    assert calibration_error(probabilities, predicted == y[500:]) < 0.03
    # Whatever decisions are divided by, they would be worse without, and with much more or less.
    decisions = model.decision_function(DIGITS[500:])
    decisions = np.stack([-decisions, decisions], axis=1) if n_classes == 2 else decisions
    loss = log_loss(y[500:], probabilities)
    for temperature in (1, model.temperature_ / 3, model.temperature_ * 3):
        assert loss < log_loss(y[500:], softmax(decisions / temperature, axis=1))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize("n_targets", [(), (3,)])
def test_left_out_predictions_are_brute_force(alpha, weights, n_targets, rng):
    """Without each row, or without one of the rows that a weight above 1 stands for."""
    K = matrices()[0]
    y = rng.normal(size=(N, *n_targets))
    ones = np.ones(N) if weights is None else weights
    ridge = alpha * np.average(K.diagonal(), weights=ones)
    dual, left_out = ridge_dual(K.copy(), y, alpha, weights, return_left_out=True)
    np.testing.assert_array_equal(dual, ridge_dual(K.copy(), y, alpha, weights))
    for row in range(N):
        if ones[row] == 0:
            assert np.isnan(left_out[row]).all()
            continue
        others = ones.copy()
        others[row] -= min(1, ones[row])
        root = np.sqrt(others)
        matrix = root[:, None] * K * root + ridge * np.eye(N)
        expected = K[row] @ (root * np.linalg.solve(matrix, (y.T * root).T).T).T
        np.testing.assert_allclose(left_out[row], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("panel_columns", [1, 7, 30, 512])
def test_diagonal_of_the_inverse(panel_columns):
    K = matrices()[0]
    L, _ = cholesky_in_place(np.array(K, order="F"))
    found = inverse_diagonal(L, panel_columns=panel_columns)
    np.testing.assert_allclose(found, np.linalg.inv(K).diagonal(), rtol=1e-8)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("solver", ["cholesky", "nystroem"])
def test_temperature_is_that_of_leaving_one_out(solver, weights):
    """With all rows as landmarks it is the same."""
    options = {"solver": "nystroem", "n_components": N} if solver == "nystroem" else {}
    model = small(CNTKClassifier, alpha=0.01, **options).fit(IMAGES, LABELS, weights)
    targets = np.eye(10)[LABELS] - 0.1
    K = matrices()[0]
    _, left_out = ridge_dual(K, targets, 0.01, weights, return_left_out=True)
    expected = fit_temperature(left_out, targets, weights)
    assert model.temperature_ == pytest.approx(expected, rel=1e-5)


def test_weights_count_rows():
    weights = np.arange(N) % 3
    repeated = np.repeat(np.arange(N), weights)
    model = small(CNTKClassifier, alpha=0.01)
    weighted = model.fit(IMAGES, LABELS, weights).predict_proba(TEST)
    again = model.fit(IMAGES[repeated], LABELS[repeated]).predict_proba(TEST)
    np.testing.assert_allclose(weighted, again, rtol=1e-6, atol=1e-12)


def test_likeliest_temperature(rng):
    """Of labels that are drawn from probabilities of a known temperature."""
    decisions = rng.normal(size=(20_000, 3))
    labels = [rng.choice(3, p=p) for p in softmax(decisions / 0.4, axis=1)]
    assert fit_temperature(decisions, np.eye(3)[labels] - 1 / 3) == pytest.approx(0.4, rel=0.03)
    logits = 2 * decisions[:, 0] / 0.4
    second = rng.random(20_000) < 1 / (1 + np.exp(-logits))
    assert fit_temperature(decisions[:, 0], second - 0.5) == pytest.approx(0.4, rel=0.05)


def test_nothing_to_calibrate_by():
    targets = np.eye(2)[[0, 1, 0]] - 0.5
    assert fit_temperature(np.zeros((3, 2)), targets) == 1
    assert fit_temperature(np.zeros((0, 2)), targets[:0]) == 1
    assert fit_temperature(np.full((3, 2), np.nan), targets) == 1
    model = CNTKClassifier(3).fit(np.zeros((4, 5, 5)), [0, 1, 2, 1])
    np.testing.assert_allclose(model.predict_proba(np.ones((2, 5, 5))), 1 / 3, rtol=1e-14)


def test_rows_that_are_predicted():
    """All classes, no row twice, none without weight, no landmark while there are others."""
    random_state = np.random.RandomState(0)
    targets = np.eye(3)[np.repeat([0, 1, 2], [100, 50, 10])]
    weights = np.arange(160) % 2
    folds = folds_to_hold_out(targets, None, random_state)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(160))
    for fold in folds:
        np.testing.assert_array_equal(targets[fold].sum(axis=0), [20, 10, 2])
    weighted = np.concatenate(folds_to_hold_out(targets, weights, random_state))
    np.testing.assert_array_equal(np.sort(weighted), np.arange(1, 160, 2))
    for n, sizes in ((2000, [400] * 2), (5000, [1000]), (12_345, [950])):
        folds = folds_to_hold_out(np.ones((n, 2)), None, random_state)
        assert [len(fold) for fold in folds] == sizes
    landmarks = np.arange(0, 160, 4)
    rows = rows_to_leave_out(targets, None, landmarks, random_state)
    np.testing.assert_array_equal(rows, np.setdiff1d(np.arange(160), landmarks))
    rows = rows_to_leave_out(targets, None, np.arange(150), random_state)
    np.testing.assert_array_equal(rows, np.arange(150, 160))
    rows = rows_to_leave_out(targets, None, np.arange(160), random_state)
    np.testing.assert_array_equal(rows, np.arange(160))
    rows = rows_to_leave_out(targets, weights, landmarks, random_state)
    np.testing.assert_array_equal(rows, np.arange(1, 160, 2))
    assert len(rows_to_leave_out(np.ones((12_345, 2)), None, landmarks, random_state)) == 947
    assert len(rows_to_leave_out(targets, 0 * weights, landmarks, random_state)) == 0
    assert folds_to_hold_out(targets, 0 * weights, random_state) == []
    assert [len(fold) for fold in folds_to_hold_out(targets[:3], None, random_state)] == [1, 1, 1]


@pytest.mark.parametrize(
    "scoring",
    [
        "neg_log_loss",
        "roc_auc_ovr",
        pytest.param(
            "neg_brier_score",
            marks=pytest.mark.skipif(
                sklearn.__version__.startswith("1.6."),
                reason="scikit-learn 1.6 has no Brier score of three classes",
            ),
        ),
    ],
)
def test_scores_of_probabilities(scoring):
    """In every search, and with the same values."""
    y = CLASSES[:150] % 3
    grid = {"depth": [2, 3], "alpha": [1e-3, 1e-1]}
    model = CNTKClassifier(gap=False, dtype="float64")
    theirs = GridSearchCV(model, grid, scoring=scoring, cv=3).fit(DIGITS[:150], y)
    ours = CNTKClassifierCV(
        (2, 3), (False,), alphas=(1e-3, 1e-1), scoring=scoring, cv=3, dtype="float64"
    ).fit(DIGITS[:150], y)
    expected = {
        (p["depth"], p["alpha"]): score
        for p, score in zip(
            theirs.cv_results_["params"], theirs.cv_results_["mean_test_score"], strict=True
        )
    }
    for p, score in zip(
        ours.cv_results_["params"], ours.cv_results_["mean_test_score"], strict=True
    ):
        assert score == pytest.approx(expected[p["depth"], p["alpha"]], rel=1e-6)
    best = ours.best_estimator_
    np.testing.assert_array_equal(
        ours.predict_proba(DIGITS[150:]), best.predict_proba(DIGITS[150:])
    )


def test_log_loss_by_leave_one_out():
    """Of noisy labels a larger ridge is likelier."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random(200) < 0.3, rng.integers(0, 2, 200), CLASSES[:200] > 4)
    search = CNTKClassifierCV((3,), (False,), alphas=(1e-5, 1.0), scoring="neg_log_loss")
    search.fit(DIGITS[:200], y)
    assert search.best_params_["alpha"] == 1.0
    held_out = -log_loss(CLASSES[200:] > 4, search.predict_proba(DIGITS[200:]))
    assert -np.log(2) < search.best_score_ < held_out  # of labels without noise


def test_probabilities_too_small_for_a_float():
    model = small(CNTKClassifier).fit(IMAGES, LABELS)
    model.temperature_ = 1e-5
    logarithms = model.predict_log_proba(TEST)
    assert np.isfinite(logarithms).all()
    assert logarithms.min() < -1000
    np.testing.assert_array_equal(np.exp(logarithms), model.predict_proba(TEST))


def test_small_weights_are_no_few_rows():
    """Such as boosting gives: only their ratios count."""
    model = small(CNTKClassifier, alpha=0.01)
    even = model.fit(IMAGES, LABELS).temperature_
    for weight in (1 / N, 1e-6):
        model.set_params(alpha=0.01 * weight).fit(IMAGES, LABELS, np.full(N, weight))
        assert model.temperature_ == pytest.approx(even, rel=1e-5)


@pytest.mark.parametrize("n_components", [20, 24, 27, 29, 30])
@pytest.mark.parametrize("landmarks", ["uniform", "pivoted"])
def test_many_landmarks(n_components, landmarks):
    """However few rows are none: about the temperature of the exact solution."""
    options = {"solver": "nystroem", "landmarks": landmarks, "random_state": 0}
    model = small(CNTKClassifier, n_components=n_components, **options).fit(IMAGES, LABELS)
    exact = small(CNTKClassifier).fit(IMAGES, LABELS)
    assert 1 / 4 < model.temperature_ / exact.temperature_ < 4


def test_landmarks_that_interpolate():
    options = {"alpha": 0, "solver": "nystroem", "n_components": N}
    model = small(CNTKClassifier, **options).fit(IMAGES, LABELS)
    assert model.temperature_ == 1  # nothing is said by the others


@pytest.mark.parametrize("solver", ["cg", "time"])
def test_one_row_with_a_weight(solver):
    weights = np.zeros(N)
    weights[3] = 1
    model = small(CNTKClassifier, **SOLVERS[solver]).fit(IMAGES, LABELS, weights)
    assert model.temperature_ == 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_random_numbers_are_for_the_fit(solver):
    """Calibration draws rows, but not from a stream that other fits share."""
    options = SOLVERS[solver] | ({"n_components": 10} if solver == "nystroem" else {})
    states = np.random.RandomState(0), np.random.RandomState(0)
    small(CNTKClassifier, **options | {"random_state": states[0]}).fit(IMAGES, LABELS)
    small(CNTKRegressor, **options | {"random_state": states[1]}).fit(IMAGES, LABELS)
    assert states[0].random_sample() == states[1].random_sample()


def test_calibration_does_not_repeat_warnings(capsys):
    model = small(CNTKClassifier, solver="cg", max_iter=1, verbose=1)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(IMAGES, LABELS)
    assert len(caught) == 1
    assert caught[0].filename == __file__
