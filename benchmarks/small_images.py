"""Accuracy and seconds on 10 to 2000 training images, compared with tuned rivals.

Uses scikit-learn's digits (8 × 8) and, with --data, MNIST (28 × 28) and CIFAR-10 (32 × 32 × 3); or
any .npz files with X_train, y_train, X_test and y_test.  Every draw has different training images,
with class proportions kept, and different test images (for digits, the same 500); all methods get
the same images.  Settings are chosen on the training images of a draw:

* kernels: depth and ridge by leave-one-out (`CNTKClassifierCV`); "flips" adds the mirror images,
  "ZCA" whitens, "patches" are features of random patches instead of pixels (`PatchFeatures`, whose
  defaults were chosen by leave-one-out on training images of CIFAR-10);
* RBF SVM: raw pixels (or features of patches), standardised pixels or principal components, with C
  and gamma, by 3-fold cross-validation; defaults if a class has only one image;
* random forest: 500 trees, with the number of features per split chosen by out-of-bag accuracy;
* small CNN: three 3 × 3 convolutions of 16, 32 and 64 channels with batch normalisation, ReLU and
  2 × 2 pools, global average pooling, 1000 steps of Adam with a cosine schedule on batches of 32,
  and images randomly shifted by up to an eighth (and mirrored); a held-out fifth of the images
  selects the learning rate if every class has five.

    python benchmarks/small_images.py [--data FOLDER] [--file FILE.npz ...] [--sizes N ...]
        [--methods METHOD ...] [--budget 1.3e11] [--json FILE] [--plot FILE.png] [--device cpu]

Cells (a data set, a number of images, a method and a draw) are computed one by one, the cheap ones
first, and kept in --json, from which a later run resumes: delete the file if methods or images have
changed since then.  Kernels of more than --budget element-layers per draw are left out.  Times are
processor seconds, for fitting (including all choices) and for predicting.
"""

import argparse
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from cells import Cells, print_table
from machine import describe_machine
from rivals import SVM, Forest, Setting
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_cntk import CNTK, CNTKClassifierCV
from sklearn_cntk._engines.plan import pair_work
from sklearn_cntk._selftest.machine import cpu_model
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import Architecture, Network, Readout
from sklearn_cntk.preprocessing import ImageStandardizer, PatchFeatures, ZCAWhitening

SIZES = (10, 30, 100, 300, 1000, 2000)
DRAWS = 5
TESTED = 500
ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
#: Added to the eigenvalues of the covariance, in units of their mean: for 32 × 32 × 3 images, this
#: is nearly the 1e-3 that Shankar et al. 2020 use for images of norm 1.
ZCA = 3.0
#: Shape of the result of PatchFeatures for 32 × 32 images.
PATCH_MAP = (3, 3, 512)


