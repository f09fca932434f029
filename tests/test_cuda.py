"""The CUDA engine: on a GPU where there is one, and everywhere on the host (``cuda_host.py``)."""

import sys
import warnings

import cuda_host
import numpy as np
import nvrtc
import pytest
from pretended_cupy import pretend_cupy, pretend_gpus

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, _engines
from sklearn_cntk._engines import reference
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._engines.cuda import devices as _devices
from sklearn_cntk._engines.cuda import engine as cuda
from sklearn_cntk._engines.cuda import images as _cuda_images
from sklearn_cntk._support.network import Architecture, Readout

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
    values = cuda.Engine(cuda_devices).gram(X, Y, architecture, readouts, dtype=dtype)
    assert_close(values, reference.gram(X, Y, architecture, readouts), dtype)
    launched = set(getattr(cuda_devices[0], "launches", ())) - {"tables"}
    assert not launched or launched == kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trace_of_large_images(cuda_devices, dtype, rng):
    X, Y = normal(rng, 3, (32, 32, 3)), normal(rng, 2, (32, 32, 3))
    architecture = Architecture((32, 32, 3))
    readouts = [Readout(d, False, t) for d in (3, 21) for t in ("all", "last")]
    values = cuda.Engine(cuda_devices).gram(X, Y, architecture, readouts, dtype=dtype)
    assert_close(values, reference.gram(X, Y, architecture, readouts), dtype)


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1)])
def test_gap_of_large_images(cuda_devices, shape, rng):
    X, Y = normal(rng, 1, shape), normal(rng, 1, shape)
    architecture, readouts = Architecture(shape), [Readout(3), Readout(4)]
    values = cuda.Engine(cuda_devices).gram(X, Y, architecture, readouts)
    assert_close(values, cpu.gram(X, Y, architecture, readouts, dtype="float64"), "float32")


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 3, 2), (9, 9, 1)])
def test_deep_networks_stay_in_range(cuda_devices, shape, rng):
    X, Y = normal(rng, 3, shape), normal(rng, 3, shape)
    architecture, readouts = Architecture(shape), [Readout(60, False), Readout(60, False, "last")]
    values = cuda.Engine(cuda_devices).gram(X, Y, architecture, readouts)
    np.testing.assert_allclose(
        values, reference.gram(X, Y, architecture, readouts), rtol=1e-4
    )  # float32 knows κ₀ to some 1e-5 only where correlations are near 1


# --- the interface ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4, 1), (1, 34, 1)])
def test_pairs_are_entries_of_gram(cuda_devices, shape, rng):
    X, Y = normal(rng, 5, shape), normal(rng, 5, shape)
    Y[::2] = X[::2]
    engine, architecture = cuda.Engine(cuda_devices), Architecture(shape)
    values = engine.pairs(X, Y, architecture, READOUTS)
    full = engine.gram(X, Y, architecture, READOUTS)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


@pytest.mark.parametrize("shape", [(4, 6, 2), (1, 34, 1)])
def test_two_runs_and_all_tiles_give_the_same_bits(cuda_devices, shape, rng):
    X, Y = normal(rng, 4, shape), normal(rng, 9, shape)
    engine, architecture = cuda.Engine(cuda_devices), Architecture(shape)
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
    engine, architecture = cuda.Engine(cuda_devices), Architecture(shape)
    values = engine.gram(X, Y, architecture, READOUTS + POOLED)
    expected = reference.gram(X, Y, architecture, READOUTS + POOLED)
    np.testing.assert_allclose(values, expected, rtol=2e-6)
    np.testing.assert_array_equal(values[:, 1], values[:, 3])
    twins = engine.pairs(X, X, architecture, READOUTS)
    np.testing.assert_allclose(twins, reference.pairs(X, X, architecture, READOUTS), rtol=2e-6)


def test_through_the_kernel(cuda_devices, monkeypatch, rng):
    """Tiles, symmetry and flips of the public class, on this engine."""
    monkeypatch.setattr(_devices, "open_devices", lambda index: cuda_devices)
    X = normal(rng, 20, (4, 5, 2))
    values = CNTK(4, flip=True, device="cuda")(X)
    expected = CNTK(4, flip=True, device="cpu", dtype="float64")(X)
    np.testing.assert_allclose(values, expected, rtol=5e-6)
    np.testing.assert_array_equal(values, values.T)


