"""A slice of Table 1 that takes minutes on a GPU: CNTK-GAP-2K on the first 2000 test images.

The column of table1.py with the first 2000 training and test images, with every depth from one
pass.  Finished pieces are kept, and are small enough to be moved between machines:

    python benchmarks/gap_slice.py prepare --data FOLDER --images FILE.npz
    python benchmarks/gap_slice.py train --images FILE.npz --folder FOLDER [--device cuda]
    python benchmarks/gap_slice.py test  --images FILE.npz --folder FOLDER [--device cuda]
    python benchmarks/gap_slice.py check --images FILE.npz --folder FOLDER [--entries 2000]

`train` computes the triangle of the Gram matrices, 4.2e13 element-layers, in five files of 2 to
15 MB.  `test` computes the kernels of the test images, 8.4e13 element-layers, and keeps only the
accuracies.  `check` compares random entries of the triangle with the CPU engine in float64.  On
GPUs, gpu.py runs these steps.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
from table1 import DEFAULT_ALPHA, DEPTHS, TABLE, dual_of, solve

from sklearn_cntk import cntk_path
from sklearn_cntk._engines import select_engine
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import Architecture, Readout

COLUMN = "cntk-gap-2k"
# Training images per file, and test images per piece.
HEIGHT = 400
TEST_HEIGHT = 500


def prepare(options):
    """Write a file of the images that load_cifar10 can read."""
    n = TABLE[COLUMN][0]
    data = load_cifar10(options.data, n_train=n, n_test=n, standardize=False)
    names = ("X_train", "y_train", "X_test", "y_test")
    np.savez_compressed(options.images, **{name: data[name] for name in names})
    print(f"{options.images}: {Path(options.images).stat().st_size / 1e6:.1f} MB")


def path_of(options):
    """Return the arguments of cntk_path."""
    _, gap, trained_layers, _ = TABLE[COLUMN]
    return {
        "depths": DEPTHS,
        "gap": [gap],
        "trained_layers": [trained_layers],
        "device": options.device,
    }


def pieces(n):
    """Return the rows of each piece of the triangle, as slices."""
    return [slice(i, min(i + HEIGHT, n)) for i in range(0, n, HEIGHT)]


def file_of(folder, rows):
    """Return the file for the rows of a slice: entries (depth, pair) in float32, row by row."""
    return Path(folder) / f"triangle_{rows.start}_{rows.stop}.npy"


class Record:
    """A JSON file that records what has been computed in a folder, and for which images."""

    def __init__(self, options):
        self.path = Path(options.folder) / "record.json"
        images = hashlib.sha256(Path(options.images).read_bytes()).hexdigest()
        self.values = {"images": images, "height": HEIGHT, "train": [], "test": None}
        if self.path.exists():
            found = json.loads(self.path.read_text())
            if (found["images"], found["height"]) != (images, HEIGHT):
                sys.exit(
                    f"{options.folder} holds the triangle of other images: use an empty folder."
                )
            self.values = found

    def save(self):
        """Write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.values))


def triangle_of(rows):
    """Return a mask of the triangle in a rectangle (rows, all images up to the last row)."""
    return np.tri(rows.stop - rows.start, rows.stop, rows.start, dtype=bool)


def train(options):
    """Yield a row of results for each file; compute those that are missing."""
    data, record = load_cifar10(options.images), Record(options)
    rows_of_results = record.values["train"]
    yield from rows_of_results
    X = data.X_train
    for rows in pieces(len(X))[len(rows_of_results) :]:
        start = time.perf_counter()
        # Pairs with the images before the slice, then pairs within the slice.
        parts = [cntk_path(X[rows], **path_of(options))[0]]
        if rows.start:
            parts.insert(0, cntk_path(X[rows], X[: rows.start], **path_of(options))[0])
        grams = np.concatenate(parts, axis=2)
        seconds = time.perf_counter() - start
        record.save()  # creates the folder
        np.save(file_of(options.folder, rows), grams[:, triangle_of(rows)].astype(np.float32))
        pairs = (rows.start + (rows.stop - rows.start + 1) / 2) * (rows.stop - rows.start)
        row = {"rows": [rows.start, rows.stop], "pairs": int(pairs), "seconds": seconds}
        rows_of_results.append(row)
        record.save()
        yield row


