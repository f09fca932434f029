"""Exact convolutional neural tangent kernels for scikit-learn."""

from ._path import cntk_path
from ._version import __version__
from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK
from .search import CNTKClassifierCV, CNTKRegressorCV

__all__ = [
    "CNTK",
    "CNTKClassifier",
    "CNTKClassifierCV",
    "CNTKRegressor",
    "CNTKRegressorCV",
    "__version__",
    "cntk_path",
]
