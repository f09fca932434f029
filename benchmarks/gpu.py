"""Everything there is to measure on a GPU, in one command, or in pieces.

    python benchmarks/gpu.py [--device cuda] [--data FOLDER] [--parts PART,PART...] [--quick]
        [--again] [--ncu] [--json FILE]

Parts, in this order; each is saved when it is done, throughput and Table 1 row by row, and a run
that was killed goes on with what is missing:

    tests       the tests marked gpu; where one fails, nothing else is measured
    errors      deviations from the CPU engine in float64, and that two runs give the same bits
    throughput  element-layers a second, as throughput.py --device cuda
    traces      10 000 × 2 000 traces of 32×32×3 images at depth 21, transfers included
    solve       linear systems of 20 000 and, where they fit, 50 000 rows
    ncu         Nsight Compute's figures of one launch, where `ncu` is found
    table1-gap  with --data, column CNTK-GAP-2K of the paper's Table 1
    table1-v    with --data, column CNTK-V of all 50 000 training images

The results go to ``benchmarks/results/gpu_NAME.json``, with the GPU's name, unless told otherwise.
"""

import argparse
import csv
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from machine import describe_machine
from table1 import DEPTHS, rows_of_column
from throughput import DEPTH, SHAPES, gpu_cases, gpu_facts, measure_gpu, write_json

from sklearn_cntk import CNTK, cntk_path
from sklearn_cntk._engines import select_engine
from sklearn_cntk._linalg.gpu_ridge import DeviceMatrix, _solve, needed_bytes

ROOT = Path(__file__).parents[1]
PARTS = ("tests", "errors", "throughput", "traces", "solve", "ncu", "table1-gap", "table1-v")


@dataclass(frozen=True)
class Sizes:
    """How large the parts are."""

    shapes: tuple = tuple(SHAPES)
    depths: tuple = (DEPTH, 21)
    seconds: float = 2
    repeats: int = 5
    least: int = 64  # images of a side: at least 4096 pairs
    most: int = 4096
    error_shapes: tuple = ((8, 8, 1), (28, 28, 1), (32, 32, 3), (40, 9, 1), (12, 40, 2))
    error_depths: tuple = (3, 11)
    trace_images: tuple = (10000, 2000)
    trace_shape: tuple = (32, 32, 3)
    rows: tuple = (20000, 50000)


FULL = Sizes()
QUICK = Sizes(seconds=0.5, repeats=3, rows=(20000,))


