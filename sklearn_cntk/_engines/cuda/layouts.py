"""How GAP's planes are laid out in the lanes of a warp, and their tables in shared memory."""

from typing import NamedTuple

from .source import LANES

# Largest number of entries of a state that a lane with two columns holds.
_PAIR_ENTRIES = 32
# Bytes of shared memory that can be read simultaneously without bank conflicts.
_BANKS_BYTES = 128


class Layout(NamedTuple):
    """How planes are laid out in a warp.

    Attributes
    ----------
    kernel : str
        The kernel that uses this layout.
    entries : int
        Entries of a state in the registers of a lane.
    planes : int
        Planes that a warp holds simultaneously.
    table_entries : int
        Entries per layer of the tables of x and y in shared memory.
    constants : dict
        Constants of the kernel.
    """

    kernel: str
    entries: int
    planes: int
    table_entries: int
    constants: dict


def one_column(shape):
    """Return the layout in which a lane holds one column of images of `shape` (P, Q)."""
    rows, columns = shape
    return Layout("sweep", rows, max(1, LANES // columns), 2 * rows * columns, {})


def two_columns(shape, radius, entry_bytes):
    """Return the layout with two columns of some rows per lane, or None if it does not apply.

    The table of y is stored in shared memory twice, one copy below the other, so that no row wraps.
    Its rows are padded such that two groups of rows read from different banks.
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
        -(-entries // 4) * 4,  # align layers for copies of 16 bytes
        {"GROUPS": groups, "Y_STRIDE": stride},
    )
