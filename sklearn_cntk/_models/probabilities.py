"""Probabilities of classes, see `calibration`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._support.docstrings import fill_docs
from .calibration import fit_temperature, log_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._support.typing import ArrayLike, FloatArray


@fill_docs
class Probabilities:
    """`predict_proba` of classifiers with a `decision_function` and a temperature."""

    if TYPE_CHECKING:
        decision_function: Callable[[ArrayLike], FloatArray]

    @property
    def _temperature(self):
        raise NotImplementedError

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Predict the probabilities of the classes; the predicted class has the largest one.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of float64, shape (m, n_classes)
            Columns in the order of ``classes_``.

        Notes
        -----
        {probabilities}
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Predict logarithms of probabilities, even of those that are too small for a float.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of float64, shape (m, n_classes)
        """
        return log_probabilities(self.decision_function(X), self._temperature)


class Calibrated(Probabilities):
    """The temperature of a classifier that fits dual coefficients."""

    if TYPE_CHECKING:
        temperature_: float

    _is_calibrated = True

    @property
    def _temperature(self):
        return self.temperature_

    def _calibrate(self, decisions, targets, sample_weight):
        self.temperature_ = fit_temperature(decisions, targets, sample_weight)
