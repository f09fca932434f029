"""Run all GPU benchmarks, in one command or in parts.

    python benchmarks/gpu.py [--device cuda] [--parts PART,PART...] [--quick] [--again]
        [--slice IMAGES.npz] [--data FOLDER] [--json FILE]

The parts run in this order, the most informative first; together, all except the columns of Table 1
and the slice take about six minutes with --quick.  Each part is saved when it is finished, and the
longer ones row by row.  A run that was killed continues with what is missing, and a part that fails
does not stop the others.

    errors      deviations from the CPU engine in float64; checks that two runs give the same bits
    variants    the variants of the kernels, each timed by events, and how they change the values:
                at least 4096 pairs of GAP at depth 11, 1024² traces at depths 11 and 21
    networks    kernels of networks compared with the plain one, in one run: Myrtle-5 and -10 with
                GAP, Myrtle-5 flattened, biases, a residual block
    throughput  element-layers per second of kernels, by events, and of whole calls, with transfers;
                the share of the bound that cuda_code.py derives from the machine code
    traces      10 000 × 2 000 traces of 32×32×3 images at depth 21, including transfers
    solve       linear systems of 20 000 and, if they fit, 50 000 rows
    tests       the tests marked gpu, of the engine and of linear systems, in eight processes
    ncu         if it is on PATH, Nsight Compute's metrics for one launch of each kernel, of
                several waves of blocks, with the clocks that the GPU chooses
    sanitizer   if compute-sanitizer is on PATH, memcheck and racecheck on small images
    slice-train with --slice, the triangle of gap_slice.py, into a folder next to the results
    slice-test  with --slice, the accuracies on its test images
    slice-myrtle  with --slice, Myrtle-5 on the same images, with ZCA and flips: time and accuracy
    table1-gap  with --data, column CNTK-GAP-2K of the paper's Table 1
    table1-v    with --data, column CNTK-V with all 50 000 training images

The package need not be installed, only its dependencies, CuPy, pytest and pytest-xdist.  By
default, the results go to ``benchmarks/results/gpu_NAME.json``, with the name of the GPU.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the package of this checkout, installed or not

import gap_slice  # noqa: E402
import gpu_networks  # noqa: E402
from gpu_tools import read_csv, run_tool  # noqa: E402
from machine import describe_machine  # noqa: E402
from table1 import DEPTHS, rows_of_column  # noqa: E402
from throughput import (  # noqa: E402
    DEPTH,
    SHAPES,
    gpu_bound,
    gpu_cases,
    gpu_facts,
    measure_gpu,
    write_json,
)
from timed_device import timed_devices  # noqa: E402

from sklearn_cntk import CNTK, cntk_path  # noqa: E402
from sklearn_cntk._engines import select_engine  # noqa: E402
from sklearn_cntk._engines.cuda.engine import CudaEngine  # noqa: E402
from sklearn_cntk._engines.cuda.variants import CANDIDATES  # noqa: E402
from sklearn_cntk._linalg.gpu_ridge import DeviceMatrix, _solve, needed_bytes  # noqa: E402
from sklearn_cntk.networks import Architecture, Readout  # noqa: E402

# Largest permitted errors, relative to the largest entry.
LARGEST_ERRORS = {"float32": 1e-5, "float64": 1e-11}

TESTS = ("tests/_engines/cuda", "tests/_linalg/test_gpu_ridge.py")
PARTS = (
    *("errors", "variants", "networks", "throughput", "traces", "solve", "tests", "ncu"),
    *("sanitizer", "slice-train", "slice-test", "slice-myrtle", "table1-gap", "table1-v"),
)


@dataclass(frozen=True)
class Sizes:
    """The sizes of the parts."""

    shapes: tuple = tuple(SHAPES)
    depths: tuple = (DEPTH, 21)
    seconds: float = 2
    repeats: int = 5
    # Shape, depth and images per side for comparing variants, with GAP and for traces.
    sweeps: tuple = (((32, 32, 3), 11, 64), ((28, 28, 1), 11, 64), ((8, 8, 1), 11, 1024))
    traces: tuple = (((32, 32, 3), 11, 1024), ((32, 32, 3), 21, 1024))
    networks: tuple = (((32, 32, 3), 64), ((28, 28, 1), 64), ((8, 8, 1), 1024))
    least: int = 64  # images per side: at least 4096 pairs
    most: int = 4096
    error_shapes: tuple = ((8, 8, 1), (28, 28, 1), (32, 32, 3), (40, 9, 1), (12, 40, 2))
    error_depths: tuple = (3, 11)
    network_errors: tuple = ((8, 8, 2), (12, 16, 1))
    trace_images: tuple = (10000, 2000)
    trace_shape: tuple = (32, 32, 3)
    rows: tuple = (20000, 50000)
    slice_network: str = "myrtle5"


FULL = Sizes()
QUICK = Sizes(seconds=0.5, repeats=3, rows=(20000,))


class Results:
    """A JSON file of what has been measured."""

    def __init__(self, path, facts):
        self.path = Path(path)
        self.facts = facts
        self.parts = json.loads(self.path.read_text())["parts"] if self.path.exists() else {}

    def finished(self, part):
        """Return whether a part is complete, and not from --quick unless that is requested."""
        return self._known(part).get("finished", False)

    def rows(self, part):
        """Return the finished rows of a part."""
        return self._known(part).get("rows", [])

    def _known(self, part):
        known = self.parts.get(part, {})
        return {} if known.get("quick") and not self.facts["quick"] else known

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
        """Discard a part, so that it is measured again."""
        self.parts.pop(part, None)


# --- parts --------------------------------------------------------------------------------------


def run_tests(results, options, sizes):
    """Run the tests for GPUs."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-n", "8", "-m", "gpu"]
    # Other versions of the dependencies may have their own warnings.
    command += ["-o", "filterwarnings=default", "-p", "no:cacheprovider", *TESTS]
    status, output = run_tool(command, 300)
    print(output[-4000:])
    summary = output.strip().splitlines()[-1] if output.strip() else "no output"
    passed = status == 0 and "passed" in summary  # not all skipped
    results.put("tests", passed, summary=summary, output=None if passed else output[-8000:])
    if not passed:
        raise FoundError(f"the tests fail, or do not run, on this GPU: {summary}")


