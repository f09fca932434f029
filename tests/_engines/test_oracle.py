"""Engines against independent values: those of another system, and the recursion on scalars."""

import numpy as np
import oracle
import pytest
from engines import cpu, reference

from sklearn_cntk.networks import Architecture, Readout


@pytest.mark.parametrize("case", sorted({entry["case"] for entry in oracle.SPEC}))
@pytest.mark.parametrize(
    ("engine", "dtype"), [(reference, "float64"), (cpu, "float64"), (cpu, "float32")]
)
def test_oracle(engine, dtype, case):
    entries = [
        entry for entry in oracle.SPEC if entry["case"] == case and not oracle.is_void(entry)
    ]
    X, Y = oracle.images(case)
    if engine is reference and X[0].size > 1000:
        # The full tensors of 32 × 32 images take minutes; their planes do not.
        entries = [entry for entry in entries if entry["readout"] == "flatten"]
    near = entries[0]["inputs"] == "near"
    tolerance = {"float64": (1e-10, 1e-8), "float32": (2e-5, 1e-3)}[dtype][near]

    architecture = Architecture(X.shape[1:], entries[0]["filter_size"])
    readouts = [oracle.readout(entry) for entry in entries]
    values = engine.gram(X, Y, architecture, readouts, dtype=dtype)

    for value, entry in zip(values, entries, strict=True):
        np.testing.assert_allclose(
            value, oracle.VALUES[entry["key"]], rtol=tolerance, atol=0, err_msg=entry["key"]
        )


def test_oracle_of_no_trained_layer_is_zero():
    entries = [entry for entry in oracle.SPEC if oracle.is_void(entry)]
    assert entries
    for entry in entries:
        assert not oracle.VALUES[entry["key"]].any()
        with pytest.raises(ValueError, match="depth=2 is too small"):
            oracle.readout(entry)


def test_fully_connected_kernel(engine, rng):
    """A 1 × 1 image with q = 1 has the kernel of eqs. 7 to 9, here on scalars."""
    x, y = rng.normal(size=(2, 5))

    def recursion(depth):
        s_xx, s_yy, s_xy = x @ x, y @ y, x @ y
        theta = s_xy
        for _ in range(depth - 1):
            angle = np.arccos(s_xy / np.sqrt(s_xx * s_yy))
            derivative = (np.pi - angle) / np.pi
            s_xy = np.sqrt(s_xx * s_yy) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
            theta = theta * derivative + s_xy
        return theta, s_xy

    readouts = [Readout(d, False, t) for d in (2, 3, 7) for t in ("all", "last")]
    values = engine.gram(
        x.reshape(1, 1, 1, 5), y.reshape(1, 1, 1, 5), Architecture((1, 1, 5), 1), readouts,
        dtype="float64",
    )  # fmt: skip
    expected = [recursion(d)[k] for d in (2, 3, 7) for k in (0, 1)]
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-12)
