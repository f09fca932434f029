"""Column CNTK-V-2K of the Table 1 of Arora et al. 2019: every depth in one pass.

Kernel regression without augmentation on the first 2000 training images of CIFAR-10 and all test
images, standardised per channel, labels one-hot minus 1/10.  The NNGP kernels come in the same
pass over the layers.

    python benchmarks/table1.py --data FOLDER [--n-train 2000] [--n-test 10000] [--output FILE.csv]

With ``--networks``, the finite columns CNN-V and CNN-GAP instead, on as many images (PyTorch).
"""

import argparse
import csv
import time
import warnings

import numpy as np
from machine import describe_machine
from scipy.linalg import LinAlgError, LinAlgWarning

from sklearn_cntk import CNTKClassifier, cntk_path
from sklearn_cntk._solvers import ridge_dual
from sklearn_cntk.datasets import load_cifar10

# Per cent correct at each depth, from the paper.
PAPER = {3: 40.94, 4: 42.54, 6: 43.43, 11: 43.42, 21: 42.53}

KERNELS = {"all": "CNTK-V", "last": "NNGP"}
DEFAULT_ALPHA = CNTKClassifier().alpha

COLUMNS = {
    "kernel": "{:>7}",
    "depth": "{:>6}",
    "no_ridge": "{:>9}",
    "alpha_used": "{:>11}",
    "default_ridge": "{:>14}",
    "paper": "{:>6}",
    "difference": "{:>11}",
}


def solve(K, targets):
    """Dual coefficients without a ridge, or with the smallest that works; and that ridge."""
    for alpha in (0.0, 1e-8, 1e-7, 1e-6, 1e-5):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LinAlgWarning)  # nearly singular, as it may be
                return ridge_dual(K.copy(), targets, alpha), alpha
        except LinAlgError:
            print(f"not positive definite with alpha={alpha:g}: using a larger one")
    raise LinAlgError("no ridge up to 1e-5 makes the kernel matrix positive definite")


def evaluate(readout, K, K_test, y, y_test):
    """A row of the table: per cent of the test images that are classified correctly."""
    targets = (y[:, None] == np.arange(10)) - 0.1

    def accuracy(dual):
        return 100 * np.mean((K_test @ dual).argmax(axis=1) == y_test)

    dual, alpha = solve(K, targets)
    exact = accuracy(dual)
    paper = PAPER[readout["depth"]] if readout["trained_layers"] == "all" else None
    return {
        "kernel": KERNELS[readout["trained_layers"]],
        "depth": readout["depth"],
        "no_ridge": f"{exact:.2f}",
        "alpha_used": f"{alpha:g}",
        "default_ridge": f"{accuracy(ridge_dual(K.copy(), targets, DEFAULT_ALPHA)):.2f}",
        "paper": f"{paper:.2f}" if paper else "",
        "difference": f"{exact - paper:+.2f}" if paper else "",
    }


def write_csv(file, rows, comments):
    """Rows as CSV below comments that start with #, one a line."""
    with open(file, "w", newline="") as stream:
        stream.writelines(f"# {name}: {value}\n" for name, value in comments.items())
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="what load_cifar10 takes")
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--output", help="CSV file to write")
    parser.add_argument("--networks", action="store_true", help="finite networks: needs PyTorch")
    parser.add_argument("--quick", action="store_true", help="500 and 1000 images, small networks")
    parser.add_argument("--checkpoint", help="JSON file of finished networks, to resume from")
    parser.add_argument("--device", default="auto", help="of the networks")
    options = parser.parse_args()
    if options.quick:
        options.n_train, options.n_test = 500, 1000

    data = load_cifar10(options.data, n_train=options.n_train, n_test=options.n_test)
    if options.networks:
        from networks import run

        names = ("quick", "checkpoint", "output", "device")
        return run(data, **{name: getattr(options, name) for name in names})
    path = {
        "depths": list(PAPER),
        "gap": [False],
        "trained_layers": list(KERNELS),
        "dtype": options.dtype,
        "verbose": 1,
    }
    start = time.perf_counter()
    grams, readouts = cntk_path(data.X_train, **path)
    test_grams, _ = cntk_path(data.X_test, data.X_train, **path)
    seconds = time.perf_counter() - start

    facts = {
        "data": f"CIFAR-10, first {options.n_train} training and {options.n_test} test images",
        "dtype": options.dtype,
        "default_ridge": f"alpha={DEFAULT_ALPHA:g}, relative to the mean of the diagonal",
        "seconds of the kernels": f"{seconds:.0f}",
        **describe_machine(),
    }
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print("\n" + "".join(form.format(name) for name, form in COLUMNS.items()))
    rows = []
    for trained_layers in KERNELS:
        for readout, K, K_test in zip(readouts, grams, test_grams, strict=True):
            if readout["trained_layers"] == trained_layers:
                row = evaluate(readout, K, K_test, data.y_train, data.y_test)
                print("".join(form.format(row[name]) for name, form in COLUMNS.items()), flush=True)
                rows.append(row)
    if options.output:
        write_csv(options.output, rows, facts)


if __name__ == "__main__":
    main()
