"""The values of another system, see README.md, as the package asks for them."""

import json
from pathlib import Path

import numpy as np

from sklearn_cntk.networks import Readout

VALUES = np.load(Path(__file__).parent / "kernel_values.npz")
SPEC = json.loads(str(VALUES["spec"]))


def images(case):
    """X and Y of a case."""
    return VALUES[f"case{case}_X"], VALUES[f"case{case}_Y"]


def lap(entry):
    """The radius of local average pooling of an entry of SPEC."""
    name = entry["readout"]
    return int(name.removeprefix("lap")) if name.startswith("lap") else 0


def readout(entry):
    """The Readout of an entry of SPEC."""
    gap = entry["readout"] == "gap"
    return Readout(entry["depth"], gap, entry["trained_layers"], lap(entry))


def is_void(entry):
    """Whether no layer is trained."""
    return entry["trained_layers"] == "hidden" and entry["depth"] == 2
