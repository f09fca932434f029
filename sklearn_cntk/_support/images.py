"""Conversion of any accepted array to images (n, P, Q, C); all rules about shapes are here."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_array

from .checks import is_integer

if TYPE_CHECKING:
    from .typing import Any, Array, ImageShape


# Common image shapes, by the number of features of a flattened row.
_FAMILIAR = {64: (8, 8), 784: (28, 28), 3072: (32, 32, 3)}


def check_image_shape(image_shape):
    """Return `image_shape` as (P, Q, C), or None; raise if it is not an image shape.

    A signal (length,) is an image of one row.
    """
    if image_shape is None:
        return None
    try:
        shape = tuple(image_shape)
    except TypeError:
        shape = ()
    if len(shape) not in (1, 2, 3) or not all(map(is_integer, shape)) or min(shape) < 1:
        raise ValueError(
            f"image_shape={image_shape!r} is not a shape: use (height, width), "
            "(height, width, channels) or (length,), positive integers."
        )
    if len(shape) == 1:
        shape = (1, *shape)
    rows, columns, channels = (*shape, 1)[:3]
    return int(rows), int(columns), int(channels)


def on_host(array: Any) -> Any:
    """Return CuPy, PyTorch and DLPack-only arrays as NumPy arrays, and all else unchanged.

    NumPy cannot convert these itself if they are on a GPU, have a gradient, or are of bfloat16,
    which NumPy lacks and float32 holds.
    """
    modules = {cls.__module__.partition(".")[0] for cls in type(array).__mro__}
    if "cupy" in modules:
        return array.get()
    if "torch" in modules and hasattr(array, "detach"):
        array = array.detach().cpu()
        return (array.float() if str(array.dtype) == "torch.bfloat16" else array).numpy()
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        return np.from_dlpack(array)
    if isinstance(array, list | tuple) and array and on_host(array[0]) is not array[0]:
        return [on_host(one) for one in array]
    return array


def as_images(
    X: Any,
    image_shape: ImageShape = None,
    *,
    name: str = "X",
    estimator: object = None,
    fitted: bool = False,
) -> Array:
    """Validate `X` and view it as images.

    Parameters
    ----------
    X : array-like (n, P, Q, C), (n, P, Q) or (n, n_features)
        Finite real numbers of any dtype; converted only if it is not a numeric array yet.  Signals
        (n, Q, C) if `image_shape` is (1, Q, C).
    image_shape : tuple (P, Q, C), (P, Q), (Q,) or None
        Shape of an image, needed for flattened rows and signals of several channels.  None treats
        rows of 2-D `X` as feature vectors: images of 1 × 1 pixels with one channel per feature.
    name : str
        What error messages call `X`.
    estimator : object or None
        Named in scikit-learn's error messages.
    fitted : bool
        Whether `image_shape` is that of the images seen by fit, rather than a parameter.

    Returns
    -------
    ndarray (n, P, Q, C)
        Without a copy if `X` is already a numeric array.

    Warns
    -----
    UserWarning
        Channels seem to come first, or rows seem to be images, and there is no `image_shape`.

    Raises
    ------
    ValueError
        NaN or infinity; complex or non-numeric data; 1-D, 5-D or empty `X`; a shape that does
        not fit `image_shape`.
    """
    image_shape = check_image_shape(image_shape)
    X = array_on_host(X, name)
    # `allow_nd` would let 1-D data through the 2-D check with an unhelpful message otherwise.
    X = check_array(
        X, dtype="numeric", allow_nd=True, ensure_2d=True, input_name=name, estimator=estimator
    )
    if X.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {X.dtype}: use real numbers (float, int or bool).")
    if X.ndim > 4:
        raise ValueError(
            f"{name} has shape {X.shape}: use (n, height, width, channels), (n, height, width) "
            "or flattened rows (n, height * width * channels)."
        )
    if X.ndim == 2:
        shape = image_shape or (1, 1, X.shape[1])
        if image_shape is None and X.shape[1] in _FAMILIAR:
            warnings.warn(
                f"{name} has rows of {X.shape[1]} features, which are treated as feature vectors "
                f"by a fully connected network. If they are images, such as of shape "
                f"{_FAMILIAR[X.shape[1]]}, set image_shape; if not, set image_shape=(1, 1, "
                f"{X.shape[1]}).",
                UserWarning,
                stacklevel=3,
            )
        if np.prod(shape) != X.shape[1]:
            raise ValueError(
                f"image_shape={image_shape} needs {np.prod(shape)} features per row, but {name} "
                f"has {X.shape[1]} features: its shape is {X.shape}."
            )
        return X.reshape(len(X), *shape)
    if X.ndim == 4 and image_shape is None and _channels_seem_first(X.shape[1:]):
        warnings.warn(
            f"{name} has shape {X.shape}, which is treated as images of {X.shape[1]} × "
            f"{X.shape[2]} pixels with {X.shape[3]} channels. If channels come first, as in "
            f"PyTorch, use np.moveaxis({name}, 1, -1); if not, set image_shape={X.shape[1:]}.",
            UserWarning,
            stacklevel=3,
        )
    if X.ndim == 3:
        is_signal = image_shape is not None and (1, *X.shape[1:]) == image_shape
        X = X[:, None] if is_signal else X[..., None]
    if 0 in X.shape:
        raise ValueError(f"{name} has shape {X.shape}: at least one pixel and channel is required.")
    if image_shape is not None and X.shape[1:] != image_shape:
        if fitted:
            raise ValueError(
                f"{name} holds images of shape {X.shape[1:]}, but fit saw images of shape "
                f"{image_shape}: give images of that shape, or fit again."
            )
        raise ValueError(
            f"{name} holds images of shape {X.shape[1:]}, but image_shape={image_shape}: they must "
            "be equal (image_shape is only needed for flattened rows)."
        )
    return X


def _channels_seem_first(shape):
    """Whether images of a shape may be (channels, height, width), and not small or narrow maps."""
    few, *sides = shape
    return few in (1, 3) and min(sides) >= 8 and max(sides) <= 2 * min(sides)


def array_on_host(X, name):
    """Apply `on_host`, and make lists arrays; raise if their images differ in shape."""
    X = on_host(X)
    _refuse_objects(X, name)
    return np.asarray(X) if isinstance(X, list | tuple) else X


def _refuse_objects(X, name):
    """Raise if images are file names, differ in shape, or are objects in an array."""
    listed = isinstance(X, list | tuple)
    if not listed and not hasattr(X, "dtype") and not hasattr(X, "iloc"):
        return
    values = X if listed else np.asarray(X)
    if not listed and (values.ndim == 0 or values.dtype.kind not in "OUST"):  # 0-d if sparse
        return
    held = list(values) if listed else list(values.flat)
    if held and isinstance(held[0], str | PathLike) and PurePath(held[0]).suffix:
        raise ValueError(
            f"{name} holds file names such as {str(held[0])!r}: read the files, e.g. by np.stack("
            '[np.asarray(PIL.Image.open(file).convert("RGB").resize((32, 32))) for file in files]).'
        )
    shapes = [shape for shape in dict.fromkeys(map(_shape, held)) if shape]
    if len(shapes) > 1:
        remedy = "resize or crop them to the same height and width, with equal numbers of channels"
        if max(map(len, shapes)) == 1:
            remedy = "rows need the same number of features"
        raise ValueError(
            f"{name} holds arrays of {len(shapes)} shapes, such as {shapes[0]} and {shapes[1]}: "
            f"{remedy}."
        )
    if shapes and not listed:
        raise ValueError(
            f"{name} holds arrays as objects, as a column of a table does: np.stack(column) makes "
            "one array of them."
        )


def _shape(image):
    """Return the shape of an array, a tensor or a PIL image; None for anything else."""
    if hasattr(image, "shape"):
        return tuple(image.shape)
    return np.shape(image) if hasattr(image, "__array_interface__") else None


def check_same_shape(X, Y):
    """Raise unless images X and Y have the same shape."""
    if X.shape[1:] != Y.shape[1:]:
        raise ValueError(
            f"images of shape {X.shape[1:]} cannot be compared with images of shape {Y.shape[1:]}: "
            "X and Y must hold images of the same shape."
        )


def flipped(images):
    """Return images mirrored left to right."""
    return images[:, :, ::-1]
