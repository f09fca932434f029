"""Kernels with free and fixed variances."""

from sklearn_cntk import CNTK

BOUNDS = (1e-4, 1e4)
FREE = {
    "bias": CNTK(3, bias_variance=1.0, bias_variance_bounds=BOUNDS),
    "weight": CNTK(3, bias_variance=0.5, weight_variance=1.0, weight_variance_bounds=BOUNDS),
    "both": CNTK(
        3,
        bias_variance=0.5,
        bias_variance_bounds=BOUNDS,
        weight_variance=1.0,
        weight_variance_bounds=BOUNDS,
    ),
}
FIXED = {"fixed": CNTK(3, bias_variance=1.0)}
