"""Measure the first call of a process, with an empty compiler cache and with a full one.

Measures the processor time to import the package, and to compute one kernel of six 8 × 8 images,
in new processes each time.  A second checkout can be measured alternately.

    python benchmarks/cold_start.py [--repeats 3] [--against CHECKOUT] [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe_machine

ROOT = Path(__file__).parents[1]
NETWORKS = ("plain", "myrtle5")

CODE = """
import json, sys, time
start = time.process_time()
from sklearn_cntk import CNTK
imported = time.process_time()
import numpy as np
images = np.random.default_rng(0).normal(size=(6, 8, 8))
CNTK(network=sys.argv[1])(images)
print(json.dumps([imported - start, time.process_time() - imported]))
"""


def run(checkout, network, cache):
    """Return the processor seconds of the import and of the first call in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", CODE, network]
    done = subprocess.run(
        command, env=environment, cwd=cache, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, measured alternately")
    parser.add_argument("--json", type=Path, help="where to save the figures")
    arguments = parser.parse_args()

    checkouts = {"here": ROOT}
    if arguments.against is not None:
        checkouts["there"] = arguments.against.resolve()
    seconds = {}
    for _ in range(arguments.repeats):
        for network in NETWORKS:
            for name, checkout in checkouts.items():
                with tempfile.TemporaryDirectory() as cache:
                    for state in ("cold", "warm"):
                        measured = run(checkout, network, cache)
                        seconds.setdefault((network, name, state), []).append(measured)
    rows = [
        {
            "network": network,
            "checkout": name,
            "cache": state,
            "import_seconds": statistics.median(imported for imported, _ in measured),
            "first_call_seconds": statistics.median(called for _, called in measured),
        }
        for (network, name, state), measured in seconds.items()
    ]
    print(f"{'network':>10}{'checkout':>10}{'cache':>7}{'import':>9}{'first call':>12}")
    for row in rows:
        print(
            f"{row['network']:>10}{row['checkout']:>10}{row['cache']:>7}"
            f"{row['import_seconds']:8.2f}s{row['first_call_seconds']:11.2f}s"
        )
    if arguments.json is not None:
        result = {"machine": describe_machine(), "repeats": arguments.repeats, "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
