"""Estimate the cost of the CUDA kernels from their machine code, without needing the GPU.

Compiles every variant, and Myrtle networks, for 32×32×3, 28×28×1 and 8×8×1 images.  Counts the
instructions of the loop over the layers (for networks, those before the first pool), including
branches that few layers take, and prints how many cycles a scheduler of the chip needs for a row of
32 entries.  This bounds the element-layers per second; only a run on a GPU shows how close the
kernels come to that bound (gpu.py).

    python benchmarks/cuda_code.py [--architecture sm_90] [--json FILE]

Needs NVRTC (the extra "test") and ``nvdisasm`` (pip install nvidia-cuda-nvdisasm, or CUDA's own).
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from machine import describe_machine
from throughput import SHAPES, write_json

from sklearn_cntk._engines.cuda.devices import _OPTIONS
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.cuda.source import LANES
from sklearn_cntk._engines.cuda.variants import CANDIDATES, USUAL
from sklearn_cntk.networks import Architecture, Network, Readout

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers" / "cuda"))
import nvrtc  # noqa: E402
from compiling_device import CompilingDevice  # noqa: E402

DEPTH = 11

KERNELS = ("sweep", "sweep_pairs", "trace", "network_sweep")

# Kinds of instructions by the beginning of their names; the first match counts.
KINDS = {
    "root": "MUFU",
    "shuffle": "SHFL",
    "shared": "LDS",
    "spill": "LDL|STL",
    "float32": "FFMA|FMUL|FADD",
    "float64": "DFMA|DMUL|DADD|DSETP",
    "other": "",
}
# Cycles of a scheduler for an instruction of a warp, in addition to the one to issue it: 16 roots
# and 64 double operations per multiprocessor and cycle, which four schedulers share.
ROOT_CYCLES, FLOAT64_CYCLES = 8, 2
# Shuffles and shared-memory reads use one pipe of the multiprocessor, with 128 bytes per cycle.
PIPE_CYCLES = 4


def disassembler():
    """Return the path of ``nvdisasm``."""
    if found := shutil.which("nvdisasm"):
        return found
    spec = find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("*/bin/nvdisasm")):
            path.chmod(0o755)
            return str(path)
    sys.exit("nvdisasm was not found: pip install nvidia-cuda-nvdisasm.")


def loop_of(code):
    """Return the instructions of the loop over the layers: the shortest with many shuffles."""
    instructions, labels = [], {}
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    loops = []
    for end, instruction in enumerate(instructions):
        target = re.search(r"BRA.*(\.L_x_\d+)", instruction)
        if target and labels.get(target[1], end + 1) <= end:
            loops.append(instructions[labels[target[1]] : end + 1])
    # Enclosing loops have at most the shuffles of three stages, of which the first is the largest.
    shuffles = [sum("SHFL" in line for line in loop) for loop in loops]
    many = 0.4 * max(shuffles)
    return min((loop for loop, n in zip(loops, shuffles, strict=True) if n >= many), key=len)


def measure(source, architecture, rows):
    """Return instructions and cycles per row of 32 entries, of which a warp has `rows`."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(nvrtc.machine_code(source, architecture, _OPTIONS))
        command = [disassembler(), "-c", str(file)]
        code = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    counts, transfers = Counter(), 0
    for line in loop_of(code):
        name = re.sub(r"^@!?U?P\w+\s+", "", line).split()[0]
        kind = next(kind for kind, start in KINDS.items() if re.match(start, name))
        counts[kind] += 1
        if kind in ("shuffle", "shared"):
            transfers += {"64": 2, "128": 4}.get(name.rpartition(".")[2], 1)
    issued = sum(counts.values())
    cycles = {
        "issue": issued,
        "roots": ROOT_CYCLES * counts["root"],
        "float64": FLOAT64_CYCLES * counts["float64"],
        "shared": PIPE_CYCLES * transfers,
    }
    return {
        "instructions": {kind: round(count / rows, 2) for kind, count in counts.items()},
        "cycles": {name: round(value / rows, 1) for name, value in cycles.items()},
    }


def define(source, name):
    """Return the integer value of a constant defined in a source."""
    found = re.search(rf"^#define {name} (\d+)$", source, re.M)
    return int(found[1]) if found else None


def rows_of(architecture):
    """Yield a row of results for each shape, variant, precision and pooling."""
    cases = [
        (name, variant, dtype, gap)
        for name, variant in CANDIDATES.items()
        for dtype in ("float32", "float64")
        for gap in (True, False)
        if variant.concerns(dtype, gap)
    ]
    for shape in SHAPES:
        for name, variant, dtype, gap in cases:
            yield row_of(architecture, shape, name, variant, dtype, gap)
        for activation in ("relu", "gaussian", "erf"):
            network = Network.myrtle(5, activation)
            name = f"Myrtle-5, {activation}"
            yield row_of(architecture, shape, name, USUAL, "float32", True, network)


def row_of(architecture, shape, name, variant, dtype, gap, network="plain"):
    """Return a row of results."""
    device = CompilingDevice(architecture, shared_bytes=227 * 1024)
    images = np.zeros((1, *shape)), np.ones((1, *shape))
    engine = CudaEngine([device], variant)
    depth = DEPTH if network == "plain" else network.depth
    of = Architecture(shape, network=network)
    engine.gram(*images, of, [Readout(depth, gap)], dtype=dtype)
    (source,) = (source for source, (kernel, _) in device.usage.items() if kernel in KERNELS)
    kernel, usage = device.usage[source]
    groups = define(source, "GROUPS")
    height, width, _ = shape
    entries = 2 * height // groups if groups else height
    used = LANES // (groups * width // 2 if groups else width) * height * width
    return {
        "variant": name,
        "image_shape": list(shape),
        "dtype": dtype,
        "readout": "gap" if gap else "trace",
        "kernel": kernel,
        "registers": usage.registers,
        "spilled_bytes": usage.spill_stores,
        "lanes_used": used / (LANES * entries),
        **measure(source, architecture, entries),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="sm_90", help="default: sm_90, an H100")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()
    if nvrtc.compiler() is None:
        sys.exit("NVRTC was not found: pip install 'sklearn-cntk[test]'.")
    rows = []
    for row in rows_of(options.architecture):
        rows.append(row)
        shape = "×".join(map(str, row["image_shape"]))
        cycles = ", ".join(f"{name} {value}" for name, value in row["cycles"].items() if value)
        print(
            f"{shape:>7} {row['readout']:>5} {row['dtype']} {row['variant']:32} "
            f"{row['kernel']:11} {row['registers']:3} registers, {row['spilled_bytes']:2} bytes "
            f"spilled; cycles per row: {cycles}",
            flush=True,
        )
    if options.json:
        facts = {
            "machine": describe_machine(),
            "architecture": options.architecture,
            "nvrtc": nvrtc.version(),
            "depth": DEPTH,
        }
        write_json(facts | {"kernels": rows}, options.json)


if __name__ == "__main__":
    main()
