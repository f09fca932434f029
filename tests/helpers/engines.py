"""Engines for the parameter `device`: plain ones, and some that tell, refuse or do otherwise."""

import math
import threading
from collections import Counter

import pytest

from sklearn_cntk._engines.cpu.engine import CpuEngine
from sklearn_cntk._engines.host import HostEngine
from sklearn_cntk._engines.protocol import TileLimits
from sklearn_cntk._engines.reference import ReferenceEngine
from sklearn_cntk._store.entries import digests

cpu = CpuEngine()
reference = ReferenceEngine()


class CountingEngine(CpuEngine):
    """The CPU engine, and how often it computed each pair of images, in either order."""

    def __init__(self):
        self.pairs_computed = Counter()
        self.largest_depth = 0

    def gram(self, X, Y, architecture, readouts, *, dtype="float32", triu=None):
        x_ids, y_ids = digests(X), digests(Y)
        for i, a in enumerate(x_ids):
            for j, b in enumerate(y_ids):
                if triu is None or j - i >= triu:
                    self.pairs_computed[frozenset((a, b))] += 1
        self.largest_depth = max(self.largest_depth, *(readout.depth for readout in readouts))
        return super().gram(X, Y, architecture, readouts, dtype=dtype, triu=triu)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        for a, b in zip(digests(X), digests(Y), strict=True):
            self.pairs_computed["diagonal", frozenset((a, b))] += 1
        return super().pairs(X, Y, architecture, readouts, dtype=dtype)

    @property
    def total(self):
        return self.pairs_computed.total()

    @property
    def most_often(self):
        return max(self.pairs_computed.values())


class RecordingEngine(CpuEngine):
    """The CPU engine, and which whole matrices it was asked for: their sides and readouts.

    Tiles are as large as matrices, so that diagonals are one call.
    """

    def __init__(self):
        self.calls = []
        self.n_readouts = []

    def prepare(self, X, Y, architecture, readouts, dtype):
        self.calls.append((len(X), "symmetric" if Y is X else len(Y)))
        self.n_readouts.append(len(readouts))
        return super().prepare(X, Y, architecture, readouts, dtype)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        self.calls.append((len(X), "pairs"))
        return super().pairs(X, Y, architecture, readouts, dtype=dtype)

    def limits(self, travelling):
        return TileLimits(work=math.inf, side=10**6, table_bytes=10**12, calls_a_job=1e-9)


class ThreadNamingEngine(CpuEngine):
    """The CPU engine, and whether calls came `from_here`: from the thread that made the engine.

    `small_work` is the limit of that name, unless it is None.
    """

    def __init__(self, small_work=None):
        self.small_work = small_work
        self.thread, self.from_here = threading.current_thread(), set()

    def gram(self, *args, **options):
        self.from_here.add(threading.current_thread() is self.thread)
        return super().gram(*args, **options)

    def pairs(self, *args, **options):
        self.from_here.add(threading.current_thread() is self.thread)
        return super().pairs(*args, **options)

    def limits(self, travelling):
        limits = super().limits(travelling)
        return limits if self.small_work is None else limits._replace(small_work=self.small_work)


class RefusingEngine(HostEngine):
    """Fails the test that lets it compute anything."""

    def gram(self, *args, **options):
        pytest.fail("computed something before the input was checked")

    pairs = gram


class ChangedEngine(CpuEngine):
    """The CPU engine with other methods: functions that take what these take, without self."""

    def __init__(self, **methods):
        vars(self).update(methods)
