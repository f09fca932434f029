"""Kernel values of networks with pools, biases and other layers, see the README beside it."""

import json
from pathlib import Path

import numpy as np

from sklearn_cntk.networks import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    LayerNorm,
    Network,
    Readout,
    Residual,
)

FILES = ("networks", "layers")


class Case:
    """Blocks of one network and one set of images.

    Attributes
    ----------
    X, Y : ndarray (3, P, Q, C) and (4, P, Q, C)
    architecture : Architecture
    entries : list of dict
        What the file says of each block.
    readouts : list of Readout
    blocks : list of ndarray (3, 4)
    """

    def __init__(self, X, Y, network):
        self.X, self.Y = X, Y
        self.architecture = Architecture(X.shape[1:], network=network)
        self.entries, self.readouts, self.blocks = [], [], []


def layer_of(spec):
    """The layer that the file describes as a list."""
    kind, *values = spec
    if kind == "conv":
        side, stride, weight_variance, bias_variance, padding = values
        return Conv(side, stride, padding, weight_variance, bias_variance)
    if kind == "avg_pool":
        return AvgPool(*values)
    if kind == "layer_norm":
        return LayerNorm()
    if kind == "residual":
        body, shortcut = values
        branch = None if shortcut is None else [layer_of(one) for one in shortcut]
        return Residual([layer_of(one) for one in body], branch)
    names = {"leaky_relu": ["negative_slope"], "exp_normalized": ["gamma"]}
    return Activation(kind, **dict(zip(names.get(kind, []), values, strict=True)))


def cases(file):
    """The Cases of a file."""
    with np.load(Path(__file__).parent / f"{file}.npz") as arrays:
        arrays = dict(arrays)
    found = {}
    for entry in json.loads(str(arrays["spec"])):
        trained, frozen = entry["trained_layers"], 0
        if file == "layers":
            weight_variance, bias_variance = entry["dense"]
            layers = [layer_of(spec) for spec in entry["layers"]]
            network = Network(layers, weight_variance, bias_variance)
            depth = network.depth
        else:
            depth = entry["depth"]
            network = Network.plain(
                max(depth, *entry["pool_after"], 1) + 1,
                entry["filter_size"],
                entry["pool_after"],
                entry["activation"],
                entry["bias_variance"],
            )
            if trained == "hidden" and depth < 3:
                continue  # 0 by definition
            if isinstance(trained, int):
                trained, frozen = "all", depth - trained
        case = found.setdefault(
            (entry["case"], network),
            Case(arrays[f"case{entry['case']}_X"], arrays[f"case{entry['case']}_Y"], network),
        )
        lap = 1 if entry["readout"] == "lap1" else 0
        case.entries.append(entry)
        case.readouts.append(Readout(depth, entry["readout"] == "gap", trained, lap, frozen))
        case.blocks.append(arrays[entry["key"]])
    return list(found.values())


def compare(engine, case, dtype):
    """Assert that an engine's values are those of a Case; how many blocks that were."""
    values = engine.gram(case.X, case.Y, case.architecture, case.readouts, dtype=dtype)
    for entry, value, block in zip(case.entries, values, case.blocks, strict=True):
        limit = tolerance(entry, dtype, case.X.shape[3])
        np.testing.assert_allclose(
            value, block, rtol=0, atol=limit * abs(block).max(), err_msg=str(entry)
        )
    return len(case.blocks)


def tolerance(entry, dtype, channels):
    """Largest error of a block, relative to its largest entry."""
    single = dtype == "float32"
    if entry.get("inputs") in ("near", "offset"):
        return 1e-3 if single else 1e-8
    first_side = entry["filter_size"] if "filter_size" in entry else entry["layers"][0][1]
    if first_side == 1 and channels == 1:  # λ = ±1, where the other system rounds
        return 3e-4 if single else 1e-8
    if entry.get("inputs") == "sparse" and entry.get("activation") == "gaussian":
        return 1e-7 if not single else 3e-5  # the other system has 1e-8 for a zero image
    return 3e-5 if single else 1e-10