@dataclass(frozen=True)
class Data:
    """Pools of images (n, P, Q, C) to draw from, with labels 0 to k - 1."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    mirror: bool

    def draw(self, size, seed):
        """Return the training and test images of a draw."""
        train, _ = train_test_split(
            np.arange(len(self.X)), train_size=size, random_state=seed, stratify=self.y
        )
        test = np.random.default_rng(seed).permutation(len(self.X_test))[:TESTED]
        return self.X[train], self.y[train], self.X_test[test], self.y_test[test]


def load(folder, files, mirror=False):
    """Return data by name: from the files, or else digits and the contents of the folder."""
    if files:
        return {Path(file).stem: read(file, mirror) for file in files}
    digits = load_digits()
    parts = train_test_split(
        digits.images[..., None] / 16,
        digits.target,
        test_size=TESTED,
        random_state=0,
        stratify=digits.target,
    )
    data = {"digits 8×8": Data(parts[0], parts[2], parts[1], parts[3], mirror=False)}
    if folder is not None:
        mnist = sorted(Path(folder).glob("mnist*.npz"))
        if not mnist:
            raise SystemExit(f"{folder} has no mnist*.npz with X_train, y_train, X_test, y_test.")
        data["MNIST 28×28"] = read(mnist[0], mirror=False)
        cifar = load_cifar10(folder, n_train=10000, standardize=False)
        data["CIFAR-10 32×32×3"] = Data(
            cifar.X_train, cifar.y_train, cifar.X_test, cifar.y_test, mirror=True
        )
    return data


def read(file, mirror):
    with np.load(file, allow_pickle=False) as held:
        X, y, X_test, y_test = (held[f"{k}_{part}"] for part in ("train", "test") for k in "Xy")
    X, X_test = (images.reshape(*images.shape[:3], -1) for images in (X, X_test))
    scale = 255 if X.dtype == np.uint8 else 1
    classes, labels = np.unique(np.concatenate([y, y_test]), return_inverse=True)
    return Data(X / scale, labels[: len(y)], X_test / scale, labels[len(y) :], mirror)


def whitening(seed):
    return ZCAWhitening(regularization=ZCA)


def standardised(seed):
    return ImageStandardizer()


def patches(seed):
    return PatchFeatures(random_state=seed)


@dataclass(frozen=True)
class Kernel:
    """`CNTKClassifierCV` after a transformer of images."""

    network: str = "plain"
    activation: str = "relu"
    depths: tuple | None = None
    readout: str = "flattened"  # or "GAP", or "local", over windows of a quarter of the side
    prepare: Callable = standardised
    flip: bool = False
    natural: bool = False  # only for images that may be mirrored

    def shape_of(self, X):
        """Return the shape of the kernel's input."""
        return PATCH_MAP if self.prepare is patches else X.shape[1:]

    def readout_of(self, shape):
        """Return the parameters of the readout for images of a shape."""
        return {
            "gap": self.readout == "GAP",
            "lap": max(1, shape[0] // 8) if self.readout == "local" else 0,
        }

    def described(self):
        if self.activation == "relu":
            return self.network
        return Network.myrtle(int(self.network[-1]), activation=self.activation)

    def work(self, X, size):
        """Return the element-layers of a draw."""
        shape = self.shape_of(X)
        depth = None if self.depths is None else max(self.depths)
        kernel = CNTK(depth, network=self.described(), **self.readout_of(shape))
        pair = pair_work(Architecture.of(kernel, shape), (Readout.of(kernel),))
        return pair * (size * (size + 1) // 2 + TESTED * size) * (2 if self.flip else 1)

    def fit(self, X, y, setting):
        readout = self.readout_of(self.shape_of(X))
        search = CNTKClassifierCV(
            self.depths,
            () if readout["lap"] else (readout["gap"],),
            networks=(self.described(),),
            laps=(readout["lap"],) if readout["lap"] else (),
            flip=self.flip,
            alphas=ALPHAS,
            device=setting.device,
            verbose=0,
        )
        model = make_pipeline(self.prepare(setting.seed), search).fit(X, y)
        chosen = search.best_params_
        return model.predict, {key: chosen[key] for key in ("depth", "alpha") if key in chosen}


class CNN:
    def fit(self, X, y, setting):
        import small_cnn  # the only module that needs PyTorch

        return small_cnn.fit(X, y, setting)


PLAIN, MYRTLE = (3, 4), {"network": "myrtle5"}
WHITE = {"prepare": whitening, "natural": True}
METHODS = {
    "RBF SVM": SVM(),
    "RBF SVM on patches": SVM(patches, natural=True),
    "random forest": Forest(),
    "small CNN": CNN(),
    "CNTK, flattened": Kernel(depths=(3, 4, 6, 11)),
    "CNTK, local pooling": Kernel(depths=PLAIN, readout="local"),
    "CNTK, GAP": Kernel(depths=PLAIN, readout="GAP"),
    "CNTK on patches, GAP": Kernel(depths=PLAIN, readout="GAP", prepare=patches, natural=True),
    "Myrtle-5, flattened": Kernel(**MYRTLE),
    "Myrtle-7, flattened": Kernel(network="myrtle7"),
    "Myrtle-5, flattened, Gaussian": Kernel(**MYRTLE, activation="gaussian"),
    "Myrtle-5, flattened, ZCA": Kernel(**MYRTLE, **WHITE),
    "Myrtle-5, flattened, ZCA, flips": Kernel(**MYRTLE, **WHITE, flip=True),
    "Myrtle-5, GAP": Kernel(**MYRTLE, readout="GAP"),
    "Myrtle-7, GAP": Kernel(network="myrtle7", readout="GAP"),
    "Myrtle-5, GAP, Gaussian": Kernel(**MYRTLE, readout="GAP", activation="gaussian"),
    "Myrtle-5, GAP, ZCA": Kernel(**MYRTLE, **WHITE, readout="GAP"),
    "Myrtle-5, GAP, ZCA, Gaussian": Kernel(**MYRTLE, **WHITE, readout="GAP", activation="gaussian"),
    "Myrtle-5, GAP, ZCA, flips": Kernel(**MYRTLE, **WHITE, readout="GAP", flip=True),
}


def measure(method, data, size, setting):
    """Return the accuracy (%) and processor seconds of a draw."""
    X, y, X_test, y_test = data.draw(size, setting.seed)
    with threadpool_limits(1):  # waiting BLAS threads use processor time
        start = time.process_time()
        predict, chosen = method.fit(X, y, setting)
        fitted = time.process_time()
        accuracy = 100 * float(np.mean(predict(X_test) == y_test))
        predicted = time.process_time()
    return {
        "accuracy": accuracy,
        "fit": round(fitted - start, 3),
        "predict": round(predicted - fitted, 3),
        "chosen": chosen,
        "date": datetime.date.today().isoformat(),
        "device": cpu_model() if setting.device in ("auto", "cpu") else setting.device,
    }


def plan(data, options):
    """Return (work, data, size, method) of all rows within the budget, the cheap ones first."""
    rows = []
    for (name, pool), size, method in product(data.items(), options.sizes, options.methods):
        chosen, work = METHODS[method], 0
        if getattr(chosen, "natural", False) and not pool.mirror:
            continue
        if isinstance(chosen, Kernel):
            work = chosen.work(pool.X, size)
        n_classes = len(np.unique(pool.y))
        if n_classes <= size <= len(pool.X) - n_classes and work <= options.budget:
            rows.append((work, name, size, method))
    return sorted(rows, key=lambda row: (row[0], row[2]))


def cell_name(name, size, method, draw):
    return f"{name}, {size}: {method}, draw {draw}"


def finished(data, cells, methods):
    """Return rows of `methods` for which every draw is finished, in this run or earlier ones."""
    rows = []
    sizes = sorted({int(key.rsplit(": ", 1)[0].rsplit(", ", 1)[1]) for key in cells.cells})
    for name, size, method in product(data, sizes, methods):
        keys = [cell_name(name, size, method, draw) for draw in range(DRAWS)]
        if all(key in cells.cells for key in keys):
            results = [cells.get(key, None) for key in keys]
            rows.append(table_row(name, size, method, results))
    return rows


def table_row(name, size, method, results):
    accuracies = [result["accuracy"] for result in results]
    return {
        "data": name,
        "images": size,
        "method": method,
        "accuracy": float(np.mean(accuracies)),
        "deviation": float(np.std(accuracies, ddof=1)),
        "fit": float(np.median([result["fit"] for result in results])),
        "predict": float(np.median([result["predict"] for result in results])),
    }


def draw_frontier(rows, path):
    """Plot accuracy against seconds: one panel per data set, lines from few images to many."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(
        1, len(names), figsize=(4.5 * len(names), 5), layout="constrained", squeeze=False
    )
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    styles = {
        method: {"color": plt.get_cmap("tab20")(k % 20), "marker": "os^Dv"[k % 5]}
        for k, method in enumerate(methods)
    }
    for ax, name in zip(axes[0], names, strict=True):
        for method in methods:
            of_method = [  # by the number of images
                (row["fit"] + row["predict"], row["accuracy"])
                for row in rows
                if (row["data"], row["method"]) == (name, method)
            ]
            if of_method:
                ax.plot(*zip(*of_method, strict=True), **styles[method], lw=1, label=method)
        ax.set(xscale="log", xlabel="processor seconds", ylabel="accuracy (%)", title=name)
    handles = {}
    for ax in axes[0]:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with MNIST and CIFAR-10 as .npz")
    parser.add_argument("--file", nargs="+", default=[], help=".npz files of images to use instead")
    parser.add_argument(
        "--mirror", action="store_true", help="the files hold photographs, which may be mirrored"
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="training images")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--budget", type=float, default=1.3e11, help="element-layers per draw")
    parser.add_argument("--json", help="results file, from which a killed run resumes")
    parser.add_argument("--plot", help="where to save the plot")
    parser.add_argument("--device", default="auto", help="device for the kernels")
    options = parser.parse_args()

    data = load(options.data, options.file, options.mirror)
    settings = {"draws": DRAWS, "test images": TESTED, "alphas": ALPHAS, "ZCA": ZCA}
    cells = Cells(options.json, settings, {"machine": describe_machine()})
    for _, name, size, method in plan(data, options):
        for draw in range(DRAWS):
            setting = Setting(draw, data[name].mirror, options.device)
            compute = partial(measure, METHODS[method], data[name], size, setting)
            cells.get(cell_name(name, size, method, draw), compute)
    rows = finished(data, cells, options.methods)
    if not rows:
        raise SystemExit("No row is finished: use a larger --budget, or other --sizes.")
    print_table(
        [{k: f"{v:.2f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    )
    if options.plot:
        draw_frontier(rows, options.plot)


if __name__ == "__main__":
    main()
