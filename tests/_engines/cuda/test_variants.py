"""Variants of the kernels: equal but for rounding, within what GPUs offer."""

import numpy as np
import nvrtc
import oracle
import pytest
from compiling_device import CompilingDevice
from engines import cpu

from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.cuda.layouts import two_columns
from sklearn_cntk._engines.cuda.variants import CANDIDATES, Variant
from sklearn_cntk._engines.scales import Gauge
from sklearn_cntk.networks import Architecture, Readout

READOUTS = [Readout(3), Readout(4, True, "last"), Readout(4, True, "hidden"), Readout(5, False)]
# Deeper than one table goes on without being rescaled.
READOUTS += [Readout(18), Readout(20, False, "hidden")]

# Those in which all of them take part.
SOME = (
    "usual",
    "two columns, second root",
    "two columns, one table, 16 warps",
    "strips, one table",
)


def some():
    """Names and variants of SOME."""
    return ((name, CANDIDATES[name]) for name in SOME)


needs_nvrtc = pytest.mark.skipif(nvrtc.compiler() is None, reason="NVRTC is not installed")


def pair_of_sides(rng, shape, n, m):
    """Images among which are equal ones, one of zeros, and one that is dark on one side."""
    X, Y = rng.normal(size=(n, *shape)), rng.normal(size=(m, *shape))
    Y[0] = X[0]
    X[1], Y[1, : (shape[0] + 1) // 2] = 0, 0
    return X, Y


def errors(values, expected):
    """Largest deviation of each readout, relative to its largest entry."""
    scale = abs(expected).max(axis=(1, 2))
    return abs(values - expected).max(axis=(1, 2)) / scale


@pytest.mark.parametrize(
    ("shape", "paired"),
    [
        ((8, 8, 1), True),
        ((4, 6, 2), True),
        ((5, 7, 1), False),
        ((7, 1, 1), False),
        pytest.param((33, 2, 1), True, marks=pytest.mark.compile),  # three groups of rows
        pytest.param((6, 32, 1), True, marks=pytest.mark.compile),
        pytest.param((3, 34, 1), False, marks=pytest.mark.compile),
    ],
)
def test_all_give_the_same_values(host_device, shape, paired, rng):
    X, Y = pair_of_sides(rng, shape, 2, 3)
    call = X, Y, Architecture(shape), READOUTS
    expected = cpu.gram(*call, dtype="float64")
    for name, variant in CANDIDATES.items() if shape == (4, 6, 2) else some():
        device = host_device(shared_bytes=2**17)
        values = CudaEngine([device], variant).gram(*call)
        assert (errors(values, expected) < 2e-6).all(), name
        assert ("sweep_pairs" in device.launches) == (paired and variant.columns == 2), name


@pytest.mark.parametrize("name", ["second root", "two columns, one table"])
def test_what_serves_float64(host_device, name, rng):
    X, Y = pair_of_sides(rng, (4, 6, 2), 2, 3)
    call = X, Y, Architecture((4, 6, 2)), READOUTS
    device = host_device(shared_bytes=2**17)
    values = CudaEngine([device], CANDIDATES[name]).gram(*call, dtype="float64")
    assert (errors(values, cpu.gram(*call, dtype="float64")) < 1e-12).all()
    assert "sweep" in device.launches


@pytest.mark.parametrize("shared_bytes", [2000, 5000, 2**17])
def test_shared_memory_changes_no_bits_of_two_columns(host_device, shared_bytes, rng):
    X, Y = pair_of_sides(rng, (10, 6, 1), 2, 2)
    for variant in (Variant(2), CANDIDATES["two columns, one table, 16 warps"]):
        call = X, Y, Architecture((10, 6, 1)), [Readout(6)]
        values = CudaEngine([host_device(shared_bytes=shared_bytes)], variant).gram(*call)
        expected = CudaEngine([host_device(shared_bytes=2**17)], variant._replace(warps=None))
        if shared_bytes > 2000:  # where two layers fit
            np.testing.assert_array_equal(values, expected.gram(*call))
        else:
            np.testing.assert_allclose(values, expected.gram(*call), rtol=2e-6)


@pytest.mark.parametrize(("n", "m"), [(37, 5), (16, 3), (3, 7)])
def test_strips_take_every_pair_once(host_device, n, m, rng):
    """Also where the last strip is lower than the others; listed pairs come as they are."""
    X, Y = rng.normal(size=(n, 3, 4, 1)), rng.normal(size=(m, 3, 4, 1))
    architecture, readouts = Architecture((3, 4, 1)), [Readout(3, False)]
    usual = CudaEngine([host_device()])
    strips = CudaEngine([host_device()], Variant(strip=16))
    for triu in (None, 1):
        expected = usual.gram(X, Y, architecture, readouts, triu=triu)
        values = strips.gram(X, Y, architecture, readouts, triu=triu)
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("q", [1, 3, 5])
@pytest.mark.parametrize("shape", [(8, 8, 1), (2, 3, 1)])
def test_gauge_in_steps(q, shape):
    """It restores the same values, and numbers grow by less than float32 has room for."""
    architecture = Architecture(shape, q)
    usual, steps = Gauge.of(architecture, 60), Gauge.in_steps(architecture, 60)
    of_usual, of_steps = (
        np.log(gauge.magnitude) + np.cumsum(np.log(gauge.factors)) for gauge in (usual, steps)
    )
    np.testing.assert_allclose(of_steps, of_usual, atol=1e-10)
    growth = np.log(steps.factors / usual.factors).cumsum()
    assert growth.max() <= np.log(1e15) + 1e-9
    assert growth.min() > -1e-9
    assert (steps.factors == 1).mean() > 0.8 or q == 1


def test_layout_of_two_columns():
    """Planes of a warp, and rows of two groups in different banks of shared memory."""
    for shape, planes, groups in [
        ((32, 32), 1, 2),
        ((28, 28), 1, 2),
        ((8, 8), 8, 1),
        ((16, 16), 4, 1),
    ]:
        layout = two_columns(shape, 1, 4)
        assert (layout.planes, layout.constants["GROUPS"]) == (planes, groups)
        assert layout.table_entries % 4 == 0
        if groups > 1:
            lane_rows, stride = shape[0] // groups, layout.constants["Y_STRIDE"]
            banks = {
                (group * lane_rows * stride + j) % 32
                for group in range(groups)
                for j in range(shape[1] // 2)
            }
            assert len(banks) == groups * shape[1] // 2
    assert two_columns((8, 7), 1, 4) is None  # an odd number of columns
    assert two_columns((8, 8), 2, 4) is None  # 5 × 5 filters
    assert two_columns((29, 8), 1, 4) is None  # rows that cannot be shared
    assert two_columns((8, 66), 1, 4) is None


@needs_nvrtc
@pytest.mark.compile
@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("side", [8, 28, 32])
def test_registers(name, side):
    """In float32, Σ and Θ take 128 registers at most, and next to nothing is spilled."""
    device = CompilingDevice("sm_90", shared_bytes=227 * 1024)
    images = np.zeros((1, side, side, 1)), np.ones((1, side, side, 1))
    architecture = Architecture((side, side, 1))
    CudaEngine([device], CANDIDATES[name]).gram(*images, architecture, [Readout(11)])
    (used,) = (usage for kernel, usage in device.usage.values() if kernel.startswith("sweep"))
    assert used.registers <= 128
    assert used.spill_stores <= 16, used


@pytest.mark.compile
@pytest.mark.parametrize("name", SOME[:3])
def test_float32_at_depth_11(host_device, name, rng):
    """Of 32 × 32 images."""
    X, Y = rng.normal(size=(2, 1, 32, 32, 3))
    call = X, Y, Architecture((32, 32, 3)), [Readout(11), Readout(11, True, "hidden")]
    device = host_device(shared_bytes=227 * 1024)
    values = CudaEngine([device], CANDIDATES[name]).gram(*call)
    assert errors(values, cpu.gram(*call, dtype="float64")).max() < 2e-6


@pytest.mark.compile
@pytest.mark.parametrize("case", sorted({entry["case"] for entry in oracle.SPEC}))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_oracle(host_device, case, dtype):
    """Variants against the values of another system."""
    entries = [
        entry for entry in oracle.SPEC if entry["case"] == case and not oracle.is_void(entry)
    ]
    X, Y = oracle.images(case)
    if X[0].size > 1000:
        # GAP of 32 × 32 images takes minutes on the host; test_float32_at_depth_11 has one pair.
        entries = [entry for entry in entries if entry["readout"] == "flatten"]
    near = entries[0]["inputs"] == "near"
    tolerance = {"float64": (1e-10, 1e-8), "float32": (2e-5, 1e-3)}[dtype][near]
    architecture = Architecture(X.shape[1:], entries[0]["filter_size"])
    readouts = [oracle.readout(entry) for entry in entries]
    for name, variant in some():
        engine = CudaEngine([host_device(shared_bytes=227 * 1024)], variant)
        values = engine.gram(X, Y, architecture, readouts, dtype=dtype)
        for value, entry in zip(values, entries, strict=True):
            expected = oracle.VALUES[entry["key"]]
            np.testing.assert_allclose(
                value, expected, rtol=tolerance, err_msg=f"{name}, {entry['key']}"
            )
