"""Element-layers per second of the CPU engine, and its share of the machine's arithmetic bound.

An element-layer is one covariance entry in one layer: P²Q² (depth - 1) per pair of images with
global average pooling, PQ (depth - 1) for the trace.  Kernels are called through the public class;
the bound is measured alternately, on the same cores and with the vector type of the engine.

    python benchmarks/throughput.py [--quick] [--memory] [--import-time] [--json FILE]
    python benchmarks/throughput.py --networks [--quick] [--json FILE]

With ``--device cuda``, the script measures the CUDA engine: whole calls, including transfers, and
kernels by events, with their share of the bound for the chip from the machine code.  With
``--networks`` it measures other networks, alternating with plain ones.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from joblib import cpu_count
from machine import describe_machine

from sklearn_cntk import CNTK
from sklearn_cntk._engines.cpu.roofline import arithmetic_bound, multiplications
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.plan import pair_work
from sklearn_cntk.networks import (
    Activation,
    Architecture,
    Conv,
    LayerNorm,
    Network,
    Readout,
    Residual,
)

DEPTH = 11
SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3)]
DTYPES = ("float32", "float64")


# --- the kernel ---------------------------------------------------------------------------------


class Case:
    """A rectangular Gram matrix of random images that takes about `seconds`."""

    def __init__(self, shape, gap, dtype, n_jobs, seconds, network="plain"):
        self.shape, self.gap, self.dtype = shape, gap, dtype
        depth = DEPTH if network == "plain" else None
        self.kernel = CNTK(depth, gap, network=network, dtype=dtype, n_jobs=n_jobs)
        architecture = Architecture.of(self.kernel, shape)
        self.pair_work = pair_work(architecture, (Readout.of(self.kernel),))
        rng = np.random.default_rng(0)
        self.Y = rng.normal(size=(16 * n_jobs if gap else 512, *shape)).astype(np.float32)
        self.X = rng.normal(size=(2, *shape)).astype(np.float32)
        self.kernel(self.X, self.Y)  # compiles
        while (elapsed := self._seconds()) < seconds / 2:
            rows = int(len(self.X) * min(8, max(2, seconds / elapsed)))
            self.X = rng.normal(size=(rows, *shape)).astype(np.float32)

    def _seconds(self):
        start = time.perf_counter()
        self.kernel(self.X, self.Y)
        return time.perf_counter() - start

    def rate(self):
        """Return element-layers per second, and how many cores this process used."""
        start = time.process_time()
        seconds = self._seconds()
        work = len(self.X) * len(self.Y) * self.pair_work
        return work / seconds, (time.process_time() - start) / seconds


def measure(n_jobs, seconds, repeats):
    """Return bounds by dtype and rows of results; alternate both, so that drift affects both."""
    cases = [
        Case(shape, gap, dtype, n_jobs, seconds)
        for dtype in DTYPES
        for gap in (True, False)
        for shape in SHAPES
    ]
    bounds = {case: [] for case in cases}
    rates = {case: [] for case in cases}
    cores = {case: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            bounds[case].append(arithmetic_bound(case.dtype, n_jobs, seconds / 20))
            rate, cores_used = case.rate()
            rates[case].append(rate)
            cores[case].append(cores_used)
    rows = []
    for case in cases:
        limits = [min(bound.values()) for bound in bounds[case]]
        shares = [rate / limit for rate, limit in zip(rates[case], limits, strict=True)]
        rows.append(
            {
                "image_shape": case.shape,
                "readout": "gap" if case.gap else "trace",
                "dtype": case.dtype,
                "element_layers_per_second": statistics.median(rates[case]),
                "best": max(rates[case]),
                "share_of_bound": statistics.median(shares),
                "best_share_of_best_bound": max(rates[case]) / max(limits),
                "cores_used": statistics.median(cores[case]),
            }
        )
    by_dtype = {}
    for dtype in DTYPES:
        samples = [bound for case in cases if case.dtype == dtype for bound in bounds[case]]
        by_dtype[dtype] = {"multiplications": multiplications(dtype)}
        for name in ("fma", "sqrt"):
            values = [sample[name] for sample in samples]
            by_dtype[dtype][name] = statistics.median(values)
            by_dtype[dtype][f"best_{name}"] = max(values)
    return by_dtype, rows


# --- other networks -----------------------------------------------------------------------------

NETWORK_SHAPE = (32, 32, 3)
RELU = Activation("relu")
# Name, network and pooling; ratios refer to the first network of each pooling.
NETWORKS = [
    ("plain, depth 4", Network.plain(4), True),
    ("plain, biases", Network.plain(4, bias_variance=0.1), True),
    ("Myrtle-5", Network.myrtle(5), True),
    ("Myrtle-5, erf", Network.myrtle(5, "erf"), True),
    ("Myrtle-5, Gaussian", Network.myrtle(5, "gaussian"), True),
    ("Myrtle-5, biases", Network.plain(5, pool_after=(2, 3), bias_variance=0.1), True),
    ("residual block", Network([Conv(), Residual([RELU, Conv(), RELU, Conv()]), RELU]), True),
    ("layer normalisation", Network([Conv(), LayerNorm(), RELU] * 3), True),
    ("plain, depth 11", Network.plain(11), False),
    ("Myrtle-5", Network.myrtle(5), False),
]
# Cost of a layer: the network with it, and one with as many element-layers without it.
# Biases, which cost nothing, make a plain network use the code for networks of any layers.
COSTS = {
    "biases": ("Myrtle-5, biases", "Myrtle-5"),
    "layer normalisation": ("layer normalisation", "plain, biases"),
}


def measure_networks(n_jobs, seconds, repeats):
    """Return rows of results, and the cost of layers in percent of time.

    Networks to compare are measured one right after the other, so that drift affects both.
    """
    cases = {
        (name, gap): Case(NETWORK_SHAPE, gap, "float32", n_jobs, seconds, network)
        for name, network, gap in NETWORKS
    }
    plain = {gap: (name, gap) for name, _, gap in reversed(NETWORKS)}
    pairs = {key: (key, plain[key[1]]) for key in cases if key != plain[key[1]]}
    compared = {layer: tuple((name, True) for name in names) for layer, names in COSTS.items()}
    turns = {pair: [] for pair in [*pairs.values(), *compared.values()]}
    samples = {key: [] for key in cases}
    for _ in range(repeats):
        for pair in turns:
            turn = [cases[key].rate() for key in pair]
            turns[pair].append(turn)
            for key, sample in zip(pair, turn, strict=True):
                samples[key].append(sample)
    rows = [
        network_row(key, case.pair_work, samples[key], turns.get(pairs.get(key)))
        for key, case in cases.items()
    ]
    costs = {layer: network_cost(turns[pair]) for layer, pair in compared.items()}
    return rows, costs


def network_row(key, pair_work, samples, turns):
    """Return a row from (rate, cores used) of a network, and from its turns with a plain one."""
    name, gap = key
    rates, cores = zip(*samples, strict=True)
    by_time, by_processor = ratios(turns) if turns else (1.0, 1.0)
    return {
        "network": name,
        "readout": "gap" if gap else "trace",
        "element_layers_a_pair": pair_work,
        "element_layers_per_second": statistics.median(rates),
        "best": max(rates),
        "of_plain": by_time,
        "of_plain_per_processor_second": by_processor,
        "cores_used": statistics.median(cores),
    }


def network_cost(turns):
    """Return by how many percent the first of a pair takes more time and processor time."""
    by_time, by_processor = ratios(turns)
    return {"time": 100 * (1 / by_time - 1), "processor_time": 100 * (1 / by_processor - 1)}


def ratios(turns):
    """Return median ratios of two rates: per second, and per processor second.

    Use the latter if other processes are running on the machine.
    """
    by_time = [rate / other for (rate, _), (other, _) in turns]
    per_core = [(rate / cores) / (other / used) for (rate, cores), (other, used) in turns]
    return statistics.median(by_time), statistics.median(per_core)


def print_networks(rows, costs):
    """Print the tables of `--networks`."""
    print(
        f"\n{'network':>20} {'readout':>8} {'a pair':>10} {'1e9/s':>6} {'best':>6} "
        f"{'of plain':>9} {'per core':>9} {'cores used':>11}"
    )
    for row in rows:
        print(
            f"{row['network']:>20} {row['readout']:>8} {row['element_layers_a_pair']:10} "
            f"{row['element_layers_per_second'] / 1e9:6.2f} {row['best'] / 1e9:6.2f} "
            f"{row['of_plain']:9.2f} {row['of_plain_per_processor_second']:9.2f} "
            f"{row['cores_used']:11.2f}"
        )
    for layer, cost in costs.items():
        print(
            f"{layer}: {cost['time']:+.0f} % time, {cost['processor_time']:+.0f} % processor time"
        )


def run_networks(options):
    """Run everything for `--networks`."""
    results = {"machine": describe_machine(), "n_jobs": options.n_jobs}
    shape = "×".join(map(str, NETWORK_SHAPE))
    print(f"{results['machine']['cpu']}, {options.n_jobs} threads, {shape}, float32")
    seconds, repeats = (0.3, 3) if options.quick else (1, 7)
    rows, costs = measure_networks(options.n_jobs, seconds, repeats)
    print_networks(rows, costs)
    if options.json:
        results |= {"image_shape": NETWORK_SHAPE, "networks": rows, "cost_in_per_cent": costs}
        write_json(results, options.json)


# --- on a GPU -----------------------------------------------------------------------------------

# Results of cuda_code.py, derived from the machine code.
GPU_CODE = Path(__file__).parent / "results" / "cuda_code_sm_90.json"


def gpu_facts(device):
    """Return what every result records: the chip, its clock, the driver and CuPy."""
    import cupy

    index = int(device.partition(":")[2] or 0)
    attributes = cupy.cuda.Device(index).attributes
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(index)["name"].decode(),
        "gpus": cupy.cuda.runtime.getDeviceCount() if device == "cuda" else 1,
        "multiprocessors": attributes["MultiProcessorCount"],
        "clock_mhz": attributes["ClockRate"] / 1000 if "ClockRate" in attributes else None,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }


def gpu_bound(facts, case, variant="usual"):
    """Return element-layers per second if schedulers only issue or wait for a full pipe.

    Derived from the machine code for sm_90, by the cycles of a layer per row of 32 entries.
    None if it is not known for a shape, or if the clock of the chip is not known.
    """
    wanted = {name: case[name] for name in ("image_shape", "dtype", "readout")}
    wanted["variant"] = variant
    for row in json.loads(GPU_CODE.read_text())["kernels"]:
        if facts["clock_mhz"] and wanted.items() <= row.items():
            rows = 4 * facts["multiprocessors"] * facts["gpus"] * facts["clock_mhz"] * 1e6
            return rows / max(row["cycles"].values()) * 32 * row["lanes_used"]
    return None


def gpu_cases(shapes=SHAPES, depths=(DEPTH, 21)):
    """Yield the cases to measure on a GPU: dictionaries with which rows of results start."""
    for dtype in DTYPES:
        for readout in ("gap", "trace"):
            for shape in shapes:
                for depth in depths:
                    case = (list(shape), readout, dtype, depth)
                    yield dict(zip(("image_shape", "readout", "dtype", "depth"), case, strict=True))


def measure_gpu(devices, facts, case, seconds, repeats, n=64, most=4096):
    """Return a row of results: `CNTK(...)(X, Y)` of at least n² pairs, about `seconds` per call.

    `devices` are those of timed_device.py; with several, the kernel time is that of the slowest.
    """
    shape, gap = case["image_shape"], case["readout"] == "gap"
    kernel = CNTK(case["depth"], gap, dtype=case["dtype"], device=CudaEngine(devices))
    images = np.random.default_rng(0).normal(size=(2 * most, *shape)).astype(np.float32)
    kernel(images[:n], images[-n:])  # compiles
    calls, kernels = [], []
    while len(calls) < repeats:
        for device in devices:
            device.seconds()
        start = time.perf_counter()
        kernel(images[:n], images[-n:])
        elapsed = time.perf_counter() - start
        if elapsed < seconds / 4 and n < most:
            n *= 2
        else:
            calls.append(elapsed)
            kernels.append(max(sum(device.seconds().values()) for device in devices))
    work = n * n * (shape[0] * shape[1]) ** (2 if gap else 1) * (case["depth"] - 1)
    bound = gpu_bound(facts, case)
    row = case | {
        "pairs": n * n,
        "seconds": statistics.median(calls),
        "kernel_seconds": statistics.median(kernels),
        "element_layers_per_second": work / statistics.median(kernels),
        "best": work / min(kernels),
        "of_whole_calls": work / statistics.median(calls),
        "share_of_bound": bound and work / min(kernels) / bound,
    }
    share = "" if bound is None else f", {row['share_of_bound']:.0%} of the bound"
    print(
        f"{'×'.join(map(str, shape)):>8} {row['readout']:>6} {row['dtype']} "
        f"depth {row['depth']:2} {n * n:9} pairs {row['seconds']:8.2f} s"
        f" {row['of_whole_calls'] / 1e9:7.1f}e9/s, kernels"
        f" {row['element_layers_per_second'] / 1e9:7.1f}e9/s{share}",
        flush=True,
    )
    return row


# --- memory and import time -----------------------------------------------------------------------

MEMORY_SCRIPT = """
import resource
import sys
import numpy as np
from sklearn_cntk import CNTK

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * (1 if LINUX else 1024))

