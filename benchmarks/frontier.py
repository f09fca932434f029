"""Measure the accuracy of each architecture on few photographs, and its cost.

Uses 1000 images of CIFAR-10, standardised per channel.  For each architecture, the kernel matrix of
all images is computed once, and kernel regression on 500 of them is tested on the other 500.  This
is done ten times, in five stratified random halvings that are the same for all architectures.  The
ridge is chosen on the training images of a halving, by leave-one-out.

    python benchmarks/frontier.py --data FOLDER [--budget 1e5] [--architectures NAME ...]
        [--json FILE] [--plot FILE.png] [--device cpu]

Cheap architectures come first; those of more than --budget element-layers per pair are left out.
Results are kept in --json, from which a later run resumes: delete the file if architectures have
changed since then.
"""

import argparse
import datetime
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from cells import Cells, print_table
from machine import describe_machine
from myrtle import choose_alpha
from sklearn.model_selection import RepeatedStratifiedKFold
from table1 import dual_of

from sklearn_cntk import CNTK
from sklearn_cntk._engines.plan import pair_work
from sklearn_cntk._selftest.machine import cpu_model
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    Network,
    Readout,
    Residual,
)

IMAGES = 1000
HALVINGS = RepeatedStratifiedKFold(n_splits=2, n_repeats=5, random_state=0)
ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Candidate:
    """A network, its readout, and how much images are reduced before it."""

    network: Network
    readout: str | int  # "flattened", "GAP", or the radius of windows for local pooling
    side: int = 1  # side of the windows over which images are first averaged

    def kernel(self, device="auto"):
        lap = self.readout if isinstance(self.readout, int) else 0
        return CNTK(None, self.readout == "GAP", network=self.network, lap=lap, device=device)

    def images(self, X):
        n, rows, columns, channels = X.shape
        windows = (n, rows // self.side, self.side, columns // self.side, self.side, channels)
        return X.reshape(windows).mean(axis=(2, 4))


def after(layers, depth):
    """Return a plain network after other layers."""
    return Network([*layers, *Network.plain(depth).layers])


def strided(filter_size=3, strides=2):
    return [Conv(filter_size, strides=strides), Activation("relu")]


def residual(blocks):
    """Return blocks of two convolutions, each after an activation, with a pool after each block."""
    block = Residual([Activation("relu"), Conv()] * 2)
    return Network([Conv(), *[block, AvgPool()] * blocks, Activation("relu")])


PLAIN = {f"depth {depth}": Network.plain(depth) for depth in (2, 3, 4, 6, 11, 21)}
FILTERS = {
    f"depth {depth}, {side} × {side} filters": Network.plain(depth, side)
    for depth, side in ((4, 5), (6, 5), (6, 7))
}
POOLED = {
    "depth 4, pool after 1": Network.plain(4, pool_after=(1,)),
    "depth 4, pools after 1, 2": Network.plain(4, pool_after=(1, 2)),
    "depth 4, pools after 1, 2, 3": Network.plain(4, pool_after=(1, 2, 3)),
    "depth 6, pools after 2, 4": Network.plain(6, pool_after=(2, 4)),
    **{f"Myrtle-{depth}": Network.myrtle(depth) for depth in (5, 7, 10)},
    "Myrtle-5, Gaussian": Network.myrtle(5, activation="gaussian"),
}
STRIDED = {
    "depth 4, stride 2": after(strided(), 3),
    "depth 4, strides 2, 2": after(strided() * 2, 2),
    "depth 6, strides 2, 2": after(strided() * 2, 4),
    "depth 4, 5 × 5 filters with stride 4 first": after(strided(5, 4), 3),
    "depth 6, 5 × 5 filters with stride 4 first": after(strided(5, 4), 5),
    "depth 4, 7 × 7 filters with stride 4 first": after(strided(7, 4), 3),
}
SMALLER = {  # side of the images, network
    **{f"{name} on 8 × 8 images": (4, PLAIN[name]) for name in ("depth 4", "depth 6")},
    **{f"{name} on 16 × 16 images": (2, PLAIN[name]) for name in ("depth 4", "depth 6")},
    "Myrtle-5 on 16 × 16 images": (2, POOLED["Myrtle-5"]),
}


def of_readout(networks, readout):
    return {f"{name}, {readout}": Candidate(network, readout) for name, network in networks.items()}


ARCHITECTURES = {
    **of_readout(PLAIN | FILTERS | POOLED, "flattened"),
    "residual, two pools, flattened": Candidate(residual(2), "flattened"),
    **{
        f"depth 4, windows of {2 * radius + 1}": Candidate(PLAIN["depth 4"], radius)
        for radius in (1, 2, 4)
    },
    "Myrtle-5, windows of 3": Candidate(POOLED["Myrtle-5"], 1),
    **{
        f"{name}, GAP": Candidate(network, "GAP", side) for name, (side, network) in SMALLER.items()
    },
    **of_readout(STRIDED | POOLED, "GAP"),
    **of_readout({name: PLAIN[name] for name in ("depth 3", "depth 4", "depth 6")}, "GAP"),
    "depth 4, 5 × 5 filters, GAP": Candidate(FILTERS["depth 4, 5 × 5 filters"], "GAP"),
}


def cost_of(candidate, shape):
    """Return the element-layers of a pair of images."""
    kernel = candidate.kernel()
    shape = candidate.images(np.zeros((1, *shape))).shape[1:]
    return pair_work(Architecture.of(kernel, shape), (Readout.of(kernel),))


def measure(candidate, X, y, device):
    """Return accuracies (%), one per halving and direction, and seconds of the kernel matrix."""
    work = cost_of(candidate, X.shape[1:])
    kernel, X = candidate.kernel(device), candidate.images(X)
    kernel(X[:2])  # compiles
    start, processor = time.perf_counter(), time.process_time()
    K = kernel(X)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    found = [judge(K, y, *halves) for halves in HALVINGS.split(X, y)]
    return {
        "element_layers": work,
        "seconds": round(seconds, 3),
        "processor": round(processor, 3),
        "accuracies": [accuracy for accuracy, _ in found],
        "alphas": [alpha for _, alpha in found],
        "date": datetime.date.today().isoformat(),
        "device": cpu_model() if device in ("auto", "cpu") else device,
    }


def judge(K, y, train, test):
    """Return the accuracy on the second half after regression and ridge choice on the first."""
    K_train, K_test = K[np.ix_(train, train)], K[np.ix_(test, train)]
    classes = np.arange(y.max() + 1)
    targets = (y[train, None] == classes) - 1 / len(classes)
    alpha, _ = choose_alpha(K_train, y[train], targets, "cpu", ALPHAS)
    scores = K_test @ dual_of(K_train, targets, alpha, "cpu")
    return 100 * float(np.mean(scores.argmax(axis=1) == y[test])), alpha


def rows_of(cells):
    """Return the rows of the table, from cheap to expensive."""
    return [
        {
            "architecture": name,
            "element-layers": found["element_layers"],
            "processor": found["processor"],
            "accuracy": float(np.mean(found["accuracies"])),
            "deviation": float(np.std(found["accuracies"], ddof=1)),
        }
        for name, found in sorted(
            ((name, cell["result"]) for name, cell in cells.items()),
            key=lambda item: item[1]["element_layers"],
        )
    ]


def draw(rows, path):
    """Plot accuracy against processor seconds, with one colour per readout."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    kinds = {"flattened": [], "windows": [], "GAP": []}
    for row in rows:
        kinds[next(kind for kind in kinds if kind in row["architecture"])].append(row)
    for kind, of_kind in kinds.items():
        ax.plot(
            [row["processor"] for row in of_kind],
            [row["accuracy"] for row in of_kind],
            "o",
            label={"windows": "local pooling"}.get(kind, kind),
        )
    ax.set(xscale="log", xlabel="processor seconds, 1000 images", ylabel="accuracy (%)")
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--budget", type=float, default=1e5, help="most element-layers per pair")
    parser.add_argument(
        "--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES, metavar="NAME"
    )
    parser.add_argument("--json", help="results file, from which a killed run resumes")
    parser.add_argument("--plot", help="where to save the plot")
    parser.add_argument("--device", default="auto", help="device for the kernels")
    options = parser.parse_args()

    data = load_cifar10(options.data, n_train=IMAGES, n_test=1)
    X, y = data.X_train.astype(np.float32), data.y_train
    costs = {name: cost_of(ARCHITECTURES[name], X.shape[1:]) for name in options.architectures}
    settings = {"images": IMAGES, "alphas": ALPHAS}
    cells = Cells(options.json, settings, {"machine": describe_machine()})
    for name in sorted(costs, key=costs.get):
        if costs[name] <= options.budget:
            cells.get(name, partial(measure, ARCHITECTURES[name], X, y, options.device))
    if not cells.cells:
        raise SystemExit(f"Give a larger --budget: the cheapest takes {min(costs.values()):.3g}.")
    rows = rows_of(cells.cells)
    print_table(
        [{k: f"{v:.2f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    )
    if options.plot:
        draw(rows, options.plot)


if __name__ == "__main__":
    main()
