"""Features of random image patches."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from .._models.base import ImageEstimator
from .._support.checks import check_integer
from .._support.docstrings import fill_docs
from .._support.images import on_host
from .._support.ram import check_memory
from ._base import Forms, check_nonnegative, result_dtype
from ._patch_maps import patch_maps, windows
from ._whitening import centred_unit_rows, learn_whitening

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray, ImageShape, RandomState

# Maximum number of patches that the whitening is learned from.
_SAMPLE = 100_000


@fill_docs
class _PatchTransform(Forms):
    """A base class with a `transform` to maps."""

    def transform(self, X: ArrayLike) -> Array:
        """Compute the feature maps of images.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray (m, P', Q', 2 * n_patches), or (m, n_features_out) for rows
            float32 if `X` is float32, otherwise float64.  Rows are returned as a table if
            `set_output` asks for one.

        Raises
        ------
        MemoryError
            If the maps do not fit in memory; nothing is computed.
        """
        return self._transformed(on_host(X))


@fill_docs
class PatchFeatures(
    _PatchTransform, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ImageEstimator
):
    """Convolve images with random patches, and pool the result to small images of many channels.

    The filters are random patches of the training images, as proposed by Coates, Lee and Ng [1]_
    [2]_; Li et al. [3]_ use these features as input of a CNTK.  The kernel then has few pixels to
    process, which makes global average pooling affordable on CPUs.

    The mean of every patch of an image is subtracted; the patch is then scaled to norm 1 and
    whitened as :class:`ZCAWhitening` does for images.  The filters are `n_patches` random patches,
    preprocessed in the same way and scaled to norm 1.  The inner product z of a patch with a filter
    gives two channels, max(z - bias, 0) and max(-z - bias, 0).  Averaging over windows of
    `pool_size` patches makes the maps smaller.

    Parameters
    ----------
    n_patches : int, default=256
        Number of filters, half the number of channels.  Time grows in proportion to it.
    patch_size : int or tuple (rows, columns), default=6
        Size of a patch in pixels.  For signals and images of one row, an int is the number of
        columns.
    pool_size : int or tuple (rows, columns), default=9
        Number of patches whose channels are averaged; neighbouring patches start one pixel apart.
    strides : int or tuple (rows, columns), default=None
        Number of patches from one window to the next; None uses `pool_size`.  As in Keras with
        ``padding="valid"``, incomplete windows at the end of the map are left out.
    bias : float, default=0.5
        Threshold that inner products, whose standard deviation is nearly 1, must exceed: larger
        values make sparser maps.
    regularization : float, default=0.1
        Share of the mean eigenvalue of the covariance of the patches that is added to all
        eigenvalues.
    image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
        Shape of the images that rows of 2-D input hold.  Without it, each row is an image of one
        pixel, and patches cannot be larger.
    random_state : int, RandomState instance or None, default=None
        Determines the random patches.  With the same seed, a smaller `n_patches` gives the first
        patches of a larger one.

    Attributes
    ----------
    filters_ : ndarray of float64, shape (n_patches, height, width, channels)
        Random patches, whitened and scaled to norm 1.
    mean_ : ndarray of float64, shape (height * width * channels,)
        Mean of the sampled patches, each first normalised to mean 0 and norm 1.
    whitening_ : ndarray of float64, square
    output_shape_ : tuple (P', Q', 2 * n_patches)
        The `image_shape` of rows for the next step.  P' is ``(P - patch - pool + 1) // stride + 1``
        for P pixels, and Q' likewise.
    {image_shape_}
    {n_features_in_}

    See Also
    --------
    ZCAWhitening : Whitening of whole images.

    Notes
    -----
    The whitening is learned from up to 100 000 random patches.  Constant patches are left out of
    it, and their features are 0.  They become filters, which are then 0, only if there are too few
    other patches.

    :meth:`fit` needs three times the memory of these patches in float64: 260 MB for 6 × 6 × 3
    pixels.  :meth:`transform` needs a few megabytes in addition to its result, or the memory of one
    row of patches of an image if that is more.

    References
    ----------
    .. [1] A. Coates, H. Lee, A. Y. Ng, "An Analysis of Single-Layer Networks in Unsupervised
       Feature Learning", AISTATS 2011.
    .. [2] A. Coates, A. Y. Ng, "The Importance of Encoding Versus Training with Sparse Coding and
       Vector Quantization", ICML 2011.
    .. [3] Z. Li, R. Wang, D. Yu, S. S. Du, W. Hu, R. Salakhutdinov, S. Arora, "Enhanced
       Convolutional Neural Tangent Kernels", 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_cntk import CNTKClassifier
    >>> from sklearn_cntk.preprocessing import PatchFeatures
    >>> images, labels = load_digits().images, load_digits().target
    >>> features = PatchFeatures(32, patch_size=3, pool_size=2, random_state=0)
    >>> features.fit_transform(images).shape
    (1797, 3, 3, 64)
    >>> model = make_pipeline(features, CNTKClassifier(depth=3))
    >>> bool(model.fit(images[:200], labels[:200]).score(images[200:300], labels[200:300]) > 0.9)
    True
    """

    if TYPE_CHECKING:
        filters_: FloatArray
        mean_: FloatArray
        whitening_: FloatArray
        output_shape_: tuple[int, int, int]

    def __init__(
        self,
        n_patches: int = 256,
        patch_size: int | tuple[int, int] = 6,
        *,
        pool_size: int | tuple[int, int] = 9,
        strides: int | tuple[int, int] | None = None,
        bias: float = 0.5,
        regularization: float = 0.1,
        image_shape: ImageShape = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_patches = n_patches
        self.patch_size = patch_size
        self.pool_size = pool_size
        self.strides = strides
        self.bias = bias
        self.regularization = regularization
        self.image_shape = image_shape
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Draw the patches and learn the whitening.

        Parameters
        ----------
        {X}
        {no_y}

        Returns
        -------
        self

        Raises
        ------
        {unusable}
        """
        images = self._check_images(X, reset=True)
        n_patches = check_integer("n_patches", self.n_patches, 1, "use 1 or more patches")
        self._bias = check_nonnegative("bias", self.bias)
        share = check_nonnegative("regularization", self.regularization)
        sides = self._patch_sides()
        self._pooling = self._pooling_of(sides)
        rows = centred_unit_rows(self._sample(windows(images, sides), n_patches))
        rows = rows[rows.any(axis=1)]
        drawn = rows[:n_patches].copy()
        if len(rows) == 0:  # every patch is constant: the whitening is 0
            rows = np.zeros((1, rows.shape[1]))
        self.mean_, self.whitening_ = learn_whitening(rows, share)
        filters = np.zeros((n_patches, rows.shape[1]))
        filters[: len(drawn)] = (drawn - self.mean_) @ self.whitening_
        norms = np.linalg.norm(filters, axis=1, keepdims=True)
        filters /= np.where(norms > 0, norms, 1.0)
        self.filters_ = filters.reshape(n_patches, *sides, images.shape[3])
        self.output_shape_ = *self._pooling[0], 2 * n_patches
        return self

    def _sample(self, patches, n_patches):
        """Return rows of random patches in float64, up to `_SAMPLE`, or `n_patches` if larger."""
        n, *positions = patches.shape[:3]
        total = n * prod(positions)
        if n_patches > total:
            raise ValueError(
                f"n_patches={n_patches} is too large: n_samples={n} images of {prod(positions)} "
                f"patches each have {total}. Use at most that many, or more images."
            )
        generator = check_random_state(self.random_state)
        size = min(total, max(_SAMPLE, n_patches))
        numbers = sample_without_replacement(total, size, random_state=generator)
        places = np.unravel_index(generator.permutation(numbers), patches.shape[:3])
        return patches[places].reshape(size, -1).astype(np.float64, copy=False)

    def _transform_images(self, images):
        dtype = result_dtype(images)
        check_memory(
            len(images) * self._n_features_out * dtype.itemsize,
            f"{self._n_features_out} features of {len(images)} images",
            "use fewer patches or images, or a larger pool_size",
        )
        n_patches, *sides, _ = self.filters_.shape
        projections = self.whitening_ @ self.filters_.reshape(n_patches, -1).T
        return patch_maps(
            windows(images, tuple(sides)),
            self.mean_.astype(dtype),
            projections.astype(dtype),
            self._bias,
            self._pooling,
        )

    def _patch_sides(self):
        """Return the rows and columns of a patch, which must fit into the images."""
        rows, columns, channels = self.image_shape_
        height, width = self._sizes("patch_size", self.patch_size)
        if height > rows or width > columns:
            hint = "" if rows * columns > 1 else ", or set image_shape if rows of X hold images"
            raise ValueError(
                f"patch_size={self.patch_size!r} is larger than images of {rows} × {columns} "
                f"pixels: use up to {(rows, columns)}{hint}."
            )
        if height * width * channels == 1:
            raise ValueError(
                f"patch_size={self.patch_size!r} makes patches of one number (n_features=1), which "
                "become 0 when their mean is subtracted: use larger patches."
            )
        return height, width

    def _pooling_of(self, sides):
        """Return number, sides and steps of the windows over the map of patches of these sides."""
        positions = [n - side + 1 for n, side in zip(self.image_shape_, sides, strict=False)]
        pool = self._sizes("pool_size", self.pool_size)
        steps = pool if self.strides is None else self._sizes("strides", self.strides)
        if any(side > n for side, n in zip(pool, positions, strict=True)):
            raise ValueError(
                f"pool_size={self.pool_size!r} is larger than the map of {positions[0]} × "
                f"{positions[1]} patches: use up to {tuple(positions)}, or smaller patches."
            )
        axes = zip(positions, pool, steps, strict=True)
        rows, columns = ((n - side) // step + 1 for n, side, step in axes)
        return (rows, columns), pool, steps

    def _sizes(self, name, value):
        """Return a parameter as (rows, columns); an integer applies to axes of 2 or more pixels."""
        several = isinstance(value, (tuple, list))
        if several and len(value) != 2:
            raise ValueError(f"{name}={value!r} must be an integer, or a pair (rows, columns).")
        sizes = value if several else (value, value)
        rows, columns = (check_integer(name, size, 1, "use 1 or more pixels") for size in sizes)
        if several or self.image_shape_[:2] == (1, 1):
            return rows, columns
        return tuple(
            k if n > 1 else 1 for k, n in zip((rows, columns), self.image_shape_, strict=False)
        )

    @property
    def _n_features_out(self):
        return prod(self.output_shape_)
