"""Which training images a prediction comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_consistent_length, column_or_1d

from .._support.checks import check_integer, is_integer
from .._support.docstrings import fill_docs
from ._fitted import training_targets, unwrap
from ._matplotlib import COLORS, import_pyplot, short

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray, IntArray


@fill_docs
class NeighborsDisplay:
    """Images, each beside the training images that weigh most in its prediction.

    A prediction is a sum over training images, f(x) = Σ k(x, x_i) a_i with the dual coefficients
    a, and of a regressor the mean of its targets.  The sum's terms are shown, signed: of the
    predicted class for a classifier (positive speaks for that class), of the target for a
    regressor.  It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray (m, height, width, channels)
        Of 1 or 3 channels, in any range.
    predictions : ndarray (m,)
        Predicted classes or targets.
    neighbors : ndarray of int, shape (m, n_neighbors)
        Rows of ``X_fit_``, those of the largest absolute contribution first.
    neighbor_images : ndarray (m, n_neighbors, height, width, channels)
    contributions : ndarray (m, n_neighbors)
        Their terms of the sum.
    decisions : ndarray (m,)
        The whole sums, without the mean of a regressor's targets.
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
    are shown as the last step sees them.  Long names of classes are drawn shortened.

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
        """Draw: a row for each image, with its neighbours to the right.

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
        shape = (m, 1 + k)
        if ax is None:
            size = (self._column_width() * shape[1], 1.75 * m + 0.2)
            _, ax = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
        elif np.shape(ax) != shape:
            raise ValueError(
                f"ax has shape {np.shape(ax)}: give axes of shape {shape}, a row for each image, "
                "or None."
            )
        self.axes_ = np.array(ax, dtype=object)
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        for row in range(m):
            self._draw_image(self.axes_[row, 0], self.images[row])
            self.axes_[row, 0].set_title(self._prediction(row), fontsize="small")
            for column in range(k):
                self._draw_neighbor(self.axes_[row, 1 + column], row, column)
        return self

    def _column_width(self):
        """Inches that hold the titles: "predicted" and the longest label of a line."""
        longest = max(len(_text(label)) for label in self._shown_labels())
        return max(1.35, 0.075 * (len("predicted ") + longest))

    def _shown_labels(self):
        for labels in (self.predictions, self.labels, self.neighbor_labels):
            yield from () if labels is None else np.ravel(labels)

    def _draw_image(self, ax, image, color=None):
        if _is_signal(image):
            ax.plot(image.reshape(-1, image.shape[2]), linewidth=1)
        else:
            ax.imshow(to_display(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(visible=color is not None, color=color, linewidth=2)

    def _prediction(self, row):
        text = f"predicted {_text(self.predictions[row])}"
        return text if self.labels is None else f"{text}\ntrue {_text(self.labels[row])}"

    def _draw_neighbor(self, ax, row, column):
        contribution = self.contributions[row, column]
        color = COLORS[0 if contribution > 0 else 1]
        self._draw_image(ax, self.neighbor_images[row, column], color)
        text = _text(float(contribution), sign="+")
        if self.neighbor_labels is not None:
            text = f"{_text(self.neighbor_labels[row, column])}\n{text}"
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
        """Compute the contributions to the predictions for X, and draw the largest.

        Parameters
        ----------
        {fitted_estimator}
        X : array-like, m images
        n_neighbors : int, default=5
            Training images to show for each; all, where there are fewer.
        y : array-like (m,), default=None
            True classes or targets, to be shown as well.
        target : int, default=0
            Column of the targets of a regressor with several; for all else it stays 0.
        {neighbor_axes}

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ValueError
            Images that cannot be shown: feature vectors, or channels other than 1 or 3, unless
            they have one row or column.  No such `target`.  A search that was fitted with
            ``refit=False``.
        {not_fitted}
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        model, images = unwrap(estimator, X)
        check_integer("n_neighbors", n_neighbors, 1, "use 1 or more")
        _check_visible(images)
        _check_target(model, target)
        terms, predictions, known = _contributions(model, images, target)
        labels = None
        if y is not None:
            labels = np.asarray(y)
            if labels.ndim == 2 and not is_classifier(model):
                labels = labels[:, target]
            labels = column_or_1d(labels)
            check_consistent_length(images, labels)
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
    """Terms (m, n) of the sums, the predictions (m,), and the training targets (n,) or None."""
    (K,) = model.kernel_._job(images).of_known_store().gram(images, model.X_fit_)
    dual = model.dual_coef_
    known = training_targets(model)
    if is_classifier(model):
        decisions = K @ dual
        predictions = model._labels(decisions)
        if dual.ndim == 1:  # of the second class; the first one's are their negatives
            return K * dual * np.where(decisions > 0, 1, -1)[:, None], predictions, known
        return K * dual.T[decisions.argmax(axis=1)], predictions, known
    offset = model.intercept_
    if dual.ndim == 2:
        dual, offset = dual[:, target], offset[target]
        known = None if known is None else known[:, target]
    return K * dual, K @ dual + offset, known


def _check_target(model, target):
    n_targets = 1 if is_classifier(model) or model.dual_coef_.ndim == 1 else len(model.dual_coef_.T)
    if is_integer(target) and target in range(n_targets):
        return
    if is_classifier(model):
        raise ValueError(
            f"target={target!r} is for regressors: of a {type(model).__name__} the predicted class "
            "of each image is shown; leave target out."
        )
    numbers = f"0 to {n_targets - 1}" if n_targets > 1 else "0, for there is one target"
    raise ValueError(f"target={target!r} is no column: use {numbers}.")


def _check_visible(images):
    rows, columns, channels = images.shape[1:]
    if (rows, columns) == (1, 1):
        raise ValueError(
            f"X holds feature vectors of {channels} features, which are no images to show: fit "
            "with image_shape, or with images (n, height, width)."
        )
    if channels not in (1, 3) and not _is_signal(images[0]):
        raise ValueError(f"X holds images of {channels} channels: 1 or 3 can be shown.")


def _is_signal(image):
    """Whether an image has one row or column, which is shown as a line a channel."""
    return 1 in image.shape[:2]


def to_display(image):
    """An image (P, Q, C) in [0, 1], by its own range, as matplotlib takes it: (P, Q), (P, Q, 3)."""
    image = np.asarray(image, dtype=np.float64)
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return scaled[..., 0] if image.shape[-1] == 1 else scaled


def _text(value, sign="-"):
    """A class or a target, short; `sign` is "+" where positive numbers show theirs."""
    if not isinstance(value, (float, np.floating)):
        return short(value)
    # As many digits as fit above an image: 0.123, 12.3, 12345, 1.23e+07.
    digits = ".0f" if 1e3 <= abs(float(value)) < 1e6 else ".3g"
    return f"{value:{sign}{digits}}".replace("-", "\N{MINUS SIGN}")
