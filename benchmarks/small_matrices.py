"""Measure small Gram matrices in the calling thread and in joblib's threads.

Computes kernels of 2 to 1600 images, of feature vectors, 8 × 8 and 32 × 32 × 3 pixels, in turn with
one thread, with one thread a core, and as the package chooses.  Where the first two take the same
time is what `_SMALL_WORK` and `_PAIR_WORK` in ``_compute/tiles.py`` say.

    python benchmarks/small_matrices.py [--repeats 9] [--json FILE]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTK
from sklearn_cntk._compute import tiles

CASES = {
    "vectors of 30, depth 3": (CNTK(3), (30,), (10, 100, 300, 1000, 2000)),
    "8 × 8, depth 3, flattened": (CNTK(3, gap=False), (8, 8), (5, 50, 200, 400, 800, 1600)),
    "8 × 8, depth 3, GAP": (CNTK(3), (8, 8), (5, 20, 50, 100, 200)),
    "8 × 8, depth 11, GAP": (CNTK(11), (8, 8), (5, 20, 40, 80)),
    "32 × 32 × 3, depth 6, flattened": (CNTK(6, gap=False), (32, 32, 3), (5, 20, 50, 100, 200)),
    "32 × 32 × 3, depth 3, GAP": (CNTK(3), (32, 32, 3), (2, 4, 8)),
}
# The number of threads, and the work that is called small.
WAYS = {"one": (1, tiles._SMALL_WORK), "all": (-1, 0.0), "chosen": (-1, tiles._SMALL_WORK)}


def measure(kernel, images, repeats):
    """Return the median milliseconds of each way, measured in turn."""
    milliseconds = {name: [] for name in WAYS}
    for repeat in range(repeats + 1):
        for name, (n_jobs, tiles._SMALL_WORK) in WAYS.items():
            kernel.n_jobs = n_jobs
            start = time.perf_counter()
            kernel(images)
            if repeat > 0:  # the first time compiles
                milliseconds[name].append(1e3 * (time.perf_counter() - start))
    return {f"{name}_ms": statistics.median(values) for name, values in milliseconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="where to save the figures")
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    rows = []
    for name, (kernel, shape, sizes) in CASES.items():
        for size in sizes:
            images = rng.normal(size=(size, *shape)).astype(np.float32)
            rows.append({"images": name, "n": size, **measure(kernel, images, arguments.repeats)})
            print(*(f"{v:.1f}" if isinstance(v, float) else v for v in rows[-1].values()))
    if arguments.json is not None:
        result = {"machine": describe_machine(), "repeats": arguments.repeats, "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