def grams(folder, n):
    """Return the Gram matrices (depth, n, n) from the files."""
    K = np.empty((len(DEPTHS), n, n))
    for rows in pieces(n):
        below = triangle_of(rows)
        K[:, rows, : rows.stop][:, below] = np.load(file_of(folder, rows))
    upper = ~np.tri(n, dtype=bool)
    for of_depth in K:
        of_depth[upper] = of_depth.T[upper]
    return K


def test(options):
    """Yield the accuracies on the test images so far, after each piece of them."""
    data, record = load_cifar10(options.images), Record(options)
    K = grams(options.folder, len(data.X_train))
    targets = (data.y_train[:, None] == np.arange(10)) - 0.1
    duals = []
    for of_depth in K:
        exact, alpha = solve(of_depth.copy(), targets, options.device)
        duals.append((alpha, exact, dual_of(of_depth, targets, DEFAULT_ALPHA, options.device)))
    done = record.values["test"] or {"n": 0, "seconds": 0.0, "right": [[0] * len(DEPTHS)] * 2}
    right = np.array(done["right"])
    for i in range(done["n"], len(data.X_test), TEST_HEIGHT):
        images, labels = (part[i : i + TEST_HEIGHT] for part in (data.X_test, data.y_test))
        start = time.perf_counter()
        K_test = cntk_path(images, data.X_train, **path_of(options))[0]
        done["seconds"] += time.perf_counter() - start
        for k, (_, exact, default) in enumerate(duals):
            for row, dual in enumerate((exact, default)):
                right[row, k] += np.sum((K_test[k] @ dual).argmax(axis=1) == labels)
        done |= {"n": i + len(images), "right": right.tolist()}
        record.values["test"] = done
        record.save()
        yield accuracies(done, duals, len(data.X_train))
    if done["n"] >= len(data.X_test):
        yield accuracies(done, duals, len(data.X_train))


def accuracies(done, duals, n_train):
    """Return accuracies (%) on the test images so far, along with those of the paper."""
    n = done["n"]
    rows = [
        {
            "depth": depth,
            "no_ridge": round(100 * done["right"][0][k] / n, 2),
            "alpha_used": duals[k][0],
            "default_ridge": round(100 * done["right"][1][k] / n, 2),
            "paper": TABLE[COLUMN][3][k],
        }
        for k, depth in enumerate(DEPTHS)
    ]
    return {"test_images": n, "pairs": n * n_train, "seconds": done["seconds"], "rows": rows}


def check(options):
    """Return the largest deviation of random entries from the CPU in float64, relative."""
    data = load_cifar10(options.images)
    n = len(data.X_train)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, n, (2, options.entries))
    _, gap, trained_layers, _ = TABLE[COLUMN]
    architecture = Architecture(data.X_train.shape[1:])
    readouts = [Readout(depth, gap, trained_layers) for depth in DEPTHS]
    images = data.X_train[x], data.X_train[y]
    exact = select_engine("cpu").pairs(*images, architecture, readouts, dtype="float64")
    deviations = {
        depth: float(np.max(abs(of_depth[x, y] - values)) / of_depth.max())
        for depth, of_depth, values in zip(DEPTHS, grams(options.folder, n), exact, strict=True)
    }
    return {"entries": options.entries, "deviations": deviations}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("prepare", "train", "test", "check"))
    parser.add_argument("--data", help="path to CIFAR-10, as for load_cifar10; used by `prepare`")
    parser.add_argument("--images", required=True, help="the file that `prepare` writes")
    parser.add_argument("--folder", help="folder of the triangle")
    parser.add_argument("--device", default="cuda", help="device, as for CNTK")
    parser.add_argument("--entries", type=int, default=2000, help="number of entries to check")
    options = parser.parse_args()
    if options.step == "prepare":
        if not options.data:
            parser.error("prepare needs --data.")
        return prepare(options)
    if not options.folder:
        parser.error(f"{options.step} needs --folder.")
    results = {"train": train, "test": test, "check": check}[options.step](options)
    for result in [results] if isinstance(results, dict) else results:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
