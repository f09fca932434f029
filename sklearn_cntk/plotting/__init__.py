"""Displays in scikit-learn's manner: ``pip install "sklearn-cntk[plot]"``.

Class methods compute and draw, the data are attributes, and ``plot`` draws them again.
matplotlib is imported when something is drawn.
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
