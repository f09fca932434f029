"""CNNClassifier and CNNRegressor under scikit-learn's contract."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `finite`")

from sklearn_cntk.finite import (  # noqa: E402
    CNNClassifier,
    CNNRegressor,
    EmpiricalCNTK,
    RandomCNTKFeatures,
)

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images / 16, DIGITS.target


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        CNNClassifier(depth=3, gap=False, width=64, max_epochs=100),
        CNNRegressor(depth=3, gap=False, width=64, max_epochs=200),
        RandomCNTKFeatures(depth=3, width=16),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def small(cls, **parameters):
    return cls(**{"depth": 3, "gap": False, "width": 32, "random_state": 0, **parameters})


def test_classifier_learns_and_stops_at_full_accuracy():
    model = small(CNNClassifier, batch_size=16).fit(IMAGES[:200], LABELS[:200])
    assert model.converged_
    assert model.score(IMAGES[:200], LABELS[:200]) == 1
    assert model.n_iter_ == len(model.loss_curve_) < model.max_epochs
    assert model.score(IMAGES[200:400], LABELS[200:400]) > 0.8
    assert model.decision_function(IMAGES[:3]).shape == (3, 10)


def test_two_classes():
    names = np.where(LABELS[:100] > 4, "large", "small")
    model = small(CNNClassifier, batch_size=16).fit(IMAGES[:100], names)
    decision = model.decision_function(IMAGES[:100])
    np.testing.assert_array_equal(model.predict(IMAGES[:100]), model.classes_[1 * (decision > 0)])


def test_random_state_and_pickle():
    y = IMAGES[:30].mean(axis=(1, 2))
    models = [
        small(CNNRegressor, random_state=seed, tol=0.1).fit(IMAGES[:30], y) for seed in (0, 0, 1)
    ]
    first, same, other = (model.predict(IMAGES[30:40]) for model in models)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
    restored = pickle.loads(pickle.dumps(models[0]))
    np.testing.assert_array_equal(restored.predict(IMAGES[30:40]), first)


def test_all_zero_images_and_targets():
    with pytest.warns(Warning, match="max_epochs"):
        model = small(CNNRegressor, max_epochs=2).fit(np.zeros((3, 4, 4)), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.predict(np.ones((2, 4, 4)) * 0), 0)
    with pytest.warns(Warning, match="max_epochs"):
        model = small(CNNRegressor, max_epochs=2).fit(IMAGES[:3], np.zeros(3))
    assert np.isfinite(model.predict(IMAGES[:3])).all()


def test_progress(capsys):
    small(CNNRegressor, verbose=1, tol=0.5).fit(IMAGES[:20], LABELS[:20])
    error = capsys.readouterr().err
    assert "CNNRegressor" in error
    assert "loss=" in error


def test_progress_in_a_notebook_without_widgets(notebook_without_widgets, capsys):
    small(CNNRegressor, verbose=1, tol=0.5).fit(IMAGES[:20], LABELS[:20])
    assert not [str(warning.message) for warning in notebook_without_widgets]
    assert capsys.readouterr().err.startswith("\rCNNRegressor")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"depth": 0}, ValueError, "depth=0 is too small"),
        ({"depth": 2, "trained_layers": "hidden"}, ValueError, "depth=2 .* at least 3"),
        ({"gap": 1}, TypeError, "gap must be True or False"),
        ({"trained_layers": "some"}, ValueError, "trained_layers='some' is unknown"),
        ({"filter_size": 4}, ValueError, "filter_size=4 is even: use .* such as 5"),
        ({"width": 0}, ValueError, "width=0 is too small"),
        ({"width": 2.0}, TypeError, "width must be an integer"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is unknown"),
        ({"device": "gpu"}, ValueError, "device='gpu' is unknown"),
        ({"device": "cuda:99"}, RuntimeError, "device='cuda:99' is not available"),
        ({"image_shape": (3, 3)}, ValueError, "image_shape"),
    ],
)
def test_bad_parameters(parameters, error, message):
    images, y = np.ones((4, 4, 4)), [0, 1, 0, 1]
    for model in (CNNClassifier(**parameters), CNNRegressor(**parameters)):
        with pytest.raises(error, match=message):
            model.fit(images, y)
    with pytest.raises(error, match=message):
        RandomCNTKFeatures(**parameters).fit(images)
    with pytest.raises(error, match=message):
        EmpiricalCNTK(**parameters)(images)
    with pytest.raises(error, match=message):
        EmpiricalCNTK(**parameters).diag(images)