def test_tiles_share_their_images(host_device, monkeypatch, rng):
    """However many tiles there are, every image is converted once."""
    converted = []
    scale = _cuda_images.scale_images

    def counted(images, *arguments):
        converted.extend(images[:, 0, 0, 0])
        return scale(images, *arguments)

    device = host_device()
    monkeypatch.setattr(_devices, "open_devices", lambda index: [device])
    monkeypatch.setattr(_cuda_images, "scale_images", counted)
    monkeypatch.setattr(cuda.Engine, "largest_tile", 16)
    X, Y = normal(rng, 40, (2, 2, 1)), normal(rng, 20, (2, 2, 1))
    for images in ((X,), (X, Y)):
        converted.clear()
        device.launches.clear()
        CNTK(2, False, device="cuda", n_jobs=2)(*images)
        assert device.launches.count("trace") > 3
        assert sorted(converted) == sorted(np.concatenate(images)[:, 0, 0, 0])


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("u1", "u1"), ("f4", "f8"), ("u1", "f4")])
def test_equal_images_are_recognised(dtypes):
    """Across dtypes, and with zeros of either sign."""
    X = np.array([[0.0, 2], [3, 4], [0, 2]]).reshape(3, 1, 2, 1).astype(dtypes[0])
    Y = np.array([[0.0, 2], [3, 5]]).reshape(2, 1, 2, 1).astype(dtypes[1])
    if dtypes[1] != "u1":
        Y[0, 0, 0, 0] = -0.0
    x, y = _cuda_images.sides_of(X, Y, 3, "float32")
    x_ids, y_ids = x.take(np.arange(3)).ids, y.take(np.arange(2)).ids
    np.testing.assert_array_equal(x_ids[:, None] == y_ids, [[True, False], [False] * 2, [True, 0]])


# --- memory and devices, on the host ------------------------------------------------------------


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
    values = cuda.Engine([device]).gram(X, Y, architecture, readouts, dtype=dtype)
    expected = cuda.Engine([usual]).gram(X, Y, architecture, readouts, dtype=dtype)
    np.testing.assert_array_equal(values, expected)
    values = cuda.Engine([device]).gram(wide_X, wide_Y, wide, readouts, dtype=dtype)
    expected = cuda.Engine([usual]).gram(wide_X, wide_Y, wide, readouts, dtype=dtype)
    np.testing.assert_array_equal(values, expected)


def test_more_depths_than_shared_memory_holds(host_device, rng):
    X = normal(rng, 2, (2, 3, 1))
    architecture, readouts = Architecture((2, 3, 1)), [Readout(d) for d in range(2, 80)]
    device = host_device(shared_bytes=512)
    values = cuda.Engine([device]).gram(X, X, architecture, readouts, dtype="float64")
    assert "planes" in device.launches
    expected = cpu.gram(X, X, architecture, readouts, dtype="float64")
    np.testing.assert_allclose(values, expected, rtol=1e-11)


def test_out_of_memory_halves_the_tile(host_device, rng):
    X, Y = normal(rng, 5, (4, 4, 1)), normal(rng, 4, (4, 4, 1))
    architecture, readouts = Architecture((4, 4, 1)), [Readout(3), Readout(5, False)]
    device = host_device(memory=1100)  # the tables of two images
    values = cuda.Engine([device]).gram(X, Y, architecture, readouts)
    expected = cuda.Engine([host_device()]).gram(X, Y, architecture, readouts)
    np.testing.assert_array_equal(values, expected)
    with pytest.raises(MemoryError, match=r"host .* one pair of images of shape \(4, 4, 1\)"):
        cuda.Engine([host_device(memory=100)]).gram(X, Y, architecture, readouts)


