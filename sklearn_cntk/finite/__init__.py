"""Finite-width networks in PyTorch: ``pip install "sklearn-cntk[finite]"``.

:class:`CNNClassifier` and :class:`CNNRegressor` train the networks whose infinite-width limit is
:class:`~sklearn_cntk.CNTK`; :class:`EmpiricalCNTK` and :class:`RandomCNTKFeatures` are the kernel
and the features given by their gradients at random weights.  Parameters have the same names and
meanings as those of the kernel.  Nothing else in the package needs PyTorch.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "sklearn_cntk.finite needs PyTorch, which is not installed: "
        'pip install "sklearn-cntk[finite]".'
    ) from error

from ._estimators import CNNClassifier, CNNRegressor
from ._features import RandomCNTKFeatures
from ._kernel import EmpiricalCNTK
from ._network import ConvolutionalNetwork

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "ConvolutionalNetwork",
    "EmpiricalCNTK",
    "RandomCNTKFeatures",
]
