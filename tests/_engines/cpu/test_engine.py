"""The CPU engine: against the reference, its interface, and special images."""

import os
import subprocess
import sys

import numpy as np
import pytest
from engines import cpu, reference
from llvmlite.binding import get_host_cpu_features

from sklearn_cntk.networks import Architecture, Readout

TRACE_AND_GAP = [Readout(d, g, t) for d in (3, 5) for g in (True, False) for t in ("all", "last")]


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


# --- the CPU engine against the reference -------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "q", "n", "m", "dtype"),
    [
        ((1, 1, 4), 3, 2, 17, "float32"),
        ((1, 1, 4), 3, 2, 17, "float64"),
        ((1, 7, 1), 3, 3, 2, "float32"),
        ((1, 7, 1), 3, 3, 2, "float64"),
        ((7, 4, 1), 3, 2, 18, "float32"),
        ((7, 4, 1), 3, 2, 18, "float64"),
        # Every side of the filters is compiled anew, for each dtype.
        ((5, 1, 2), 5, 1, 3, "float32"),
        ((5, 6, 2), 5, 1, 2, "float32"),
        ((2, 3, 1), 7, 3, 1, "float32"),
        ((2, 3, 1), 7, 3, 1, "float64"),
        ((6, 5, 3), 1, 2, 2, "float64"),
    ],
)
def test_cpu_equals_reference(shape, q, n, m, dtype, rng):
    X, Y = normal(rng, n, shape), normal(rng, m, shape)
    readouts = TRACE_AND_GAP + [
        Readout(5, True, "hidden"),
        Readout(3, False, "hidden"),
        Readout(4, False, "all", lap=1),
        Readout(3, False, "last", lap=2),
        Readout(5, False, "hidden", lap=1),
    ]
    architecture = Architecture(shape, q)
    values = cpu.gram(X, Y, architecture, readouts, dtype=dtype)
    expected = reference.gram(X, Y, architecture, readouts)
    # Entries near 0 come from λ near -1; their error is that of the kernel's scale.
    tolerance = 1e-11 if dtype == "float64" else 5e-6
    scale = abs(expected).max(axis=(1, 2), keepdims=True)
    assert (abs(values - expected) <= tolerance * (abs(expected) + scale / 10)).all()


def test_cpu_equals_reference_on_wide_images(rng):
    X, Y = normal(rng, 3, (40, 9, 2)), normal(rng, 2, (40, 9, 2))
    architecture, readouts = Architecture((40, 9, 2)), [Readout(d, False) for d in (2, 11)]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    np.testing.assert_allclose(values, reference.gram(X, Y, architecture, readouts), rtol=1e-11)


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 3, 2), (9, 9, 1)])
def test_deep_networks_stay_in_range(shape, rng):
    """Where padding takes a share of every layer, values fall like 9**-depth.

    Correlations tend to 1 as layers add up, where float32 knows κ₀ to some 1e-5 only.
    """
    X, Y = normal(rng, 3, shape), normal(rng, 3, shape)
    architecture, readouts = Architecture(shape), [Readout(60, False), Readout(60, False, "last")]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float32")
    expected = reference.gram(X, Y, architecture, readouts)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not get_host_cpu_features().get("avx2"), reason="this machine has no AVX2")
def test_vectors_of_avx2():
    """Machines without AVX-512 have shorter vectors; here as if this one were such a machine."""
    code = """
import numpy as np
from sklearn_cntk.networks import Architecture, Network, Readout
from sklearn_cntk._engines.cpu.engine import CpuEngine
from sklearn_cntk._engines.cpu.lanes import VECTOR_BYTES
from sklearn_cntk._engines.reference import ReferenceEngine
assert VECTOR_BYTES == 32
cpu, reference = CpuEngine(), ReferenceEngine()
images = np.random.default_rng(0).normal(size=(21, 5, 6, 2))
pooled = Network.plain(4, pool_after=(1,), bias_variance=0.1)
double = [("float64", 1e-12)]
for network, images, precisions in (
    ("plain", images, [("float32", 1e-5), *double]),
    (pooled, images[:9], double),
):
    architecture = Architecture((5, 6, 2), network=network)
    readouts = [Readout(4), Readout(3, False, "hidden")]
    expected = reference.gram(images, images, architecture, readouts)
    for dtype, tolerance in precisions:
        values = cpu.gram(images, images, architecture, readouts, dtype=dtype)
        np.testing.assert_allclose(values, expected, atol=tolerance * expected.max())
"""
    environment = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma"}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | environment)


# --- the interface ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 17, 33])
def test_pairs_are_entries_of_gram(n, rng):
    X, Y = normal(rng, n, (3, 4, 1)), normal(rng, n, (3, 4, 1))
    Y[::2] = X[::2]
    architecture = Architecture((3, 4, 1))
    values = cpu.pairs(X, Y, architecture, TRACE_AND_GAP)
    full = cpu.gram(X, Y, architecture, TRACE_AND_GAP)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


def test_tiles_do_not_change_bits(rng):
    X, Y = normal(rng, 70, (5, 4, 2)), normal(rng, 40, (5, 4, 2))
    architecture = Architecture((5, 4, 2))
    whole = cpu.gram(X, Y, architecture, TRACE_AND_GAP)
    for rows, columns in [((0, 1), (0, 1)), ((30, 67), (5, 38)), ((69, 70), (39, 40))]:
        rows, columns = slice(*rows), slice(*columns)
        tile = cpu.gram(X[rows], Y[columns], architecture, TRACE_AND_GAP)
        np.testing.assert_array_equal(tile, whole[:, rows, columns])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_layout_and_dtype_of_images_do_not_matter(dtype, rng):
    pixels = rng.integers(0, 256, size=(4, 6, 5, 2)).astype(np.uint8)
    architecture = Architecture((6, 5, 2))

    def values(X):
        return cpu.gram(X, X[::-1], architecture, TRACE_AND_GAP, dtype=dtype)

    expected = values(pixels.astype(np.float64))
    read_only = pixels.astype(np.float32)
    read_only.flags.writeable = False
    strided = np.repeat(pixels, 2, axis=2)[:, :, ::2]
    for X in (pixels, np.asfortranarray(pixels), read_only, strided, pixels.astype(np.int64)):
        np.testing.assert_array_equal(values(X), expected)


# --- special images -----------------------------------------------------------------------------


def test_equal_images_lose_no_digits_in_float32(rng):
    """κ₀ near λ = 1 loses half of the digits; the engine knows equal images, anywhere."""
    X = normal(rng, 5, (6, 6, 2))
    X[3] = X[1]
    Y = X[[4, 1, 0]]
    architecture = Architecture((6, 6, 2))
    readouts = [*TRACE_AND_GAP, Readout(5, True, "hidden"), Readout(5, False, "all", lap=1)]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float32")
    np.testing.assert_allclose(values, reference.gram(X, Y, architecture, readouts), rtol=2e-6)
    np.testing.assert_array_equal(values[:, 1], values[:, 3])


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e12, 1e200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_homogeneous_at_any_scale(scale, dtype, rng):
    """K(ax, x') = a K(x, x') for a > 0, beyond the range of float32 too."""
    X, Y = normal(rng, 2, (4, 4, 1)), normal(rng, 3, (4, 4, 1))
    architecture = Architecture((4, 4, 1))
    values = cpu.gram(scale * X, Y, architecture, TRACE_AND_GAP, dtype=dtype)
    expected = scale * cpu.gram(X, Y, architecture, TRACE_AND_GAP, dtype=dtype)
    np.testing.assert_allclose(values, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
