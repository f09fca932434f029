"""Training for a time: against gradient descent."""

import numpy as np
import pytest
from double_precision import IMAGES, INK, LABELS, TEST, N, matrices, small

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor


def gradient_descent(y, steps, rate, ridge=0.0, weights=1.0):
    """Predictions for TEST by the linearised network f(x) = ⟨φ(x), θ⟩, step by step, from θ = 0."""
    K, K_test, _ = matrices()
    everything = np.block([[K, K_test.T], [K_test, CNTK(3, False, dtype="float64")(TEST)]])
    values, vectors = np.linalg.eigh(everything)
    features = vectors * np.sqrt(np.maximum(values, 0))
    theta = np.zeros((features.shape[1], *y.shape[1:]))
    for _ in range(steps):
        errors = ((features[:N] @ theta - y).T * weights).T
        theta -= rate * (features[:N].T @ errors + ridge * theta)
    return features[N:] @ theta


@pytest.mark.parametrize(("time", "alpha"), [(0.5, 0.0), (20.0, 0.0), (20.0, 0.3)])
def test_gradient_flow_is_small_step_gradient_descent(time, alpha):
    unit = matrices()[2]
    steps = 40_000
    expected = gradient_descent(INK, steps, time / unit / steps, alpha * unit)
    model = small(CNTKRegressor, alpha=alpha, training_time=time, fit_intercept=False)
    model.fit(IMAGES, INK)
    np.testing.assert_allclose(model.predict(TEST), expected, rtol=2e-3)
    assert not np.allclose(model.predict(TEST), np.mean(INK), rtol=0.02)


def test_weights_are_those_of_the_squared_errors():
    weights = np.arange(N) % 3 * 1.0
    K = matrices()[0]
    unit = np.average(K.diagonal(), weights=weights)
    expected = gradient_descent(INK, 20_000, 5 / unit / 20_000, 0.1 * unit, weights)
    model = small(CNTKRegressor, alpha=0.1, training_time=5.0, fit_intercept=False)
    predicted = model.fit(IMAGES, INK, sample_weight=weights).predict(TEST)
    np.testing.assert_allclose(predicted, expected, rtol=2e-3)
    repeated = np.repeat(np.arange(N), weights.astype(int))
    model.fit(IMAGES[repeated], INK[repeated])
    np.testing.assert_allclose(model.predict(TEST), predicted, rtol=1e-8)


@pytest.mark.parametrize("alpha", [1e-5, 0.1])
def test_the_end_of_training_is_kernel_regression(alpha):
    expected = small(CNTKRegressor, alpha=alpha).fit(IMAGES, INK).predict(TEST)
    for time in (np.inf, 1e9):
        model = small(CNTKRegressor, alpha=alpha, training_time=time).fit(IMAGES, INK)
        np.testing.assert_allclose(model.predict(TEST), expected, rtol=1e-6)


def test_the_start_of_training():
    start = small(CNTKRegressor, training_time=0).fit(IMAGES, INK)
    np.testing.assert_allclose(start.predict(TEST), INK.mean(), rtol=1e-14)
    start = small(CNTKRegressor, training_time=0, fit_intercept=False).fit(IMAGES, INK)
    np.testing.assert_array_equal(start.predict(TEST), 0)
    _, K_test, unit = matrices()
    soon = small(CNTKRegressor, training_time=1e-6, fit_intercept=False).fit(IMAGES, INK)
    np.testing.assert_allclose(soon.predict(TEST), 1e-6 / unit * (K_test @ INK), rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-3, 255.0])
def test_time_does_not_see_the_scale_of_pixels(factor):
    model = small(CNTKRegressor, training_time=3.0).fit(IMAGES, INK)
    scaled = small(CNTKRegressor, training_time=3.0).fit(factor * IMAGES, INK)
    np.testing.assert_allclose(scaled.predict(factor * TEST), model.predict(TEST), rtol=1e-8)


@pytest.mark.parametrize("training_time", [None, 4.0])
def test_staged_predict(training_time):
    both = np.column_stack([INK, np.cos(9 * INK)])
    model = small(CNTKRegressor, training_time=training_time).fit(IMAGES, both)
    times = [0, 0.3, 10, None]
    staged = list(model.staged_predict(TEST, times))
    assert len(staged) == 4
    for time, predicted in zip(times, staged, strict=True):
        alone = small(CNTKRegressor, training_time=time).fit(IMAGES, both).predict(TEST)
        assert predicted.shape == (N, 2)
        np.testing.assert_allclose(predicted, alone, rtol=1e-6, atol=1e-9)
    assert list(model.staged_predict(TEST, [])) == []


@pytest.mark.parametrize("n_classes", [2, 10])
def test_staged_classes(n_classes):
    y = LABELS % n_classes
    model = small(CNTKClassifier).fit(IMAGES, y)
    times = [0.01, 5.0, None]
    decisions = model.staged_decision_function(TEST, times)
    labels = model.staged_predict(TEST, times)
    for time, decision, predicted in zip(times, decisions, labels, strict=True):
        alone = small(CNTKClassifier, training_time=time).fit(IMAGES, y)
        np.testing.assert_allclose(decision, alone.decision_function(TEST), rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(predicted, alone.predict(TEST))


def test_staged_predict_after_a_search_and_set_params():
    search = CNTKClassifierCV(depths=(2, 3), gaps=(False,)).fit(IMAGES, LABELS)
    best = search.best_estimator_
    expected = best.predict(TEST)
    best.set_params(depth=9, alpha=7.0, training_time=0.0)
    np.testing.assert_array_equal(best.predict(TEST), expected)
    np.testing.assert_array_equal(next(best.staged_predict(TEST, [None])), expected)


@pytest.mark.parametrize(
    ("training_time", "error", "message"),
    [
        (-1, ValueError, "training_time=-1 is not a time"),
        (float("nan"), ValueError, "training_time=nan is not a time"),
        ("long", TypeError, "training_time must be None or a number, got 'long'"),
        (True, TypeError, "training_time must be None or a number, got True"),
    ],
)
@pytest.mark.parametrize("cls", [CNTKRegressor, CNTKClassifier])
def test_bad_times(cls, training_time, error, message):
    with pytest.raises(error, match=message):
        small(cls, training_time=training_time).fit(IMAGES, LABELS)
    with pytest.raises(error, match=message):
        list(small(cls).fit(IMAGES, LABELS).staged_predict(TEST, [1.0, training_time]))
