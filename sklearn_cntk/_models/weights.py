"""Sample weights in the form that solvers expect."""

import sys

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .._support.checks import is_number
from .._support.images import on_host


def checked_weights(sample_weight, images):
    """Return weights (n,) of n images in float64, finite and not negative, or None for None."""
    if sample_weight is None:
        return None
    sample_weight = on_host(sample_weight)
    if np.asarray(sample_weight).ndim == 0:  # scikit-learn checks only arrays
        number = sample_weight.item() if hasattr(sample_weight, "item") else sample_weight
        if not is_number(number) or not 0 < number <= sys.float_info.max:
            raise ValueError(
                f"sample_weight={sample_weight!r} cannot be used: use a finite number above 0, or "
                "one per row."
            )
        sample_weight = float(number)
    weights = _check_sample_weight(
        sample_weight, images, dtype=np.float64, ensure_non_negative=True
    )
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"sample_weight goes up to {weights.max():.1e}, and its sum is beyond the range of "
            "float64: divide it by a constant, and alpha by the same."
        )
    return weights


def require_some_weight(weights):
    """Raise if no row has a weight."""
    if weights is not None and not weights.any():
        raise ValueError("sample_weight is 0 for every training row: give one a weight.")
