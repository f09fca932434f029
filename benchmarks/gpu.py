"""Everything there is to measure on a GPU, in one command.

Runs the tests that want a GPU, compares the CUDA engine with the CPU's, and times it: the kernels
of ``throughput.py``, and the traces of 10 000 × 2 000 images of 32×32×3 at depth 21, transfers
included.

    python benchmarks/gpu.py [--device cuda] [--quick] [--skip-tests] [--json FILE]

The results go to ``benchmarks/results/throughput_GPU.json``, with the GPU's name, unless told
otherwise.  The columns of the paper's Table 1 are those of ``table1.py --device cuda``.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from throughput import gpu_facts, measure_gpu, write_json

from sklearn_cntk import CNTK, cntk_path

ROOT = Path(__file__).parents[1]


def run_tests():
    """The summary line of the tests that run on a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", str(ROOT / "tests")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if done.returncode:
        sys.exit("The tests fail on this GPU: nothing is timed.")
    return done.stdout.strip().splitlines()[-1]


def largest_errors(device):
    """Largest relative deviation from the CPU engine in float64, by shape, readout and dtype."""
    rng = np.random.default_rng(0)
    errors = {}
    for shape, gap in [
        ((8, 8, 1), True),
        ((28, 28, 1), True),
        ((32, 32, 3), True),
        ((32, 32, 3), False),
        ((40, 9, 1), True),
        ((12, 40, 2), True),
    ]:
        X, Y = rng.normal(size=(2, 4, *shape))
        readouts = {"depths": (3, 11), "gap": (gap,), "trained_layers": ("all", "hidden", "last")}
        expected, _ = cntk_path(X, Y, **readouts, dtype="float64", device="cpu")
        for dtype in ("float32", "float64"):
            values, _ = cntk_path(X, Y, **readouts, dtype=dtype, device=device)
            again, _ = cntk_path(X, Y, **readouts, dtype=dtype, device=device)
            if not np.array_equal(values, again):
                sys.exit(f"Two runs differ: {shape}, gap={gap}, {dtype}.")
            name = f"{'×'.join(map(str, shape))} {'gap' if gap else 'trace'} {dtype}"
            errors[name] = float(np.max(abs(values / expected - 1)))
            print(f"{name}: {errors[name]:.1e} from the CPU in float64")
    return errors


def seconds_of_traces(device):
    """Seconds for the 10 000 × 2 000 traces of a test and a training set at depth 21."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(12000, 32, 32, 3)).astype(np.float32)
    kernel = CNTK(21, gap=False, device=device)
    kernel(images[:32], images[32:64])  # compiles
    start = time.perf_counter()
    kernel(images[2000:], images[:2000])
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda (default: all GPUs) or cuda:N")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time, more noise")
    parser.add_argument("--skip-tests", action="store_true")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    facts = gpu_facts(options.device)
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    results = {"machine": describe_machine(), **facts}
    if not options.skip_tests:
        results["tests"] = run_tests()
    results["errors"] = largest_errors(options.device)
    seconds, repeats = (1, 3) if options.quick else (4, 5)
    results["kernels"] = measure_gpu(options.device, facts, seconds, repeats)
    results["seconds_of_10000_x_2000_traces_at_depth_21"] = seconds_of_traces(options.device)
    print(f"10 000 × 2 000 traces: {results['seconds_of_10000_x_2000_traces_at_depth_21']:.1f} s")
    name = re.sub(r"\W+", "_", facts["gpu"].lower())
    write_json(results, options.json or ROOT / "benchmarks" / "results" / f"throughput_{name}.json")


if __name__ == "__main__":
    main()
