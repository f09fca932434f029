"""Exact convolutional neural tangent kernels for scikit-learn."""

from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK

__all__ = ["CNTK", "CNTKClassifier", "CNTKRegressor"]

__version__ = "0.1.0"
