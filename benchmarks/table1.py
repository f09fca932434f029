"""Kernel columns of Table 1 of Arora et al. 2019, with every depth of a column from one pass.

Kernel regression without augmentation on the first 2000 (or all) training images of CIFAR-10 and
all test images, standardised per channel, labels one-hot minus 1/10.  The same pass over the layers
also gives the NNGP kernels if there is memory for them.

    python benchmarks/table1.py --data FOLDER [--columns cntk-v-2k ...] [--device cuda]
        [--checkpoints FOLDER] [--n-train N] [--n-test N] [--output FILE.csv]

With ``--networks``, trains the networks of the columns CNN-V and CNN-GAP instead, on as many images
(needs PyTorch).
"""

import argparse
import csv
import time
import warnings
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.linalg import LinAlgError, LinAlgWarning

from sklearn_cntk import CNTKClassifier, cntk_path
from sklearn_cntk._linalg.gpu_ridge import roomy_device, solve_on_device
from sklearn_cntk._linalg.ridge import ridge_dual
from sklearn_cntk.datasets import load_cifar10

DEPTHS = (3, 4, 6, 11, 21)
# Columns: training images, pooling, trained layers, and the paper's accuracy (%) by depth.
# Its GAP kernels freeze the first and the last layer (appendix H).
TABLE = {
    "cntk-v-2k": (2000, False, "all", (40.94, 42.54, 43.43, 43.42, 42.53)),
    "cntk-gap-2k": (2000, True, "hidden", (49.71, 51.06, 51.73, 51.92, 52.22)),
    "cntk-v": (50000, False, "all", (64.47, 65.52, 66.03, 65.90, 64.09)),
}
# With more images a Gram matrix takes gigabytes: depths one by one, without the NNGP kernels.
MANY = 20000

DEFAULT_ALPHA = CNTKClassifier().alpha

COLUMNS = {
    "column": "{:>12}",
    "kernel": "{:>7}",
    "depth": "{:>6}",
    "no_ridge": "{:>9}",
    "alpha_used": "{:>11}",
    "default_ridge": "{:>14}",
    "paper": "{:>6}",
    "difference": "{:>11}",
}


def dual_of(K, targets, alpha, device):
    """Return dual coefficients, from a GPU with room for `K` or the host, which overwrites it."""
    gpu = roomy_device(device, len(K), verbose=1)
    if gpu is not None:
        return solve_on_device(gpu, K, targets, alpha)
    return ridge_dual(K, targets, alpha)


def solve(K, targets, device):
    """Return dual coefficients without a ridge or with the smallest that works; and that ridge."""
    for alpha in (0.0, 1e-8, 1e-7, 1e-6, 1e-5):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LinAlgWarning)  # nearly singular is acceptable
                if roomy_device(device, len(K)) is None:
                    return dual_of(K.copy(), targets, alpha, "cpu"), alpha
                return dual_of(K, targets, alpha, device), alpha
        except LinAlgError:
            print(f"not positive definite with alpha={alpha:g}: using a larger one")
    raise LinAlgError("no ridge up to 1e-5 makes the kernel matrix positive definite")


def evaluate(column, readout, K, K_tests, y, y_test, device):
    """Return a row of the table with test accuracies (%).

    `K_tests` are the kernels of the test images in blocks.  `K` is overwritten, since it may take a
    large part of the memory.
    """
    targets = (y[:, None] == np.arange(10)) - 0.1

    def accuracy(dual):
        predicted = np.concatenate([block @ dual for block in K_tests])
        return 100 * np.mean(predicted.argmax(axis=1) == y_test)

    start = time.perf_counter()
    dual, alpha = solve(K, targets, device)
    exact = accuracy(dual)
    default = accuracy(dual_of(K, targets, DEFAULT_ALPHA, device))
    if len(K) > MANY:
        print(f"two solves of {len(K)} rows in {time.perf_counter() - start:.0f} s")
    is_nngp = readout["trained_layers"] == "last"
    paper = None if is_nngp else TABLE[column][3][DEPTHS.index(readout["depth"])]
    return {
        "column": column,
        "kernel": "NNGP" if is_nngp else "CNTK",
        "depth": readout["depth"],
        "no_ridge": f"{exact:.2f}",
        "alpha_used": f"{alpha:g}",
        "default_ridge": f"{default:.2f}",
        "paper": f"{paper:.2f}" if paper else "",
        "difference": f"{exact - paper:+.2f}" if paper else "",
    }


