"""Measure how finite networks approach the kernel: theorems 3.1 and 3.2 of Arora et al. 2019.

* Theorem 3.1: the relative error of the kernel of one random network, as root mean square over
  networks, against its width, for every readout and trained_layers.  Random fluctuations alone
  give a slope of -1/2 in a log-log plot.
* Theorem 3.2: the distance between the predictions of a trained network and those of kernel
  regression, relative to the size of the latter, with kappa = width ** (-1/4).  kappa has to fall
  as the width grows, but the weights move by about 1 / (kappa sqrt(width)), so both errors fall
  with slope -1/4.

    python benchmarks/convergence.py [--quick] [--checkpoint FILE.json] [--output NAME]
"""

import argparse
import warnings

import numpy as np
from cells import Cells, add_common_arguments, print_table, write_csv
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk import CNTK, CNTKRegressor
from sklearn_cntk.finite import CNNRegressor, EmpiricalCNTK

QUICK = {
    "shape": [4, 4, 3],
    "depth": 3,
    "images": 8,
    "widths": [32, 64, 128, 256, 512],
    "draws": 80,
    "trained_widths": [16, 64, 256],
    "trained_draws": 6,
}
FULL = {
    "shape": [8, 8, 3],
    "depth": 4,
    "images": 16,
    "widths": [32, 64, 128, 256, 512, 1024],
    "draws": 200,
    "trained_widths": [16, 64, 256, 1024],
    "trained_draws": 10,
}


def kernel_errors(settings, gap, trained_layers, width, device):
    """Return the relative error of each network's kernel in the Frobenius norm."""
    images = np.random.default_rng(0).normal(size=(settings["images"], *settings["shape"]))
    parameters = {"depth": settings["depth"], "gap": gap, "trained_layers": trained_layers}
    exact = CNTK(**parameters, dtype="float64")(images)
    errors = []
    for seed in range(settings["draws"]):
        kernel = EmpiricalCNTK(**parameters, width=width, random_state=seed, device=device)
        errors.append(float(np.linalg.norm(kernel(images) - exact) / np.linalg.norm(exact)))
    return errors


def prediction_errors(settings, gap, trained_layers, width, device):
    """Return the relative distance of trained networks' predictions from kernel regression's."""
    rng = np.random.default_rng(1)
    images, test = (rng.normal(size=(n, *settings["shape"])) for n in (16, 64))
    y = images.mean(axis=(1, 2, 3))
    parameters = {"depth": settings["depth"], "gap": gap, "trained_layers": trained_layers}
    regression = CNTKRegressor(**parameters, alpha=0, dtype="float64", fit_intercept=False)
    exact = regression.fit(images, y).predict(test)
    errors = []
    for seed in range(settings["trained_draws"]):
        network = CNNRegressor(
            **parameters,
            width=width,
            kappa=width**-0.25,
            momentum=0.5,
            max_epochs=3000,
            random_state=seed,
            device=device,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            predicted = network.fit(images, y).predict(test)
        errors.append(float(np.linalg.norm(predicted - exact) / np.linalg.norm(exact)))
    return errors


EXPERIMENTS = {
    "3.1": (
        kernel_errors,
        "widths",
        [(g, t) for g in (True, False) for t in ("all", "hidden", "last")],
    ),
    "3.2": (prediction_errors, "trained_widths", [(True, "all"), (False, "all")]),
}


def fit_slope(rows):
    """Return the least-squares slope of log error against log width, and its standard error."""
    width, error, deviation = np.array(
        [[row["width"], float(row["error"]), float(row["standard_error"])] for row in rows]
    ).T
    centred = np.log(width) - np.log(width).mean()
    weights = centred / np.sum(centred**2)
    return float(weights @ np.log(error)), float(np.linalg.norm(weights * deviation / error))


def plot(rows, slopes, file):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(EXPERIMENTS), figsize=(10, 4))
    titles = {"3.1": "kernel of random networks", "3.2": "predictions of trained networks"}
    for panel, theorem in zip(panels, EXPERIMENTS, strict=True):
        for (which, gap, layers), slope in slopes.items():
            if which != theorem:
                continue
            mine = [
                row
                for row in rows
                if (row["theorem"], row["gap"], row["layers"]) == (which, gap, layers)
            ]
            name = f"{'GAP' if gap else 'V'}, {layers}: slope {slope:.2f}"
            panel.loglog([r["width"] for r in mine], [r["error"] for r in mine], "o-", label=name)
        panel.set(title=f"Theorem {theorem}: {titles[theorem]}", xlabel="width")
        panel.set_ylabel("relative error")
        panel.set_xscale("log", base=2)
        panel.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser, "convergence")
    options = parser.parse_args()
    settings = QUICK if options.quick else FULL
    cells = Cells(options.checkpoint, settings)

    rows, slopes = [], {}
    for theorem, (errors_of, widths, combinations) in EXPERIMENTS.items():
        for gap, layers in combinations:
            mine = []
            for width in settings[widths]:
                arguments = (settings, gap, layers, width, options.device)
                errors = cells.get(
                    f"{theorem} gap={gap} {layers} width={width}",
                    lambda arguments=arguments, compute=errors_of: compute(*arguments),
                )
                error = np.sqrt(np.mean(np.square(errors)))
                # Standard error of the root mean square, by the delta method.
                deviation = np.std(np.square(errors), ddof=1) / np.sqrt(len(errors)) / (2 * error)
                row = {"theorem": theorem, "gap": gap, "layers": layers, "width": width}
                row |= {"error": f"{error:.5f}", "standard_error": f"{deviation:.5f}"}
                mine.append(row | {"networks": len(errors)})
            slope, uncertainty = fit_slope(mine)
            slopes[theorem, gap, layers] = slope
            rows += [row | {"slope": f"{slope:.3f} ± {uncertainty:.3f}"} for row in mine]
    print_table(rows)
    write_csv(f"{options.output}.csv", rows, {"settings": settings})
    plot([row | {"error": float(row["error"])} for row in rows], slopes, f"{options.output}.png")


if __name__ == "__main__":
    main()
