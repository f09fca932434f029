"""Regression on landmarks."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKRegressor

IMAGES = load_digits().images[:150]
LABELS = load_digits().target[:150]
TEST = load_digits().images[150:200]

BOTH_WAYS = pytest.mark.parametrize("landmarks", ["uniform", "pivoted"])


@BOTH_WAYS
@pytest.mark.parametrize("normalize", [False, True])
def test_all_landmarks_are_exact(landmarks, normalize):
    options = {"depth": 3, "gap": False, "dtype": "float64", "alpha": 1e-3, "normalize": normalize}
    nystroem = {"solver": "nystroem", "n_components": 150, "landmarks": landmarks}
    exact = CNTKRegressor(**options).fit(IMAGES, LABELS)
    model = CNTKRegressor(**nystroem, **options).fit(IMAGES, LABELS)
    np.testing.assert_allclose(model.predict(TEST), exact.predict(TEST), atol=1e-5)
    twice = np.repeat(np.arange(150), LABELS % 2 + 1)
    once = model.fit(IMAGES, LABELS, LABELS % 2 + 1.0).predict(TEST)
    repeated = CNTKRegressor(**options).fit(IMAGES[twice], LABELS[twice]).predict(TEST)
    np.testing.assert_allclose(once, repeated, atol=1e-5)


@BOTH_WAYS
def test_landmarks_minimise(landmarks):
    """The dual coefficients of given landmarks, against the normal equations."""
    targets = np.eye(10)[LABELS]
    model = CNTKRegressor(
        3, False, dtype="float64", alpha=1e-3, solver="nystroem", n_components=30,
        landmarks=landmarks, random_state=0, fit_intercept=False,
    ).fit(IMAGES, targets)  # fmt: skip
    kernel = CNTK(3, False, dtype="float64")
    C, K = kernel(IMAGES, model.X_fit_), kernel(model.X_fit_)
    ridge = 1e-3 * kernel.diag(IMAGES).mean()
    expected = np.linalg.solve(C.T @ C + ridge * K, C.T @ targets)
    np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-6 * abs(expected).max())


@BOTH_WAYS
def test_more_landmarks_are_closer_to_exact(landmarks):
    exact = CNTKRegressor(3, False).fit(IMAGES, LABELS).predict(TEST)
    errors = []
    for n_components in (10, 50, 150):
        model = CNTKRegressor(
            3, False, solver="nystroem", n_components=n_components, landmarks=landmarks,
            random_state=0,
        ).fit(IMAGES, LABELS)  # fmt: skip
        assert len(model.X_fit_) == n_components
        errors.append(np.abs(model.predict(TEST) - exact).mean())
    assert errors[0] > errors[1] > errors[2]


def test_pivots_find_rare_images(rng):
    """Many images of one kind, few of others: uniform landmarks miss kinds, pivots do not."""
    kinds = rng.normal(size=(8, 6, 6))
    kind = np.repeat(np.arange(8), [193, 1, 1, 1, 1, 1, 1, 1])
    images = kinds[kind] + 0.01 * rng.normal(size=(200, 6, 6))
    kernel = CNTK(3, False)
    K = kernel(images)

    def error(landmarks, seed):
        model = CNTKRegressor(
            3, False, solver="nystroem", n_components=16, landmarks=landmarks, random_state=seed
        ).fit(images, kind)
        C = kernel(images, model.X_fit_)
        return np.trace(K - C @ np.linalg.pinv(kernel(model.X_fit_), 1e-10) @ C.T)

    for seed in range(5):
        assert error("pivoted", seed) < error("uniform", seed) / 2


def test_repeated_images_are_no_pivots():
    images = np.repeat(IMAGES[:12], 5, axis=0)
    options = {"gap": False, "dtype": "float64", "alpha": 1e-3}
    exact = CNTKRegressor(3, **options).fit(images, np.repeat(LABELS[:12], 5))
    model = CNTKRegressor(3, solver="nystroem", n_components=40, landmarks="pivoted", **options)
    model.fit(images, np.repeat(LABELS[:12], 5))
    assert 12 <= len(model.X_fit_) < 40
    np.testing.assert_allclose(model.predict(TEST), exact.predict(TEST), atol=1e-4)
    assert len(model.fit(np.zeros((50, 4, 4)), np.arange(50.0)).X_fit_) == 1


@BOTH_WAYS
@pytest.mark.parametrize("images", [np.concatenate([IMAGES[:20]] * 2), np.zeros((40, 8, 8))])
def test_too_small_a_ridge_is_said(landmarks, images):
    nystroem = {"solver": "nystroem", "n_components": 40, "landmarks": landmarks}
    zero = not images.any()
    if landmarks == "pivoted" and not zero:  # the pivots are different images
        CNTKRegressor(3, False, alpha=0, **nystroem).fit(images, np.arange(40.0))
        return
    with pytest.raises(
        np.linalg.LinAlgError, match="alpha=0 is not positive .* Set alpha to 1e-05"
    ):
        CNTKRegressor(3, False, alpha=0, **nystroem).fit(images, np.arange(40.0))
    CNTKRegressor(3, False, alpha=1e-5, **nystroem).fit(images, np.arange(40.0))


def test_pivots_want_memory(free_memory):
    free_memory(10_000)
    model = CNTKRegressor(3, False, solver="nystroem", n_components=20, landmarks="pivoted")
    with pytest.raises(MemoryError, match="150 × 20 kernel entries.*use landmarks='uniform'"):
        model.fit(IMAGES, LABELS)


def test_landmarks_have_no_training_dynamics():
    model = CNTKRegressor(3, False, solver="nystroem", n_components=20).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="fitted with solver='nystroem'"):
        next(model.staged_predict(TEST, [1.0]))
    with pytest.raises(ValueError, match="fitted with solver='nystroem'"):
        model.predict(TEST, return_std=True)
