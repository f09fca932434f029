"""Measure small Gram matrices in the calling thread and in joblib's threads.

Computes kernels of 2 to 2000 images in turn with one thread, with one thread a core, and as the
package chooses.  Where the first two take the same time is what the CPU engine's `small_work` says.

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
from sklearn_cntk._engines.cpu.engine import CpuEngine


class AlwaysThreads(CpuEngine):
    """The CPU engine without small matrices."""

    def limits(self, travelling):
        return super().limits(travelling)._replace(small_work=0)


CASES = {
    "vectors of 30, depth 3": (CNTK(3), (30,), (10, 100, 300, 1000, 2000)),
    "8 × 8, depth 3, flattened": (CNTK(3, gap=False), (8, 8), (5, 50, 200, 400, 800, 1600)),
    "8 × 8, depth 3, GAP": (CNTK(3), (8, 8), (5, 20, 50, 100, 200)),
    "8 × 8, depth 11, GAP": (CNTK(11), (8, 8), (5, 20, 40, 80)),
    "32 × 32 × 3, depth 6, flattened": (CNTK(6, gap=False), (32, 32, 3), (5, 20, 50, 100, 200)),
    "32 × 32 × 3, depth 3, GAP": (CNTK(3), (32, 32, 3), (2, 4, 8)),
    "5 × 5 × 512, depth 3, GAP": (CNTK(3), (5, 5, 512), (5, 20, 50)),
}
WAYS = {
    "one": {"n_jobs": 1, "device": "cpu"},
    "all": {"n_jobs": -1, "device": AlwaysThreads()},
    "chosen": {"n_jobs": -1, "device": "cpu"},
}


def measure(kernel, images, repeats):
    """Return the median milliseconds of each way, measured in turn."""
    milliseconds = {name: [] for name in WAYS}
    for repeat in range(repeats + 1):
        for name, parameters in WAYS.items():
            kernel.set_params(**parameters)
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
