"""How planes of GAP sit in the lanes of a warp, and their tables in shared memory."""

from typing import NamedTuple

from .source import LANES

# Entries of a state that a lane holds at most, where a lane has two columns.
_PAIR_ENTRIES = 32
# What of shared memory is read at once without waiting.
_BANKS_BYTES = 128


class Layout(NamedTuple):
    """Where a plane sits.

    Attributes
    ----------
    kernel : str
        The kernel that goes by it.
    entries : int
        Of a state, in the registers of a lane.
    planes : int
        Of a warp, at once.
    table_entries : int
        Of the tables of x and y in shared memory, a layer.
    constants : dict
        Of the kernel.
    """

    kernel: str
    entries: int
    planes: int
    table_entries: int
    constants: dict


def one_column(shape):
    """A lane holds a column of images of a shape (P, Q)."""
    rows, columns = shape
    return Layout("sweep", rows, max(1, LANES // columns), 2 * rows * columns, {})


def two_columns(shape, radius, entry_bytes):
    """A lane holds two columns of some rows; None where that needs other images or filters.

    The table of y stands in shared memory twice, one below the other, so that no row wraps.  Its
    rows are as long as it takes for two groups of rows to read from different banks.
    """
    rows, columns = shape
    groups = next(g for g in range(1, rows + 1) if rows % g == 0 and 2 * rows <= _PAIR_ENTRIES * g)
    half = columns // 2
    if columns % 2 or radius > 1 or half * groups > LANES:
        return None
    lane_rows = rows // groups
    banks = _BANKS_BYTES // entry_bytes
    stride = columns
    if groups > 1:
        apart = (
            s
            for s in range(columns, columns + banks)
            if half <= lane_rows * s % banks <= banks - half
        )
        stride = next(apart, columns)
    entries = rows * columns + 2 * rows * stride
    return Layout(
        "sweep_pairs",
        2 * lane_rows,
        LANES // (half * groups),
        -(-entries // 4) * 4,  # layers begin where 16 bytes can be copied to
        {"GROUPS": groups, "Y_STRIDE": stride},
    )
