"""Checks that kernel values stay within the range of float64."""

import warnings

import numpy as np


def check_range(diagonals, images, readouts):
    """Check kernel values (readouts, n) of images with themselves.

    Raises
    ------
    ValueError
        Some are not finite.

    Warns
    -----
    RuntimeWarning
        Some have underflowed to 0, or lost digits close to it, though the image is not 0.
    """
    bad = ~np.isfinite(diagonals)
    if bad.any():
        if np.isnan(images).any():
            raise ValueError(
                "The images contain NaN, which scikit-learn's assume_finite=True let through: "
                "replace the NaN."
            )
        raise ValueError(
            "Kernel values are beyond the range of float64, 1.8e+308, "
            f"{_where(bad, images, readouts)}: divide the pixels by a constant. Without "
            "biases, dividing the pixels by a divides the kernel values by a², which does not "
            "affect relative ridges."
        )
    low = diagonals < np.finfo(np.float64).tiny
    if low.any():
        low &= images.any(axis=(1, 2, 3))
    if low.any():
        warnings.warn(
            "Kernel values of images that are not 0 are below the range of float64, 2.2e-308, "
            f"{_where(low, images, readouts)}: they are 0, or inaccurate, and so are predictions. "
            "Every convolution divides by the number of pixels of a filter; for images of few "
            "pixels, most of these are zero padding: use a smaller depth or filter_size, or "
            "multiply the pixels by a constant.",
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
    """Check kernel values likewise, given the `largest` (readouts, n) of each row.

    Rows of zeros may be correct if an image has nothing in common with the others: its diagonal
    entry, which ``diagonals_of(images)`` computes, decides.
    """
    check_range(np.where(np.isfinite(largest), 1.0, largest), images, readouts)
    (vanishing,) = np.nonzero((largest < np.finfo(np.float64).tiny).any(axis=0))
    visible = images[vanishing].any(axis=(1, 2, 3))
    if visible.any():
        one = images[vanishing[visible][:1]]
        check_range(diagonals_of(one), one, readouts)
