"""The base class of estimators whose X are images."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from .._support.images import array_on_host, as_images
from .._version import __version__
from .doc_links import DocumentationLink

if TYPE_CHECKING:
    from .._support.typing import Array, ImageShape

# In the state of a pickle.
_WRITTEN_BY = "_sklearn_cntk_version"


class ImageEstimator(DocumentationLink, BaseEstimator):
    """An estimator with `image_shape` whose X are images."""

    if TYPE_CHECKING:
        image_shape: ImageShape
        image_shape_: tuple[int, int, int]
        n_features_in_: int
        feature_names_in_: Array

    def __getstate__(self):
        return super().__getstate__() | {_WRITTEN_BY: __version__}

    def __setstate__(self, state):
        state = dict(state)
        written_by = state.pop(_WRITTEN_BY, "of another version")
        if written_by != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by sklearn-cntk {written_by} and is loaded "
                f"by {__version__}: attributes and kernel values may differ. Fit it again, or load "
                "it with the version that saved it.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)

    def _check_images(self, X, *, reset):
        """Return the images of X; record its features, or compare them with those of fit."""
        X = array_on_host(X, "X")
        shape = self.image_shape if reset else self.image_shape_
        given = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        n_dimensions = len(given)
        if not reset:
            self._refuse_single_image(given)
            if n_dimensions == 2:  # scikit-learn's message where only the width differs
                validate_data(self, X, reset=False, skip_check_array=True)
        images = as_images(X, shape, estimator=self, fitted=not reset)
        if reset:
            flat = X if n_dimensions == 2 else images.reshape(len(images), -1)
            validate_data(self, flat, skip_check_array=True)
            _, rows, columns, channels = images.shape
            self.image_shape_ = rows, columns, channels
        return images

    def _refuse_single_image(self, shape):
        """Raise if X, by its shape, can only be a single image like those seen by fit."""
        rows, columns, channels = self.image_shape_
        single = [(rows, columns, channels)] + [(rows, columns)] * (channels == 1)
        if rows > 1 and shape in single:  # one signal, or one row of pixels, may look like that
            raise ValueError(f"X has shape {shape}, that of a single image: use image[None].")
