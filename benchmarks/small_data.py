"""Accuracy on 100 to 1000 training images, beside an RBF SVM and small convolutional networks.

Digits (8 × 8, scikit-learn's own) and, with --data, MNIST (28 × 28) and CIFAR-10 (32 × 32 × 3).
Each number of training images is drawn three times, with the shares of the classes kept; the test
images are the same for all methods.  What is chosen, is chosen on the training images alone:

* CNTK: depth and ridge by leave-one-out (`CNTKClassifierCV`); GAP on digits only, since on larger
  images it wants a GPU;
* RBF SVM: C and gamma by 3-fold cross-validation;
* small CNN: two 3 × 3 convolutions (16 and 32 channels) with ReLU and 2 × 2 max pooling, a dense
  layer, cross-entropy, Adam on batches of 32, no augmentation; 1000 steps, since half of that
  scored less on held-out training images;
* CNN-V of width 32, digits only: the CNTK's own network at finite width, depth 4, trained to full
  training accuracy (`sklearn_cntk.finite.CNNClassifier`).

    python benchmarks/small_data.py [--data FOLDER] [--json FILE]
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from cells import print_table
from machine import describe_machine
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifierCV
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.finite import CNNClassifier

SIZES = (100, 300, 1000)
DRAWS = 3
TESTED = 1000


def load(folder):
    """Name to (training images, labels, test images, labels), pixels scaled."""
    digits = load_digits()
    parts = train_test_split(
        digits.images / 16, digits.target, train_size=1200, random_state=0, stratify=digits.target
    )
    data = {"digits 8×8": (parts[0], parts[2], parts[1], parts[3])}
    if folder is None:
        return data
    files = sorted(Path(folder).glob("mnist*.npz"))
    if not files:
        raise SystemExit(f"{folder} holds no mnist*.npz with X_train, y_train, X_test, y_test.")
    with np.load(files[0], allow_pickle=False) as mnist:
        X, y, X_test, y_test = (mnist[f"{k}_{part}"] for part in ("train", "test") for k in "Xy")
    data["MNIST 28×28"] = (X / 255, y, X_test[:TESTED] / 255, y_test[:TESTED])
    cifar = load_cifar10(folder, n_train=10000, n_test=TESTED)
    data["CIFAR-10 32×32×3"] = (cifar.X_train, cifar.y_train, cifar.X_test, cifar.y_test)
    return data


def cntk(gap):
    def accuracy(X, y, X_test, y_test, draw):
        depths = (3, 4, 6) if gap else (3, 4, 6, 11)
        search = CNTKClassifierCV(depths, (gap,), alphas=(1e-5, 1e-3, 1e-2, 1e-1)).fit(X, y)
        return search.score(X_test, y_test), search.best_params_

    return accuracy


def svm(X, y, X_test, y_test, draw):
    X, X_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    scale = 1 / (X.shape[1] * float(X.var()))
    grid = {"C": [1, 10, 100], "gamma": [scale * factor for factor in (0.1, 0.3, 1, 3)]}
    folds = StratifiedKFold(3, shuffle=True, random_state=draw)
    search = GridSearchCV(SVC(), grid, cv=folds, n_jobs=-1).fit(X, y)
    best = {"C": search.best_params_["C"], "gamma / scale": search.best_params_["gamma"] / scale}
    return search.score(X_test, y_test), best


def small_cnn(X, y, X_test, y_test, draw):
    torch.manual_seed(draw)

    def tensor(images):
        images = images.reshape(*images.shape[:3], -1)
        return torch.tensor(images, dtype=torch.float32).permute(0, 3, 1, 2).contiguous()

    X, X_test = tensor(X), tensor(X_test)
    y = torch.tensor(y, dtype=torch.int64)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(X.shape[1], 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.LazyLinear(10),
    )  # fmt: skip
    network(X[:1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(1000):
        if len(order) < 32:
            order = torch.cat([order, torch.randperm(len(X))])
        rows, order = order[:32], order[32:]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(X[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float(np.mean(network(X_test).argmax(dim=1).numpy() == y_test)), {}


def wide_cnn(X, y, X_test, y_test, draw):
    model = CNNClassifier(4, False, width=32, batch_size=16, random_state=draw).fit(X, y)
    return model.score(X_test, y_test), {"epochs": model.n_iter_}


METHODS = {
    "CNTK-V": cntk(gap=False),
    "CNTK-GAP": cntk(gap=True),
    "RBF SVM": svm,
    "small CNN": small_cnn,
    "CNN-V, width 32": wide_cnn,
}
DIGITS_ONLY = ("CNTK-GAP", "CNN-V, width 32")


def measure(name, data):
    """Yield a row (dict) for every number of images and method."""
    X, y, X_test, y_test = data
    for size in SIZES:
        for method, accuracy in METHODS.items():
            if method in DIGITS_ONLY and not name.startswith("digits"):
                continue
            values, chosen, start = [], [], time.perf_counter()
            for draw in range(DRAWS):
                rows, _ = train_test_split(
                    np.arange(len(X)), train_size=size, random_state=draw, stratify=y
                )
                value, best = accuracy(X[rows], y[rows], X_test, y_test, draw)
                values.append(100 * float(value))
                chosen.append(best)
            yield {
                "data": name,
                "training images": size,
                "method": method,
                "accuracy": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)),
                "accuracies": values,
                "chosen": chosen,
                "test images": len(X_test),
                "seconds": time.perf_counter() - start,
            }


def markdown(rows):
    """A Markdown table: a line for each data set and number of images, a column for each method."""
    lines = [
        f"| data | images | {' | '.join(METHODS)} |",
        f"| --- | ---: |{' ---: |' * len(METHODS)}",
    ]
    for name, size in dict.fromkeys((row["data"], row["training images"]) for row in rows):
        cells = dict.fromkeys(METHODS, "–")
        for row in rows:
            if (row["data"], row["training images"]) == (name, size):
                cells[row["method"]] = f"{row['accuracy']:.1f} ± {row['deviation']:.1f}"
        lines.append(f"| {name} | {size} | {' | '.join(cells.values())} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with MNIST and CIFAR-10 as .npz, for these too")
    parser.add_argument("--json", default="small_data_cpu.json", help="file to write to")
    options = parser.parse_args()

    torch.set_num_threads(1)  # threads gain little on networks this small, and wait for each other
    start, rows, machine = time.perf_counter(), [], describe_machine()
    machine["versions"]["torch"] = version("torch")
    results = {"machine": machine, "draws": DRAWS, "rows": rows}
    for name, data in load(options.data).items():
        for row in measure(name, data):
            rows.append(row)
            results["seconds"] = time.perf_counter() - start
            # After every row, so that a killed run leaves what it has found.
            Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
            print("{data}, {training images}: {method} {accuracy:.2f}".format(**row), flush=True)
    shown = ("data", "training images", "method", "accuracy", "deviation", "seconds")
    digits = {"accuracy": 2, "deviation": 2, "seconds": 1}
    print_table(
        [
            {key: f"{row[key]:.{digits[key]}f}" if key in digits else row[key] for key in shown}
            for row in rows
        ]
    )
    print(f"\n{results['seconds']:.0f} s, {machine['cores']} cores of {machine['cpu']}\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
