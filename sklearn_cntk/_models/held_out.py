"""What scorers of a search see: an estimator whose predictions already exist."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone

from .._support.images import on_host

if TYPE_CHECKING:
    from typing import Any


class _HeldOut:
    """Mixin for an estimator that is not fitted and returns given predictions."""

    if TYPE_CHECKING:
        _public_class: Any
        _search: str
        _held_images: Any
        _held_predictions: Any
        _find_temperature: Any
        get_params: Any

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_clone__(self):
        return clone(self._public_class(**self.get_params(deep=False)))

    def _predict_targets(self, X):
        if X is not self._held_images and not _have_equal_values(X, self._held_images):
            raise ValueError(
                f"scoring asks for predictions of data that it was not given, and {self._search} "
                "has none: use scikit-learn's GridSearchCV, which fits a model for each candidate."
            )
        return self._held_predictions.copy()

    @property
    def _temperature(self):
        return self._found_temperature

    @cached_property
    def _found_temperature(self):
        return self._find_temperature()


def _have_equal_values(X, Y):
    """Whether two forms of images, such as a table and an array, have equal values."""
    X, Y = np.asarray(on_host(X)), np.asarray(on_host(Y))
    return len(X) == len(Y) and X.size == Y.size and np.array_equal(X.ravel(), Y.ravel())


@lru_cache
def _class_of(estimator_class):
    """Return a subclass of the same name, which messages and scorers show."""
    members = {"_public_class": estimator_class, "__module__": estimator_class.__module__}
    return type(estimator_class.__name__, (_HeldOut, estimator_class), members)


def held_out(search, params, images, predictions, find_temperature):
    """Return an estimator with a candidate's parameters and predictions of held-out images.

    Parameters
    ----------
    search : KernelSearch
    params : dict
    images : array-like
        The images that were predicted, as scorers get them.
    predictions : ndarray
        Predicted targets.
    find_temperature : callable
        Called without arguments if a score needs probabilities.
    """
    estimator = search._candidate(params, _class_of(search._estimator))
    estimator._search = type(search).__name__
    estimator._held_images, estimator._held_predictions = images, predictions
    estimator._find_temperature = find_temperature
    return estimator
