"""What architecture search costs, in units of one GAP Gram matrix at the largest depth.

All ratios are of alternating runs on scikit-learn's digits:

* cntk_path over depths 2 to 21, GAP and trace, NTK and NNGP; and with local pooling besides;
* CNTKClassifierCV over five depths, both poolings and four ridges, 5-fold;
* the same by GridSearchCV, which computes every candidate and fold anew (with --grid: minutes).

    python benchmarks/search.py [--n 800] [--repeats 3] [--grid] [--json FILE]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from machine import describe_machine
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, cntk_path

DEPTHS = (21, 11, 6, 4, 3)
ALPHAS = (1e-6, 1e-4, 1e-2, 1)


def jobs(X, y):
    """Names and functions of what is timed; the first is the unit."""
    every = {"depths": range(2, 22), "trained_layers": ("all", "last")}
    search = CNTKClassifierCV(DEPTHS, alphas=ALPHAS, cv=5)
    return {
        "one GAP Gram, depth 21": lambda: CNTK(21)(X),
        "cntk_path, 80 Grams": lambda: cntk_path(X, **every),
        "cntk_path, 160 Grams, lap 1 and 2": lambda: cntk_path(X, **every, lap=(1, 2)),
        "CNTKClassifierCV, 40 candidates, 5 folds": lambda: search.fit(X, y),
    }


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=800, help="number of digits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", action="store_true", help="time GridSearchCV too, once")
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
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times[unit], strict=True))
        results["seconds"][name] = statistics.median(values)
        results["ratios"][name] = ratio
        print(f"{name:>42}: {results['seconds'][name]:7.2f} s, ratio {ratio:.2f}", flush=True)
    if options.grid:
        grid = {"depth": DEPTHS, "gap": (True, False), "alpha": ALPHAS}
        elapsed = seconds(lambda: GridSearchCV(CNTKClassifier(), grid, cv=5).fit(X, y))
        ratio = elapsed / results["seconds"][unit]
        results["seconds"]["GridSearchCV"], results["ratios"]["GridSearchCV"] = elapsed, ratio
        print(f"{'GridSearchCV, the same 40 candidates':>42}: {elapsed:7.2f} s, ratio {ratio:.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
