"""The interface of an engine, which turns tiles of images into tiles of kernel values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .._support.architecture import Architecture, Readout
    from .._support.typing import Array, FloatArray

    #: An index that selects images from an array of images.
    Index = slice | list[int] | Array


class TileLimits(NamedTuple):
    """The tile sizes that suit an engine.

    Attributes
    ----------
    work : float
        Element-layers per tile: enough to hide the cost of a call, few enough that Ctrl-C takes
        effect soon and workers finish at about the same time.
    side : int
        Largest number of images on a side.
    table_bytes : int
        Memory for the tables of a tile's images on one side: two numbers per pixel and layer.
    calls_a_job : int
        Least number of tiles per parallel job: large tiles finish at different times.
    vector_bytes : int
        Size of a vector, which holds one number for each of several images of Y that are computed
        together; 1 if every pair is computed on its own.
    small_work : float
        Element-layers below which one call is as fast as several in threads, with their start.
    """

    work: float
    side: int
    table_bytes: int
    calls_a_job: int
    vector_bytes: int = 1
    small_work: float = 0.0


class Call(Protocol):
    """A computation whose tiles share what is precomputed for their images."""

    def gram(
        self, rows: Index, columns: Index, triu: int | None = None, flip: bool = False
    ) -> FloatArray:
        """Return kernel values (readout, row, column) of some images of X with some of Y.

        If `flip`, the images of X are mirrored left to right.  `triu` is as in `Engine.gram`.
        Several threads may call this at the same time.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """The interface of all engines, which pass the same tests.

    Images X (n, P, Q, C) and Y (m, P, Q, C) are finite real arrays of any numeric dtype.  `dtype`
    is the precision of the recursion, "float32" or "float64"; results are new float64 arrays.  All
    readouts come from one pass over the layers.

    Attributes
    ----------
    label : str
        What the engine runs on, for progress bars.
    devices : sequence
        GPUs, which may also solve linear systems.
    most_calls : int or None
        Largest useful number of simultaneous calls; None is the number of cores.
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
        """Return the kernel values (len(readouts), n, m) of all pairs.

        With an integer `triu`, only the entries that ``numpy.triu(K, triu)`` keeps are computed;
        the values of the others are unspecified.
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
        """Return the kernel values (len(readouts), n) of the pairs (X[i], Y[i])."""
        ...

    def prepare(
        self, X: Array, Y: Array, architecture: Architecture, readouts: list[Readout], dtype: str
    ) -> Call:
        """Return a `Call` for many tiles of the Gram matrices of X and Y."""
        ...

    def limits(self, travelling: bool) -> TileLimits:
        """Return the tile sizes that suit it: here, or `travelling` to a worker of a cluster."""
        ...
