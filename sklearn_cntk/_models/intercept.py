"""The mean of the targets, which regressors take out before they fit and add to predictions."""

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

    @property
    def _offset(self):
        return self.intercept_

    def _centre(self, targets, sample_weight=None):
        """Targets without the mean, which becomes ``intercept_``; as they are without intercept."""
        mean = np.zeros(targets.shape[1:])
        if check_flag("fit_intercept", self.fit_intercept):
            mean = mean_target(targets, sample_weight)
        self.intercept_ = mean if targets.ndim > 1 else float(mean)
        return targets - mean


def mean_target(targets, sample_weight=None):
    """The weighted mean of targets (n,) or (n, k); ValueError beyond the range of float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(targets, axis=0, weights=sample_weight)
    if not np.isfinite(mean).all():
        raise beyond_range()
    return mean
