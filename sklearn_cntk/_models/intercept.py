"""The mean of the targets, which regressors subtract before fitting and add to predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._linalg.ridge import beyond_range
from .._support.checks import check_flag

if TYPE_CHECKING:
    from .._support.typing import FloatArray


class Intercept:
    """`fit_intercept` of regressors that fit dual coefficients."""

    if TYPE_CHECKING:
        fit_intercept: bool
        intercept_: float | FloatArray

    def _target_mean(self, targets, sample_weight):
        if check_flag("fit_intercept", self.fit_intercept):
            return mean_target(targets, sample_weight)
        return np.zeros(targets.shape[1:])

    @property
    def _offset(self):
        return self.intercept_

    @_offset.setter
    def _offset(self, mean):
        self.intercept_ = mean if np.ndim(mean) else float(mean)


def mean_target(targets, sample_weight=None):
    """Return the weighted mean of targets (n,) or (n, k).

    Raises
    ------
    ValueError
        The mean, or the range of the targets, is beyond the range of float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(targets, axis=0, weights=sample_weight)
        width = np.ptp(targets, axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(width).all()):
        raise beyond_range()
    return mean
