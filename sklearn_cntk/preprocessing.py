"""Transformers of images: they take what the estimators take, and keep its form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from ._models.base import ImageEstimator
from ._support.checks import is_number
from ._support.docstrings import fill_docs
from ._support.images import on_host

if TYPE_CHECKING:
    from typing import Any, Self

    from ._support.typing import ArrayLike, FloatArray, ImageShape


@fill_docs
class _Transform:
    """What returns images or rows, in a class of its own: scikit-learn would make tables of all."""

    if TYPE_CHECKING:
        fit: Any
        _check_images: Any
        _transform_images: Any

    def fit_transform(self, X: ArrayLike, y: Any = None) -> FloatArray:
        """Fit, and transform the same images.

        Parameters
        ----------
        {X}
        {no_y}

        Returns
        -------
        ndarray of float64, the shape of `X`
            As of `transform`.
        """
        return self.fit(X, y).transform(X)

    def transform(self, X: ArrayLike) -> FloatArray:
        """Transform images.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of float64, the shape of `X`
            Rows are a table where `set_output` asks for one; no table holds images.
        """
        check_is_fitted(self)
        X = on_host(X)
        images = self._check_images(X, reset=False)
        result = self._transform_images(images.astype(np.float64))
        result = result.reshape(np.asarray(X).shape)
        if result.ndim == 2:
            result = _wrap_data_with_container("transform", result, X, self)
        return result


@fill_docs
class _ImageTransformer(_Transform, OneToOneFeatureMixin, TransformerMixin, ImageEstimator):
    """Fits and transforms images (n, P, Q, C); X keeps its shape."""

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


@fill_docs
class ImageStandardizer(_ImageTransformer):
    """Subtract the mean of each channel and divide by its standard deviation.

    The statistics are those of all pixels of all training images, as in the experiments of
    Arora et al. 2019, so that neighbouring pixels stay comparable, which
    :class:`~sklearn.preprocessing.StandardScaler`, pixel by pixel, does not do.

    Parameters
    ----------
    image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
        Shape of the images that rows of 2-D input hold.  None takes every feature of such rows
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
        # In units, powers of 2, in which no square and no sum leaves the range of float64.
        _, unit = np.frexp(np.abs(images).max(axis=(0, 1, 2)))
        images = np.ldexp(images, -unit)
        self.mean_ = np.ldexp(images.mean(axis=(0, 1, 2)), unit)
        scale = images.std(axis=(0, 1, 2))
        # The deviation of a constant channel is rounding, of its mean as well.
        constant = np.ptp(images, axis=(0, 1, 2)) == 0
        self.mean_ = np.where(constant, np.ldexp(images[0, 0, 0], unit), self.mean_)
        tiny = 10 * np.finfo(np.float64).eps
        self.scale_ = np.where(constant | (scale <= tiny), 1.0, np.ldexp(scale, unit))

    def _transform_images(self, images):
        _, unit = np.frexp(self.scale_)
        images = np.ldexp(images, -unit) - np.ldexp(self.mean_, -unit)
        return images / np.ldexp(self.scale_, -unit)


@fill_docs
class ZCAWhitening(_ImageTransformer):
    """Decorrelate pixels, by the symmetric square root of the inverse covariance.

    Each image loses its mean and is scaled to norm 1; then all are multiplied by
    ``(C + ε mean(eigenvalues of C) I)^(-1/2)``, where C is the covariance matrix of the training
    images so treated and ε the `regularization`.  Kernels of convolutional networks gain
    much from it on natural images [1]_.

    Parameters
    ----------
    regularization : float, default=0.1
        Share of the mean eigenvalue that is added to all of them: larger values leave noise in
        the directions of little variance smaller.  More than 0 if there are fewer training
        images than features.
    image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
        Shape of the images that rows of 2-D input hold.  It is only recorded: the whitening is
        the same without it.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (n_features,)
        Mean of the training images, after each lost its own mean and norm.
    whitening_ : ndarray of float64, shape (n_features, n_features)
    {image_shape_}
    {n_features_in_}

    References
    ----------
    .. [1] V. Shankar, A. Fang, W. Guo, S. Fridovich-Keil, J. Ragan-Kelley, L. Schmidt, B. Recht,
       "Neural Kernels Without Tangents", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cntk.preprocessing import ZCAWhitening
    >>> images = np.random.default_rng(0).random((300, 4, 4)).cumsum(axis=1)
    >>> white = ZCAWhitening(regularization=1e-6).fit_transform(images).reshape(300, 16)
    >>> spectrum = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    >>> bool(np.allclose(spectrum[1:], 1, atol=1e-3))  # the mean of an image is gone: 0
    True
    """

    if TYPE_CHECKING:
        mean_: FloatArray
        whitening_: FloatArray

    def __init__(self, regularization: float = 0.1, image_shape: ImageShape = None) -> None:
        self.regularization = regularization
        self.image_shape = image_shape

    def _fit_images(self, images):
        epsilon = self.regularization
        if not (is_number(epsilon) and 0 <= epsilon < np.inf):
            raise ValueError(f"regularization={epsilon!r} should be a finite number of 0 or more.")
        rows = _centred_unit_rows(images)
        self.mean_ = rows.mean(axis=0)
        rows -= self.mean_
        eigenvalues, Q = eigh(rows.T @ rows / len(rows))
        eigenvalues = eigenvalues.clip(0) + epsilon * eigenvalues.mean()
        # Directions in which nothing varies stay at 0: an image's mean, and all of one image.
        visible = eigenvalues > 1e-12 * eigenvalues[-1]
        inverse = np.where(visible, 1 / np.sqrt(np.where(visible, eigenvalues, 1.0)), 0.0)
        self.whitening_ = (Q * inverse) @ Q.T

    def _transform_images(self, images):
        return (_centred_unit_rows(images) - self.mean_) @ self.whitening_


def _centred_unit_rows(images):
    """Rows (n, n_features) of mean 0 and norm 1; constant images become 0."""
    rows = images.reshape(len(images), -1)
    # Largest values of 1: no square overflows, and rounding has one size.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1.0)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # Centring leaves rounding in each of a constant image's pixels, so √n_features times as much
    # in their norm.
    tiny = 10 * np.finfo(np.float64).eps * np.sqrt(rows.shape[1])
    return np.where(norms > tiny, rows / np.where(norms > tiny, norms, 1.0), 0.0)
