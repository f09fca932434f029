"""Columns of finite networks in Table 1 of Arora et al. 2019, CNN-V and CNN-GAP; see table1.py."""

import warnings

from cells import Cells, print_table, write_csv
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk.finite import CNNClassifier

# Accuracy (%) at each depth in the paper, trained on all 50 000 images.
PAPER = {
    "CNN-V": {3: 59.97, 4: 60.20, 6: 64.11, 11: 69.48, 21: 75.57},
    "CNN-GAP": {3: 63.81, 4: 80.93, 6: 83.75, 11: 82.92, 21: 83.30},
}
QUICK = {
    "depths": [3, 4],
    "width": 32,
    "max_epochs": 20,
    "momentum": 0.9,
    "kappa": 1.0,
    "batch_size": 32,
}
FULL = {
    "depths": [3, 4, 6, 11, 21],
    "width": 256,
    "max_epochs": 300,
    "momentum": 0.9,
    "kappa": 1.0,
    "batch_size": 128,
}


def train(data, gap, depth, settings, device):
    """Return accuracies (%), epochs and the learning rate of one trained network."""
    parameters = {name: value for name, value in settings.items() if name != "depths"}
    network = CNNClassifier(depth, gap, random_state=0, device=device, verbose=1, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(data.X_train, data.y_train)
    return {
        "test": 100 * network.score(data.X_test, data.y_test),
        "train": 100 * network.score(data.X_train, data.y_train),
        "epochs": network.n_iter_,
        "lr": network.lr_,
    }


def plot(rows, file):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4))
    for name in PAPER:
        mine = [row for row in rows if row["network"] == name]
        line = axes.plot([r["depth"] for r in mine], [float(r["test"]) for r in mine], "o-")
        axes.plot(*zip(*PAPER[name].items(), strict=True), "--", color=line[0].get_color())
        line[0].set_label(name)
    axes.set(xlabel="depth", ylabel="test accuracy, %", title="dashed: the paper, 50 000 images")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def run(data, *, quick, checkpoint, output, device):
    """Train the networks; print and write their rows."""
    settings = {**(QUICK if quick else FULL)}
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    cells = Cells(checkpoint, {**settings, **sizes})
    rows = []
    for name in PAPER:
        for depth in settings["depths"]:
            result = cells.get(
                f"{name} depth={depth}",
                lambda name=name, depth=depth: train(
                    data, name == "CNN-GAP", depth, settings, device
                ),
            )
            row = {"network": name, "depth": depth, "test": f"{result['test']:.2f}"}
            row |= {"train": f"{result['train']:.2f}", "epochs": result["epochs"]}
            row |= {"lr": f"{result['lr']:.3g}", "paper_50000_images": PAPER[name][depth]}
            rows.append(row)
    print_table(rows)
    if output:
        write_csv(output, rows, {"data": f"CIFAR-10, {sizes}", "settings": settings})
        plot(rows, str(output).removesuffix(".csv") + ".png")
