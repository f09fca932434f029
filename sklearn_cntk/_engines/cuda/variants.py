"""Variants of the kernels, whose speed has to be measured on GPUs.

They compute the same values up to rounding.  Each was derived from the machine code; none becomes
the default before it has been timed (``benchmarks/gpu.py --parts variants``).
"""

from typing import NamedTuple

from ..scales import Gauge


class Variant(NamedTuple):
    """How planes are passed through a layer.

    Attributes
    ----------
    columns : {1, 2}
        Columns of a GAP plane per lane.  Two halve the exchanges between lanes and the loads of x,
        but need an even number of columns and filters of at most 3 × 3.
    second_root : bool
        κ₁ = λ κ₀ + √(1 − λ²)/π instead of a polynomial of its own.
    one_table : bool
        Store 1/s only, and compute s as its reciprocal: half of the memory.  float32 only.
    late_sums : bool
        Add up sums after a layer, and only for layers where they are read.
    warps : int or None
        Warps of a GAP block that holds the tables of all layers, if they fit.  None is the number
        that the registers suggest, with the tables of two layers only if those of all would leave
        no room for other blocks.
    strip : int
        Images of x that a trace pairs with all of y before the next ones.
    """

    columns: int = 1
    second_root: bool = False
    one_table: bool = False
    late_sums: bool = False
    warps: int | None = None
    strip: int = 1

    def of(self, dtype):
        """Return the variant with only the settings that apply to a precision."""
        if dtype == "float32":
            return self
        return self._replace(columns=1, one_table=False, warps=None)

    def concerns(self, dtype, gap):
        """Return whether its settings apply to a precision and pooling (GAP or the trace)."""
        of_pooling = self.strip == 1 if gap else self.columns == 1 and self.warps is None
        return of_pooling and self.of(dtype) == self

    @property
    def table_numbers(self):
        """How many numbers an entry of a table holds."""
        return 1 if self.one_table else 2

    @property
    def constants(self):
        """Constants of the kernels."""
        return {
            "SECOND_ROOT": int(self.second_root),
            "ONE_TABLE": int(self.one_table),
            "LATE_SUMS": int(self.late_sums or self.one_table),
            "STRIP": self.strip,
        }

    def gauge(self, architecture, n_layers):
        """Return the Gauge of the layers."""
        make = Gauge.in_steps if self.one_table else Gauge.of
        return make(architecture, n_layers)


#: What the engine runs by default.
USUAL = Variant()

#: The variants that ``benchmarks/gpu.py`` compares, by name.
CANDIDATES = {
    "usual": USUAL,
    "usual, 16 warps": Variant(warps=16),
    "second root": Variant(second_root=True),
    "second root, late sums": Variant(second_root=True, late_sums=True),
    "two columns": Variant(columns=2),
    "two columns, second root": Variant(columns=2, second_root=True),
    "two columns, one table": Variant(columns=2, second_root=True, one_table=True),
    "two columns, one table, 16 warps": Variant(2, second_root=True, one_table=True, warps=16),
    "strips": Variant(strip=16),
    "strips, one table": Variant(strip=16, second_root=True, one_table=True),
}
