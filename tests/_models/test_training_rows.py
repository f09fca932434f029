"""Which rows ``train_size`` keeps."""

import numpy as np
import pytest
from digit_models import IMAGES, INK, LABELS, TEST, N, small, targets_for

from sklearn_cntk import CNTKClassifier, CNTKRegressor
from sklearn_cntk._models.training_rows import choose_rows

ESTIMATORS = [CNTKRegressor, CNTKClassifier]


@pytest.mark.parametrize(
    ("train_size", "n_rows"), [(None, 60), (1, 1), (17, 17), (0.25, 15), (1.0, 60)]
)
def test_train_size(train_size, n_rows):
    model = small(CNTKRegressor, train_size=train_size, random_state=0).fit(IMAGES, INK)
    assert len(model.X_fit_) == len(model.dual_coef_) == n_rows
    rows = choose_rows(train_size, N, 0)
    rows = np.arange(N) if rows is None else rows
    assert len(set(rows)) == n_rows
    alone = small(CNTKRegressor).fit(IMAGES[rows], INK[rows])
    np.testing.assert_allclose(model.predict(TEST), alone.predict(TEST))


def test_train_size_keeps_the_shares_of_classes():
    y = np.repeat([0, 1, 2], [60, 30, 3])
    rows = choose_rows(31, 93, 0, y)
    np.testing.assert_array_equal(np.bincount(y[rows]), [20, 10, 1])
    assert set(y[choose_rows(3, 93, 1, y)]) == {0, 1, 2}
    different = [choose_rows(31, 93, seed, y).tolist() for seed in (0, 0, 1)]
    assert different[0] == different[1] != different[2]


@pytest.mark.parametrize(
    ("train_size", "error", "message"),
    [
        (0, ValueError, "train_size=0 is not between 1 and the 60 rows"),
        (61, ValueError, "train_size=61 is not between 1 and the 60 rows"),
        (1.5, ValueError, "train_size=1.5 is not a fraction"),
        (float("nan"), ValueError, "train_size=nan is not a fraction"),
        (True, TypeError, "train_size must be None, a number of rows or a fraction, got True"),
        ("half", TypeError, "train_size must be .* got 'half'"),
    ],
)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_bad_train_size(cls, train_size, error, message):
    with pytest.raises(error, match=message):
        small(cls, train_size=train_size).fit(IMAGES, targets_for(cls))


def test_fewer_rows_than_classes():
    with pytest.raises(ValueError, match="train_size=9 keeps 9 of 60 rows, fewer than the 10"):
        small(CNTKClassifier, train_size=9).fit(IMAGES, LABELS)
