"""Sample weights as the solvers take them."""

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .._support.checks import check_number, is_number
from .._support.images import on_host


def checked_weights(sample_weight, images):
    """Weights (n,) of n images in float64, or None for None: finite, and not negative."""
    if sample_weight is None:
        return None
    sample_weight = on_host(sample_weight)
    if is_number(sample_weight):  # scikit-learn looks at arrays only
        check_number("sample_weight", sample_weight, 0, np.inf, "use a finite number above 0")
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
