"""Exact convolutional neural tangent kernels for scikit-learn."""

from ._path import cntk_path
from ._store import KernelStore, clear_memory
from ._version import __version__
from ._zarr_gram import gram_progress, gram_to_zarr
from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK
from .search import CNTKClassifierCV, CNTKRegressorCV

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
