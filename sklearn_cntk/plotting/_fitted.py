"""The fitted CNTK estimator within pipelines and searches, and what it was trained on."""

import numpy as np
from sklearn.base import MetaEstimatorMixin, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..estimators import CNTKClassifier, CNTKRegressor
from ..search import CNTKClassifierCV, CNTKRegressorCV


def unwrap(estimator, X=None):
    """The CNTK estimator at the end of pipelines and searches, and X as images that it takes.

    Returns
    -------
    model : CNTKClassifier or CNTKRegressor, fitted
    images : ndarray (n, P, Q, C), or None if X is
    """
    model = estimator
    while not isinstance(model, (CNTKClassifier, CNTKRegressor)):
        if isinstance(model, Pipeline):
            if X is not None and len(model) > 1:
                X = model[:-1].transform(X)
            model = model[-1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            if isinstance(model, (MetaEstimatorMixin, CNTKClassifierCV, CNTKRegressorCV)):
                check_is_fitted(model)
            if getattr(model, "refit", True) is False:
                raise ValueError(
                    f"{type(model).__name__} was fitted with refit=False, so it has no estimator "
                    "to show: fit it with refit=True (with several scores, the name of one), or "
                    "give an estimator that was fitted with the parameters that you choose."
                )
            raise TypeError(
                f"{type(model).__name__} is no CNTK estimator: give a fitted CNTKClassifier or "
                "CNTKRegressor, a search over one (with refit=True), or a pipeline that ends in "
                "one."
            )
    check_is_fitted(model)
    return model, None if X is None else model._check_images(X, reset=False)


def training_targets(model):
    """Class labels, or targets, of ``X_fit_``; None where a model of landmarks has none."""
    targets = model._fit_targets
    if targets is None or not is_classifier(model):
        return targets
    # One-hot labels minus 1/k, or the column of the second class.
    index = (targets > 0).astype(int) if targets.ndim == 1 else np.argmax(targets, axis=1)
    return model.classes_[index]
