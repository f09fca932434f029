"""Element-layers a second of the CPU engine, and its share of the machine's arithmetic bound.

An element-layer is one covariance entry through one layer: P²Q² (depth - 1) a pair of images with
global average pooling, PQ (depth - 1) for the trace.  Kernels and bound are measured in one run,
through the public kernel and on all cores.

    python benchmarks/throughput.py [--quick] [--json benchmarks/results/NAME.json]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from joblib import cpu_count
from machine import describe_machine

from sklearn_cntk import CNTK
from sklearn_cntk._engines._arccos import DEGREES
from sklearn_cntk._engines._simd import fma, lane_count, load, sqrt, store

DEPTH = 11
SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3)]


# --- the bound --------------------------------------------------------------------------------


@numba.njit(nogil=True)
def fma_loop(data, n):
    """Ten independent chains of fused multiply-adds, in registers."""
    a, b = load(data, 0), load(data, 64)
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = a
    for _ in range(n):
        c0 = fma(c0, b, a)
        c1 = fma(c1, b, a)
        c2 = fma(c2, b, a)
        c3 = fma(c3, b, a)
        c4 = fma(c4, b, a)
        c5 = fma(c5, b, a)
        c6 = fma(c6, b, a)
        c7 = fma(c7, b, a)
        c8 = fma(c8, b, a)
        c9 = fma(c9, b, a)
    store(data, 128, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9)


@numba.njit(nogil=True)
def sqrt_loop(data, n):
    """Ten independent chains of square roots, in registers."""
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = load(data, 0)
    for _ in range(n):
        c0 = sqrt(c0)
        c1 = sqrt(c1)
        c2 = sqrt(c2)
        c3 = sqrt(c3)
        c4 = sqrt(c4)
        c5 = sqrt(c5)
        c6 = sqrt(c6)
        c7 = sqrt(c7)
        c8 = sqrt(c8)
        c9 = sqrt(c9)
    store(data, 128, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9)


def rate(loop, dtype, seconds):
    """Operations a second of a loop's ten chains, on all cores at once."""
    data = [np.full(256, 0.5, dtype) for _ in range(cpu_count())]
    loop(data[0], 10)
    n = 100_000
    with ThreadPoolExecutor(len(data)) as threads:
        while True:
            start = time.perf_counter()
            list(threads.map(loop, data, [n] * len(data)))
            elapsed = time.perf_counter() - start
            if elapsed > seconds:
                return 10 * n * lane_count(dtype) * len(data) / elapsed
            n = int(n * max(2, 1.5 * seconds / elapsed))


def multiplications(dtype):
    """Multiplications and fused multiply-adds an element-layer of `_planes.sweep` with one Θ.

    λ: 2; p and r: their degrees; t = v p: 1; v u: 1; κ₁: 1; K: 2; U: 1.
    """
    return sum(DEGREES[dtype]) + 8


def arithmetic_bound(dtype, seconds):
    """Element-layers a second if only multiplications, or only square roots, took time."""
    by_multiplications = rate(fma_loop, dtype, seconds) / multiplications(dtype)
    return {"fma": by_multiplications, "sqrt": rate(sqrt_loop, dtype, seconds)}


# --- the kernel ---------------------------------------------------------------------------------


def kernel_rate(shape, gap, dtype, seconds):
    """Element-layers a second of a rectangular Gram matrix."""
    kernel = CNTK(DEPTH, gap, dtype=dtype)
    rng = np.random.default_rng(0)
    work = (shape[0] * shape[1]) ** (2 if gap else 1) * (DEPTH - 1)
    columns = 16 * cpu_count() if gap else 512
    rows = 2
    Y = rng.normal(size=(columns, *shape)).astype(np.float32)
    kernel(Y[:1], Y[:1].copy())
    while True:
        X = rng.normal(size=(rows, *shape)).astype(np.float32)
        start = time.perf_counter()
        kernel(X, Y)
        elapsed = time.perf_counter() - start
        if elapsed > seconds:
            return rows * columns * work / elapsed
        rows = int(rows * max(2, 1.5 * seconds / elapsed))


def measure(seconds, repeats):
    """Rows of results; bound and kernels take turns, so drift of the machine hits both."""
    cases = [
        (shape, gap, dtype)
        for dtype in ("float32", "float64")
        for gap in (True, False)
        for shape in SHAPES
    ]
    bounds = {dtype: [] for dtype in ("float32", "float64")}
    rates = {case: [] for case in cases}
    for _ in range(repeats):
        for dtype in bounds:
            bounds[dtype].append(min(arithmetic_bound(dtype, seconds / 4).values()))
        for case in cases:
            rates[case].append(kernel_rate(*case, seconds))
    return [
        {
            "image_shape": shape,
            "readout": "gap" if gap else "trace",
            "dtype": dtype,
            "element_layers_per_second": statistics.median(rates[shape, gap, dtype]),
            "best": max(rates[shape, gap, dtype]),
            "share_of_bound": statistics.median(rates[shape, gap, dtype])
            / statistics.median(bounds[dtype]),
        }
        for shape, gap, dtype in cases
    ]


# --- memory and import time -----------------------------------------------------------------------

MEMORY_SCRIPT = """
import resource, sys
import numpy as np
from sklearn_cntk import CNTK
images = np.random.default_rng(0).normal(size=(2000, 32, 32, 3)).astype(np.float32)
kernel = CNTK(21, gap=False)
kernel(images[:20])
K = kernel(images)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(peak - (images.nbytes + K.nbytes) / 2**20)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def import_seconds(module):
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return statistics.median(float(run(code).stdout) for _ in range(5))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a sixth of the time, more noise")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()
    seconds, repeats = (0.3, 1) if options.quick else (1.0, 3)

    results = {"machine": describe_machine(), "depth": DEPTH}
    print(f"{results['machine']['cpu']}, {cpu_count()} cores, depth {DEPTH}")
    results["bound"] = {d: arithmetic_bound(d, seconds / 2) for d in ("float32", "float64")}
    for dtype, bound in results["bound"].items():
        print(
            f"bound, {dtype}: {bound['fma'] / 1e9:.2f}e9 by {multiplications(dtype)} "
            f"multiplications, {bound['sqrt'] / 1e9:.2f}e9 by a square root"
        )
    results["kernels"] = measure(seconds, repeats)
    print(f"\n{'images':>10} {'readout':>8} {'dtype':>8} {'1e9/s':>7} {'best':>6} {'of bound':>9}")
    for row in results["kernels"]:
        print(
            f"{'×'.join(map(str, row['image_shape'])):>10} {row['readout']:>8} {row['dtype']:>8} "
            f"{row['element_layers_per_second'] / 1e9:7.2f} {row['best'] / 1e9:6.2f} "
            f"{row['share_of_bound']:9.0%}"
        )
    results["memory_mb"] = float(run(MEMORY_SCRIPT).stdout)
    print(
        "\npeak memory of 2000 × 2000 traces of 32×32×3 at depth 21, without inputs and output: "
        f"{results['memory_mb']:.0f} MB"
    )
    modules = ("sklearn_cntk", "sklearn.svm")
    results["import_seconds"] = {module: import_seconds(module) for module in modules}
    print(*(f"import {m}: {s:.2f} s" for m, s in results["import_seconds"].items()), sep="\n")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
