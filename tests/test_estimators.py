"""CNTKRegressor and CNTKClassifier: against scikit-learn, definitions and brute force."""

import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from digit_models import IMAGES, INK, LABELS, TEST, TEST_LABELS, N, small, targets_for
from engines import RefusingEngine
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor

ESTIMATORS = [CNTKRegressor, CNTKClassifier]


@pytest.mark.filterwarnings("ignore:n_components=:UserWarning")  # set by the checks themselves
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([cls() for cls in ESTIMATORS])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# --- what they compute --------------------------------------------------------------------------


def test_regressor_is_kernel_ridge_regression():
    kernel = CNTK(depth=3, gap=False)
    K = kernel(IMAGES)
    model = small(CNTKRegressor, alpha=1e-3, fit_intercept=False).fit(IMAGES, INK)
    ridge = KernelRidge(kernel="precomputed", alpha=1e-3 * K.diagonal().mean()).fit(K, INK)
    np.testing.assert_allclose(model.predict(TEST), ridge.predict(kernel(TEST, IMAGES)))


def test_classifier_is_regression_on_centred_one_hot_labels():
    kernel = CNTK(depth=3, gap=False)
    K = kernel(IMAGES)
    one_hot = (LABELS[:, None] == np.arange(10)) - 0.1
    dual = np.linalg.solve(K + 1e-5 * K.diagonal().mean() * np.eye(N), one_hot)
    model = small(CNTKClassifier).fit(IMAGES, LABELS)
    expected = kernel(TEST, IMAGES) @ dual
    np.testing.assert_allclose(model.decision_function(TEST), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict(TEST), expected.argmax(axis=1))
    assert model.score(TEST, TEST_LABELS) > 0.85


def test_two_classes_and_names():
    names = np.array(["odd", "even"])[(LABELS % 2 == 0).astype(int)]
    model = small(CNTKClassifier).fit(IMAGES, names)
    decision = model.decision_function(TEST)
    assert decision.shape == (N,)
    np.testing.assert_array_equal(model.predict(TEST), np.where(decision > 0, "odd", "even"))
    sign = small(CNTKRegressor).fit(IMAGES, np.where(names == "odd", 0.5, -0.5))
    np.testing.assert_allclose(decision, sign.predict(TEST), rtol=1e-9)


def test_several_outputs():
    both = np.column_stack([INK, np.cos(INK)])
    model = small(CNTKRegressor).fit(IMAGES, both)
    assert model.predict(TEST).shape == (N, 2)
    for column in range(2):
        alone = small(CNTKRegressor).fit(IMAGES, both[:, column])
        np.testing.assert_allclose(model.predict(TEST)[:, column], alone.predict(TEST), rtol=1e-8)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_weights_are_repetitions(cls):
    y = targets_for(cls)
    weights = np.arange(N) % 3
    repeated = np.repeat(np.arange(N), weights)
    weighted = small(cls, alpha=0.1).fit(IMAGES, y, sample_weight=weights)
    model = small(cls, alpha=0.1).fit(IMAGES[repeated], y[repeated])
    method = "predict" if cls is CNTKRegressor else "decision_function"
    np.testing.assert_allclose(
        getattr(weighted, method)(TEST), getattr(model, method)(TEST), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("factor", [1e-3, 255.0])
def test_relative_ridge_does_not_see_the_scale_of_pixels(factor):
    model = small(CNTKRegressor, alpha=0.01).fit(IMAGES, INK)
    scaled = small(CNTKRegressor, alpha=0.01).fit(factor * IMAGES, INK)
    np.testing.assert_allclose(scaled.predict(factor * TEST), model.predict(TEST), rtol=1e-4)


def test_flip_is_training_on_mirror_images_too():
    """With ridge λ on the doubled set and λ/2 on the mean kernel."""
    both, twice = np.concatenate([IMAGES, IMAGES[:, :, ::-1]]), np.concatenate([INK**2] * 2)
    doubled = CNTK(depth=3, gap=False, dtype="float64")
    mean = CNTK(depth=3, gap=False, flip=True, dtype="float64")
    ridge = 1e-3 * doubled.diag(IMAGES).mean()
    alpha = ridge / 2 / mean.diag(IMAGES).mean()
    model = small(CNTKRegressor, flip=True, alpha=alpha, dtype="float64", fit_intercept=False)
    model.fit(IMAGES, INK**2)
    expected = KernelRidge(kernel="precomputed", alpha=ridge).fit(doubled(both), twice)
    np.testing.assert_allclose(
        model.predict(TEST), expected.predict(doubled(TEST, both)), rtol=1e-8
    )


def test_targets_far_from_zero():
    """What the documentation says of them, with and without the intercept."""
    spread = (INK - INK.mean()) / INK.std()
    truth = (TEST.sum(axis=(1, 2)) - INK.mean()) / INK.std()
    model = CNTKRegressor(depth=3)
    near = clone(model).fit(IMAGES, spread).score(TEST, truth)
    assert near > 0.6
    far = clone(model).fit(IMAGES, 300 + spread).score(TEST, 300 + truth)
    assert far == pytest.approx(near, abs=1e-6)
    without = CNTKRegressor(depth=3, fit_intercept=False)
    assert without.fit(IMAGES, 300 + spread).score(TEST, 300 + truth) < 0


def test_no_ridge_interpolates():
    model = small(CNTKRegressor, alpha=0, dtype="float64").fit(IMAGES, INK)
    np.testing.assert_allclose(model.predict(IMAGES), INK, rtol=1e-8)


def test_all_zero_images():
    """Nothing but the mean can be learned from them."""
    model = small(CNTKRegressor).fit(np.zeros((3, 4, 4)), [1.0, 2.0, 6.0])
    np.testing.assert_array_equal(model.predict(np.ones((2, 4, 4))), 3)


# --- hyperparameters in searches --------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_in_a_pipeline(n_jobs):
    model = make_pipeline(
        StandardScaler(with_std=False), CNTKClassifier(image_shape=(8, 8), random_state=0)
    )
    grid = {
        "cntkclassifier__depth": [2, 3],
        "cntkclassifier__gap": [True, False],
        "cntkclassifier__train_size": [0.5, 35],
        "cntkclassifier__alpha": [1e-5, 1.0],
    }
    search = GridSearchCV(model, grid, cv=3, n_jobs=n_jobs, error_score="raise")
    search.fit(IMAGES.reshape(N, 64), LABELS % 3)
    scores = search.cv_results_["mean_test_score"]
    # What the search reports is what each candidate gives on its own.
    candidate = clone(model).set_params(**search.cv_results_["params"][5])
    alone = cross_val_score(candidate, IMAGES.reshape(N, 64), LABELS % 3, cv=3)
    assert scores[5] == pytest.approx(alone.mean())
    assert search.best_score_ > 0.6


def test_cross_validation_of_images_as_they_are():
    scores = cross_val_score(small(CNTKClassifier), IMAGES[..., None], LABELS % 2, cv=3)
    flat = cross_val_score(
        small(CNTKClassifier, image_shape=(8, 8)), IMAGES.reshape(N, 64), LABELS % 2, cv=3
    )
    np.testing.assert_array_equal(scores, flat)


# --- bad input and odd situations -------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        (-1, ValueError, "alpha=-1 cannot be used: alpha must be finite"),
        (float("nan"), ValueError, "alpha=nan cannot be used: alpha must be finite"),
        (float("inf"), ValueError, "alpha=inf cannot be used: alpha must be finite"),
        ("1", TypeError, "alpha must be a number, got '1'"),
        (None, TypeError, "alpha must be a number, got None"),
    ],
)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_bad_alpha(cls, alpha, error, message):
    with pytest.raises(error, match=message):
        small(cls, alpha=alpha, device=RefusingEngine()).fit(IMAGES, targets_for(cls))


