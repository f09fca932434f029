"""The report of ``python -m sklearn_cntk``, and its comparison of engines with reference values.

The values come from an independent system, see `reference_values`.
"""

import argparse
import time
from functools import partial

import numpy as np
from joblib import cpu_count

from .._compute.cost import measure
from .._support.architecture import Architecture, Readout
from ..kernels import CNTK
from . import machine, reference_values

# Largest relative errors, as in the tests.
_TOLERANCES = {"float64": 1e-10, "float32": 2e-5}

# The cases that are timed: image shape, global average pooling.
_CASES = [((8, 8, 1), True), ((32, 32, 3), True), ((32, 32, 3), False)]
_DEPTH = 11

# Seconds for each of four measurements of the bound: enough to exceed the noise.
_BOUND_SECONDS = 0.1


def largest_error(engine, dtype):
    """Return the largest relative error of an engine on the reference values."""
    readouts = [
        Readout(depth, gap, trained_layers, lap)
        for depth, gap, lap, trained_layers in reference_values.VALUES
    ]
    expected = np.array(list(reference_values.VALUES.values()))
    shape = reference_values.IMAGE_SHAPE
    X, Y = (np.reshape(image, (1, *shape)) for image in (reference_values.X, reference_values.Y))
    architecture = Architecture(shape, reference_values.FILTER_SIZE)
    # More than a vector of pairs, since an image's place in a vector must not matter.
    others = np.random.default_rng(0).normal(size=(20, *shape))
    gram = engine.gram(X, np.concatenate([others, Y]), architecture, readouts, dtype=dtype)
    pairs = engine.pairs(X, Y, architecture, readouts, dtype=dtype)
    values = np.stack([gram[:, 0, -1], pairs[:, 0]])
    return float(np.max(np.abs(values / expected - 1)))


def load_reference():
    """Return the reference engine."""
    from .._engines.reference import ReferenceEngine

    return ReferenceEngine()


def load_cpu():
    """Return the CPU engine, whose compiler is slow to import."""
    from .._engines.cpu.engine import CpuEngine

    return CpuEngine()


def load_cuda(device):
    """Return the CUDA engine on one device."""
    from .._engines.cuda.engine import CudaEngine

    return CudaEngine([device])


#: Name, dtypes and loader of the engines that every machine has.
HOST_ENGINES = (
    ("reference", ("float64",), load_reference),
    ("cpu", ("float32", "float64"), load_cpu),
)


def check_engines(engines):
    """Yield (name, dtype, error, whether it is small enough) for engines (name, dtypes, loader).

    The error is a number, or the message of an exception that the engine raised.
    """
    for name, dtypes, load in engines:
        for dtype in dtypes:
            try:
                error = largest_error(load(), dtype)
            except Exception as failure:  # any failure belongs in the report
                yield name, dtype, f"{type(failure).__name__}: {failure}", False
            else:
                yield name, dtype, error, error <= _TOLERANCES[dtype]


def throughput(device):
    """Yield (image shape, pooling, element-layers per second) of float32 kernels on a device."""
    for shape, gap in _CASES:
        kernel = CNTK(_DEPTH, gap, device=device)
        job = kernel._job(np.zeros((1, *shape)))
        rate, _ = measure(job)
        yield shape, gap, rate


def main(arguments=None, *, engines=HOST_ENGINES, gpus=machine.gpus):
    """Print the report; return 1 if an engine fails, else 0.

    `engines` are those of the host; ``gpus()`` returns devices, and the reason if there are none.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_cntk",
        description="Print versions, devices, a self-test and speed, for bug reports.",
    )
    parser.add_argument("--no-throughput", action="store_true", help="leave out the speed")
    options = parser.parse_args(arguments)
    start = time.perf_counter()

    _print_table("Versions", machine.versions())
    devices, reason = gpus()
    facts = machine.cpu_facts()
    facts["GPUs"] = ", ".join(device.label for device in devices) or f"none: {reason}"
    _print_table("Devices", facts)
    _print_table("Environment", machine.environment())

    print(
        f"Self-test: {len(reference_values.VALUES)} kernel values from an independent system "
        "(neural-tangents 0.6.5)"
    )
    passed = True
    on_gpus = ((d.label, ("float32", "float64"), partial(load_cuda, d)) for d in devices)
    for name, dtype, error, right in check_engines([*engines, *on_gpus]):
        passed &= right
        what = error if isinstance(error, str) else f"{error:.1e} relative error"
        print(f"  {name:12} {dtype}  {what}  {'ok' if right else 'FAILED'}", flush=True)

    if not options.no_throughput and passed:
        _print_throughput(devices)
    print(f"\n{'Passed' if passed else 'FAILED'} in {time.perf_counter() - start:.0f} s")
    return 0 if passed else 1


def _print_table(title, rows):
    if rows:
        print(title)
        width = max(map(len, rows))
        print(*(f"  {name:{width}}  {value}" for name, value in rows.items()), "", sep="\n")


def _print_throughput(devices):
    from .._engines.cpu.roofline import arithmetic_bound

    n_threads = cpu_count()
    bound = min(arithmetic_bound("float32", n_threads, _BOUND_SECONDS).values())
    print(
        f"\nThroughput, depth {_DEPTH}, float32, in 1e9 element-layers/s; the arithmetic bound of "
        f"{n_threads} cores is {bound / 1e9:.2f}"
    )
    for device in ["cpu", *(["cuda"] if devices else [])]:
        for shape, gap, rate in throughput(device):
            share = f"  {rate / bound:.0%} of the bound" if device == "cpu" else ""
            print(
                f"  {device:5} {'×'.join(map(str, shape)):8} {'gap' if gap else 'trace':6} "
                f"{rate / 1e9:8.2f}{share}",
                flush=True,
            )
