"""Drawing of images, signals and values in displays of predictions."""

import numpy as np

from ._matplotlib import short


def check_visible(images, remedy="fit with image_shape, or with images (n, height, width)"):
    """Raise if images (m, P, Q, C) cannot be shown, with a `remedy` for feature vectors."""
    rows, columns, channels = images.shape[1:]
    if (rows, columns) == (1, 1):
        raise ValueError(
            f"X holds feature vectors of {channels} features, which cannot be shown as images: "
            f"{remedy}."
        )
    if channels not in (1, 3) and not is_signal(images[0]):
        raise ValueError(f"X holds images of {channels} channels: 1 or 3 can be shown.")


def is_signal(image):
    """Return whether an image has one row or column, and so is drawn as one line per channel."""
    return 1 in image.shape[:2]


def to_display(image):
    """Scale an image (P, Q, C) by its own range to [0, 1], as (P, Q) or (P, Q, 3)."""
    image = np.asarray(image, dtype=np.float64)
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return scaled[..., 0] if image.shape[-1] == 1 else scaled


def axes_grid(plt, ax, shape, figsize):
    """Return axes (rows, columns): those given, if they have that shape, or a new figure's."""
    if ax is None:
        _, ax = plt.subplots(*shape, figsize=figsize, layout="constrained", squeeze=False)
    elif np.shape(ax) != shape:
        raise ValueError(
            f"ax has shape {np.shape(ax)}: give axes of shape {shape}, one row for each image, "
            "or None."
        )
    return np.array(ax, dtype=object)


def draw_image(ax, image, color=None):
    """Draw an image or a signal (P, Q, C), in a frame if a colour is given."""
    if is_signal(image):
        ax.plot(image.reshape(-1, image.shape[2]), linewidth=1)
    else:
        ax.imshow(to_display(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=color is not None, color=color, linewidth=2)


def prediction_title(predictions, labels, row):
    """Return a title with the prediction for an image and, if known, its true label."""
    title = f"predicted {value_text(predictions[row])}"
    return title if labels is None else f"{title}\ntrue {value_text(labels[row])}"


def column_width(*labels):
    """Return the width in inches for the titles, "predicted" and the longest label."""
    known = [np.ravel(some) for some in labels if some is not None]
    longest = max(len(value_text(label)) for some in known for label in some)
    return max(1.35, 0.075 * (len("predicted ") + longest))


def value_text(value, sign="-"):
    """Return a class or target as a short text; with `sign` "+", positive numbers show a sign."""
    if not isinstance(value, (float, np.floating)):
        return short(value)
    # As many digits as fit above an image: 0.123, 12.3, 12345, 1.23e+07.
    digits = ".0f" if 1e3 <= abs(float(value)) < 1e6 else ".3g"
    return f"{value:{sign}{digits}}".replace("-", "\N{MINUS SIGN}")
