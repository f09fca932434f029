"""Measure the cost of architecture search in units of one GAP Gram matrix at the largest depth.

All ratios are from alternating runs on scikit-learn's digits:

* cntk_path over depths 2 to 21, GAP and trace, NTK and NNGP; and also with local pooling;
* CNTKClassifierCV over five depths, both poolings and four ridges, 5-fold;
* the same with GridSearchCV and `memory`; and without memory, which recomputes every candidate and
  fold (with --grid: minutes).

With --store: how much `memory` adds to 2000 × 2000 traces of 32 × 32 × 3 images at depth 11, and
how long it takes to read them back and to identify 50 000 images.

    python benchmarks/search.py [--n 800] [--repeats 3] [--grid] [--store] [--json FILE]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, cntk_path
from sklearn_cntk._store.entries import digests

DEPTHS = (21, 11, 6, 4, 3)
GAPS = (True, False)
ALPHAS = (1e-6, 1e-4, 1e-2, 1)


def grid_search(X, y, memory):
    """Search the same candidates with scikit-learn; `memory` uses an empty folder."""
    grid = {"depth": DEPTHS, "gap": GAPS, "alpha": ALPHAS}
    with tempfile.TemporaryDirectory() as folder:
        model = CNTKClassifier(memory=folder if memory else None)
        return GridSearchCV(model, grid, cv=5, refit=False).fit(X, y)


def jobs(X, y):
    """Return the tasks to time as functions by name; the first is the unit."""
    every = {"depths": range(2, 22), "trained_layers": ("all", "last")}
    search = CNTKClassifierCV(DEPTHS, GAPS, alphas=ALPHAS, cv=5)
    return {
        "one GAP Gram, depth 21": lambda: CNTK(21)(X),
        "cntk_path, 80 Grams": lambda: cntk_path(X, **every),
        "cntk_path, 160 Grams, lap 1 and 2": lambda: cntk_path(X, **every, lap=(1, 2)),
        "CNTKClassifierCV, 40 candidates, 5 folds": lambda: search.fit(X, y),
        "GridSearchCV with memory": lambda: grid_search(X, y, memory=True),
    }


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure_store(repeats):
    """Return median times of a trace kernel without and with memory, of reading and of hashing."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2000, 32, 32, 3)).astype(np.float32)
    CNTK(11, False)(images[:64])  # compiles
    rows = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            plain = seconds(lambda: CNTK(11, False)(images))
            stored = seconds(lambda folder=folder: CNTK(11, False, memory=folder)(images))
            read = seconds(lambda folder=folder: CNTK(11, False, memory=folder)(images))
            rows.append((plain, stored, read, stored / plain))
    plain, stored, read, ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    many = np.tile(images, (25, 1, 1, 1))
    return {
        "plain": plain,
        "with_memory": stored,
        "ratio": ratio,
        "read": read,
        "identify_50000": seconds(lambda: digests(many)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=800, help="number of digits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", action="store_true", help="also time GridSearchCV alone, once")
    parser.add_argument("--store", action="store_true", help="also measure the store of `memory`")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    digits = load_digits()
    X, y = digits.images[: options.n], digits.target[: options.n]
    small = jobs(X[:80], y[:80])
    for function in small.values():
        function()  # compiles
    timed = jobs(X, y)
    times = {name: [] for name in timed}
    for _ in range(options.repeats):
        for name, function in timed.items():
            times[name].append(seconds(function))
    unit = next(iter(timed))
    results = {"machine": describe_machine(), "n": options.n, "seconds": {}, "ratios": {}}
    print(f"{options.n} digits, {results['machine']['cores']} cores of {results['machine']['cpu']}")

    def report(name, elapsed, ratio):
        results["seconds"][name], results["ratios"][name] = elapsed, ratio
        print(f"{name:>42}: {elapsed:7.2f} s, ratio {ratio:.2f}", flush=True)

    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times[unit], strict=True))
        report(name, statistics.median(values), ratio)
    if options.grid:
        elapsed = seconds(lambda: grid_search(X, y, memory=False))
        report("GridSearchCV without memory", elapsed, elapsed / results["seconds"][unit])
    if options.store:
        store = results["store"] = measure_store(options.repeats)
        print(
            "\n2000 × 2000 traces of 32×32×3 images, depth 11: {plain:.2f} s, with memory "
            "{with_memory:.2f} s (ratio {ratio:.3f}),\nread again {read:.2f} s; identifying 50 000 "
            "images {identify_50000:.2f} s".format(**store)
        )
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
