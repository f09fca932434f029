"""What an engine is: it turns tiles of images into tiles of kernel values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .._support.architecture import Architecture, Readout
    from .._support.typing import Array, FloatArray

    #: What takes some images out of an array of images.
    Index = slice | list[int] | Array


class TileLimits(NamedTuple):
    """What tiles suit an engine.

    Attributes
    ----------
    work : float
        Element-layers of a tile: long enough to hide the cost of a call, short enough that Ctrl-C
        acts soon and workers end together.
    side : int
        Images of a side, at most.
    table_bytes : int
        What the engine may keep of a tile's images of one side, two numbers a pixel and layer.
    calls_a_job : int
        Tiles a parallel job, at least: large ones end at different times.
    vector_bytes : int
        Size of what is computed at once of as many images of Y, one number each; 1 where every
        pair is computed alone.
    """

    work: float
    side: int
    table_bytes: int
    calls_a_job: int
    vector_bytes: int = 1


class Call(Protocol):
    """A computation whose tiles share what has to be known of their images."""

    def gram(
        self, rows: Index, columns: Index, triu: int | None = None, flip: bool = False
    ) -> FloatArray:
        """Kernel values (readout, row, column) of some images of X with some of Y.

        With `flip`, those of X are mirrored left to right.  `triu` is that of `Engine.gram`.
        Threads may call it at the same time.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Every engine offers the same, and passes the same tests.

    Images X (n, P, Q, C) and Y (m, P, Q, C) are real arrays of any numeric dtype, finite.  `dtype`
    is the precision of the recursion, "float32" or "float64"; results are new float64 arrays.  All
    readouts come from one pass over the layers.

    Attributes
    ----------
    label : str
        What it runs on, for progress bars.
    devices : sequence
        GPUs that may solve linear systems as well.
    most_calls : int or None
        Calls at the same time that serve it; None is as many as there are cores.
    """

    label: str
    devices: Sequence[Any]
    most_calls: int | None

    def gram(
        self,
        X: Array,
        Y: Array,
        architecture: Architecture,
        readouts: list[Readout],
        *,
        dtype: str = "float32",
        triu: int | None = None,
    ) -> FloatArray:
        """Kernel values (len(readouts), n, m) of all pairs.

        With an integer `triu`, only the entries that ``numpy.triu(K, triu)`` keeps are computed;
        what the others hold is unspecified.
        """
        ...

    def pairs(
        self,
        X: Array,
        Y: Array,
        architecture: Architecture,
        readouts: list[Readout],
        *,
        dtype: str = "float32",
    ) -> FloatArray:
        """Kernel values (len(readouts), n) of the pairs (X[i], Y[i])."""
        ...

    def prepare(
        self, X: Array, Y: Array, architecture: Architecture, readouts: list[Readout], dtype: str
    ) -> Call:
        """A `Call` for many tiles of the Gram matrices of X and Y."""
        ...

    def limits(self, travelling: bool) -> TileLimits:
        """What tiles suit it: in this process, or `travelling` to a worker of a cluster."""
        ...
