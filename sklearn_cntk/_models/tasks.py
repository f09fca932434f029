"""Regression and classification: targets from y, and predictions from targets.

The classes are mixins for estimators with ``_predict_targets(X)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from .._support.docstrings import fill_docs
from .._support.images import on_host

if TYPE_CHECKING:
    from .._support.typing import Array, ArrayLike, FloatArray


@fill_docs
class _Scored:
    """scikit-learn's `score`, but also with tensors that NumPy cannot read."""

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the R² of a regressor's predictions, or the accuracy of a classifier's.

        Parameters
        ----------
        {X_seen}
        {y}
        sample_weight : array-like (m,), default=None

        Returns
        -------
        float
        """
        return super().score(X, on_host(y), on_host(sample_weight))  # type: ignore[misc]


@fill_docs
class RegressionTask(_Scored, MultiOutputMixin, RegressorMixin):
    """Targets are y itself."""

    def _encode(self, images, y):
        """Return float64 targets, and None for class indices."""
        _require(self, y)
        y = on_host(y)
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y", estimator=self)
        if y.ndim > 2:
            raise ValueError(f"y has shape {y.shape}: use (n,) or (n, n_targets).")
        check_consistent_length(images, y)
        return y, None

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predict targets.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of float64, shape (m,) or (m, n_targets)
        """
        return self._predict_targets(X)


@fill_docs
class ClassificationTask(_Scored, ClassifierMixin):
    """Targets are one-hot labels minus 1/k (Arora et al. 2019, section 5)."""

    if TYPE_CHECKING:
        classes_: Array

    def _encode(self, images, y):
        """Return float64 targets and class indices; set ``classes_``."""
        _require(self, y)
        y = on_host(y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(images, y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            (only,) = self.classes_.tolist()
            raise ValueError(f"y holds one class only ({only!r}): a classifier needs two or more.")
        targets = np.eye(n_classes)[indices] - 1 / n_classes
        # With two classes the columns are negatives of each other.
        return targets[:, 1] if n_classes == 2 else targets, indices

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Predict targets: one-hot labels minus 1/k, so 0 favours no class.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of float64, shape (m, n_classes), or (m,) for the second of two classes
        """
        return self._predict_targets(X)

    def predict(self, X: ArrayLike) -> Array:
        """Predict class labels.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray (m,) of elements of ``classes_``
        """
        return self._labels(self.decision_function(X))

    def _labels(self, decision):
        """Return class labels from predicted targets."""
        best = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        return self.classes_[best]


def _require(estimator, y):
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
