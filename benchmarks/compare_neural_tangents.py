"""Our CPU engine beside neural-tangents 0.6.5, in turns on the same images and machine.

neural-tangents needs an environment of its own (benchmarks/neural_tangents/requirements.txt):

    python3.11 -m venv nt && nt/bin/pip install -r benchmarks/neural_tangents/requirements.txt
    python benchmarks/compare_neural_tangents.py --python nt/bin/python

Either side gets the batch that suits it, both use all cores in float32, compilation is left out,
and the values are compared.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTK

DEPTH = 11
WORKER = Path(__file__).parent / "neural_tangents" / "worker.py"

# Image shape, GAP, and the batch of theirs (the best of those tried) and ours: seconds each.
CASES = [
    ((8, 8, 1), True, (16, 16), (256, 512)),
    ((32, 32, 3), True, (4, 4), (4, 32)),
    ((8, 8, 1), False, (256, 256), (2048, 2048)),
    ((32, 32, 3), False, (16, 16), (512, 512)),
]


def run_theirs(worker, folder, X, Y, gap):
    file = Path(folder) / "images.npz"
    np.savez(file, X=X, Y=Y)
    worker.stdin.write(json.dumps({"images": str(file), "depth": DEPTH, "gap": gap}) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError("neural-tangents ended early; see its messages above")
    result = json.loads(line)
    return result["seconds"], np.array(result["values"])


def run_ours(X, Y, gap):
    kernel = CNTK(DEPTH, gap)
    kernel(X[:1], Y[:1])
    start = time.perf_counter()
    values = kernel(X, Y)
    return time.perf_counter() - start, values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="interpreter with neural-tangents")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    results = {"machine": describe_machine(), "depth": DEPTH, "cases": []}
    print(
        f"{results['machine']['cpu']}, {results['machine']['cores']} cores, depth {DEPTH}, float32"
    )
    print(
        f"{'images':>8} {'readout':>8} {'theirs, pairs/s':>16} {'ours, pairs/s':>14} {'ratio':>7}"
    )
    worker = subprocess.Popen(
        [options.python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with worker, tempfile.TemporaryDirectory() as folder:
        for shape, gap, their_batch, our_batch in CASES:
            theirs, ours = [], []
            for _ in range(options.repeats):
                X, Y = (rng.normal(size=(n, *shape)).astype(np.float32) for n in our_batch)
                seconds, expected = run_theirs(
                    worker, folder, X[: their_batch[0]], Y[: their_batch[1]], gap
                )
                theirs.append(expected.size / seconds)
                seconds, values = run_ours(X, Y, gap)
                ours.append(values.size / seconds)
                # The constants of the two parametrisations differ by one factor.
                ratios = values[: their_batch[0], : their_batch[1]] / expected
                np.testing.assert_allclose(ratios, ratios.mean(), rtol=1e-3)
            ratio = statistics.median(b / a for a, b in zip(theirs, ours, strict=True))
            name = "×".join(map(str, shape))
            readout = "gap" if gap else "trace"
            theirs, ours = statistics.median(theirs), statistics.median(ours)
            print(f"{name:>8} {readout:>8} {theirs:16.1f} {ours:14.0f} {ratio:7.0f}", flush=True)
            results["cases"].append(
                {
                    "image_shape": shape,
                    "readout": readout,
                    "their_pairs_per_second": theirs,
                    "our_pairs_per_second": ours,
                    "ratio": ratio,
                }
            )
        worker.stdin.close()
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
