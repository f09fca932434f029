"""Compare Myrtle networks with plain ones on CIFAR-10: accuracy and cost of the kernels.

Measures the plain network of depth 4, and Myrtle-5 and -7 with ReLU and with Gaussian activations,
each flattened and with global average pooling, on standardised and on ZCA-whitened images: test
accuracy (%), and the seconds for the two kernel matrices.  Labels are one-hot minus 1/10; the ridge
is the one of `ALPHAS` that does best on the training images.

    python benchmarks/myrtle.py --data FOLDER [--quick | --full] [--n-train N] [--n-test N]
        [--checkpoint FILE.json] [--output FILE.csv] [--device cuda]

The rows are written one by one; with ``--checkpoint`` an interrupted run resumes.
"""

import argparse
import time
from itertools import product

import numpy as np
from cells import Cells, print_table, write_csv
from scipy.linalg import LinAlgError
from table1 import dual_of

from sklearn_cntk import CNTK
from sklearn_cntk._engines.plan import pair_work
from sklearn_cntk._models.candidates import leave_one_out
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import Architecture, Network, Readout
from sklearn_cntk.preprocessing import ZCAWhitening

SIZES = {"quick": (60, 100), "default": (500, 1000), "full": (50000, 10000)}  # training, test
NETWORKS = {
    "plain, depth 4": Network.plain(4),
    "Myrtle-5": Network.myrtle(5),
    "Myrtle-7": Network.myrtle(7),
    "Myrtle-5, Gaussian": Network.myrtle(5, activation="gaussian"),
    "Myrtle-7, Gaussian": Network.myrtle(7, activation="gaussian"),
}
ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# Added to the eigenvalues of the covariance of images of norm 1.
ZCA_BIAS = 1e-3
# With more images, the eigendecomposition for choosing a ridge by leave-one-out takes too long.
MANY = 10000


def prepare(data, zca_bias):
    """Return training and test images by the name of their preprocessing."""
    whitening = ZCAWhitening(reg_covar=zca_bias).fit(data.X_train)
    return {
        "standardised": (data.X_train, data.X_test),
        "ZCA": tuple(
            whitening.transform(images).astype(np.float32) for images in (data.X_train, data.X_test)
        ),
    }


def choose_alpha(K, y, targets, device, alphas=ALPHAS):
    """Return the ridge with the best accuracy on training images, and that accuracy (%).

    Each image is left out in turn; if there are many, the last tenth is held out instead.
    """
    if len(K) <= MANY:
        held_out, labels = leave_one_out(K, targets, alphas), y
    else:
        n = len(K) * 9 // 10
        labels = y[n:]
        held_out = [K[n:, :n] @ solve(K[:n, :n], targets[:n], alpha, device) for alpha in alphas]
    correct = [100 * float(np.mean(scores.argmax(axis=1) == labels)) for scores in held_out]
    # Scores are NaN if the matrix is singular.
    finite = [np.isfinite(scores).all() for scores in held_out]
    best = int(np.argmax(np.where(finite, correct, -1)))
    return alphas[best], correct[best]


def solve(K, targets, alpha, device):
    """Return dual coefficients, or NaN if the matrix is not positive definite."""
    try:
        return dual_of(K.copy(), targets, alpha, device)
    except LinAlgError:
        return np.full(targets.shape, np.nan)


def evaluate(kernel, X, y, X_test, y_test):
    """Return the time of the matrices and the accuracy of regression with the chosen ridge."""
    kernel(X[:2], X_test[:2])  # compiles
    start, processor = time.perf_counter(), time.process_time()
    K, K_test = kernel(X), kernel(X_test, X)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    targets = (y[:, None] == np.arange(10)) - 0.1
    alpha, held_out = choose_alpha(K, y, targets, kernel.device)
    scores = K_test @ dual_of(K, targets, alpha, kernel.device)
    work = pair_work(Architecture.of(kernel, X.shape[1:]), (Readout.of(kernel),))
    return {
        "alpha": alpha,
        "held_out": held_out,
        "correct": 100 * float(np.mean(scores.argmax(axis=1) == y_test)),
        "gram_seconds": seconds,
        "cores_used": processor / seconds,
        "element_layers": work,
        "rate": work * (len(X) * (len(X) + 1) // 2 + K_test.size) / seconds,
    }


def row_of(name, gap, images, result):
    """Return a row of the table; rates are in 1e9 element-layers per second."""
    return {
        "network": name,
        "readout": "GAP" if gap else "flattened",
        "images": images,
        "alpha": f"{result['alpha']:g}",
        "held_out": f"{result['held_out']:.2f}",
        "correct": f"{result['correct']:.2f}",
        "gram_seconds": f"{result['gram_seconds']:.2f}",
        "cores_used": f"{result['cores_used']:.2f}",
        "element_layers_a_pair": result["element_layers"],
        "1e9_per_second": f"{result['rate'] / 1e9:.2f}",
    }


def run(data, cells, options, facts):
    """Return all rows, the cheap ones first; write the rows so far after each."""
    prepared = prepare(data, options.zca_bias)
    rows = []
    for gap, images, name in product((False, True), prepared, NETWORKS):
        kernel = CNTK(None, gap, network=NETWORKS[name], device=options.device)
        X, X_test = prepared[images]
        result = cells.get(
            f"{name}, {'GAP' if gap else 'flattened'}, {images}",
            lambda kernel=kernel, X=X, X_test=X_test: evaluate(
                kernel, X, data.y_train, X_test, data.y_test
            ),
        )
        rows.append(row_of(name, gap, images, result))
        if options.output:
            write_csv(options.output, rows, facts)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="60 training and 100 test images")
    size.add_argument("--full", action="store_true", help="all of CIFAR-10: needs a GPU")
    parser.add_argument("--n-train", type=int, help="training images instead of 500")
    parser.add_argument("--n-test", type=int, help="test images instead of 1000")
    parser.add_argument("--zca-bias", type=float, default=ZCA_BIAS)
    parser.add_argument("--checkpoint", help="JSON file of finished rows, to resume from")
    parser.add_argument("--output", help="CSV file to write")
    parser.add_argument("--device", default="auto", help="device, as for CNTK")
    options = parser.parse_args()

    n_train, n_test = SIZES["quick" if options.quick else "full" if options.full else "default"]
    n_train, n_test = options.n_train or n_train, options.n_test or n_test
    facts = {
        "data": f"CIFAR-10, first {n_train} training and {n_test} test images",
        "alphas": ALPHAS,
        "zca_bias": options.zca_bias,
        "device": options.device,
        "dtype": CNTK().dtype,
    }
    cells = Cells(options.checkpoint, facts)
    data = load_cifar10(options.data, n_train=n_train, n_test=n_test)
    print_table(run(data, cells, options, facts))


if __name__ == "__main__":
    main()