def kernels(data, depths, gap, trained_layers, options, checkpoint):
    """Yield the readouts of one pass with training Gram matrices and blocks of test kernels.

    With a folder `checkpoint`, the test images are processed in blocks; each block is kept there,
    and the next run reads it.
    """
    path = {
        "depths": depths,
        "gap": [gap],
        "trained_layers": trained_layers,
        "dtype": options.dtype,
        "device": options.device,
        "verbose": 1,
    }

    def kept(name, *images):
        file = checkpoint and checkpoint / f"{name}.npy"
        if file and file.exists():
            return np.load(file)
        grams, _ = cntk_path(*images, **path)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished.npy")
            np.save(unfinished, grams)
            unfinished.replace(file)
        return grams

    grams = kept("train", data.X_train)
    size = 1000 if checkpoint else len(data.X_test)
    blocks = range(0, len(data.X_test), size)
    tests = [kept(f"test{k}", data.X_test[k : k + size], data.X_train) for k in blocks]
    readouts = [{"depth": d, "trained_layers": t} for d in depths for t in trained_layers]
    assert len(readouts) == len(grams)
    for k, readout in enumerate(readouts):
        yield readout, grams[k], [test[k] for test in tests]


def rows_of_column(column, options, done=()):
    """Yield the rows of a column, each with the seconds that its pass has taken so far.

    Passes whose depths are all `done` are left out.
    """
    n_train, gap, trained, _ = TABLE[column]
    n_train = options.n_train or n_train
    data = load_cifar10(options.data, n_train=n_train, n_test=options.n_test)
    many = n_train > MANY
    trained_layers = [trained] if many else [trained, "last"]
    for depths in [[d] for d in DEPTHS] if many else [list(DEPTHS)]:
        if not set(depths) <= set(done):
            yield from _rows_of_pass(column, data, depths, gap, trained_layers, options)


def _rows_of_pass(column, data, depths, gap, trained_layers, options):
    # A separate function, so that its matrices are freed when it ends.
    checkpoint = None
    if options.checkpoints:
        name = f"{column}_{len(data.X_train)}_{len(data.X_test)}_{options.dtype}_{max(depths)}"
        checkpoint = Path(options.checkpoints) / name
    start = time.perf_counter()
    for k, (readout, K, K_tests) in enumerate(
        kernels(data, depths, gap, trained_layers, options, checkpoint)
    ):
        if k == 0:
            print(f"{column}, depths {depths}: kernels in {time.perf_counter() - start:.0f} s")
        row = evaluate(column, readout, K, K_tests, data.y_train, data.y_test, options.device)
        yield row, time.perf_counter() - start


def write_csv(file, rows, comments):
    """Write rows as CSV below comment lines (#)."""
    with open(file, "w", newline="") as stream:
        stream.writelines(f"# {name}: {value}\n" for name, value in comments.items())
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--columns", nargs="+", default=["cntk-v-2k"], choices=TABLE)
    parser.add_argument("--device", default="auto", help="device, as for CNTK")
    parser.add_argument("--checkpoints", help="folder to keep kernels in, and to resume from")
    parser.add_argument("--n-train", type=int, help="fewer training images than in the column")
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--output", help="CSV file to write")
    parser.add_argument("--networks", action="store_true", help="finite networks: needs PyTorch")
    parser.add_argument("--quick", action="store_true", help="500 and 1000 images, small networks")
    parser.add_argument("--checkpoint", help="JSON file of finished networks, to resume from")
    options = parser.parse_args()
    if options.quick:
        options.n_train, options.n_test = 500, 1000

    if options.networks:
        from networks import run

        n_train = options.n_train or 2000
        data = load_cifar10(options.data, n_train=n_train, n_test=options.n_test)
        names = ("quick", "checkpoint", "output", "device")
        return run(data, **{name: getattr(options, name) for name in names})
    start = time.perf_counter()
    facts = {
        "data": f"CIFAR-10, first {options.n_train or 'of a column'} training and "
        f"{options.n_test} test images",
        "dtype": options.dtype,
        "device": options.device,
        "default_ridge": f"alpha={DEFAULT_ALPHA:g}, relative to the mean of the diagonal",
        **describe_machine(),
    }
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print("\n" + "".join(form.format(name) for name, form in COLUMNS.items()))
    rows = []
    for column in options.columns:
        for row, _ in rows_of_column(column, options):
            print("".join(form.format(row[name]) for name, form in COLUMNS.items()), flush=True)
            rows.append(row)
    facts["seconds of kernels and solves"] = f"{time.perf_counter() - start:.0f}"
    if options.output:
        write_csv(options.output, rows, facts)


if __name__ == "__main__":
    main()