LINUX = sys.platform != "darwin"  # there in kilobytes, here in bytes
images = np.random.default_rng(0).normal(size=(2000, 32, 32, 3)).astype(np.float32)
kernel = CNTK(21, gap=False, n_jobs=int(sys.argv[1]))
kernel(images[:20])
before = peak()
K = kernel(images)
print(peak() - (images.nbytes + K.nbytes) / 2**20, peak() - before - K.nbytes / 2**20)
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def peak_memory(n_jobs):
    """Return peak memory in MB without inputs and Gram matrix; also without imports, compiler."""
    net, of_gram = map(float, run(MEMORY_SCRIPT, n_jobs).split())
    return {"without_inputs_and_outputs": net, "without_imports_and_compilation": of_gram}


def import_seconds():
    """Return the median seconds of five alternating imports in new processes."""
    modules = ("sklearn_cntk", "sklearn.svm")
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    seconds = {module: [] for module in modules}
    for _ in range(5):
        for module in modules:
            seconds[module].append(float(run(code.format(module))))
    return {module: statistics.median(seconds[module]) for module in modules}


def write_json(results, path):
    with open(path, "w") as file:
        json.dump(results, file, indent=2)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a third of the time, more noise")
    parser.add_argument("--n-jobs", type=int, default=cpu_count(), help="default: all cores")
    parser.add_argument("--memory", action="store_true", help="also peak memory of a Gram matrix")
    parser.add_argument("--import-time", action="store_true", help="also the import time")
    parser.add_argument("--networks", action="store_true", help="only other networks")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()

    if options.device != "cpu":
        from timed_device import timed_devices  # needs CuPy

        facts = gpu_facts(options.device)
        seconds, repeats = (1, 3) if options.quick else (4, 5)
        results = {"machine": describe_machine(), **facts}
        results["kernels"] = [
            measure_gpu(timed_devices(options.device), facts, case, seconds, repeats)
            for case in gpu_cases()
        ]
        if options.json:
            write_json(results, options.json)
        return
    if options.networks:
        return run_networks(options)
    results = {"machine": describe_machine(), "depth": DEPTH, "n_jobs": options.n_jobs}
    print(f"{results['machine']['cpu']}, {options.n_jobs} threads, depth {DEPTH}")
    results["bound"], results["kernels"] = measure(options.n_jobs, 0.3 if options.quick else 1, 3)
    for dtype, bound in results["bound"].items():
        print(
            f"bound, {dtype}: {bound['fma'] / 1e9:.2f} (best {bound['best_fma'] / 1e9:.2f}) "
            f"by {bound['multiplications']} multiplications, {bound['sqrt'] / 1e9:.2f} "
            f"(best {bound['best_sqrt'] / 1e9:.2f}) by a square root; 1e9/s"
        )
    print(
        f"\n{'images':>8} {'readout':>8} {'dtype':>8} {'1e9/s':>6} {'best':>6} "
        f"{'of bound':>9} {'best of best':>13} {'cores used':>11}"
    )
    for row in results["kernels"]:
        print(
            f"{'×'.join(map(str, row['image_shape'])):>8} {row['readout']:>8} {row['dtype']:>8} "
            f"{row['element_layers_per_second'] / 1e9:6.2f} {row['best'] / 1e9:6.2f} "
            f"{row['share_of_bound']:9.0%} {row['best_share_of_best_bound']:13.0%} "
            f"{row['cores_used']:11.2f}"
        )
    if options.memory:
        memory = results["memory_mb"] = peak_memory(options.n_jobs)
        print(
            "\npeak memory of 2000 × 2000 traces of 32×32×3 at depth 21, without images and Gram: "
            f"{memory['without_inputs_and_outputs']:.0f} MB,\nalso without imports and "
            f"compilation: {memory['without_imports_and_compilation']:.0f} MB"
        )
    if options.import_time:
        results["import_seconds"] = import_seconds()
        print(
            "\nimport:", *(f"{m} {s:.2f} s" for m, s in results["import_seconds"].items()), sep="  "
        )
    if options.json:
        write_json(results, options.json)


if __name__ == "__main__":
    main()
