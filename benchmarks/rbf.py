"""Time Gram matrices of scikit-learn's RBF kernel and of ours, alternately on the same images.

The RBF kernel costs one matrix product, which puts the cost of the exact kernel into perspective.
Both are called as a user would call them, on all cores; the RBF kernel in float64, as in
scikit-learn's kernel methods.  If `cores_used` is well below the number of cores, other processes
were running, and the rates are too low.

    python benchmarks/rbf.py [--quick] [--json FILE]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from sklearn.metrics.pairwise import rbf_kernel

from sklearn_cntk import CNTK

DEPTH = 11

# Image shape, and numbers of images for RBF, trace and GAP: ours take a second or two.
CASES = [
    ((8, 8, 1), {"rbf": 4000, "trace": 2000, "gap": 400}),
    ((32, 32, 3), {"rbf": 4000, "trace": 700, "gap": 24}),
]
KERNELS = {"rbf": rbf_kernel, "trace": CNTK(DEPTH, gap=False), "gap": CNTK(DEPTH, gap=True)}


def measure(kernel, X):
    """Return the seconds and processor seconds of the Gram matrix of X."""
    start, used = time.perf_counter(), time.process_time()
    kernel(X)
    return time.perf_counter() - start, time.process_time() - used


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one turn instead of five")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    results = {"machine": describe_machine(), "depth": DEPTH, "cases": []}
    for shape, sizes in CASES:
        images = rng.normal(size=(max(sizes.values()), *shape))
        rows = images.reshape(len(images), -1)
        inputs = {name: (rows if name == "rbf" else images)[:n] for name, n in sizes.items()}
        for name, X in inputs.items():
            KERNELS[name](X[:20])  # compiles, and starts threads
        times = {name: [] for name in sizes}
        for _ in range(1 if options.quick else 5):
            for name, X in inputs.items():
                times[name].append(measure(KERNELS[name], X))
        for name, n in sizes.items():
            median = statistics.median(wall for wall, _ in times[name])
            used = sum(used for _, used in times[name]) / sum(wall for wall, _ in times[name])
            case = {
                "image_shape": shape,
                "kernel": name,
                "n": n,
                "seconds": median,
                "entries_per_second": n**2 / median,
                "cores_used": used,
            }
            results["cases"].append(case)
            shown = "×".join(map(str, shape))
            print(
                f"{shown:>8} {name:>6}: {n} × {n} in {median:.3f} s, {n**2 / median:.3g} /s, "
                f"{used:.1f} cores used"
            )
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
