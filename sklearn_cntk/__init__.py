"""Exact convolutional neural tangent kernels for scikit-learn."""

from ._store.entries import KernelStore, clear_memory
from ._version import __version__
from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK, cntk_path
from .search import CNTKClassifierCV, CNTKRegressorCV
from .zarr_grams import gram_progress, gram_to_zarr

__all__ = [
    "CNTK",
    "CNTKClassifier",
    "CNTKClassifierCV",
    "CNTKRegressor",
    "CNTKRegressorCV",
    "KernelStore",
    "__version__",
    "clear_memory",
    "cntk_path",
    "gram_progress",
    "gram_to_zarr",
]
