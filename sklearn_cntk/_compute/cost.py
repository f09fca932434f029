"""What a Gram matrix will cost, from a moment's measurement."""

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from .._engines.plan import pair_work

# Seconds that a measurement should last, to be more than noise.
_SECONDS = 0.3


class Estimate(NamedTuple):
    """Cost of a Gram matrix.

    Attributes
    ----------
    pairs : int
        Pairs of images to compute.
    element_layers : float
        Covariance entries times layers, the unit of work.
    bytes : int
        Size of the matrix in float64.
    seconds : float
        Time on the devices, or the cluster, that would do it now.
    """

    pairs: int
    element_layers: float
    bytes: int
    seconds: float

    def __str__(self):
        return (
            f"{self.pairs:.3g} pairs of images, {self.element_layers:.2g} element-layers, "
            f"{self.bytes / 1e9:.2g} GB, about {_duration(self.seconds)}"
        )


def estimate(job, n_x, n_y=None):
    """The Estimate for n_x images with n_y others, or with themselves.

    Random images are computed for a moment (and once before, for the compiler's sake), in the
    way that the job would be.
    """
    job = replace(job, store=None, normalize=False)
    pairs = n_x * (n_x + 1) // 2 if n_y is None else n_x * n_y
    pairs *= 1 + job.flip
    work = pairs * pair_work(job.architecture, job.readouts)
    size = 8 * len(job.readouts) * n_x * (n_x if n_y is None else n_y)
    return Estimate(pairs, float(work), size, work / measure_rate(job))


def measure_rate(job):
    """Element-layers a second of a job, measured for a moment after compiling."""
    rng = np.random.default_rng(0)
    shape = job.architecture.image_shape
    Y = rng.normal(size=(64, *shape)).astype(np.float32)
    X = rng.normal(size=(effective_n_jobs(job.n_jobs), *shape)).astype(np.float32)
    job.gram(X[:1], Y[:1], advance=_ignore)
    while True:
        start = time.perf_counter()
        job.gram(X, Y, advance=_ignore)
        seconds = time.perf_counter() - start
        if seconds >= _SECONDS:
            break
        factor = int(np.clip(1.5 * _SECONDS / seconds, 2, 16))
        if len(X) >= 512:
            Y = np.tile(Y, (factor, 1, 1, 1))
        else:
            X = np.tile(X, (factor, 1, 1, 1))
    work = pair_work(job.architecture, job.readouts)
    return len(X) * len(Y) * (1 + job.flip) * work / seconds


def _ignore(pairs):
    """No progress bar."""


def _duration(seconds):
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
