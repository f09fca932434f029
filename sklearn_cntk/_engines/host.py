"""Common parts of the engines on the host: tile sizes for a CPU core, and independent calls."""

from .._support.images import flipped
from .protocol import TileLimits

# A few tenths of a second on one core; a few seconds for a tile that travels to a worker.
_HERE = TileLimits(work=5e8, side=256, table_bytes=2**25, calls_a_job=4)
_TRAVELLING = TileLimits(work=4e9, side=1024, table_bytes=2**25, calls_a_job=32)


class HostEngine:
    """An engine whose `gram` and `pairs` depend on their arguments only."""

    label = "CPU"
    devices = ()
    most_calls = None

    def __deepcopy__(self, memo):
        """Return itself: clones of kernels and estimators share their engine."""
        return self

    def prepare(self, X, Y, architecture, readouts, dtype):
        """Return a call whose tiles are independent."""
        return _Call(self, X, Y, architecture, readouts, dtype)

    def limits(self, travelling):
        """Return the tile sizes that suit a core."""
        return _TRAVELLING if travelling else _HERE


class _Call:
    def __init__(self, engine, X, Y, architecture, readouts, dtype):
        self._engine = engine
        self._X, self._Y = X, Y
        self._options = {"architecture": architecture, "readouts": readouts, "dtype": dtype}

    def gram(self, rows, columns, triu=None, flip=False):
        X = self._X[rows]
        same = self._Y is self._X and rows == columns and not flip
        X = flipped(X) if flip else X
        # Pass one object where possible: engines prepare it only once.
        Y = X if same else self._Y[columns]
        return self._engine.gram(X, Y, triu=triu, **self._options)
