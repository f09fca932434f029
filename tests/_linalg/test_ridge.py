"""Matrices that are not positive definite, or nearly singular."""

import numpy as np
import pytest
from digit_models import IMAGES, INK, small
from scipy.linalg import LinAlgError, LinAlgWarning

from sklearn_cntk import CNTKRegressor
from sklearn_cntk._linalg.ridge import ridge_dual


def test_not_positive_definite():
    K = np.diag([1.0, 1.0, -1.0])
    with pytest.raises(LinAlgError, match="alpha=0.001 is not positive definite. Set alpha to"):
        ridge_dual(K, np.ones(3), 1e-3)
    with pytest.raises(LinAlgError, match="alpha=0"):
        small(CNTKRegressor, alpha=0).fit(np.concatenate([IMAGES, -IMAGES, IMAGES]), [*INK] * 3)


def test_nearly_singular():
    K = np.diag([1.0, 1e-17])
    with pytest.warns(LinAlgWarning, match="alpha=0 is nearly singular.*Set alpha to 1e-05"):
        ridge_dual(K, np.ones(2), 0)