def test_several_devices_share_the_pairs(host_device, rng):
    X, Y = normal(rng, 5, (3, 3, 1)), normal(rng, 3, (3, 3, 1))
    architecture, readouts = Architecture((3, 3, 1)), [Readout(3), Readout(5, False)]

    devices = [host_device() for _ in range(3)]
    values = cuda.Engine(devices).gram(X, Y, architecture, readouts)
    expected = cuda.Engine([host_device()]).gram(X, Y, architecture, readouts)
    np.testing.assert_array_equal(values, expected)
    assert all(device.launches for device in devices)
    two = cuda.Engine(devices).gram(X[:2], Y[:1], architecture, readouts)  # less pairs than devices
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
        cuda.Engine([device]).gram(X, X, Architecture((3, 5, 2)), [Readout(4)])


# --- finding devices ----------------------------------------------------------------------------


@pytest.fixture
def fresh_devices():
    """Devices are looked for again, and nothing a test pretends is remembered."""
    for function in (_devices.open_devices, _devices.find_devices):
        function.cache_clear()
    yield
    for function in (_devices.open_devices, _devices.find_devices):
        function.cache_clear()


def test_engine_through_cupy(fresh_devices, host_device, monkeypatch, rng):
    """All that ``_devices`` asks of CuPy, with NumPy in its place and kernels on the host."""
    pretend_gpus(monkeypatch, host_device(shared_bytes=99 * 1024))
    X = normal(rng, 3, (12, 9, 1))
    expected = CNTK(30, device="cpu", dtype="float64")(X)
    assert len(_engines.select_engine("auto").devices) == 2
    assert len(_engines.select_engine("cuda:1").devices) == 1
    for name in ("auto", "cuda", "cuda:1"):
        values = CNTK(30, device=name, n_jobs=2)(X)
        np.testing.assert_allclose(values, expected, rtol=2e-5)
    assert "Pretended GPU" in _engines.select_engine("cuda:1").label


class DriverError(RuntimeError):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def fails(status, message):
    def count():
        raise DriverError(status, message)

    return count


def test_without_cupy(fresh_devices, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    for device in ("cuda", "cuda:1"):
        with pytest.raises(RuntimeError, match=rf"{device}' needs CuPy.*\[cuda12x\].*\[cuda13x\]"):
            _engines.select_engine(device)
    monkeypatch.setattr(_devices, "find_spec", lambda name: None)
    assert _engines.select_engine("auto") is cpu


def test_without_driver(fresh_devices, monkeypatch):
    pretend_cupy(monkeypatch, fails(35, "driver version is insufficient"))
    with pytest.raises(RuntimeError, match=r"'cuda' found no usable .*version is insufficient"):
        _engines.select_engine("cuda")
    with pytest.warns(RuntimeWarning, match="takes the CPU.*driver version is insufficient"):
        assert _engines.select_engine("auto") is cpu
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _engines.select_engine("auto") is cpu  # once


def test_without_device(fresh_devices, monkeypatch):
    pretend_cupy(monkeypatch, fails(100, "no CUDA-capable device is detected"))
    assert _engines.select_engine("auto") is cpu
    pretend_cupy(monkeypatch, lambda: 0)
    with pytest.raises(RuntimeError, match="CUDA devices found: none"):
        _engines.select_engine("cuda")


def test_index_too_high(fresh_devices, monkeypatch):
    pretend_cupy(monkeypatch, lambda: 2)
    with pytest.raises(RuntimeError, match=r"'cuda:2'.*cuda:0 \(Pretended GPU\); cuda:1 \(Pret"):
        _engines.select_engine("cuda:2")


def test_device_that_runs_nothing(fresh_devices, monkeypatch):
    def check(index):
        raise RuntimeError("no kernel image is available\nand much more")

    pretend_cupy(monkeypatch, lambda: 1)
    monkeypatch.setattr(_devices, "check", check)
    with pytest.raises(RuntimeError, match=r"cuda:0 runs no kernels \(no kernel image"):
        _engines.select_engine("cuda:0")
    with pytest.warns(RuntimeWarning, match="runs no kernels"):
        assert _engines.select_engine("auto") is cpu


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", 0, None])
def test_unknown_device(device):
    with pytest.raises(ValueError, match="is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'"):
        _engines.select_engine(device)


def test_cupy_arrays_are_accepted(rng):
    class Array:
        """As CuPy's: no NumPy array by itself."""

        __module__ = "cupy"

        def __init__(self, values):
            self.values = values
            self.ndim, self.shape, self.dtype = values.ndim, values.shape, values.dtype

        def __len__(self):
            return len(self.values)

        def __array__(self, *arguments, **options):
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

        def get(self):
            return self.values

    X, y = normal(rng, 6, (4, 4, 1)), np.array([0, 1, 2, 0, 1, 2])
    weights = rng.uniform(1, 2, size=6)
    kernel = CNTK(3, device="cpu")
    np.testing.assert_array_equal(kernel(Array(X)), kernel(X))
    np.testing.assert_array_equal(kernel(Array(X), Array(X[:2])), kernel(X, X[:2]))
    for images in (X, X.reshape(6, 16)):
        for cls in (CNTKClassifier, CNTKRegressor):
            model = cls(3, image_shape=(4, 4), device="cpu").fit(images, y, weights)
            other = cls(3, image_shape=(4, 4), device="cpu")
            other.fit(Array(images), Array(y), Array(weights))
            np.testing.assert_array_equal(other.predict(Array(images)), model.predict(images))
    search = CNTKClassifierCV([2, 3], cv=2, device="cpu").fit(Array(X), Array(y))
    assert search.predict(Array(X)).shape == (6,)


# --- the compiler for GPUs ----------------------------------------------------------------------

needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason="needs NVRTC, of the extra test")