def largest_errors(results, options, sizes):
    """Measure the largest deviation from the CPU in float64, relative to the largest entry."""
    rng = np.random.default_rng(0)
    errors = {}
    plain = {"depths": sizes.error_depths, "trained_layers": ("all", "hidden", "last")}
    cases = [("plain", shape, plain) for shape in sizes.error_shapes]
    for name, network in gpu_networks.NETWORKS.items():
        path = {"network": network, "depths": (network.depth,), "trained_layers": ("all", "last")}
        cases += [(name, shape, path) for shape in sizes.network_errors]
    for network, shape, parameters in cases:
        for gap in (True, False):
            X, Y = rng.normal(size=(2, 4, *shape))
            path = {"gap": (gap,), **parameters}
            expected, _ = cntk_path(X, Y, **path, dtype="float64", device="cpu")
            scale = abs(expected).max(axis=(1, 2), keepdims=True)
            for dtype in ("float32", "float64"):
                values, _ = cntk_path(X, Y, **path, dtype=dtype, device=options.device)
                again, _ = cntk_path(X, Y, **path, dtype=dtype, device=options.device)
                what = "" if network == "plain" else f"{network} "
                what += "×".join(map(str, shape))
                name = f"{what} {'gap' if gap else 'trace'} {dtype}"
                if not np.array_equal(values, again):
                    raise FoundError(f"two runs differ: {name}")
                errors[name] = float(np.max(abs(values - expected) / scale))
                print(f"{name}: {errors[name]:.1e} from the CPU in float64", flush=True)
    results.put("errors", deviations=errors)
    wrong = [name for name, error in errors.items() if not error < LARGEST_ERRORS[name.split()[-1]]]
    if wrong:
        raise FoundError(f"wrong values: {', '.join(wrong)}")


