"""Measure accuracy, time and memory against the number of landmarks on CIFAR-10.

Trace kernel, depth 4, images standardised per channel, labels one-hot minus 1/10.  Landmarks are
drawn uniformly and by randomly pivoted Cholesky, and compared with the exact solution if its Gram
matrix is small (or, for all images, with the result of cifar10_full.py).  Each fit runs in a
separate process, whose peak resident memory is measured.

    python benchmarks/nystroem.py --data FOLDER [--n-train 5000 50000] [--landmarks 100 300 1000]
        [--checkpoint FILE.json] [--full FILE.json] [--output NAME]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

from cells import Cells, print_table, write_csv

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk.datasets import load_cifar10

DEPTH = 4

# The exact solution is also computed with up to this many training images.
EXACT = 10000


def fit(data, n_train, n_test, landmarks, n_components):
    """Fit and predict in this process; return the values for a row of the table."""
    images = load_cifar10(data, n_train=n_train, n_test=n_test)
    options = {"random_state": 0}
    if landmarks != "exact":
        options |= {"solver": "nystroem", "landmarks": landmarks, "n_components": n_components}
    CNTK(DEPTH, False)(images.X_train[:2])  # compiles
    start, cpu = time.perf_counter(), time.process_time()
    model = CNTKClassifier(DEPTH, False, **options).fit(images.X_train, images.y_train)
    seconds, fit_cpu = time.perf_counter() - start, time.process_time() - cpu
    start, cpu = time.perf_counter(), time.process_time()
    correct = 100 * model.score(images.X_test, images.y_test)
    return {
        "correct": f"{correct:.2f}",
        "fit_s": f"{seconds:.1f}",
        "fit_cpu_s": f"{fit_cpu:.1f}",
        "predict_cpu_s": f"{time.process_time() - cpu:.1f}",
        "peak_gb": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f}",
    }


def in_a_process(*arguments):
    """Run `fit` in a new process."""
    command = [sys.executable, __file__, "--data", arguments[0], "--cell", json.dumps(arguments)]
    return json.loads(subprocess.check_output(command).splitlines()[-1])


def plot(rows, file):
    import matplotlib.pyplot as plt

    sizes = list(dict.fromkeys(row["n_train"] for row in rows))
    figure, panels = plt.subplots(1, 2, figsize=(9, 4))
    for color, n in zip(("C0", "C1", "C2", "C3"), sizes, strict=False):
        mine = [row for row in rows if row["n_train"] == n]
        for landmarks, style in (("uniform", "o--"), ("pivoted", "s-")):
            points = [row for row in mine if row["landmarks"] == landmarks]
            label = f"{n} images, {landmarks}"
            for panel, column in zip(panels, ("correct", "fit_cpu_s"), strict=True):
                values = [float(row[column]) for row in points]
                panel.plot([row["m"] for row in points], values, style, color=color, label=label)
        for row in mine:
            if row["landmarks"] == "exact":
                panels[0].axhline(float(row["correct"]), color=color, lw=1, label=f"{n}, exact")
    panels[0].set(xscale="log", xlabel="landmarks", ylabel="test accuracy, %")
    panels[0].set_ylim(top=max(float(row["correct"]) for row in rows) + 1)  # lines, not the frame
    panels[1].set(xscale="log", yscale="log", xlabel="landmarks", ylabel="fit, CPU seconds")
    panels[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--n-train", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--landmarks", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--checkpoint", help="JSON file of finished cells, to resume from")
    parser.add_argument("--full", help="JSON file of cifar10_full.py, for the exact accuracy")
    parser.add_argument("--output", default="nystroem", help="NAME.csv and NAME.png are written")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        return print(json.dumps(fit(*json.loads(options.cell))))

    cells = Cells(options.checkpoint, {"depth": DEPTH, "n_test": options.n_test})
    full = json.loads(Path(options.full).read_text()) if options.full else {}
    same = full.get("depth") == DEPTH and full.get("n_test") == options.n_test
    rows = []
    for n_train in options.n_train:
        cases = [*product(("uniform", "pivoted"), options.landmarks)]
        if n_train <= EXACT:
            cases.append(("exact", n_train))
        for landmarks, m in cases:
            arguments = options.data, n_train, options.n_test, landmarks, m
            result = cells.get(
                f"n_train={n_train} {landmarks} m={m}",
                lambda arguments=arguments: in_a_process(*arguments),
            )
            rows.append({"n_train": n_train, "landmarks": landmarks, "m": m, **result})
        if same and full["n_train"] == n_train and n_train > EXACT:
            row = dict.fromkeys(rows[0], "") | {"n_train": n_train, "landmarks": "exact"}
            rows.append(row | {"m": n_train, "correct": f"{full['correct']:.2f}"})
    print_table(rows)
    facts = {"data": f"CIFAR-10, {options.n_test} test images", "kernel": f"trace, depth {DEPTH}"}
    write_csv(f"{options.output}.csv", rows, facts)
    plot(rows, f"{options.output}.png")


if __name__ == "__main__":
    main()
