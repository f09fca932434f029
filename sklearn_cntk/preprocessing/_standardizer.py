"""Standardisation of images, channel by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._support.docstrings import fill_docs
from ._base import PixelTransformer

if TYPE_CHECKING:
    from .._support.typing import FloatArray, ImageShape


@fill_docs
class ImageStandardizer(PixelTransformer):
    """Subtract the mean of each channel and divide by its standard deviation.

    The statistics are computed over all pixels of all training images, as in the experiments of
    Arora et al. 2019.  Neighbouring pixels therefore stay comparable, unlike with
    :class:`~sklearn.preprocessing.StandardScaler`, which scales each pixel separately.

    Parameters
    ----------
    image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
        Shape of the images that rows of 2-D input hold.  None treats every feature of such rows
        as a channel.

    Attributes
    ----------
    mean_, scale_ : ndarray of float64, shape (channels,)
        Constant channels have a scale of 1.
    {image_shape_}
    {n_features_in_}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_cntk import CNTKClassifier
    >>> from sklearn_cntk.preprocessing import ImageStandardizer
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = make_pipeline(ImageStandardizer(), CNTKClassifier(depth=3))
    >>> bool(model.fit(images[:200], labels[:200]).score(images[200:300], labels[200:300]) > 0.9)
    True
    """

    if TYPE_CHECKING:
        mean_: FloatArray
        scale_: FloatArray

    def __init__(self, image_shape: ImageShape = None) -> None:
        self.image_shape = image_shape

    def _fit_images(self, images):
        # In units, powers of 2, in which no square and no sum exceeds the range of float64.
        _, unit = np.frexp(np.abs(images).max(axis=(0, 1, 2)))
        images = np.ldexp(images, -unit)
        self.mean_ = np.ldexp(images.mean(axis=(0, 1, 2)), unit)
        scale = images.std(axis=(0, 1, 2))
        # The deviation of a constant channel is only rounding error, and its mean has some too.
        constant = np.ptp(images, axis=(0, 1, 2)) == 0
        self.mean_ = np.where(constant, np.ldexp(images[0, 0, 0], unit), self.mean_)
        tiny = 10 * np.finfo(np.float64).eps
        self.scale_ = np.where(constant | (scale <= tiny), 1.0, np.ldexp(scale, unit))

    def _transform_pixels(self, images):
        _, unit = np.frexp(self.scale_)
        images = np.ldexp(images, -unit) - np.ldexp(self.mean_, -unit)
        return images / np.ldexp(self.scale_, -unit)