def variants(results, options, sizes):
    """Measure element-layers per second of each variant, and how much it changes the values."""
    rows = results.rows("variants")
    wrong = []
    for gap, cases in ((True, sizes.sweeps), (False, sizes.traces)):
        for shape, depth, n in cases:
            usual = None
            for name, variant in CANDIDATES.items():
                if not variant.concerns("float32", gap):
                    continue
                case = {"image_shape": list(shape), "readout": "gap" if gap else "trace"}
                case |= {"dtype": "float32", "depth": depth, "variant": name}
                if usual is not None and any(case.items() <= row.items() for row in rows):
                    continue
                device = timed_devices(options.device)[0]
                engine = CudaEngine([device], variant)
                values, times = time_kernel(engine, device, shape, Readout(depth, gap), n, sizes)
                usual = values if usual is None else usual
                work = n * n * (shape[0] * shape[1]) ** (2 if gap else 1) * (depth - 1)
                bound = gpu_bound(results.facts | {"gpus": 1}, case, name)
                row = case | {
                    "pairs": n * n,
                    "seconds": min(times),
                    "element_layers_per_second": work / min(times),
                    "share_of_bound": bound and work / min(times) / bound,
                    "differs": float(abs(values - usual).max() / abs(usual).max()),
                }
                rows = [old for old in rows if not case.items() <= old.items()] + [row]
                share = "" if bound is None else f" {row['share_of_bound']:4.0%} of its bound,"
                print(
                    f"{'×'.join(map(str, shape)):>7} {case['readout']:>5} depth {depth:2} {name:32}"
                    f"{min(times) * 1e3:9.3f} ms {row['element_layers_per_second'] / 1e9:7.1f}e9/s"
                    f"{share} differs by {row['differs']:.1e}",
                    flush=True,
                )
                results.put("variants", finished=False, rows=rows)
                if not row["differs"] < LARGEST_ERRORS["float32"]:
                    wrong.append(f"{name} of {shape}")
    results.put("variants", rows=rows)
    if wrong:
        raise FoundError(f"wrong values: {', '.join(wrong)}")


def networks(results, options, sizes):
    """Measure element-layers per second of networks' kernels, the plain one first."""
    rows = results.rows("networks")
    device = timed_devices(options.device)[0]
    for shape, n in sizes.networks:
        for name, gap in gpu_networks.CASES:
            case = {"network": name, "image_shape": list(shape)}
            case |= {"readout": "gap" if gap else "trace", "dtype": "float32"}
            if any(case.items() <= row.items() for row in rows):
                continue
            found = gpu_networks.network_row(
                device, results.facts, shape, name, gap, n, sizes.repeats
            )
            rows.append(case | found)
            print(
                f"{'×'.join(map(str, shape)):>7} {case['readout']:>5} {name:20}"
                f"{found['seconds'] * 1e3:9.3f} ms "
                f"{found['element_layers_per_second'] / 1e9:7.1f}e9/s",
                flush=True,
            )
            results.put("networks", finished=False, rows=rows)
    results.put("networks", rows=rows)


