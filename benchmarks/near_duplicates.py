"""Measure the errors of float32 for nearly parallel images, by depth and similarity.

Each pair is an image and its copy with normal noise of a relative size, multiplied by 2.3.
Prints the largest relative difference of the normalised kernels from float64.  Images are 16 × 16
with flattening, and 8 × 8 with global average pooling, with three standard normal channels.

    python benchmarks/near_duplicates.py [--pairs 32] [--json FILE]
"""

import argparse
import json
from pathlib import Path

import numpy as np
from machine import describe_machine

from sklearn_cntk import CNTK

DEPTHS = (4, 11, 30, 100)
NOISE = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def largest_error(depth, gap, noise, n_pairs):
    """Return the largest relative difference of float32 from float64 over several pairs."""
    side, rng = 8 if gap else 16, np.random.default_rng(0)
    images = rng.normal(size=(n_pairs, side, side, 3))
    others = 2.3 * (images + noise * rng.normal(size=images.shape))
    errors = []
    for x, y in zip(images, others, strict=True):
        single, double = (
            CNTK(depth, gap=gap, dtype=dtype, normalize=True)(x[None], y[None]).item()
            for dtype in ("float32", "float64")
        )
        errors.append(abs(single / double - 1))
    return max(errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where to save the figures")
    arguments = parser.parse_args()

    rows = []
    print(f"{'':>22}" + "".join(f"{noise:>10.0e}" for noise in NOISE))
    for gap in (False, True):
        for depth in DEPTHS:
            errors = [largest_error(depth, gap, noise, arguments.pairs) for noise in NOISE]
            readout = "GAP" if gap else "flattened"
            print(f"{readout:>12} depth {depth:>3}" + "".join(f"{e:>10.1e}" for e in errors))
            row = {"readout": readout, "depth": depth}
            row |= {f"noise {noise:.0e}": error for noise, error in zip(NOISE, errors, strict=True)}
            rows.append(row)
    if arguments.json is not None:
        result = {"machine": describe_machine(), "pairs": arguments.pairs, "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
