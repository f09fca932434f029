"""The CUDA engine: on a GPU where there is one, and everywhere on the host (``cuda_host.py``)."""

import numpy as np
import pytest
from engines import cpu, reference

from sklearn_cntk import CNTK
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk.networks import Architecture, Readout

READOUTS = [Readout(d, g, t) for d in (3, 4) for g in (True, False) for t in ("all", "last")]
READOUTS += [Readout(4, True, "hidden"), Readout(3, False, "hidden"), Readout(2, False)]
POOLED = [Readout(4, False, "all", lap=1), Readout(3, False, "last", lap=2)]
POOLED += [Readout(4, False, "hidden", lap=1)]


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


def assert_close(values, expected, dtype):
    """Entries near 0 come from λ near -1; their error is that of the kernel's scale."""
    tolerance = 1e-11 if dtype == "float64" else 5e-6
    scale = abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
    assert np.isfinite(values).all()
    assert (abs(values - expected) <= tolerance * (abs(expected) + scale / 10)).all()


# --- against the reference ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "q", "n", "m", "kernels"),
    [
        ((1, 1, 4), 3, 2, 35, {"sweep", "trace"}),
        ((1, 7, 1), 3, 3, 2, {"sweep", "trace"}),
        ((7, 1, 1), 5, 2, 3, {"sweep", "trace"}),
        ((2, 3, 2), 7, 3, 1, {"sweep", "trace"}),
        ((6, 5, 3), 1, 2, 2, {"sweep", "trace"}),
        ((5, 6, 2), 5, 2, 2, {"sweep", "trace"}),
        ((8, 8, 1), 3, 2, 3, {"sweep", "trace"}),
        ((4, 16, 1), 7, 1, 2, {"sweep", "trace"}),
        ((33, 3, 1), 3, 1, 2, {"sweep", "trace"}),
        ((3, 29, 1), 3, 1, 2, {"sweep", "trace"}),
        ((40, 9, 1), 3, 1, 1, {"sweep", "trace"}),
        ((3, 40, 2), 3, 2, 1, {"planes"}),
        ((11, 12, 1), 13, 1, 2, {"planes"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_reference(cuda_devices, shape, q, n, m, kernels, dtype, rng):
    X, Y = normal(rng, n, shape), normal(rng, m, shape)
    architecture, readouts = Architecture(shape, q), READOUTS + POOLED
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts, dtype=dtype)
    assert_close(values, reference.gram(X, Y, architecture, readouts), dtype)
    launched = set(getattr(cuda_devices[0], "launches", ())) - {"tables"}
    assert not launched or launched == kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trace_of_large_images(cuda_devices, dtype, rng):
    X, Y = normal(rng, 3, (32, 32, 3)), normal(rng, 2, (32, 32, 3))
    architecture = Architecture((32, 32, 3))
    readouts = [Readout(d, False, t) for d in (3, 21) for t in ("all", "last")]
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts, dtype=dtype)
    assert_close(values, reference.gram(X, Y, architecture, readouts), dtype)


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1)])
def test_gap_of_large_images(cuda_devices, shape, rng):
    X, Y = normal(rng, 1, shape), normal(rng, 1, shape)
    architecture, readouts = Architecture(shape), [Readout(3), Readout(4)]
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts)
    assert_close(values, cpu.gram(X, Y, architecture, readouts, dtype="float64"), "float32")


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 3, 2), (9, 9, 1)])
def test_deep_networks_stay_in_range(cuda_devices, shape, rng):
    X, Y = normal(rng, 3, shape), normal(rng, 3, shape)
    architecture, readouts = Architecture(shape), [Readout(60, False), Readout(60, False, "last")]
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts)
    np.testing.assert_allclose(
        values, reference.gram(X, Y, architecture, readouts), rtol=1e-4
    )  # float32 knows κ₀ to some 1e-5 only where correlations are near 1


# --- the interface ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4, 1), (1, 34, 1)])
def test_pairs_are_entries_of_gram(cuda_devices, shape, rng):
    X, Y = normal(rng, 5, shape), normal(rng, 5, shape)
    Y[::2] = X[::2]
    engine, architecture = CudaEngine(cuda_devices), Architecture(shape)
    values = engine.pairs(X, Y, architecture, READOUTS)
    full = engine.gram(X, Y, architecture, READOUTS)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


@pytest.mark.parametrize("shape", [(4, 6, 2), (1, 34, 1)])
def test_two_runs_and_all_tiles_give_the_same_bits(cuda_devices, shape, rng):
    X, Y = normal(rng, 4, shape), normal(rng, 9, shape)
    engine, architecture = CudaEngine(cuda_devices), Architecture(shape)
    whole = engine.gram(X, Y, architecture, READOUTS)
    np.testing.assert_array_equal(whole, engine.gram(X, Y, architecture, READOUTS))
    tile = engine.gram(X[1:3], Y[4:], architecture, READOUTS)
    np.testing.assert_array_equal(tile, whole[:, 1:3, 4:])
    upper = np.triu(np.ones((4, 9), dtype=bool), 2)
    part = engine.gram(X, Y, architecture, READOUTS, triu=2)
    np.testing.assert_array_equal(part[:, upper], whole[:, upper])
    assert engine.gram(X, Y, architecture, READOUTS, triu=9).shape == whole.shape


@pytest.mark.parametrize("shape", [(6, 6, 2), (1, 34, 1)])
def test_equal_images_lose_no_digits_in_float32(cuda_devices, shape, rng):
    X = normal(rng, 5, shape)
    X[3] = X[1]
    Y = X[[4, 1, 0]]
    engine, architecture = CudaEngine(cuda_devices), Architecture(shape)
    values = engine.gram(X, Y, architecture, READOUTS + POOLED)
    expected = reference.gram(X, Y, architecture, READOUTS + POOLED)
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_array_equal(values[:, 1], values[:, 3])
    twins = engine.pairs(X, X, architecture, READOUTS)
    np.testing.assert_allclose(twins, reference.pairs(X, X, architecture, READOUTS), rtol=2e-6)


def test_through_the_kernel(cuda_devices, rng):
    """Tiles, symmetry and flips of the public class, on this engine."""
    X = normal(rng, 20, (4, 5, 2))
    values = CNTK(4, flip=True, device=CudaEngine(cuda_devices))(X)
    expected = CNTK(4, flip=True, device="cpu", dtype="float64")(X)
    np.testing.assert_allclose(values, expected, rtol=5e-6)
    np.testing.assert_array_equal(values, values.T)
