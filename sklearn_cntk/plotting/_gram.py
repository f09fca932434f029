"""A Gram matrix and its spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigvalsh
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from .._support.docstrings import fill_docs
from ._fitted import training_targets, unwrap
from ._matplotlib import COLORS, import_pyplot, merged, short

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray

# Share of the entries beyond either end of the colour scale.  Without clipping, one pair of
# near-duplicates would leave a single colour for all others.
_CLIPPED = 0.005

# Boundaries and labels are drawn for up to this many classes.
_MARKED_CLASSES = 50


@fill_docs
class GramDisplay:
    """A Gram matrix ordered by class, next to its eigenvalues.

    It is recommended to use :meth:`from_estimator`, :meth:`from_kernel` or :meth:`from_gram`.

    Parameters
    ----------
    {gram}
    labels : array-like (n,), default=None
        Classes, by which rows and columns are ordered (long class names are shortened), or
        continuous targets, which order them without boundaries.  None keeps the order.
    eigenvalues : array-like (n,), default=None
        Eigenvalues in descending order.  None computes them.

    Attributes
    ----------
    order_ : ndarray (n,)
        Indices of the rows of `gram` in the order in which they are drawn.
    image_ : matplotlib AxesImage
    axes_ : ndarray of 2 matplotlib Axes
        Axes of the matrix and of the spectrum.
    {ax_}
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTK
    >>> from sklearn_cntk.plotting import GramDisplay
    >>> images, labels = load_digits().images[:100], load_digits().target[:100]
    >>> display = GramDisplay.from_kernel(CNTK(depth=4, normalize=True), images, labels)
    >>> display.gram.shape, display.eigenvalues.shape
    ((100, 100), (100,))
    """

    def __init__(
        self,
        gram: ArrayLike,
        labels: ArrayLike | None = None,
        eigenvalues: ArrayLike | None = None,
    ) -> None:
        self.gram: FloatArray = _check_gram(gram)
        self.labels: Array | None = None
        if labels is not None:
            self.labels = column_or_1d(labels)
            check_consistent_length(self.gram, labels)
        if eigenvalues is None:
            eigenvalues = eigvalsh(self.gram)[::-1]
        self.eigenvalues: FloatArray = np.asarray(eigenvalues)

    def plot(
        self,
        ax: Any = None,
        *,
        image_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the matrix and its spectrum.

        Parameters
        ----------
        ax : pair of matplotlib Axes, default=None
            Axes for the matrix and for the spectrum; None creates a figure.
        image_kw : dict, default=None
            Passed to ``imshow``.
        line_kw : dict, default=None
            Passed to ``plot`` for the eigenvalues.

        Returns
        -------
        self

        Raises
        ------
        {no_matplotlib}
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            _, ax = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
        elif np.shape(ax) != (2,):
            raise ValueError("ax must be a pair of axes, for the matrix and for the spectrum.")
        self.axes_ = np.array(ax, dtype=object)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._draw_matrix(self.axes_[0], image_kw or {})
        self._draw_spectrum(self.axes_[1], line_kw)
        return self

    def _draw_matrix(self, ax, image_kw):
        n = len(self.gram)
        self.order_ = np.arange(n)
        if self.labels is not None:
            self.order_ = np.argsort(self.labels, kind="stable")
        K = self.gram[np.ix_(self.order_, self.order_)]
        # The diagonal is so much larger than the rest that it would take up most of the colours.
        others = K[~np.eye(n, dtype=bool)] if n > 1 else K
        low, high = np.quantile(others, (_CLIPPED, 1 - _CLIPPED))
        options = {"vmin": low, "vmax": high, "cmap": "viridis", "interpolation": "nearest"}
        self.image_ = ax.imshow(K, **{**options, **image_kw})
        below, above = np.min(K) < low, np.max(K) > high
        extend = {(0, 0): "neither", (0, 1): "max", (1, 0): "min", (1, 1): "both"}[below, above]
        self.figure_.colorbar(self.image_, ax=ax, extend=extend, label="Kernel value")
        ax.set_title("Gram matrix")
        if self.labels is None:
            ax.set(xlabel="Image", ylabel="Image")
            return
        labels = self.labels[self.order_]
        classes, starts = np.unique(labels, return_index=True)
        if type_of_target(labels).startswith("continuous") or len(classes) > _MARKED_CLASSES:
            ax.set(xlabel="Image, ordered by target", ylabel="Image, ordered by target")
            return
        for start in starts[1:]:
            for line in (ax.axhline, ax.axvline):
                line(start - 0.5, color="white", linewidth=0.8)
        centres = (starts + np.append(starts[1:], n)) / 2 - 0.5
        names = [short(name) for name in classes]
        ax.set_xticks(centres, names, rotation=90 if max(map(len, names)) > 2 else 0)
        ax.set_yticks(centres, names)
        ax.tick_params(length=0, labelsize="small" if len(names) <= 20 else "xx-small")
        ax.set(xlabel="Class", ylabel="Class")

    def _draw_spectrum(self, ax, line_kw):
        from matplotlib.lines import Line2D

        index = np.arange(1, len(self.eigenvalues) + 1)
        positive, negative = self.eigenvalues > 0, self.eigenvalues < 0
        look = {"color": COLORS[0], "marker": ".", "linestyle": "-", "linewidth": 0.8}
        look = merged(look, line_kw, Line2D)
        ax.plot(index[positive], self.eigenvalues[positive], **look)
        if negative.any():
            ax.plot(
                index[negative],
                -self.eigenvalues[negative],
                color=COLORS[1],
                marker="x",
                linestyle="none",
                label="negative: absolute value",
            )
            ax.legend()
        if (positive | negative).any():
            ax.set_yscale("log")
        ax.grid(alpha=0.25)
        ax.set(title="Spectrum", xlabel="Rank", ylabel="Eigenvalue")

    @classmethod
    def from_gram(
        cls,
        gram: ArrayLike,
        y: ArrayLike | None = None,
        *,
        ax: Any = None,
        **plot_options: Any,
    ) -> Self:
        """Draw a Gram matrix.

        Parameters
        ----------
        {gram}
        {y_of_gram}
        ax : pair of matplotlib Axes, default=None
            None creates a figure.
        {plot_options}

        Returns
        -------
        GramDisplay

        Raises
        ------
        ValueError
            If `gram` is not square or not symmetric, or `y` has a different length.
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        return cls(gram, y).plot(ax, **plot_options)

    @classmethod
    def from_kernel(
        cls,
        kernel: Callable[[Any], ArrayLike],
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        ax: Any = None,
        **plot_options: Any,
    ) -> Self:
        """Compute a Gram matrix and draw it.

        Parameters
        ----------
        kernel : callable
            :class:`~sklearn_cntk.CNTK`, or any function that returns a matrix (n, n) for X.
        X : array-like, n images
        {y_of_gram}
        {as_from_gram}

        Returns
        -------
        GramDisplay
        """
        import_pyplot(cls.__name__)
        return cls.from_gram(kernel(X), y, ax=ax, **plot_options)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        ax: Any = None,
        **plot_options: Any,
    ) -> Self:
        """Draw the Gram matrix of a fitted estimator's training images, or of other images.

        Parameters
        ----------
        {fitted_estimator}
        X : array-like, n images, default=None
            None uses the training images.
        y : array-like (n,), default=None
            Classes, or continuous targets.  For the training images, None uses those given to fit,
            if there is one target and the estimator keeps them (``solver="nystroem"`` does not).
            With a `train_size`, the estimator keeps fewer images than fit was given: to show all of
            them, give X.
        {as_from_gram}

        Returns
        -------
        GramDisplay

        Raises
        ------
        {not_fitted}
        ValueError
            If `y` and the images differ in length, or a search was fitted with ``refit=False``.
        """
        import_pyplot(cls.__name__)
        model, images = unwrap(estimator, X)
        if images is None:
            images = model.X_fit_
            if y is None:
                targets = training_targets(model)
                y = targets if targets is not None and targets.ndim == 1 else None
            else:
                _check_length(y, model)
        return cls.from_kernel(model.kernel_, images, y, ax=ax, **plot_options)


def _check_length(y, model):
    """Raise unless y has as many values as the model has training images."""
    n = len(model.X_fit_)
    if len(y) == n:
        return
    reason = ""
    if model._fit_targets is None:
        reason = ' as landmarks (solver="nystroem")'
    elif model.train_size is not None:
        reason = f" (train_size={model.train_size!r})"
    raise ValueError(
        f"y has {len(y)} values, but the estimator kept {n} rows of those given to fit{reason}: "
        "give the images of y as X too, or leave y out."
    )


def _check_gram(gram):
    gram = check_array(gram, dtype=np.float64, input_name="gram")
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f"gram has shape {gram.shape}: a Gram matrix must be square.")
    if not np.allclose(gram, gram.T, rtol=1e-5, atol=1e-8 * np.abs(gram).max()):
        raise ValueError("gram is not symmetric: give the kernel values of images with themselves.")
    return gram
