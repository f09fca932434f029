"""Test whether the kernel on few images ranks architectures like trained networks on many images.

Arora et al. 2019 propose to use the CNTK, which needs no training, for neural architecture search.
Every candidate (depth, pooling, filter size) is scored by the leave-one-out accuracy of kernel
regression on a small subset, and by the test accuracy of finite networks trained on more images.
The script prints the rank correlation and the loss of accuracy when choosing by the kernel.

    python benchmarks/architecture_search.py [--data FOLDER] [--quick] [--checkpoint FILE.json]

With `--quick` the images are scikit-learn's digits; otherwise CIFAR-10 from FOLDER.
"""

import argparse
import warnings
from itertools import product

import numpy as np
from cells import Cells, add_common_arguments, print_table, write_csv
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk import CNTK
from sklearn_cntk._models.candidates import leave_one_out
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.finite import CNNClassifier

QUICK = {
    "data": "digits",
    "n_kernel": 150,
    "n_train": 500,
    "depths": [2, 3, 5],
    "gaps": [True, False],
    "filter_sizes": [1, 3],
    "width": 32,
    "epochs": 25,
    "seeds": 2,
}
FULL = {
    "data": "CIFAR-10",
    "n_kernel": 500,
    "n_train": 20000,
    "depths": [3, 4, 6, 11],
    "gaps": [True, False],
    "filter_sizes": [1, 3, 5],
    "width": 256,
    "epochs": 200,
    "seeds": 3,
}
ALPHAS = (1e-5, 1e-3, 1e-1)


def load(settings, folder):
    """Return training and test images with their labels."""
    n = settings["n_train"]
    if settings["data"] == "digits":
        digits = load_digits()
        images = (digits.images - digits.images.mean()) / digits.images.std()
        return images[:n], digits.target[:n], images[n:], digits.target[n:]
    data = load_cifar10(folder, n_train=n)
    return data.X_train, data.y_train, data.X_test, data.y_test


def kernel_score(parameters, X, y):
    """Return the leave-one-out accuracy (%) with the best ridge."""
    targets = (y[:, None] == np.arange(10)) - 0.1
    held_out = leave_one_out(CNTK(**parameters)(X), targets, ALPHAS)
    return 100 * float(max(np.mean(p.argmax(axis=1) == y) for p in held_out))


def network_score(parameters, settings, seed, device, X, y, X_test, y_test):
    """Return the test accuracy (%) of a trained network."""
    network = CNNClassifier(
        **parameters,
        width=settings["width"],
        max_epochs=settings["epochs"],
        kappa=1.0,
        momentum=0.9,
        batch_size=32,
        random_state=seed,
        device=device,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return 100 * network.fit(X, y).score(X_test, y_test)


def plot(rows, correlation, file):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4))
    for gap, marker in ((True, "o"), (False, "s")):
        mine = [row for row in rows if row["gap"] == gap]
        points = [[float(row[key]) for row in mine] for key in ("kernel", "network")]
        axes.plot(*points, marker, label="GAP" if gap else "flattening")
    axes.set(xlabel="kernel, few images: leave-one-out accuracy, %")
    axes.set_ylabel("networks, many images: test accuracy, %")
    axes.set_title(f"rank correlation {correlation:.2f}")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="path to CIFAR-10; not needed with --quick")
    add_common_arguments(parser, "architecture_search")
    options = parser.parse_args()
    if not options.quick and not options.data:
        parser.error("--data is required without --quick")
    settings = QUICK if options.quick else FULL
    cells = Cells(options.checkpoint, settings)
    X, y, X_test, y_test = load(settings, options.data)
    n = settings["n_kernel"]

    rows = []
    for depth, gap, q in product(settings["depths"], settings["gaps"], settings["filter_sizes"]):
        parameters = {"depth": depth, "gap": gap, "filter_size": q}
        kernel = cells.get(
            f"{parameters} kernel", lambda p=parameters: kernel_score(p, X[:n], y[:n])
        )
        networks = [
            cells.get(
                f"{parameters} network seed={seed}",
                lambda p=parameters, s=seed: network_score(
                    p, settings, s, options.device, X, y, X_test, y_test
                ),
            )
            for seed in range(settings["seeds"])
        ]
        row = parameters | {"kernel": f"{kernel:.2f}", "network": f"{np.mean(networks):.2f}"}
        rows.append(row | {"deviation": f"{np.std(networks, ddof=1):.2f}"})
    print_table(rows)
    kernels, networks = (np.array([float(r[key]) for r in rows]) for key in ("kernel", "network"))
    correlation = float(spearmanr(kernels, networks).statistic)
    cost = networks.max() - networks[kernels.argmax()]
    print(f"rank correlation {correlation:.3f}; choosing by the kernel costs {cost:.2f} points")
    facts = {"settings": settings, "rank correlation": f"{correlation:.3f}", "cost": f"{cost:.2f}"}
    write_csv(f"{options.output}.csv", rows, facts)
    plot(rows, correlation, f"{options.output}.png")


if __name__ == "__main__":
    main()
