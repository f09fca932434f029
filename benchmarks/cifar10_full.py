"""All of CIFAR-10 on one machine: Gram matrix on disk, conjugate gradients, predictions.

Trace kernel, 50 000 training and 10 000 test images, standardised per channel, one-hot labels
minus 1/10: accuracy (%), compared with the column CNTK-V of Table 1 of Arora et al. (2019).  The
Gram matrix (10 GB in float32), the fitted model and blocks of predictions are kept in a folder: if
the run is killed at any point, the same command resumes it.

    python benchmarks/cifar10_full.py --data FOLDER --store FOLDER [--n-train N] [--n-test N]
        [--depth 4] [--solver cg] [--json FILE]
"""

import argparse
import json
import multiprocessing
import os
import resource
import threading
import time
import uuid
from pathlib import Path

import joblib
import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTK, CNTKClassifier, gram_to_zarr
from sklearn_cntk.datasets import load_cifar10

# Accuracy (%) with all training images, by depth (Table 1).
PAPER = {3: 64.47, 4: 65.52, 6: 66.03, 11: 65.90, 21: 64.09}

# Test images whose predictions are kept together.
BLOCK = 500

# Seconds between two records of the resources that a phase has used so far.
NOTES = 10


class Usage:
    """Time and peak memory of this process, saved regularly in case it is killed."""

    def __init__(self, folder, phase):
        folder.mkdir(exist_ok=True)
        self.file = folder / f"{phase}-{uuid.uuid4().hex}.json"
        self.start = time.perf_counter()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._notes, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self._note()

    def _notes(self):
        while not self.stop.wait(NOTES):
            self._note()

    def _note(self):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        usage = {
            "seconds": time.perf_counter() - self.start,
            "cpu_seconds": time.process_time(),
            "peak_bytes": peak,
        }
        unfinished = self.file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(usage))
        unfinished.replace(self.file)


def total_usage(folder, phase):
    """Return the total times and the largest peak of all runs of a phase."""
    runs = [json.loads(file.read_text()) for file in folder.glob(f"{phase}-*.json")]
    return {
        "runs": len(runs),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "cpu_seconds": round(sum(run["cpu_seconds"] for run in runs), 1),
        "peak_gb": round(max((run["peak_bytes"] for run in runs), default=0) / 1e9, 2),
    }


def settle(file, write):
    """Let `write` create a file under another name, and rename it when it is complete."""
    unfinished = file.with_name(f"unfinished-{file.name}")
    write(unfinished)
    os.replace(unfinished, file)


# --- phases, each in its own process ------------------------------------------------------------


def compute_gram(options, folder):
    data = load(options)
    kernel = CNTK(options.depth, gap=False, verbose=1)
    gram_to_zarr(kernel, data.X_train, store=folder / "gram", dtype="float32")


def fit(options, folder):
    if (folder / "model.joblib").exists():
        return
    data = load(options)
    model = CNTKClassifier(
        options.depth,
        gap=False,
        solver=options.solver,
        gram_store=str(folder / "gram"),
        random_state=0,
        verbose=1,
    ).fit(data.X_train, data.y_train)
    settle(folder / "model.joblib", lambda file: joblib.dump(model, file))


def predict(options, folder):
    blocks = [file for file in prediction_files(options, folder) if not file.exists()]
    if not blocks:
        return
    model = joblib.load(folder / "model.joblib")
    images = load(options).X_test
    for file in blocks:
        start, stop = map(int, file.stem.split("-"))
        scores = model.decision_function(images[start:stop])
        settle(file, lambda file, scores=scores: np.save(file, scores))


def load(options):
    return load_cifar10(options.data, n_train=options.n_train, n_test=options.n_test)


def prediction_files(options, folder):
    starts = range(0, options.n_test, BLOCK)
    return [folder / f"{k:05}-{min(k + BLOCK, options.n_test):05}.npy" for k in starts]


PHASES = {"gram": compute_gram, "fit": fit, "predict": predict}


def run_phase(name, options, folder):
    with Usage(folder / "usage", name):
        PHASES[name](options, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--store", required=True, help="folder to keep everything in")
    parser.add_argument("--n-train", type=int, default=50000)
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--solver", default="cg", choices=("cg", "cholesky"))
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    # Predictions with other settings go to other folders; the Gram matrix checks its settings.
    name = f"depth{options.depth}-train{options.n_train}"
    folder = Path(options.store) / name
    folder.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    for phase in PHASES:
        print(f"{phase}: begins", flush=True)
        process = spawn.Process(target=run_phase, args=(phase, options, folder))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{phase} ended with exit code {process.exitcode}")

    data = load(options)
    scores = np.concatenate([np.load(file) for file in prediction_files(options, folder)])
    result = {
        "depth": options.depth,
        "solver": options.solver,
        "n_train": options.n_train,
        "n_test": options.n_test,
        "iterations": joblib.load(folder / "model.joblib").n_iter_,
        "correct": round(100 * float(np.mean(scores.argmax(axis=1) == data.y_test)), 2),
        "paper, 50 000 and 10 000 images": PAPER.get(options.depth),
        "usage": {phase: total_usage(folder / "usage", phase) for phase in PHASES},
        "machine": describe_machine(),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