class Results:
    """What has been measured, in a JSON file."""

    def __init__(self, path, facts):
        self.path = Path(path)
        self.facts = facts
        self.parts = json.loads(self.path.read_text())["parts"] if self.path.exists() else {}

    def finished(self, part):
        """Whether a part is there, and whole."""
        return self.parts.get(part, {}).get("finished", False)

    def rows(self, part):
        """The rows of a part that are there."""
        return self.parts.get(part, {}).get("rows", [])

    def put(self, part, finished=True, **values):
        """Save a part, with the GPU, its driver, the machine and the date."""
        self.parts[part] = {
            "finished": finished,
            "date": datetime.date.today().isoformat(),
            **self.facts,
            **values,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        write_json({"machine": describe_machine(), "parts": self.parts}, unfinished)
        unfinished.replace(self.path)

    def forget(self, part):
        """Measure a part again."""
        self.parts.pop(part, None)


# --- parts --------------------------------------------------------------------------------------


def run_tests(results, options, sizes):
    """The tests that run on a GPU; none else is measured where one fails."""
    # In one process, which has the GPU's memory for itself.
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-n", "0", "-m", "gpu"]
    command.append(str(ROOT / "tests"))
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no output"
    passed = done.returncode == 0 and "passed" in summary  # and were not all skipped
    results.put("tests", passed, summary=summary)
    if not passed:
        sys.exit("The tests fail, or do not run, on this GPU: nothing is timed.")


def largest_errors(results, options, sizes):
    """Largest deviation from the CPU engine in float64, relative to the largest entry."""
    rng = np.random.default_rng(0)
    errors = {}
    for shape in sizes.error_shapes:
        for gap in (True, False):
            X, Y = rng.normal(size=(2, 4, *shape))
            path = {"depths": sizes.error_depths, "gap": (gap,)}
            path["trained_layers"] = ("all", "hidden", "last")
            expected, _ = cntk_path(X, Y, **path, dtype="float64", device="cpu")
            scale = abs(expected).max(axis=(1, 2), keepdims=True)
            for dtype in ("float32", "float64"):
                values, _ = cntk_path(X, Y, **path, dtype=dtype, device=options.device)
                again, _ = cntk_path(X, Y, **path, dtype=dtype, device=options.device)
                name = f"{'×'.join(map(str, shape))} {'gap' if gap else 'trace'} {dtype}"
                if not np.array_equal(values, again):
                    sys.exit(f"Two runs differ: {name}.")
                errors[name] = float(np.max(abs(values - expected) / scale))
                print(f"{name}: {errors[name]:.1e} from the CPU in float64", flush=True)
    results.put("errors", deviations=errors)


def throughput(results, options, sizes):
    """Rows of element-layers a second."""
    rows = results.rows("throughput")
    for case in gpu_cases(sizes.shapes, sizes.depths):
        if not any(case.items() <= row.items() for row in rows):
            repeats = sizes.seconds, sizes.repeats, sizes.least, sizes.most
            rows.append(measure_gpu(options.device, results.facts, case, *repeats))
            results.put("throughput", finished=False, rows=rows)
    results.put("throughput", rows=rows)


def traces(results, options, sizes):
    """Seconds for the traces of a test and a training set at depth 21, after compilation."""
    n, m = sizes.trace_images
    rng = np.random.default_rng(0)
    images = rng.normal(size=(n + m, *sizes.trace_shape)).astype(np.float32)
    kernel = CNTK(21, gap=False, device=options.device)
    kernel(images[:32], images[-32:])
    start = time.perf_counter()
    kernel(images[m:], images[:m])
    seconds = time.perf_counter() - start
    print(f"{n} × {m} traces at depth 21: {seconds:.1f} s")
    results.put("traces", images=[n, m], depth=21, seconds=seconds)


def solve(results, options, sizes):
    """Systems whose solution is known: the identity and a matrix of low rank, never on the host."""
    device = max(select_engine(options.device).devices, key=lambda device: device.free_bytes())
    rng = np.random.default_rng(0)
    rows = []
    for n in sizes.rows:
        if needed_bytes(n) > 0.9 * device.free_bytes():
            print(f"{n} rows: {needed_bytes(n) / 1e9:.1f} GB do not fit")
            rows.append({"rows": n, "bytes": needed_bytes(n), "fits": False})
            continue
        F, solution = rng.normal(size=(n, 50)), rng.normal(size=(n, 10))
        start = time.perf_counter()
        matrix = DeviceMatrix(device, n)
        for i in range(0, n, 2048):
            for j in range(i, n, 2048):
                tile = F[i : i + 2048] @ F[j : j + 2048].T
                if i == j:
                    tile += np.eye(len(tile))
                columns = slice(j, j + tile.shape[1])
                matrix.add(slice(i, i + len(tile)), columns, np.triu(tile, i - j))
        assembled = time.perf_counter()
        dual = _solve(matrix, F @ (F.T @ solution) + solution, 0.0, None)
        seconds = time.perf_counter() - assembled
        error = float(np.linalg.norm(dual - solution) / np.linalg.norm(solution))
        print(
            f"{n} rows: assembled in {assembled - start:.1f} s, solved in {seconds:.1f} s", end=""
        )
        print(f" ({n**3 / 3 / seconds:.2g} flop/s), relative error {error:.1e}", flush=True)
        row = {"rows": n, "seconds_assembling": assembled - start, "seconds": seconds}
        rows.append(row | {"bytes": needed_bytes(n), "relative_error": error, "fits": True})
        results.put("solve", finished=False, rows=rows)
        if not error < 1e-8:
            sys.exit("The linear system is not solved.")
    results.put("solve", rows=rows)


def table1(part, column):
    """The part that is a column of Table 1."""

    def run(results, options, sizes):
        rows = results.rows(part)
        settings = SimpleNamespace(
            data=options.data,
            device=options.device,
            dtype="float32",
            n_train=options.n_train,
            n_test=options.n_test,
            # Blocks of GAP kernels are kept; Gram matrices of 20 GB are not, depths are.
            checkpoints=options.checkpoints if column != "cntk-v" else None,
        )
        done = {row["depth"] for row in rows} if column == "cntk-v" else set()
        if not done:
            rows = []
        for row, seconds in rows_of_column(column, settings, done):
            rows.append(row | {"seconds_so_far_of_its_pass": seconds})
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            results.put(part, finished=False, rows=rows)
        results.put(part, finished={row["depth"] for row in rows} == set(DEPTHS), rows=rows)

    return run


# --- Nsight Compute -----------------------------------------------------------------------------

METRICS = {
    "launch__registers_per_thread": "registers",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "achieved_occupancy_percent",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue_slots_used_percent",
    "gpu__time_duration.sum": "duration",
}


def one_sweep(device):
    """What `ncu` looks at: the second launch of `sweep`, with enough blocks to fill a GPU."""
    images = np.random.default_rng(0).normal(size=(128, 32, 32, 3)).astype(np.float32)
    for _ in range(2):
        CNTK(DEPTH, device=device)(images[:64], images[64:])


def profile(results, options, sizes):
    """Figures of one launch, or why there are none."""
    command = ["ncu", "--csv", "--kernel-name", "sweep", "--launch-skip", "1"]
    command += ["--launch-count", "1", "--metrics", ",".join(METRICS)]
    device = "cuda:0" if options.device == "cuda" else options.device
    command += [sys.executable, str(Path(__file__).resolve()), "--one-sweep", "--device", device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        figures = read_csv(done.stdout)
        reason = None if figures else (done.stdout + done.stderr)[-2000:]
    except (OSError, subprocess.TimeoutExpired) as error:
        figures, reason = {}, str(error)
    print(f"ncu: {figures or reason}")
    results.put("ncu", figures=figures, reason=reason)


def read_csv(output):
    """Figures by the names of METRICS, from what ncu prints: messages, then CSV."""
    lines = output.splitlines()
    starts = [k for k, line in enumerate(lines) if line.startswith('"ID"')]
    rows = csv.DictReader(lines[starts[0] :]) if starts else ()
    return {
        METRICS[row["Metric Name"]]: f"{row['Metric Value']} {row['Metric Unit']}".strip()
        for row in rows
        if row.get("Metric Name") in METRICS
    }


RUN = {
    "tests": run_tests,
    "errors": largest_errors,
    "throughput": throughput,
    "traces": traces,
    "solve": solve,
    "ncu": profile,
    "table1-gap": table1("table1-gap", "cntk-gap-2k"),
    "table1-v": table1("table1-v", "cntk-v"),
}


def chosen_parts(options):
    """The parts that were asked for, in their order."""
    if options.parts:
        asked = options.parts.split(",")
        unknown = [part for part in asked if part not in PARTS]
        if unknown:
            sys.exit(f"--parts: {', '.join(unknown)} unknown: use some of {', '.join(PARTS)}.")
    else:
        asked = [p for p in PARTS if p not in ("ncu", "table1-gap", "table1-v")]
        asked += ["ncu"] if shutil.which("ncu") else []
        asked += ["table1-gap", "table1-v"] if options.data else []
    asked += ["ncu"] if options.ncu else []
    if not options.data and any(part.startswith("table1") for part in asked):
        sys.exit("--parts table1-gap and table1-v need --data FOLDER, with CIFAR-10.")
    return [part for part in PARTS if part in asked]


def main(arguments=None, sizes=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda (default: all GPUs) or cuda:N")
    parser.add_argument("--parts", help="some of " + ",".join(PARTS))
    parser.add_argument("--data", help="CIFAR-10, what load_cifar10 takes: for Table 1")
    parser.add_argument(
        "--checkpoints", help="folder for blocks of kernels; default: beside the JSON"
    )
    parser.add_argument("--n-train", type=int, help="less training images than the columns'")
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--quick", action="store_true", help="a quarter of the time, more noise")
    parser.add_argument("--again", action="store_true", help="parts that are there already, too")
    parser.add_argument("--ncu", action="store_true", help="Nsight Compute, or why there is none")
    parser.add_argument("--json", help="file of the results")
    parser.add_argument("--one-sweep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one_sweep:
        return one_sweep(options.device)
    parts = chosen_parts(options)

    facts = gpu_facts(options.device)
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    name = "gpu_" + re.sub(r"\W+", "_", facts["gpu"].lower())
    path = Path(options.json or ROOT / "benchmarks" / "results" / f"{name}.json")
    options.checkpoints = options.checkpoints or os.fspath(path.with_suffix(".checkpoints"))
    results = Results(path, facts)
    sizes = sizes or (QUICK if options.quick else FULL)
    for part in parts:
        if options.again:
            results.forget(part)
        if results.finished(part):
            print(f"\n--- {part}: in {path} already")
            continue
        print(f"\n--- {part}", flush=True)
        start = time.perf_counter()
        RUN[part](results, options, sizes)
        print(f"({time.perf_counter() - start:.0f} s)")
    print(f"\nresults: {path}")


if __name__ == "__main__":
    main()
