"""The parts of an image that a prediction depends on."""

from __future__ import annotations

import numbers
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier

from .._support.checks import check_choice, check_integer
from .._support.docstrings import fill_docs
from .._support.ram import check_memory
from ._fitted import check_target, images_as_given, in_form_of, true_labels, unwrap
from ._matplotlib import COLORS, import_pyplot
from ._pictures import (
    axes_grid,
    check_visible,
    column_width,
    draw_image,
    is_signal,
    prediction_title,
    to_display,
    value_text,
)

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, FloatArray, ImageShape, ResponseMethod

# Names of what the methods of estimators return.
_QUANTITIES = {
    "decision_function": "decision",
    "predict_proba": "probability",
    "predict": "prediction",
}

# Grey frame, because white parts of an image would otherwise have no border.
_FRAME = "0.8"


@fill_docs
class OcclusionDisplay:
    """Images, each next to a map of how much covering a patch lowers its prediction.

    A square patch is moved over the image and replaced by a fill value, as in [1]_; each position
    is one cell of the map.  Cells are positive (blue) where the covered pixels support the class,
    or raise the prediction of a regressor, and negative (orange) where they do the opposite.  It is
    recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray (m, height, width, channels)
        Images of 1 or 3 channels, in any range.
    predictions : ndarray (m,)
        Predicted classes or targets of the original images.
    maps : ndarray (m, n_rows, n_columns)
        Decision for the original image minus that for the image with a patch covered.
    decisions : ndarray (m,)
        Decisions for the original images.
    patch_shape : tuple (rows, columns)
        Size of a patch in pixels.
    stride : int, default=1
        Pixels from one position of the patch to the next.
    classes : ndarray (m,), default=None
        Classes that the decisions refer to; None for a regressor.
    labels : ndarray (m,), default=None
        True classes or targets.
    quantity : str, default="decision"
        Name of the decisions in the labels of the figure.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (m, 2)
        Axes of the images and of the maps.
    {ax_}
    heatmaps_ : list of matplotlib AxesImage
        One per image.
    colorbar_ : matplotlib Colorbar
        Colour bar shared by all maps.
    figure_ : matplotlib Figure

    See Also
    --------
    NeighborsDisplay : The training images that contribute most to a prediction.

    Notes
    -----
    In a pipeline, images are covered and shown as the first step sees them.

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, section 4.2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifier
    >>> from sklearn_cntk.plotting import OcclusionDisplay
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = CNTKClassifier(depth=3).fit(images[:200], labels[:200])
    >>> display = OcclusionDisplay.from_estimator(model, images[200:203], patch_size=3, fill=0)
    >>> display.maps.shape
    (3, 6, 6)
    """

    def __init__(
        self,
        images: Array,
        predictions: Array,
        maps: FloatArray,
        decisions: FloatArray,
        patch_shape: tuple[int, int],
        *,
        stride: int = 1,
        classes: Array | None = None,
        labels: Array | None = None,
        quantity: str = "decision",
    ) -> None:
        self.images = images
        self.predictions = predictions
        self.maps = maps
        self.decisions = decisions
        self.patch_shape = patch_shape
        self.stride = stride
        self.classes = classes
        self.labels = labels
        self.quantity = quantity

    def plot(self, ax: Any = None, *, image_kw: dict[str, Any] | None = None) -> Self:
        """Draw one row per image, with its map to the right and each cell where its patch was.

        Parameters
        ----------
        {occlusion_axes}
        image_kw : dict, default=None
            Passed to ``imshow`` for the maps.  By default, the colour scale extends to the largest
            absolute value of all maps.

        Returns
        -------
        self

        Raises
        ------
        {no_matplotlib}
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        m = len(self.images)
        width = column_width(self.predictions, self.labels, self.classes)
        self.axes_ = axes_grid(plt, ax, (m, 2), (2 * width + 1, 1.75 * m + 0.2))
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        limit = np.abs(self.maps).max() or 1.0
        options = {"cmap": _colors(), **(image_kw or {})}
        if "norm" not in options:
            options = {"vmin": -limit, "vmax": limit, **options}
        self.heatmaps_ = []
        for row, (left, right) in enumerate(self.axes_):
            draw_image(left, self.images[row], _FRAME)
            title = prediction_title(self.predictions, self.labels, row)
            left.set_title(title, fontsize="small")
            self.heatmaps_.append(self._draw_map(right, row, options))
            if self.classes is not None:
                title = f"{self.quantity} of {value_text(self.classes[row])}"
                title = f"{title}\n{value_text(float(self.decisions[row]))}"
                right.set_title(title, fontsize="small")
        self.colorbar_ = self.figure_.colorbar(
            self.heatmaps_[0], ax=self.axes_[:, 1].tolist(), label=f"Drop of the {self.quantity}"
        )
        return self

    def _draw_map(self, ax, row, options):
        image = self.images[row]
        draw_image(ax, image, _FRAME)
        limits = ax.axis()
        places = zip(self.patch_shape, np.shape(self.maps)[1:], strict=True)
        # Cells are as wide as a step and centred on their patches.
        (top, bottom), (left, right) = (
            ((side - self.stride) / 2 - 0.5, (side + (2 * n - 1) * self.stride) / 2 - 0.5)
            for side, n in places
        )
        values = self.maps[row]
        if is_signal(image):
            if image.shape[1] == 1:  # a column, which is drawn as a row
                values, left, right = values.T, top, bottom
            bottom, top = limits[2:]
            for line in ax.lines:
                line.set_color("0.3")
            look = {"aspect": "auto", "alpha": 0.6}
        else:  # the image in pale grey, so that colours stand out
            pale = to_display(image)
            pale = pale if pale.ndim == 2 else pale.mean(axis=2)
            ax.images[0].set_data(0.75 + 0.25 * pale)
            look = {"alpha": 0.65, "interpolation": "nearest"}
        extent = (left, right, bottom, top)
        heatmap = ax.imshow(values, **{**look, "extent": extent, **options})
        ax.axis(limits)
        return heatmap

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        patch_size: int | None = None,
        stride: int = 1,
        fill: ArrayLike = "mean",
        response_method: ResponseMethod = "auto",
        class_of_interest: Any = None,
        target: int = 0,
        y: ArrayLike | None = None,
        image_shape: ImageShape = None,
        ax: Any = None,
        **plot_options: Any,
    ) -> Self:
        """Predict for X with every patch covered, in one call of the estimator, and draw the maps.

        Parameters
        ----------
        {fitted_estimator}
        X : array-like, m images
        patch_size : int, default=None
            Height and width of the patch; for signals, its length.  None uses a quarter of the
            shorter side, or of a signal's length, rounded down.
        stride : int, default=1
            Pixels from one position of the patch to the next.  The estimator predicts
            ``((height - patch_size) // stride + 1) * ((width - patch_size) // stride + 1)``
            copies of each image.  Rows and columns after the last whole step stay uncovered.
        fill : "mean", float or array-like (channels,), default="mean"
            Value that replaces the patch, in the range of X: "mean" is the mean of each channel of
            the image.  For images with a background, the background value removes content without
            adding any.  It is rounded if X holds integers.
        response_method : {"auto", "decision_function", "predict_proba"}, default="auto"
            Method to call.  "auto" is "decision_function" for a classifier, and ``predict`` for a
            regressor.
        class_of_interest : object, default=None
            For a classifier, the class whose decision is shown; None uses the class predicted for
            each original image.
        target : int, default=0
            Column of the targets, for a regressor with several targets.
        y : array-like (m,), default=None
            True classes or targets, which are also shown.
        image_shape : tuple (height, width, channels), (height, width) or (length,), default=None
            Shape of the images that rows of X hold.  None uses the shape seen by the first step
            from this package.
        {occlusion_axes}
        {plot_options}

        Returns
        -------
        OcclusionDisplay

        Raises
        ------
        ValueError
            If images cannot be shown (see :meth:`NeighborsDisplay.from_estimator`); if the patch is
            larger than the images; if `fill` is not finite or has the wrong number of channels; if
            there is no such `class_of_interest` or `target`; if a parameter for classifiers is
            given for a regressor, or vice versa; or if a search was fitted with ``refit=False``.
        {not_fitted}
        MemoryError
            If the copies do not fit in memory; nothing is computed.
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        model, _ = unwrap(estimator, X)
        method = _method(model, response_method)
        column = _column(model, class_of_interest, target)
        images = images_as_given(estimator, X, image_shape)
        check_visible(images, "fit with images (n, height, width), or give image_shape")
        labels = true_labels(model, images, y, target)
        patch = _patch_shape(patch_size, images)
        stride = check_integer("stride", stride, 1, "use 1 or more pixels")

        covered, places = _covered(images, patch, stride, _fill_values(fill, images))
        values = _columns(getattr(estimator, method)(in_form_of(X, covered)), model)
        values = values.reshape(len(images), -1, values.shape[1])
        chosen = np.full(len(images), column or 0)
        predictions, classes = values[:, 0, target], None
        if is_classifier(model):
            predicted = values[:, 0].argmax(axis=1)
            chosen = predicted if column is None else chosen
            predictions, classes = model.classes_[predicted], model.classes_[chosen]
        values = values[np.arange(len(images)), :, chosen]
        return cls(
            images,
            predictions,
            (values[:, :1] - values[:, 1:]).reshape(-1, *places),
            values[:, 0],
            patch,
            stride=stride,
            classes=classes,
            labels=labels,
            quantity=_QUANTITIES[method],
        ).plot(ax, **plot_options)


def _colors():
    """Return a colour map: orange for evidence against, white for none, blue for evidence for."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against_for", [COLORS[1], "white", COLORS[0]])


def _method(model, response_method):
    """Return the name of the method to call for `response_method`."""
    check_choice("response_method", response_method, ("auto", *list(_QUANTITIES)[:2]))
    if is_classifier(model):
        return "decision_function" if response_method == "auto" else response_method
    if response_method != "auto":
        raise ValueError(
            f"response_method={response_method!r} is for classifiers: for a {type(model).__name__} "
            "the prediction is shown; leave response_method out."
        )
    return "predict"


def _column(model, class_of_interest, target):
    """Return the column of a class or target, or None for the predicted class of each image."""
    check_target(model, target, "a class_of_interest can be chosen; leave target out")
    if class_of_interest is None:
        return None if is_classifier(model) else target
    if not is_classifier(model):
        raise ValueError(
            f"class_of_interest={class_of_interest!r} is for classifiers: a {type(model).__name__} "
            "has none; leave it out, or choose a target."
        )
    classes = model.classes_.tolist()
    if np.ndim(class_of_interest) or class_of_interest not in classes:
        raise ValueError(
            f"class_of_interest={class_of_interest!r} is not a class: use one of {classes}, or "
            "None."
        )
    return classes.index(class_of_interest)


def _columns(values, model):
    """Return predicted values as columns (n, k), one for each class or target."""
    if values.ndim == 2:
        return values
    # With two classes, the value is the decision for the second; the first has its negative.
    return np.column_stack([-values, values] if is_classifier(model) else [values])


def _patch_shape(patch_size, images):
    """Return the rows and columns of the patch; for signals, one of them is 1."""
    sides = images.shape[1:3]
    longest = max(sides) if is_signal(images[0]) else min(sides)
    if patch_size is None:
        patch_size = max(1, longest // 4)
    patch_size = check_integer("patch_size", patch_size, 1, "use 1 or more pixels")
    if patch_size > longest:
        raise ValueError(
            f"patch_size={patch_size} is larger than images of {sides[0]} × {sides[1]} pixels: "
            f"use up to {longest}."
        )
    return min(patch_size, sides[0]), min(patch_size, sides[1])


def _fill_values(fill, images):
    """Return values (m, channels) for patches that the dtype of the images can hold."""
    channels, dtype = images.shape[3], images.dtype
    if isinstance(fill, str) and fill == "mean":
        values = images.mean(axis=(1, 2), dtype=np.float64)
    else:
        is_number = isinstance(fill, numbers.Number) or _length(fill) == channels
        values = np.asarray(fill if is_number else np.nan)
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ValueError(
                f"fill={fill!r} cannot be used: use 'mean', a finite number, or {channels} of "
                "them, one for each channel."
            )
        values = np.broadcast_to(values, (len(images), channels))
    if dtype.kind in "iu":
        values, limits = np.rint(values), np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise ValueError(
                f"fill={fill!r} is outside the range of {dtype}, the dtype of X: use numbers from "
                f"{limits.min} to {limits.max}."
            )
    return values > 0.5 if dtype.kind == "b" else values


def _length(fill):
    """Return the number of values, or None if `fill` is not one-dimensional."""
    try:
        values = np.asarray(fill)
    except ValueError:  # lists of unequal length
        return None
    return len(values) if values.ndim == 1 else None


def _covered(images, patch, stride, values):
    """Return each image, followed by copies with a patch of the values at every place, by row.

    Returns
    -------
    copies : ndarray (m * (1 + n_rows * n_columns), P, Q, C)
    places : tuple (n_rows, n_columns)
    """
    starts = [
        range(0, n - side + 1, stride) for n, side in zip(images.shape[1:3], patch, strict=True)
    ]
    n_rows, n_columns = map(len, starts)
    n_copies = len(images) * (1 + n_rows * n_columns)
    check_memory(
        n_copies * images[0].nbytes,
        f"{len(images)} images with a patch at {n_rows} × {n_columns} places",
        "use a larger stride, or fewer images",
    )
    copies = np.empty((len(images), 1 + n_rows * n_columns, *images.shape[1:]), images.dtype)
    copies[:] = images[:, None]
    for place, (top, left) in enumerate(product(*starts), 1):
        rows, columns = slice(top, top + patch[0]), slice(left, left + patch[1])
        copies[:, place, rows, columns] = values[:, None, None]
    return copies.reshape(n_copies, *images.shape[1:]), (n_rows, n_columns)
