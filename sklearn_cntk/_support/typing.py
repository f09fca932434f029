"""Types of the public signatures, for type checkers; not imported at run time."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Any",
    "Array",
    "ArrayLike",
    "Bounds",
    "Cv",
    "Dtype",
    "FloatArray",
    "ImageShape",
    "IntArray",
    "Landmarks",
    "RandomState",
    "ResponseMethod",
    "Scoring",
    "Sequence",
    "SolverName",
    "Spread",
    "TrainedLayers",
]

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]

Dtype: TypeAlias = Literal["float32", "float64"]
TrainedLayers: TypeAlias = Literal["all", "hidden", "last"]
Landmarks: TypeAlias = Literal["uniform", "pivoted"]
SolverName: TypeAlias = Literal["auto", "cholesky", "cg", "nystroem"]
ResponseMethod: TypeAlias = Literal["auto", "decision_function", "predict_proba"]
Spread: TypeAlias = Literal["fill_between", "errorbar"] | None

Bounds: TypeAlias = tuple[float, float] | Literal["fixed"]
ImageShape: TypeAlias = Sequence[int] | None
RandomState: TypeAlias = int | np.random.RandomState | None

# Arguments of scikit-learn, which has no types for them.
Cv: TypeAlias = Any
Scoring: TypeAlias = Any
