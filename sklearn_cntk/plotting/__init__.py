"""Displays in the style of scikit-learn: ``pip install "sklearn-cntk[plot]"``.

Class methods compute and draw, attributes hold the data, and ``plot`` draws them again.
matplotlib is imported only when something is drawn.
"""

from ._depth import DepthDisplay
from ._gram import GramDisplay
from ._neighbors import NeighborsDisplay
from ._occlusion import OcclusionDisplay
from ._train_size import TrainSizeDisplay

__all__ = [
    "DepthDisplay",
    "GramDisplay",
    "NeighborsDisplay",
    "OcclusionDisplay",
    "TrainSizeDisplay",
]
