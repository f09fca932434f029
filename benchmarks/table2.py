"""Exact kernels compared with random features on CIFAR-2, as in Table 2 of Arora et al. 2019.

CIFAR-2 consists of the first two classes of CIFAR-10.  For every depth, kernel regression uses the
exact kernel, and the kernel of the gradients of one random network of finite width: with respect to
all weights, compared with the CNTK ("all"), and with respect to those of the dense layer, compared
with the NNGP kernel ("last").  Each has the ridge with the best leave-one-out accuracy on the
training images.  The results should confirm the paper's claim that the exact kernel is more
accurate than random features.

    python benchmarks/table2.py --data FOLDER [--quick] [--checkpoint FILE.json] [--output NAME]
"""

import argparse

import numpy as np
from cells import Cells, add_common_arguments, print_table, write_csv

from sklearn_cntk import CNTK
from sklearn_cntk._linalg.ridge import ridge_dual
from sklearn_cntk._models.candidates import leave_one_out
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.finite import EmpiricalCNTK

QUICK = {
    "n_train": 400,
    "n_test": 1000,
    "depths": [3, 6],
    "gap": False,
    "widths": [4, 32],
    "draws": 3,
}
FULL = {
    "n_train": 10000,
    "n_test": 2000,
    "depths": [3, 4, 6, 11, 21],
    "gap": False,
    "widths": [16, 64, 128],
    "draws": 5,
}
ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def load(folder, settings):
    """Return the first images of the first two classes, with labels -0.5 and 0.5."""
    data = load_cifar10(folder)
    result = []
    for part, n in (("train", settings["n_train"]), ("test", settings["n_test"])):
        images, labels = data[f"X_{part}"], data[f"y_{part}"]
        rows = np.flatnonzero(labels < 2)[:n]
        if len(rows) < n:
            print(f"{part}: {n} images requested, but the files have {len(rows)} of both classes")
        result += [images[rows], labels[rows] - 0.5]
    return result


def accuracy(kernel, X, y, X_test, y_test):
    """Return the accuracy (%) on test images, classified by the sign of the prediction."""
    K, K_test = kernel(X), kernel(X_test, X)
    held_out = leave_one_out(K.copy(), y, ALPHAS)
    alpha = ALPHAS[int(np.argmax([np.mean((p > 0) == (y > 0)) for p in held_out]))]
    dual = ridge_dual(K, y, alpha)
    return 100 * float(np.mean((K_test @ dual > 0) == (y_test > 0)))


def plot(rows, file):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for panel, layers in zip(panels, ("all", "last"), strict=True):
        mine = [row for row in rows if row["layers"] == layers]
        for name in dict.fromkeys(row["width"] for row in mine):
            points = [row for row in mine if row["width"] == name]
            label = "exact" if name == "exact" else f"random features, width {name}"
            values = [[float(row[key]) for row in points] for key in ("accuracy", "deviation")]
            panel.errorbar(
                [r["depth"] for r in points], values[0], values[1], marker="o", label=label
            )
        panel.set(title=f"trained layers: {layers}", xlabel="depth")
        panel.legend(fontsize="small")
    panels[0].set_ylabel("test accuracy, %")
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    add_common_arguments(parser, "table2")
    options = parser.parse_args()
    settings = QUICK if options.quick else FULL
    cells = Cells(options.checkpoint, settings)
    data = load(options.data, settings)

    rows, ahead = [], []
    for depth in settings["depths"]:
        for layers in ("all", "last"):
            parameters = {"depth": depth, "gap": settings["gap"], "trained_layers": layers}
            results = {
                "exact": [
                    cells.get(
                        f"{parameters} exact",
                        lambda parameters=parameters: accuracy(CNTK(**parameters), *data),
                    )
                ]
            }
            for width in settings["widths"]:
                results[width] = []
                for seed in range(settings["draws"]):
                    kernel = EmpiricalCNTK(
                        **parameters, width=width, random_state=seed, device=options.device
                    )
                    results[width].append(
                        cells.get(
                            f"{parameters} width={width} seed={seed}",
                            lambda kernel=kernel: accuracy(kernel, *data),
                        )
                    )
                ahead.append(results["exact"][0] - np.mean(results[width]))
            for width, values in results.items():
                deviation = np.std(values, ddof=1) if len(values) > 1 else 0
                row = {"depth": depth, "layers": layers, "width": width}
                row |= {"accuracy": f"{np.mean(values):.2f}", "deviation": f"{deviation:.2f}"}
                rows.append(row | {"networks": len(values) if width != "exact" else ""})
    print_table(rows)
    print(f"exact kernel ahead in {np.sum(np.array(ahead) > 0)} of {len(ahead)} comparisons")
    facts = {"settings": settings, "images": f"{len(data[0])} training, {len(data[2])} test"}
    write_csv(f"{options.output}.csv", rows, facts)
    plot(rows, f"{options.output}.png")


if __name__ == "__main__":
    main()
