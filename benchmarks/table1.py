"""Column CNTK-V-2K of the Table 1 of Arora et al. 2019: every depth in one pass.

Kernel regression without augmentation on the first 2000 training images of CIFAR-10 and all test
images, standardised per channel, labels one-hot minus 1/10.  The NNGP kernel comes in the same
pass.

    python benchmarks/table1.py --data FOLDER [--n-train 2000] [--n-test 10000] [--output FILE.csv]
"""

import argparse
import csv
import time
import warnings

import numpy as np
from machine import describe_machine

from sklearn_cntk import cntk_path
from sklearn_cntk._solvers import ridge_dual
from sklearn_cntk.datasets import load_cifar10

DEPTHS = [3, 4, 6, 11, 21]
PAPER = dict(zip(DEPTHS, [40.94, 42.54, 43.43, 43.42, 42.53], strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="what load_cifar10 takes")
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--output", help="CSV file to write")
    options = parser.parse_args()

    data = load_cifar10(options.data, n_train=options.n_train, n_test=options.n_test)
    path = {
        "depths": DEPTHS,
        "gap": [False],
        "trained_layers": ("all", "last"),
        "dtype": options.dtype,
        "verbose": 1,
    }
    start = time.perf_counter()
    K, readouts = cntk_path(data.X_train, **path)
    K_test, _ = cntk_path(data.X_test, data.X_train, **path)
    seconds = time.perf_counter() - start

    machine = describe_machine()
    print(f"{options.n_train} training and {options.n_test} test images, {options.dtype}")
    print(f"all kernels: {seconds:.0f} s on {machine['cores']} cores of {machine['cpu']}")
    print(
        f"\n{'kernel':>7} {'depth':>5} {'no ridge':>9} {'alpha 1e-5':>11} {'paper':>6} {'diff.':>6}"
    )
    rows = []
    for readout, train, test in zip(readouts, K, K_test, strict=True):
        exact, ridge = (
            accuracy(train, test, data.y_train, data.y_test, alpha) for alpha in (0, 1e-5)
        )
        paper = PAPER[readout["depth"]] if readout["trained_layers"] == "all" else None
        kernel = "CNTK-V" if paper else "NNGP-V"
        beside = f"{paper:6.2f} {exact - paper:+6.2f}" if paper else ""
        print(f"{kernel:>7} {readout['depth']:>5} {exact:9.2f} {ridge:11.2f} {beside}")
        rows.append([kernel, readout["depth"], f"{exact:.2f}", f"{ridge:.2f}", paper])
    if options.output:
        with open(options.output, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["kernel", "depth", "no ridge", "alpha 1e-5", "paper"])
            writer.writerows(rows)
            writer.writerow([])
            writer.writerow(["n_train", options.n_train])
            writer.writerow(["n_test", options.n_test])
            writer.writerow(["dtype", options.dtype])
            writer.writerow(["seconds", f"{seconds:.0f}"])
            writer.writerows([key, value] for key, value in machine.items())


def accuracy(K, K_test, y, y_test, alpha):
    """Test accuracy in per cent of regression onto centred one-hot labels."""
    targets = (y[:, None] == np.arange(10)) - 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a matrix without ridge may be nearly singular
        dual = ridge_dual(K.copy(), targets, alpha)
    return 100 * np.mean((K_test @ dual).argmax(axis=1) == y_test)


if __name__ == "__main__":
    main()