def time_kernel(engine, device, shape, readout, n, sizes):
    """Return the values of n × n pairs, and the seconds of their kernel in each of several runs."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, n, *shape)).astype(np.float32)
    call = X, Y, Architecture(shape), [readout]
    values = engine.gram(*call)  # compiles
    device.seconds()
    times = []
    for _ in range(sizes.repeats):
        engine.gram(*call)
        times.append(sum(t for name, t in device.seconds().items() if name != "tables"))
    return values, times


def throughput(results, options, sizes):
    """Measure element-layers per second."""
    rows = results.rows("throughput")
    for case in gpu_cases(sizes.shapes, sizes.depths):
        if not any(case.items() <= row.items() for row in rows):
            repeats = sizes.seconds, sizes.repeats, sizes.least, sizes.most
            devices = timed_devices(options.device)
            rows.append(measure_gpu(devices, results.facts, case, *repeats))
            results.put("throughput", finished=False, rows=rows)
    results.put("throughput", rows=rows)


def traces(results, options, sizes):
    """Measure the time for the traces of a test and a training set at depth 21, once compiled."""
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
    """Solve systems with known solutions: the identity plus low rank, never whole on the host."""
    device = max(select_engine(options.device).devices, key=lambda device: device.free_bytes())
    rng = np.random.default_rng(0)
    rows = []
    warm = DeviceMatrix(device, 64, panel=32)
    warm.add_to_diagonal(1.0)
    _solve(warm, np.ones(64), 0.0, None)  # loads cuBLAS and cuSOLVER
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
            raise FoundError("the linear system is not solved")
    results.put("solve", rows=rows)


def table1(part, column):
    """Return the part for a column of Table 1."""

    def run(results, options, sizes):
        rows = results.rows(part)
        settings = SimpleNamespace(
            data=options.data,
            device=options.device,
            dtype="float32",
            n_train=options.n_train,
            n_test=options.n_test,
            # For GAP, blocks of kernels are kept; for 20 GB Gram matrices, only finished depths.
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


# --- NVIDIA's tools -----------------------------------------------------------------------------


# Kernels, the variants that have them, and whether they use GAP.
PROFILED = (
    ("sweep", "usual", True),
    ("sweep_pairs", "two columns, second root", True),
    ("trace", "usual", False),
    ("network_sweep", "usual", True),
)


def one_launch(device, variant, gap, network):
    """Run what `ncu` profiles: two launches of several waves of blocks."""
    n = 64 if gap else 1024
    images = np.random.default_rng(0).normal(size=(2, n, 32, 32, 3)).astype(np.float32)
    engine = CudaEngine(select_engine(device).devices[:1], CANDIDATES[variant])
    architecture = Architecture((32, 32, 3), network=network)
    depth = DEPTH if network == "plain" else architecture.network.depth
    for _ in range(2):
        engine.gram(*images, architecture, [Readout(depth, gap)])


def profile(results, options, sizes):
    """Save the metrics of one launch of each kernel, or why there are none."""
    figures = {}
    for kernel, variant, gap in PROFILED:
        command = ["ncu", "--clock-control", "none", "--set", "full", "--csv", "--page", "raw"]
        command += ["--kernel-name", kernel, "--launch-skip", "1", "--launch-count", "1"]
        command += [sys.executable, str(Path(__file__).resolve()), "--one-launch", variant]
        command += [] if gap else ["--trace"]
        command += ["--network", "myrtle5"] if kernel == "network_sweep" else []
        command += ["--device", options.device]
        _, output = run_tool(command, 90)
        figures[kernel] = read_csv(output) or output[-2000:]
        print(f"ncu, {kernel}: {figures[kernel]}")
    found = any(isinstance(of_kernel, dict) for of_kernel in figures.values())
    results.put("ncu", finished=found, figures=figures)


SMALL_CALLS = (
    ((8, 8, 1), [Readout(4), Readout(4, False)]),
    ((7, 6, 2), [Readout(4), Readout(3, False, lap=1)]),
    ((28, 28, 1), [Readout(5)]),
    ((3, 40, 1), [Readout(3)]),
)


def small_calls(device):
    """Run what compute-sanitizer checks: every kernel in both precisions, and two columns."""
    rng = np.random.default_rng(0)
    devices = select_engine(device).devices[:1]
    for variant in ("usual", "two columns, second root", "two columns, one table, 16 warps"):
        engine = CudaEngine(devices, CANDIDATES[variant])
        for shape, readouts in SMALL_CALLS:
            for dtype in ("float32", "float64"):
                images = rng.normal(size=(2, 2, *shape))
                engine.gram(*images, Architecture(shape), readouts, dtype=dtype)
    for network in gpu_networks.NETWORKS.values():
        images, readouts = rng.normal(size=(2, 2, 8, 12, 1)), [Readout(network.depth)]
        for dtype in ("float32", "float64"):
            architecture = Architecture((8, 12, 1), network=network)
            CudaEngine(devices).gram(*images, architecture, readouts, dtype=dtype)


def sanitize(results, options, sizes):
    """Save the last lines of output of each tool."""
    lines, statuses = {}, {}
    for tool in ("memcheck", "racecheck"):
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable]
        command += [str(Path(__file__).resolve()), "--small-calls", "--device", options.device]
        statuses[tool], output = run_tool(command, 120)
        lines[tool] = output.strip().splitlines()[-5:]
        print(tool, *lines[tool], sep="\n")
    passed = not any(statuses.values())
    results.put("sanitizer", finished=passed, findings=lines, statuses=statuses)
    if not passed:
        raise FoundError(f"compute-sanitizer: {statuses}")


# --- the slice of Table 1 -----------------------------------------------------------------------


def slice_train(results, options, sizes):
    """Compute the files of the triangle."""
    rows = []
    for row in gap_slice.train(options.of_slice):
        rows.append(row)
        print(row, flush=True)
        results.put("slice-train", finished=False, rows=rows)
    results.put("slice-train", rows=rows)


def slice_test(results, options, sizes):
    """Measure accuracies on more and more of the test images."""
    for found in gap_slice.test(options.of_slice):
        print(found, flush=True)
        results.put("slice-test", finished=False, **found)
    results.put("slice-test", **found)


def slice_myrtle(results, options, sizes):
    """Measure the accuracy of a Myrtle network on the images of the slice."""
    found = gpu_networks.slice_of_network(sizes.slice_network, options.slice, options.device)
    print(found, flush=True)
    results.put("slice-myrtle", **found)


class FoundError(Exception):
    """An error found by a part that ran to the end."""


RUN = {
    "errors": largest_errors,
    "variants": variants,
    "networks": networks,
    "throughput": throughput,
    "traces": traces,
    "solve": solve,
    "tests": run_tests,
    "ncu": profile,
    "sanitizer": sanitize,
    "slice-train": slice_train,
    "slice-test": slice_test,
    "slice-myrtle": slice_myrtle,
    "table1-gap": table1("table1-gap", "cntk-gap-2k"),
    "table1-v": table1("table1-v", "cntk-v"),
}


def chosen_parts(options):
    """Return the requested parts, in their order."""
    needs = {
        "slice-train": "slice",
        "slice-test": "slice",
        "slice-myrtle": "slice",
        "table1-gap": "data",
        "table1-v": "data",
    }
    tools = {"ncu": "ncu", "sanitizer": "compute-sanitizer"}
    if not options.parts:
        return [
            part
            for part in PARTS
            if getattr(options, needs.get(part, "device"))
            and shutil.which(tools.get(part, "python3"))
        ]
    asked = options.parts.split(",")
    unknown = [part for part in asked if part not in PARTS]
    if unknown:
        sys.exit(f"--parts: {', '.join(unknown)} unknown: use some of {', '.join(PARTS)}.")
    for part in asked:
        if not getattr(options, needs.get(part, "device")):
            sys.exit(f"--parts {part} needs --{needs[part]}.")
    return [part for part in PARTS if part in asked]


def main(arguments=None, sizes=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda (default: all GPUs) or cuda:N")
    parser.add_argument("--parts", help="some of " + ",".join(PARTS))
    parser.add_argument("--slice", help="the images of gap_slice.py")
    parser.add_argument("--slice-folder", help="its triangle; default: next to the JSON file")
    parser.add_argument("--data", help="path to CIFAR-10, as for load_cifar10; used for Table 1")
    parser.add_argument(
        "--checkpoints", help="folder for blocks of kernels; default: next to the JSON file"
    )
    parser.add_argument("--n-train", type=int, help="fewer training images than in the columns")
    parser.add_argument("--n-test", type=int, default=10000)
    parser.add_argument("--quick", action="store_true", help="a quarter of the time, more noise")
    parser.add_argument("--again", action="store_true", help="also repeat finished parts")
    parser.add_argument("--json", help="results file")
    parser.add_argument("--one-launch", help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--network", default="plain", help=argparse.SUPPRESS)
    parser.add_argument("--small-calls", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one_launch:
        gap = not options.trace
        return one_launch(options.device, options.one_launch, gap, options.network)
    if options.small_calls:
        return small_calls(options.device)
    parts = chosen_parts(options)

    facts = gpu_facts(options.device) | {"quick": options.quick}
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    name = "gpu_" + re.sub(r"\W+", "_", facts["gpu"].lower())
    path = Path(options.json or ROOT / "benchmarks" / "results" / f"{name}.json")
    options.checkpoints = options.checkpoints or os.fspath(path.with_suffix(".checkpoints"))
    options.of_slice = SimpleNamespace(
        images=options.slice,
        folder=options.slice_folder or os.fspath(path.with_suffix(".slice")),
        device=options.device,
    )
    results = Results(path, facts)
    sizes = sizes or (QUICK if options.quick else FULL)
    failed = []
    for part in parts:
        if options.again:
            results.forget(part)
            if part == "slice-train":
                shutil.rmtree(options.of_slice.folder, ignore_errors=True)
        if results.finished(part):
            print(f"\n--- {part}: already in {path}")
            continue
        print(f"\n--- {part}", flush=True)
        start = time.perf_counter()
        try:
            RUN[part](results, options, sizes)
        except Exception as error:  # the next part may be more informative
            failed.append(part)
            print(error) if isinstance(error, FoundError) else traceback.print_exc()
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"\nresults: {path}")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
