"""Measure the effect of local average pooling and flips on CIFAR-10 (Li et al. 2019).

Normalised CNTK, images standardised per channel, labels one-hot minus 1/10: test accuracy (%) by
pooling radius and depth, without and with flips.  One pass over the pairs of images, and one more
over the mirrored pairs, give all results.  Entries are kept in a folder: if the run is killed at
any point, the same command resumes it.

    python benchmarks/pooling.py --data FOLDER --memory FOLDER [--n-train 500] [--n-test 500]
        [--depths 4 6] [--radii 0 1 2 4] [--output FILE.csv]
"""

import argparse
import csv
import time

import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTKClassifier, cntk_path
from sklearn_cntk._linalg.ridge import ridge_dual
from sklearn_cntk.datasets import load_cifar10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--memory", required=True, help="folder for kernel entries")
    parser.add_argument("--n-train", type=int, default=500)
    parser.add_argument("--n-test", type=int, default=500)
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--radii", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--alpha", type=float, default=CNTKClassifier().alpha)
    parser.add_argument("--output", help="CSV file to write")
    options = parser.parse_args()

    data = load_cifar10(options.data, n_train=options.n_train, n_test=options.n_test)
    targets = (data.y_train[:, None] == np.arange(10)) - 0.1
    path = {
        "depths": options.depths,
        "gap": [False] if 0 in options.radii else [],
        "lap": [radius for radius in options.radii if radius > 0],
        "normalize": True,
        "memory": options.memory,
        "verbose": 1,
    }
    rows = []
    start = time.perf_counter()
    for flip in (False, True):
        grams, readouts = cntk_path(data.X_train, flip=flip, **path)
        test_grams, _ = cntk_path(data.X_test, data.X_train, flip=flip, **path)
        for readout, K, K_test in zip(readouts, grams, test_grams, strict=True):
            scores = K_test @ ridge_dual(K, targets, options.alpha)
            correct = 100 * np.mean(scores.argmax(axis=1) == data.y_test)
            rows.append({**readout, "flip": flip, "correct": f"{correct:.2f}"})
    elapsed = time.perf_counter() - start

    print(f"{'lap':>4} {'depth':>6} {'plain':>7} {'flips':>7}")
    half = len(rows) // 2
    pairs = zip(rows[:half], rows[half:], strict=True)
    for plain, flips in sorted(pairs, key=lambda pair: (pair[0]["lap"], pair[0]["depth"])):
        line = plain["lap"], plain["depth"], plain["correct"], flips["correct"]
        print("{:>4} {:>6} {:>7} {:>7}".format(*line))
    if options.output:
        facts = {
            "data": f"CIFAR-10, first {options.n_train} training and {options.n_test} test images",
            "alpha": options.alpha,
            "seconds": f"{elapsed:.0f}",
            **describe_machine(),
        }
        with open(options.output, "w", newline="") as stream:
            stream.writelines(f"# {name}: {value}\n" for name, value in facts.items())
            writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
