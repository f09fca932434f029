"""The CUDA engine on the host: shared memory, memory that runs out, and several devices."""

import numpy as np
import pytest
from engines import cpu

from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk.networks import Architecture, Readout


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shared_bytes", [600, 5000, 2**17])
def test_shared_memory_changes_no_bits(host_device, shared_bytes, dtype, rng):
    """Tables of all layers, of two, or none of them in shared memory; planes there or not."""
    architecture = Architecture((10, 7, 1))
    X, Y = normal(rng, 2, (10, 7, 1)), normal(rng, 2, (10, 7, 1))
    wide = Architecture((4, 33, 1))
    wide_X, wide_Y = normal(rng, 2, (4, 33, 1)), normal(rng, 2, (4, 33, 1))
    readouts = [Readout(6), Readout(4, False)]
    device = host_device(shared_bytes=shared_bytes)
    usual = host_device()
    values = CudaEngine([device]).gram(X, Y, architecture, readouts, dtype=dtype)
    expected = CudaEngine([usual]).gram(X, Y, architecture, readouts, dtype=dtype)
    np.testing.assert_array_equal(values, expected)
    values = CudaEngine([device]).gram(wide_X, wide_Y, wide, readouts, dtype=dtype)
    expected = CudaEngine([usual]).gram(wide_X, wide_Y, wide, readouts, dtype=dtype)
    np.testing.assert_array_equal(values, expected)


def test_more_depths_than_shared_memory_holds(host_device, rng):
    X = normal(rng, 2, (2, 3, 1))
    architecture, readouts = Architecture((2, 3, 1)), [Readout(d) for d in range(2, 80)]
    device = host_device(shared_bytes=512)
    values = CudaEngine([device]).gram(X, X, architecture, readouts, dtype="float64")
    assert "planes" in device.launches
    expected = cpu.gram(X, X, architecture, readouts, dtype="float64")
    np.testing.assert_allclose(values, expected, rtol=1e-11)


def test_out_of_memory_halves_the_tile(host_device, rng):
    X, Y = normal(rng, 5, (4, 4, 1)), normal(rng, 4, (4, 4, 1))
    architecture, readouts = Architecture((4, 4, 1)), [Readout(3), Readout(5, False)]
    device = host_device(memory=1100)  # the tables of two images
    values = CudaEngine([device]).gram(X, Y, architecture, readouts)
    expected = CudaEngine([host_device()]).gram(X, Y, architecture, readouts)
    np.testing.assert_array_equal(values, expected)
    with pytest.raises(MemoryError, match=r"host .* one pair of images of shape \(4, 4, 1\)"):
        CudaEngine([host_device(memory=100)]).gram(X, Y, architecture, readouts)


def test_several_devices_share_the_pairs(host_device, rng):
    X, Y = normal(rng, 5, (3, 3, 1)), normal(rng, 3, (3, 3, 1))
    architecture, readouts = Architecture((3, 3, 1)), [Readout(3), Readout(5, False)]

    devices = [host_device() for _ in range(3)]
    values = CudaEngine(devices).gram(X, Y, architecture, readouts)
    expected = CudaEngine([host_device()]).gram(X, Y, architecture, readouts)
    np.testing.assert_array_equal(values, expected)
    assert all(device.launches for device in devices)
    two = CudaEngine(devices).gram(X[:2], Y[:1], architecture, readouts)  # less pairs than devices
    np.testing.assert_array_equal(two, expected[:, :2, :1])


def test_compile_errors_name_shape_and_device(host_device, monkeypatch, rng):
    device = host_device()

    def launch(*arguments):
        raise device.CompileError("error: too bad")

    monkeypatch.setattr(device, "launch", launch)
    X = normal(rng, 2, (3, 5, 2))
    with pytest.raises(
        RuntimeError, match=r"on host for no GPU, float32, filter_size=3.*\(3, 5, 2\).*depth 4.*bad"
    ):
        CudaEngine([device]).gram(X, X, Architecture((3, 5, 2)), [Readout(4)])
