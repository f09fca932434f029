"""`memory` in scikit-learn's searches, and in Gaussian processes that are optimised."""

import numpy as np
import pytest
from counting_engine import files
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV

GRID = {"depth": (5, 3), "gap": (True, False), "alpha": (1e-5, 1e-1), "train_size": (0.5, None)}


def comparable(search):
    results = search.cv_results_
    return {key: value for key, value in results.items() if "time" not in key and key != "params"}


def assert_same_search(a, b):
    for key, value in comparable(a).items():
        np.testing.assert_array_equal(value, comparable(b)[key], err_msg=key)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images[:120], data.target[:120]


def test_grid_search(digits, tmp_path, counting):
    cv = KFold(3, shuffle=True, random_state=0)
    model = CNTKClassifier(random_state=0, n_jobs=1)
    stored = GridSearchCV(model.set_params(memory=str(tmp_path)), GRID, cv=cv).fit(*digits)
    # Both poolings, from the deepest candidate on; nothing for the others.
    assert counting.total == 2 * 120 * 121 / 2
    assert counting.most_often == 2
    plain = GridSearchCV(clone(model).set_params(memory=None), GRID, cv=cv).fit(*digits)
    assert_same_search(stored, plain)


def test_grid_search_in_several_processes(digits, tmp_path):
    model = CNTKClassifier(random_state=0, n_jobs=1)
    plain = GridSearchCV(model, GRID, cv=3).fit(*digits)
    stored = GridSearchCV(clone(model).set_params(memory=tmp_path), GRID, cv=3, n_jobs=2)
    assert_same_search(stored.fit(*digits), plain)
    assert not files(tmp_path, "*/*.damaged")
    assert not files(tmp_path, "*/*.tmp")


def test_cross_validated_estimator(digits, tmp_path, counting):
    search = CNTKClassifierCV((3, 5), cv=3, memory=tmp_path, n_jobs=1).fit(*digits)
    assert counting.total == 120 * 121 / 2
    again = clone(search).fit(*digits)
    assert counting.total == 120 * 121 / 2
    assert_same_search(search, again)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of noise
def test_gaussian_process_with_optimizer(digits, tmp_path, counting):
    X, y = digits[0].reshape(120, 64)[:40], np.random.default_rng(0).normal(size=40)
    kernel = 1e-3 * CNTK(3, image_shape=(8, 8), memory=tmp_path, n_jobs=1) + WhiteKernel()
    GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=0).fit(X, y)
    assert counting.total == 40 * 41 / 2
