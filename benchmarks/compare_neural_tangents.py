"""Compare our CPU engine with neural-tangents 0.6.5, alternately on the same images and machine.

neural-tangents needs a separate environment with Python 3.11 (`--setup` creates it):

    python benchmarks/compare_neural_tangents.py --setup nt-env
    python benchmarks/compare_neural_tangents.py --python nt-env/bin/python [--quick] [--json FILE]

Their figure is for the compiled `kernel_fn` with the best of several batch sizes; ours is for the
public class on as many images as take a second or two.  Both use all cores in float32, and exclude
compilation and a first run.  The values have to agree up to the factor between the two
parametrisations.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTK

DEPTH = 11
FOLDER = Path(__file__).resolve().parent / "neural_tangents"

# Image shape, GAP, their batch sizes (n: n images with n others), and our numbers of images.
CASES = [
    ((8, 8, 1), True, (8, 32), (256, 512)),
    ((32, 32, 3), True, (2, 4), (16, 32)),
    ((8, 8, 1), False, (64, 512), (2048, 2048)),
    ((32, 32, 3), False, (8, 64), (512, 512)),
]


class NeuralTangents:
    """The other interpreter, kept running so that it compiles each kernel only once."""

    def __init__(self, python, folder):
        self.images = Path(folder) / "images.npz"
        self.process = subprocess.Popen(
            [python, FOLDER / "worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, X, Y, gap):
        """Return kernel values and seconds."""
        np.savez(self.images, X=X, Y=Y)
        job = {"images": str(self.images), "depth": DEPTH, "gap": gap}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("neural-tangents ended early: see its messages above")
        result = json.loads(line)
        return np.array(result["values"]), result["seconds"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()


def run_ours(X, Y, gap):
    """Return kernel values and seconds."""
    kernel = CNTK(DEPTH, gap)
    kernel(X[:1], Y[:1])
    start = time.perf_counter()
    values = kernel(X, Y)
    return values, time.perf_counter() - start


def compare(theirs, case, repeats, quick):
    """Return a row of results; raise if the values disagree."""
    shape, gap, batches, (n, m) = case
    rng = np.random.default_rng(0)
    samples, deviation = [], 0.0
    for _ in range(repeats):
        X, Y = (rng.normal(size=(k, *shape)).astype(np.float32) for k in (n, m))
        ours, seconds = run_ours(X, Y, gap)
        our_rate = ours.size / seconds
        their_rates = {}
        for batch in batches[:1] if quick else batches:
            values, seconds = theirs.run(X[:batch], Y[:batch], gap)
            their_rates[batch] = values.size / seconds
            ratios = ours[:batch, :batch] / values
            deviation = max(deviation, abs(ratios / ratios.mean() - 1).max())
        best = max(their_rates, key=their_rates.get)
        samples.append((their_rates[best], our_rate, our_rate / their_rates[best], best))
    if deviation > 1e-3:
        raise AssertionError(f"{shape}, gap={gap}: values differ by {deviation:.1e} (relative)")
    their_rate, our_rate, ratio = (statistics.median(s[k] for s in samples) for k in range(3))
    work = (shape[0] * shape[1]) ** (2 if gap else 1) * (DEPTH - 1)
    return {
        "image_shape": shape,
        "readout": "gap" if gap else "trace",
        "their_batch": samples[-1][3],
        "their_pairs_per_second": their_rate,
        "our_pairs_per_second": our_rate,
        "their_element_layers_per_second": their_rate * work,
        "our_element_layers_per_second": our_rate * work,
        "ratio": ratio,
        "largest_deviation": deviation,
    }


def set_up(folder):
    """Create the environment and print how to use it."""
    if sys.version_info[:2] != (3, 11):
        sys.exit("neural-tangents 0.6.5 and its jax need Python 3.11: run --setup with that.")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-r", FOLDER / "requirements.txt"]
    subprocess.run(install, check=True)
    print(f"Now: {Path(__file__).name} --python {python}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--python", help="interpreter with neural-tangents installed")
    where.add_argument("--setup", metavar="DIR", help="only create that environment")
    parser.add_argument("--quick", action="store_true", help="smallest batches, once")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()
    if options.setup:
        return set_up(options.setup)

    results = {"machine": describe_machine(), "depth": DEPTH, "dtype": "float32", "cases": []}
    machine = results["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, depth {DEPTH}, float32")
    print(
        f"{'':>16} {'pairs/s':^21} {'1e9 element-layers/s':^21}\n"
        f"{'images':>8} {'readout':>7} {'theirs':>10} {'ours':>10} {'theirs':>10} {'ours':>10} "
        f"{'ratio':>6} {'batch':>6} {'deviation':>10}"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        NeuralTangents(options.python, folder) as theirs,
    ):
        for case in CASES:
            row = compare(theirs, case, 1 if options.quick else 2, options.quick)
            print(
                f"{'×'.join(map(str, row['image_shape'])):>8} {row['readout']:>7} "
                f"{row['their_pairs_per_second']:10.1f} {row['our_pairs_per_second']:10.0f} "
                f"{row['their_element_layers_per_second'] / 1e9:10.4f} "
                f"{row['our_element_layers_per_second'] / 1e9:10.2f} "
                f"{row['ratio']:6.0f} {row['their_batch']:6} {row['largest_deviation']:10.1e}",
                flush=True,
            )
            results["cases"].append(row)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