def test_one_class_only():
    with pytest.raises(ValueError, match="one class only"):
        small(CNTKClassifier).fit(IMAGES, np.zeros(N))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_images_of_another_shape(cls):
    model = small(cls).fit(IMAGES, targets_for(cls))
    for other in (np.ones((2, 4, 16)), np.ones((2, 8, 8, 3)), np.ones((2, 8, 7))):
        with pytest.raises(
            ValueError, match=r"images of shape .*, but fit saw images of shape \(8, 8, 1\)"
        ):
            model.predict(other)
    with pytest.raises(ValueError, match="63 features"):
        model.predict(np.ones((2, 63)))
    np.testing.assert_array_equal(model.predict(TEST.reshape(N, 64)), model.predict(TEST))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_predictions_outlive_the_training_array(cls):
    images = IMAGES.copy()
    model = small(cls).fit(images, targets_for(cls))
    expected = model.predict(TEST)
    images[...] = 0
    np.testing.assert_array_equal(model.predict(TEST), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(TEST), expected)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_predictions_are_those_of_the_fitted_parameters(cls):
    model = small(cls).fit(IMAGES, targets_for(cls))
    expected = model.predict(TEST)
    model.set_params(depth=7, gap=True, normalize=True)
    np.testing.assert_array_equal(model.predict(TEST), expected)
    assert model.kernel_ == CNTK(3, False)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_nested_lists(cls):
    model = small(cls).fit(IMAGES.tolist(), targets_for(cls).tolist())
    assert model.n_features_in_ == 64
    expected = small(cls).fit(IMAGES, targets_for(cls)).predict(TEST)
    np.testing.assert_array_equal(model.predict(TEST.tolist()), expected)


def test_no_weight_at_all():
    with pytest.raises(ValueError, match="(?i)sample.weights? "):
        small(CNTKRegressor).fit(IMAGES, INK, sample_weight=np.zeros(N))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_fitted_attributes(cls):
    frame = pd.DataFrame(IMAGES.reshape(N, 64)).add_prefix("pixel")
    with pytest.raises(NotFittedError):
        small(cls).predict(IMAGES)
    model = small(cls, image_shape=(8, 8)).fit(frame, targets_for(cls))
    assert model.n_features_in_ == 64
    assert model.feature_names_in_[0] == "pixel0"
    assert model.image_shape_ == (8, 8, 1)
    assert small(cls).fit(IMAGES, targets_for(cls)).n_features_in_ == 64


@pytest.mark.process
@pytest.mark.parametrize(
    "work",
    [
        "CNTKRegressor(depth=21).fit(images, np.arange(600))",
        "CNTK(depth=21, n_jobs=1)(np.ones((2, 96, 96, 3)))",  # one tile of a minute
        "CNTK(depth=21, n_jobs=1).diag(np.ones((2, 96, 96, 3)))",
    ],
)
def test_interrupt_stops_at_once(work):
    """Ctrl-C in the middle of minutes of work ends the process in seconds."""
    code = f"""
import signal
import numpy as np
from sklearn_cntk import CNTK, CNTKRegressor
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells may have ignored
images = np.random.default_rng(0).normal(size=(600, 32, 32, 3))
CNTKRegressor(depth=2, gap=False).fit(images[:2], [0, 1])
print("started", flush=True)
{work}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "started\n"
        time.sleep(1.5)
        assert process.poll() is None
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert "KeyboardInterrupt" in error
        assert time.monotonic() - start < 10
    finally:
        process.kill()
        process.communicate()
