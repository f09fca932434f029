"""The training images that contribute most to a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier

from .._support.checks import check_integer
from .._support.docstrings import fill_docs
from ._fitted import check_target, training_targets, true_labels, unwrap
from ._matplotlib import COLORS, import_pyplot
from ._pictures import (
    axes_grid,
    check_visible,
    column_width,
    draw_image,
    prediction_title,
    value_text,
)

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray, IntArray


@fill_docs
class NeighborsDisplay:
    """Images, each next to the training images that contribute most to its prediction.

    A prediction is a sum over training images, f(x) = Σ k(x, x_i) a_i with dual coefficients a,
    plus the mean of the targets for a regressor.  The display shows the signed terms of this sum:
    for the predicted class of a classifier (positive terms support that class), or for the target
    of a regressor.  It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray (m, height, width, channels)
        Images of 1 or 3 channels, in any range.
    predictions : ndarray (m,)
        Predicted classes or targets.
    neighbors : ndarray of int, shape (m, n_neighbors)
        Indices of rows of ``X_fit_``, in descending order of absolute contribution.
    neighbor_images : ndarray (m, n_neighbors, height, width, channels)
    contributions : ndarray (m, n_neighbors)
        Terms of these training images in the sum.
    decisions : ndarray (m,)
        The full sums, without the mean of a regressor's targets.
    neighbor_labels : ndarray (m, n_neighbors), default=None
        Classes or targets of the training images.
    labels : ndarray (m,), default=None
        True classes or targets.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (m, 1 + n_neighbors)
    {ax_}
    figure_ : matplotlib Figure

    Notes
    -----
    Each image is scaled for display by its own smallest and largest value.  In a pipeline, images
    are shown as the last step sees them.  Long class names are shortened.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifier
    >>> from sklearn_cntk.plotting import NeighborsDisplay
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = CNTKClassifier(depth=3).fit(images[:200], labels[:200])
    >>> display = NeighborsDisplay.from_estimator(model, images[200:203], y=labels[200:203])
    >>> display.contributions.shape
    (3, 5)
    """

    def __init__(
        self,
        images: Array,
        predictions: Array,
        neighbors: IntArray,
        neighbor_images: Array,
        contributions: FloatArray,
        decisions: FloatArray,
        *,
        neighbor_labels: Array | None = None,
        labels: Array | None = None,
    ) -> None:
        self.images = images
        self.predictions = predictions
        self.neighbors = neighbors
        self.neighbor_images = neighbor_images
        self.contributions = contributions
        self.decisions = decisions
        self.neighbor_labels = neighbor_labels
        self.labels = labels

    def plot(self, ax: Any = None) -> Self:
        """Draw one row per image, with its neighbours to the right.

        Parameters
        ----------
        {neighbor_axes}

        Returns
        -------
        self

        Raises
        ------
        {no_matplotlib}
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        m, k = np.shape(self.contributions)
        width = column_width(self.predictions, self.labels, self.neighbor_labels)
        self.axes_ = axes_grid(plt, ax, (m, 1 + k), (width * (1 + k), 1.75 * m + 0.2))
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        for row in range(m):
            draw_image(self.axes_[row, 0], self.images[row])
            title = prediction_title(self.predictions, self.labels, row)
            self.axes_[row, 0].set_title(title, fontsize="small")
            for column in range(k):
                self._draw_neighbor(self.axes_[row, 1 + column], row, column)
        return self

    def _draw_neighbor(self, ax, row, column):
        contribution = self.contributions[row, column]
        color = COLORS[0 if contribution > 0 else 1]
        draw_image(ax, self.neighbor_images[row, column], color)
        text = value_text(float(contribution), sign="+")
        if self.neighbor_labels is not None:
            text = f"{value_text(self.neighbor_labels[row, column])}\n{text}"
        ax.set_title(text, fontsize="small")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_neighbors: int = 5,
        y: ArrayLike | None = None,
        target: int = 0,
        ax: Any = None,
    ) -> Self:
        """Compute the contributions to the predictions for X and draw the largest.

        Parameters
        ----------
        {fitted_estimator}
        X : array-like, m images
        n_neighbors : int, default=5
            Number of training images to show for each image; all of them if there are fewer.
        y : array-like (m,), default=None
            True classes or targets, which are also shown.
        target : int, default=0
            Column of the targets, for a regressor with several targets.
        {neighbor_axes}

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ValueError
            If images cannot be shown because they are feature vectors or, unless they have only one
            row or column, do not have 1 or 3 channels; if there is no such `target`; or if a search
            was fitted with ``refit=False``.
        {not_fitted}
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        model, images = unwrap(estimator, X)
        check_integer("n_neighbors", n_neighbors, 1, "use 1 or more")
        check_visible(images)
        check_target(model, target, "the predicted class of each image is shown; leave target out")
        labels = true_labels(model, images, y, target)
        terms, predictions, known = _contributions(model, images, target)
        order = np.argsort(-np.abs(terms), axis=1, kind="stable")[:, :n_neighbors]
        return cls(
            images,
            predictions,
            order,
            model.X_fit_[order],
            np.take_along_axis(terms, order, axis=1),
            terms.sum(axis=1),
            neighbor_labels=None if known is None else known[order],
            labels=labels,
        ).plot(ax)


def _contributions(model, images, target):
    """Return terms (m, n) of the sums, predictions (m,), and training targets (n,) or None."""
    (K,) = model.kernel_._job(images).of_known_store().gram(images, model.X_fit_)
    dual = model.dual_coef_
    known = training_targets(model)
    if is_classifier(model):
        decisions = K @ dual
        predictions = model._labels(decisions)
        if dual.ndim == 1:  # coefficients of the second class; the first class has their negatives
            return K * dual * np.where(decisions > 0, 1, -1)[:, None], predictions, known
        return K * dual.T[decisions.argmax(axis=1)], predictions, known
    offset = model.intercept_
    if dual.ndim == 2:
        dual, offset = dual[:, target], offset[target]
        known = None if known is None else known[:, target]
    return K * dual, K @ dual + offset, known
