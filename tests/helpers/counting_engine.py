"""What tests of the store share: an engine that counts, and what its values are compared with."""

from collections import Counter

import sklearn_cntk._compute.job
from sklearn_cntk import CNTK
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._store.entries import digests


class CountingEngine:
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
        return cpu.gram(X, Y, architecture, readouts, dtype=dtype, triu=triu)

    def pairs(self, X, Y, architecture, readouts, *, dtype="float32"):
        for a, b in zip(digests(X), digests(Y), strict=True):
            self.pairs_computed["diagonal", frozenset((a, b))] += 1
        return cpu.pairs(X, Y, architecture, readouts, dtype=dtype)

    @property
    def total(self):
        return self.pairs_computed.total()

    @property
    def most_often(self):
        return max(self.pairs_computed.values())


def kernels(folder, **parameters):
    """The same kernel with and without memory; one thread, so that counts are exact."""
    return CNTK(4, memory=folder, n_jobs=1, **parameters), CNTK(4, **parameters)


def files(folder, pattern="*/*.blocks"):
    return sorted(folder.glob(pattern))


def as_without(plain, X, Y):
    """The kernel's values by the plain CPU engine, which no counter sees."""
    counted, sklearn_cntk._compute.job.select_engine = (
        sklearn_cntk._compute.job.select_engine,
        lambda device: cpu,
    )
    try:
        return plain.diag(X) if isinstance(Y, str) else plain(X, Y)
    finally:
        sklearn_cntk._compute.job.select_engine = counted
