"""Estimates of the cost of a Gram matrix, from a short measurement."""

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from .._engines.plan import pair_work
from .._support.images import check_image_shape
from .parallel import runs_here
from .tiles import VECTOR, vectors_of

# Seconds that a measurement should last, to exceed the noise.
_SECONDS = 0.3

# Rows of the smallest matrix that is measured instead of larger ones.
_ROWS = 300

# Seconds of linear algebra that are long enough to extrapolate from.
_ALGEBRA_SECONDS = 0.03

# Pixels of images that are measured instead of larger ones, whose pairs may take minutes.
_PIXELS = 32 * 32


class Estimate(NamedTuple):
    """Cost of a Gram matrix, or of a task that needs several.

    Attributes
    ----------
    pairs : int
        Pairs of images to compute.
    element_layers : float
        Covariance entries times layers of these pairs, the unit of work.
    bytes : int
        Size of the matrices in float64.
    seconds : float
        Time on the devices, or the cluster, that would compute it now.
    workers : str
        Description of these, such as "2 cores".
    """

    pairs: int
    element_layers: float
    bytes: int
    seconds: float
    workers: str

    def __str__(self):
        return (
            f"about {_duration(self.seconds)} on {self.workers}: {_count(self.pairs)} "
            f"pair{'s' * (self.pairs != 1)} of images, {_size(self.bytes)}"
        )


def image_to_estimate_for(own_shape, given_shape):
    """Return an array of one image of the given shape, or else of the object's own."""
    shape = check_image_shape(own_shape if given_shape is None else given_shape)
    if shape is None:
        raise ValueError(
            "image_shape=None: give the shape of the images to estimate for, (1, 1, n_features) "
            "for rows of features."
        )
    return np.zeros((1, *shape))


def together(estimates, seconds=0.0):
    """Return the Estimate of Gram matrices that are computed in sequence, and of other work."""
    pairs, layers, n_bytes, times, workers = zip(*estimates, strict=True)
    return Estimate(sum(pairs), sum(layers), sum(n_bytes), sum(times) + seconds, workers[0])


def algebra_seconds(function, n):
    """Return the approximate seconds of linear algebra with n rows.

    Measured for fewer rows, and extrapolated as the cube of their number.  Other processes only
    add time, and much of it where a call is short: so matrices grow until a call takes a while,
    and the fastest of three calls counts.
    """
    size = min(n, _ROWS)
    while True:
        matrix = np.eye(size) + 1 / size
        seconds = min(_timed(function, matrix) for _ in range(3))
        if size == n or seconds >= _ALGEBRA_SECONDS:
            return seconds * (n / size) ** 3
        size = min(n, 2 * size)


def _timed(function, matrix):
    start = time.perf_counter()
    function(matrix)
    return time.perf_counter() - start


def estimate(job, n_x, n_y=None, *, transposes=False):
    """Return the Estimate for n_x images with n_y others, or with themselves; see `Job.gram`.

    The kernel of random images is computed for a moment (and once before, so that everything is
    compiled), in the way that the job would be.
    """
    job = replace(job, store=None, normalize=False)
    kernels = len(job.flips)
    pairs = (n_x * (n_x + 1) // 2 if n_y is None else n_x * n_y) * kernels
    one = pair_work(job.architecture, job.readouts)
    size = 8 * len(job.readouts) * n_x * (n_x if n_y is None else n_y)
    n_jobs = effective_n_jobs(job.n_jobs)
    if transposes and n_y is not None and n_y < min(n_x, job.lanes):
        n_x, n_y = n_y, n_x
    vectors = vectors_of(n_x, n_y, job.lanes) * kernels
    vectors = -(-vectors // n_jobs) * n_jobs  # workers do not share a vector
    rate, least = measure(job)
    seconds = max(vectors * job.lanes * one / rate, least)
    return Estimate(pairs, float(pairs * one), size, seconds, _workers(job, n_jobs))


def measure(job):
    """Return a job's element-layers per second, and the seconds of a single pair of small images.

    Measured for a moment, after compilation.
    """
    job = _of_small_images(job)
    rng = np.random.default_rng(0)
    shape = job.architecture.image_shape
    Y = rng.normal(size=(VECTOR, *shape)).astype(np.float32)
    X = rng.normal(size=(effective_n_jobs(job.n_jobs), *shape)).astype(np.float32)

    def timed(X, Y):
        start = time.perf_counter()
        job.gram(X, Y, advance=_ignore)
        return time.perf_counter() - start

    timed(X, Y)  # compiles what arrays of several images need
    timed(X[:1], Y[:1])
    least = timed(X[:1], Y[:1])
    while True:
        seconds = timed(X, Y)
        if seconds >= _SECONDS:
            break
        factor = int(np.clip(1.5 * _SECONDS / seconds, 2, 16))
        if len(X) >= 512 or len(Y) < 4 * VECTOR:
            Y = np.tile(Y, (factor, 1, 1, 1))
        else:
            X = np.tile(X, (factor, 1, 1, 1))
    work = pair_work(job.architecture, job.readouts)
    return len(X) * len(Y) * len(job.flips) * work / seconds, least


def _of_small_images(job):
    """Return the job for images whose pairs take a moment at most, if the network allows it."""
    rows, columns, channels = job.architecture.image_shape
    while rows * columns > _PIXELS:
        rows, columns = (rows, -(-columns // 2)) if columns >= rows else (-(-rows // 2), columns)
    architecture = replace(job.architecture, image_shape=(rows, columns, channels))
    if not architecture.is_plain:
        depth = max(readout.depth for readout in job.readouts)
        try:
            architecture.layers(depth).shapes((rows, columns))
        except ValueError:  # a layer would leave nothing of images this small
            return job
    return replace(job, architecture=architecture)


def _workers(job, n_jobs):
    if not runs_here():
        return f"{n_jobs} workers"
    if job.engine.devices:
        return job.engine.label
    return "1 core" if n_jobs == 1 else f"{n_jobs} cores"


def _ignore(pairs):
    """Show no progress bar."""


def _duration(seconds):
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0.1):.1f} s"


def _count(number):
    return f"{number:,}".replace(",", " ") if number < 10**7 else f"{number:.2g}"


def _size(n_bytes):
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
