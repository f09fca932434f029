"""Kernels of images under scikit-learn's kernel contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from sklearn.gaussian_process.kernels import Kernel

from .._support.docstrings import fill_docs
from .._support.images import as_images

if TYPE_CHECKING:
    from .._support.typing import ArrayLike, FloatArray, ImageShape


@fill_docs
class ImageKernel(Kernel):
    """A kernel whose parameters Gaussian processes leave alone.

    Classes implement `_gram` and `_diagonal`, and those with hyperparameters `_gram_and_gradient`.
    """

    if TYPE_CHECKING:
        image_shape: ImageShape

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Compute the kernel values of all pairs of X and Y.

        Parameters
        ----------
        {X}
        Y : array-like of the same kind with m images, default=None
            None, or the same object as `X`, computes the symmetric Gram matrix of `X` from its
            upper triangle.
        eval_gradient : bool, default=False
            Whether to also return the gradient, with respect to the logarithms of the
            hyperparameters that Gaussian processes optimise.

        Returns
        -------
        K : ndarray of float64, shape (n, m)
            A new array.
        K_gradient : ndarray of float64, shape (n, n, n_dims)
            Only with ``eval_gradient=True``; ``n_dims`` is 0 where all hyperparameters are fixed.

        Raises
        ------
        {unusable_at_once}
        {kernel_overflow}
        """
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        symmetric = Y is None or Y is X
        X = as_images(X, self.image_shape)
        Y = None if symmetric else as_images(Y, self.image_shape, name="Y")
        return self._gram_and_gradient(X) if eval_gradient else self._gram(X, Y)

    def _gram_and_gradient(self, images):
        """The Gram matrix of images, and its derivatives (n, n, n_dims) by ``theta``."""
        K = self._gram(images)
        return K, np.empty((*K.shape, 0))

    def diag(self, X: ArrayLike) -> FloatArray:
        """Compute the kernel value of each image with itself, at the cost of n pairs.

        Parameters
        ----------
        {X}

        Returns
        -------
        ndarray of float64, shape (n,)
            The diagonal of the Gram matrix of `X`.

        Raises
        ------
        {unusable_at_once}
        {kernel_overflow}
        """
        return self._diagonal(as_images(X, self.image_shape))

    def is_stationary(self) -> bool:
        """Whether the kernel depends only on differences of its inputs, which it does not.

        Returns
        -------
        bool
            False.
        """
        return False

    def __repr__(self) -> str:
        defaults = type(self)().get_params()
        params = {
            k: v.item() if isinstance(v, np.generic) else v for k, v in self.get_params().items()
        }
        changed = {k: v for k, v in params.items() if repr(v) != repr(defaults[k])}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"
