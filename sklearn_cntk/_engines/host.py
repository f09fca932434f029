"""What engines on the host share: tiles for a core of a CPU, and calls that share nothing."""

from .._support.images import flipped
from .protocol import TileLimits

# A few tenths of a second on one core; of a tile that travels, seconds.
_HERE = TileLimits(work=5e8, side=256, table_bytes=2**25, calls_a_job=4)
_TRAVELLING = TileLimits(work=4e9, side=1024, table_bytes=2**25, calls_a_job=32)


class HostEngine:
    """An engine whose `gram` and `pairs` need nothing but their arguments."""

    label = "CPU"
    devices = ()
    most_calls = None

    def __deepcopy__(self, memo):
        """Clones of kernels and estimators copy their parameters, but share an engine."""
        return self

    def prepare(self, X, Y, architecture, readouts, dtype):
        """A call whose tiles are independent."""
        return _Call(self, X, Y, architecture, readouts, dtype)

    def limits(self, travelling):
        """What tiles suit a core."""
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
        # One object, which engines prepare once.
        Y = X if same else self._Y[columns]
        return self._engine.gram(X, Y, triu=triu, **self._options)
