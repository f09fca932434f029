"""ZCA whitening of images and of other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from .._support.docstrings import fill_docs
from ._base import PixelTransformer, check_nonnegative

if TYPE_CHECKING:
    from .._support.typing import FloatArray, ImageShape


@fill_docs
class ZCAWhitening(PixelTransformer):
    """Decorrelate pixels by the symmetric square root of the inverse covariance.

    The mean of each image is subtracted, and the image is scaled to norm 1.  All are then
    multiplied by ``(C + ε mean(eigenvalues of C) I)^(-1/2)``, where C is the covariance matrix of
    the training images so normalised and ε the `regularization`, or by
    ``(C + reg_covar I)^(-1/2)``.  On natural images this considerably improves kernels of
    convolutional networks [1]_.

    Parameters
    ----------
    regularization : float, default=0.1
        Share of the mean eigenvalue that is added to all eigenvalues: larger values amplify noise
        in directions of small variance less.  Use a value above 0 if there are fewer training
        images than features.
    image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
        Shape of the images that rows of 2-D input hold.  It is only recorded: the whitening is
        the same without it.
    reg_covar : float, default=None
        Number that is added to all eigenvalues instead of that share, as in [1]_, where the mean
        over the images is not subtracted.  Before the addition, the eigenvalues sum to 1 minus the
        squared norm of `mean_`.  None uses `regularization`.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (n_features,)
        Mean of the training images, each first normalised to mean 0 and norm 1.
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

    def __init__(
        self,
        regularization: float = 0.1,
        image_shape: ImageShape = None,
        *,
        reg_covar: float | None = None,
    ) -> None:
        self.regularization = regularization
        self.image_shape = image_shape
        self.reg_covar = reg_covar

    def _fit_images(self, images):
        share = check_nonnegative("regularization", self.regularization)
        added = None if self.reg_covar is None else check_nonnegative("reg_covar", self.reg_covar)
        rows = centred_unit_rows(images)
        self.mean_, self.whitening_ = learn_whitening(rows, share, added)

    def _transform_pixels(self, images):
        return (centred_unit_rows(images) - self.mean_) @ self.whitening_


def learn_whitening(rows, share, added=None):
    """Return mean and whitening matrix of rows of norm 1, subtracting the mean in place.

    A `share` of the mean eigenvalue, or the number `added`, is added to all eigenvalues.
    """
    mean = rows.mean(axis=0)
    rows -= mean
    eigenvalues, Q = eigh(rows.T @ rows / len(rows))
    eigenvalues = eigenvalues.clip(0)
    eigenvalues += share * eigenvalues.mean() if added is None else added
    # Directions without variance stay at 0: that of the rows' means, and all of them if there is
    # one row.  What rounding leaves of equal rows is less than 1e-14 of their norm.
    visible = eigenvalues > max(1e-12 * eigenvalues[-1], 1e-28)
    inverse = np.where(visible, 1 / np.sqrt(np.where(visible, eigenvalues, 1.0)), 0.0)
    return mean, (Q * inverse) @ Q.T


def centred_unit_rows(images):
    """Return rows (n, n_features) of mean 0 and norm 1; constant images become 0."""
    rows = images.reshape(len(images), -1)
    # With largest values of 1 no square overflows, and rounding errors have the same size.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # Centring leaves a rounding error in each pixel of a constant image, and √n_features times as
    # much in their norm.
    constant = norms <= 10 * np.finfo(rows.dtype).eps * np.sqrt(rows.shape[1])
    rows /= np.where(constant, 1, norms)
    rows[constant[:, 0]] = 0
    return rows
