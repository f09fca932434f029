"""CNTK: parameters and images that are refused, before anything is computed."""

import numpy as np
import pytest
from engines import RefusingEngine
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK

N = 40
DIGITS = load_digits()
X = DIGITS.data[:N]


@pytest.fixture
def kernel():
    return CNTK(depth=3, gap=False, image_shape=(8, 8), device=REFUSING)


GOOD = np.ones((2, 4, 4))
REFUSING = RefusingEngine()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"depth": 0}, ValueError, "depth=0 is too small"),
        ({"depth": 2, "trained_layers": "hidden"}, ValueError, "depth=2 .* at least 3"),
        ({"depth": 2.5}, TypeError, "depth must be an integer, got 2.5"),
        ({"depth": True}, TypeError, "depth must be an integer, got True"),
        ({"flip": 1}, TypeError, "flip must be True or False, got 1"),
        ({"normalize": None}, TypeError, "normalize must be True or False, got None"),
        ({"gap": "yes"}, TypeError, "gap must be True or False, got 'yes'"),
        ({"lap": -1, "gap": False}, ValueError, "lap=-1 is too small"),
        ({"lap": 1}, ValueError, "lap=1 excludes gap=True"),
        ({"trained_layers": "some"}, ValueError, "trained_layers='some' is unknown"),
        ({"filter_size": 2}, ValueError, "filter_size=2 is even: use .* such as 3"),
        ({"filter_size": 0}, ValueError, "filter_size=0 is too small"),
        ({"filter_size": -1}, ValueError, "filter_size=-1 is too small"),
        ({"filter_size": 1.5}, TypeError, "filter_size must be an integer"),
        ({"image_shape": (4, 0)}, ValueError, r"image_shape=\(4, 0\) is not a shape"),
        ({"image_shape": 16}, ValueError, "image_shape=16 is not a shape"),
        ({"image_shape": (4, 4.0)}, ValueError, "image_shape=.* is not a shape"),
        ({"image_shape": (5, 4)}, ValueError, r"shape \(4, 4, 1\), but image_shape=\(5, 4, 1\)"),
        ({"device": "gpu"}, ValueError, "device='gpu' is unknown"),
        ({"device": "cuda:99"}, RuntimeError, "device='cuda:99' "),
        ({"device": None}, ValueError, "device=None is unknown"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is unknown"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        CNTK(**{"device": REFUSING} | parameters)(GOOD)
    with pytest.raises(error, match=message):
        CNTK(**{"device": REFUSING} | parameters).diag(GOOD)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.full((2, 4, 4), np.nan), ValueError, "X contains NaN"),
        (np.full((2, 4, 4), np.inf), ValueError, "X contains infinity"),
        (GOOD * 1j, ValueError, "[Cc]omplex"),
        (np.array([["a", "b"]]), ValueError, "strings"),
        (np.array([[{}, {}]], dtype=object), TypeError, "float"),
        (np.ones(4), ValueError, "1D array"),
        (np.ones((2, 2, 2, 2, 2)), ValueError, r"shape \(2, 2, 2, 2, 2\): use \(n, height"),
        (np.ones((2, 4, 0)), ValueError, "at least one pixel"),
        (np.ones((0, 4, 4)), ValueError, "minimum of 1"),
    ],
)
def test_bad_images(images, error, message):
    with pytest.raises(error, match=message):
        CNTK(device=REFUSING)(images)
    with pytest.raises(error, match=message.replace("X contains", "Y contains")):
        CNTK(device=REFUSING)(GOOD, images)


def test_shapes_that_do_not_fit(kernel):
    with pytest.raises(
        ValueError, match=r"image_shape=\(8, 8, 1\) needs 64 features .* 63 features"
    ):
        kernel(X[:, :63])
    with pytest.raises(ValueError, match=r"\(4, 4, 1\) cannot be compared .* \(4, 5, 1\)"):
        CNTK(device=REFUSING)(GOOD, np.ones((2, 4, 5)))


@pytest.mark.parametrize(
    ("n_jobs", "error", "message"),
    [
        ("2", TypeError, "n_jobs must be an integer or None, got '2'"),
        (1.5, TypeError, "n_jobs must be an integer or None, got 1.5"),
        (0, ValueError, "n_jobs=0 has no meaning: use 1 or more, -1"),
    ],
)
def test_numbers_of_jobs(n_jobs, error, message):
    with pytest.raises(error, match=message):
        CNTK(3, n_jobs=n_jobs)(np.ones((2, 4, 4)))


def test_a_numba_that_compiles_nothing(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT is set.*: unset it"):
        CNTK(3)(np.ones((2, 4, 4)))