class CompilingDevice(cuda_host.HostDevice):
    """Compiles what a GPU of an architecture would run, and runs nothing."""

    def __init__(self, architecture, shared_bytes=99 * 1024):
        super().__init__(None, shared_bytes)
        self.architecture = architecture
        self.usage = {}

    def launch(self, source, name, *arguments):
        if source not in self.usage:
            usage = nvrtc.compile_cuda(source, self.architecture, _devices._OPTIONS)
            self.usage[source] = name, usage[name]


def usage_of(architecture, shape, q, readouts, dtype):
    """Kernel name -> Usage of what one Gram matrix launches."""
    device = CompilingDevice(architecture)
    images = np.zeros((1, *shape)), np.ones((1, *shape))
    cuda.Engine([device]).gram(*images, Architecture(shape, q), readouts, dtype=dtype)
    return dict(device.usage.values())


@needs_nvrtc
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_variant_compiles(architecture, dtype):
    usage = {}
    for shape, q, readouts in [
        ((5, 6, 2), 5, READOUTS + POOLED),
        ((32, 32, 3), 3, [Readout(5), Readout(5, False, "hidden")]),
        ((12, 40, 1), 3, [Readout(5), Readout(5, False, "hidden", lap=1)]),
    ]:
        usage |= usage_of(architecture, shape, q, readouts, dtype)
    assert set(usage) == {"tables", "sweep", "trace", "planes"}


@needs_nvrtc
@pytest.mark.parametrize("trained", [["all"], ["hidden"], ["last"], ["all", "hidden"]], ids=str)
@pytest.mark.parametrize("side", [8, 32])
def test_no_spills_in_float32(trained, side):
    for pool in ({"gap": True}, {"gap": False}, {"gap": False, "lap": 2}):
        readouts = [Readout(5, trained_layers=name, **pool) for name in trained]
        for name, used in usage_of("sm_90", (side, side, 3), 3, readouts, "float32").items():
            assert used.spill_stores == used.spill_loads == 0, (pool, name, used)


@needs_nvrtc
def test_registers_of_the_largest_planes():
    """Σ and Θ of 32 × 32 images in 128 registers: 16 warps hide each other's latency."""
    usage = usage_of("sm_90", (32, 32, 3), 3, [Readout(21)], "float32")
    assert usage["sweep"].registers <= 128
    usage = usage_of("sm_90", (32, 32, 3), 3, [Readout(21)], "float64")
    assert usage["sweep"].spill_stores == 0
