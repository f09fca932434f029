"""Access to the fitted CNTK estimator in pipelines and searches, and to its training data."""

import numpy as np
from sklearn.base import MetaEstimatorMixin, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from .._support.checks import is_integer
from .._support.images import as_images, on_host
from ..estimators import CNTKClassifier, CNTKRegressor
from ..search import CNTKClassifierCV, CNTKRegressorCV


def unwrap(estimator, X=None):
    """Return the CNTK estimator at the end of pipelines and searches, and X as its input images.

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
                    "give an estimator that was fitted with the parameters of your choice."
                )
            raise TypeError(
                f"{type(model).__name__} is not a CNTK estimator: give a fitted CNTKClassifier or "
                "CNTKRegressor, a search over one (with refit=True), or a pipeline that ends in "
                "one."
            )
    check_is_fitted(model)
    return model, None if X is None else model._check_images(X, reset=False)


def training_targets(model):
    """Return class labels, or targets, of ``X_fit_``; None if a model of landmarks has none."""
    targets = model._fit_targets
    if targets is None or not is_classifier(model):
        return targets
    # One-hot labels minus 1/k, or the column of the second class.
    index = (targets > 0).astype(int) if targets.ndim == 1 else np.argmax(targets, axis=1)
    return model.classes_[index]


def true_labels(model, images, y, target):
    """Return the class, or the value in the column `target`, of each image; None without `y`."""
    if y is None:
        return None
    labels = np.asarray(on_host(y))
    if labels.ndim == 2 and not is_classifier(model):
        labels = labels[:, target]
    labels = column_or_1d(labels)
    check_consistent_length(images, labels)
    return labels


def check_target(model, target, of_classifiers):
    """Raise unless `target` is a column of the targets; `of_classifiers` is for the message."""
    n_targets = 1 if is_classifier(model) or model.dual_coef_.ndim == 1 else len(model.dual_coef_.T)
    if is_integer(target) and target in range(n_targets):
        return
    if is_classifier(model):
        raise ValueError(
            f"target={target!r} is for regressors: for a {type(model).__name__} {of_classifiers}."
        )
    numbers = f"0 to {n_targets - 1}" if n_targets > 1 else "0, since there is one target"
    raise ValueError(f"target={target!r} is not a column of the targets: use {numbers}.")


def images_as_given(estimator, X, image_shape=None):
    """Return X as images, before any step of pipelines.

    Rows hold images of `image_shape`, or by default of the shape seen by the first step that
    records one.

    Returns
    -------
    ndarray (m, P, Q, C)
    """
    if image_shape is not None:
        return as_images(X, image_shape)
    first = next(part for part in _parts(estimator) if hasattr(part, "image_shape_"))
    seen, given = first.image_shape_, np.shape(on_host(X))[1:]
    if len(given) == 1 and given != (np.prod(seen),):
        raise ValueError(
            f"X has {given[0]} features per row, from which the steps before "
            f"{type(first).__name__} make images of shape {seen}: give image_shape, the shape of "
            "the images that rows of X hold."
        )
    is_seen = len(given) == 1 or seen in (given, (*given, 1), (1, *given))
    return as_images(X, seen if is_seen else None)


def in_form_of(X, images):
    """Return images (n, P, Q, C) as images, rows or a table, in the form of X."""
    result = images.reshape(len(images), *np.shape(on_host(X))[1:])
    return type(X)(result, columns=X.columns) if hasattr(X, "iloc") else result


def _parts(estimator):
    """Yield the estimators that X passes through: steps of pipelines, also within searches."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _parts(step)
    elif hasattr(estimator, "best_estimator_"):
        yield from _parts(estimator.best_estimator_)
    else:
        yield estimator
