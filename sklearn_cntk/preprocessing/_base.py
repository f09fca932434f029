"""Base classes of the transformers: images become images, and rows become rows, or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from .._models.base import ImageEstimator
from .._support.checks import is_number
from .._support.docstrings import fill_docs
from .._support.images import on_host

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray


def check_nonnegative(name, value):
    """Return `value` as a float, or raise if the parameter `name` is negative or not finite."""
    if not (is_number(value) and 0 <= value < np.inf):
        raise ValueError(f"{name}={value!r} should be a finite number of 0 or more.")
    return float(value)


def result_dtype(images):
    """Return float32 for float32 images, and float64 for all others."""
    return np.dtype(np.float32 if images.dtype == np.float32 else np.float64)


@fill_docs
class Forms:
    """Base class of transformers that return images or rows.

    It is not a TransformerMixin, because scikit-learn would convert all results to tables.  That is
    why `fit_transform` is defined here, and `transform` in subclasses of this class that are not a
    TransformerMixin either.
    """

    if TYPE_CHECKING:
        fit: Any
        _check_images: Any
        _transform_images: Any

    def fit_transform(self, X: ArrayLike, y: Any = None) -> Array:
        """Fit to images, then transform the same images.

        Parameters
        ----------
        {X}
        {no_y}

        Returns
        -------
        ndarray
            As returned by `transform`.
        """
        return self.fit(X, y).transform(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _transformed(self, X):
        """Return images for images, and rows for rows: a table if `set_output` asks for one."""
        check_is_fitted(self)
        images = self._transform_images(self._check_images(X, reset=False))
        if np.asarray(X).ndim == 2:
            rows = images.reshape(len(images), -1)
            return _wrap_data_with_container("transform", rows, X, self)
        return images


@fill_docs
class SameShape(Forms):
    """A base class with a `transform` whose result has the shape of X."""

    def transform(self, X: ArrayLike) -> FloatArray:
        """Transform images.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray, the shape of `X`
            float32 if `X` is float32, otherwise float64.  Rows are returned as a table if
            `set_output` asks for one; images never are.
        """
        X = on_host(X)
        result = self._transformed(X)
        shape = np.asarray(X).shape
        return result if len(shape) == 2 else result.reshape(shape)


@fill_docs
class PixelTransformer(SameShape, OneToOneFeatureMixin, TransformerMixin, ImageEstimator):
    """Base class that fits and transforms images (n, P, Q, C) in float64; X keeps its shape.

    Results for float32 images are rounded to float32.
    """

    if TYPE_CHECKING:
        _fit_images: Any
        _transform_pixels: Any

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn the statistics of the training images.

        Parameters
        ----------
        {X}
        {no_y}

        Returns
        -------
        self
        """
        self._fit_images(self._check_images(X, reset=True).astype(np.float64))
        return self

    def _transform_images(self, images):
        result = self._transform_pixels(images.astype(np.float64))
        return result.astype(result_dtype(images), copy=False)
