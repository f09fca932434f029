"""Exact convolutional neural tangent kernels for scikit-learn."""

from ._path import cntk_path
from ._version import __version__
from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK

__all__ = ["CNTK", "CNTKClassifier", "CNTKRegressor", "__version__", "cntk_path"]
