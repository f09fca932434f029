"""Checks that kernel values stayed in the range of float64."""

import warnings

import numpy as np


def check_range(diagonals, images, readouts):
    """Look at kernel values (readouts, n) of images with themselves.

    Raises
    ------
    ValueError
        Some are not finite.

    Warns
    -----
    RuntimeWarning
        Some are 0, or have lost digits on their way there, though the image is not.
    """
    bad = ~np.isfinite(diagonals)
    if bad.any():
        if np.isnan(images).any():
            raise ValueError(
                "The images contain NaN, which scikit-learn's assume_finite=True let through: "
                "replace it."
            )
        raise ValueError(
            "Kernel values are beyond the range of float64, 1.8e+308, "
            f"{_where(bad, images, readouts)}: divide the pixels by a constant. Without "
            "biases, pixels divided by a give kernel values divided by a², which relative ridges "
            "do not see."
        )
    low = diagonals < np.finfo(np.float64).tiny
    if low.any():
        low &= images.any(axis=(1, 2, 3))
    if low.any():
        warnings.warn(
            "Kernel values of images that are not 0 are below the range of float64, 2.2e-308, "
            f"{_where(low, images, readouts)}: they are 0, or inaccurate, and so are predictions. "
            "Every convolution divides by the pixels of a filter, of which images of few pixels "
            "get little back from zero padding: use a smaller depth or filter_size, or multiply "
            "the pixels by a constant.",
            RuntimeWarning,
            stacklevel=2,
        )


def _where(bad, images, readouts):
    depth = min(
        readout.depth for readout, some in zip(readouts, bad.any(axis=1), strict=True) if some
    )
    largest = np.abs(images[bad.any(axis=0)].astype(np.float64)).max()
    return f"at depth={depth} with pixels of up to {largest:.1e}"


def check_rows(largest, images, readouts, diagonals_of):
    """Look at kernel values of which `largest` (readouts, n) holds each row's, likewise.

    Rows of zeros may be right, where images meet none of their kind: their diagonal tells, which
    ``diagonals_of(images)`` computes.
    """
    check_range(np.where(np.isfinite(largest), 1.0, largest), images, readouts)
    (vanishing,) = np.nonzero((largest < np.finfo(np.float64).tiny).any(axis=0))
    visible = images[vanishing].any(axis=(1, 2, 3))
    if visible.any():
        one = images[vanishing[visible][:1]]
        check_range(diagonals_of(one), one, readouts)
