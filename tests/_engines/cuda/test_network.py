"""Networks of any layers in the CUDA engine: on a GPU where there is one, and on the host."""

import network_oracle
import numpy as np
import nvrtc
import pytest
from compiling_device import CompilingDevice
from engines import cpu, reference

from sklearn_cntk import CNTK
from sklearn_cntk._engines.cuda import devices, stacks
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.network_arrays import PlanArrays
from sklearn_cntk._engines.network_plan import NetworkPlan
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

RELU = Activation("relu")
RESIDUAL = Network(
    [Conv(), Residual([RELU, Conv(bias_variance=0.2)]), RELU, AvgPool(3), Conv(), RELU]
)
EVERY_KIND = Network(
    [
        *(Conv(), LayerNorm(), Activation("gelu"), Conv(strides=2), Activation("erf"), AvgPool()),
        *(Conv(), Residual([RELU, Conv()]), Activation("gaussian")),
    ]
)
CIRCULAR = Network([Conv(padding="circular"), RELU, AvgPool(), Conv(5, padding="circular"), RELU])

needs_nvrtc = pytest.mark.skipif(nvrtc.compiler() is None, reason="NVRTC is not installed")


def sides(rng, shape):
    """Images among which are equal ones, one of zeros, and one that is dark on one side."""
    X, Y = rng.normal(size=(3, *shape)), rng.normal(size=(2, *shape))
    Y[0] = X[2]
    X[1], Y[1, : (shape[0] + 1) // 2] = 0, 0
    return X, Y


def assert_close(values, expected, tolerance):
    scale = abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
    assert (abs(values - expected) <= tolerance * scale).all()


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "dtype", "every"),
    [
        ("layers", "float64", 2),
        ("networks", "float32", 12),
        pytest.param("layers", "float32", 1, marks=pytest.mark.compile),
        pytest.param("networks", "float64", 3, marks=pytest.mark.compile),
    ],
)
def test_oracle(cuda_devices, file, dtype, every):
    """Every so many of the networks."""
    engine, cases = CudaEngine(cuda_devices), network_oracle.cases(file)[::every]
    assert sum(network_oracle.compare(engine, case, dtype) for case in cases) >= 30


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("myrtle5", (9, 10, 2)),
        (EVERY_KIND, (9, 7, 2)),
        (RESIDUAL, (7, 6, 1)),
        (CIRCULAR, (6, 8, 1)),
        (
            Network([Conv(strides=2), LayerNorm(), Activation("gelu"), Conv((1, 5)), RELU]),
            (7, 9, 2),
        ),
        (Network([AvgPool((1, 2)), Conv(), Activation("gaussian")]), (5, 4, 1)),
    ],
)
def test_equals_reference(cuda_devices, network, shape, rng):
    """Every depth, readout and frozen layer in one call: of equal, dark and zero images as well."""
    X, Y = sides(rng, shape)
    architecture = Architecture(shape, network=network)
    readouts = [
        Readout(depth, gap, trained, lap)
        for depth in architecture.network.depths
        for gap, lap in ((True, 0), (False, 0), (False, 1))
        for trained in ("all", "last")
    ]
    if architecture.network.depth > 2:
        readouts += [Readout(architecture.network.depth, True, "hidden")]
    readouts += [Readout(architecture.network.depth, False, "all", 0, 1)]
    engine = CudaEngine(cuda_devices)
    values = engine.gram(X, Y, architecture, readouts, dtype="float64")
    assert_close(values, reference.gram(X, Y, architecture, readouts), 1e-11)
    values = engine.gram(X, Y, architecture, readouts)
    assert_close(values, reference.gram(X, Y, architecture, readouts), 1e-5)
    values = engine.pairs(X[:2], Y, architecture, readouts, dtype="float64")
    assert_close(values, reference.pairs(X[:2], Y, architecture, readouts), 1e-11)


def test_myrtle_of_large_images(cuda_devices, rng):
    X, Y = rng.normal(size=(1, 32, 32, 3)), rng.normal(size=(1, 32, 32, 3))
    architecture = Architecture((32, 32, 3), network="myrtle5")
    readouts = [Readout(5), Readout(5, False)]
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts)
    assert_close(values, cpu.gram(X, Y, architecture, readouts, dtype="float64"), 1e-6)


def test_plain_readouts_beside_others(cuda_devices, rng):
    """Depth 1, and more frozen layers, are none of the plain recursion."""
    X, Y = sides(rng, (4, 5, 1))
    architecture = Architecture((4, 5, 1))
    readouts = [
        Readout(1),
        Readout(4),
        Readout(4, frozen_layers=2),
        Readout(3, False),
        Readout(1, False),
    ]
    values = CudaEngine(cuda_devices).gram(X, Y, architecture, readouts, dtype="float64")
    assert_close(values, reference.gram(X, Y, architecture, readouts), 1e-11)


def test_more_readouts_than_a_launch_takes(host_device, rng):
    X = rng.normal(size=(2, 2, 1, 1))
    architecture = Architecture((2, 1, 1), network=Network.plain(130, bias_variance=0.1))
    readouts = [Readout(d, gap) for d in range(1, 131) for gap in (True, False)]
    device = host_device()
    values = CudaEngine([device]).gram(X, X, architecture, readouts, dtype="float64")
    assert device.launches.count("network_sweep") == 2
    assert_close(values, cpu.gram(X, X, architecture, readouts, dtype="float64"), 1e-9)


# --- Where planes lie ---------------------------------------------------------------------------


@pytest.mark.parametrize("network", [RESIDUAL, CIRCULAR])
def test_shared_memory_changes_no_bits(host_device, network, rng):
    X, Y = sides(rng, (8, 6, 1))
    call = X, Y, Architecture((8, 6, 1), network=network), [Readout(3), Readout(3, False, "last")]
    expected = CudaEngine([host_device(shared_bytes=2**17)]).gram(*call)
    for shared_bytes in (400, 5000, 20000):
        values = CudaEngine([host_device(shared_bytes=shared_bytes)]).gram(*call)
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stacks_that_do_not_fit_in_shared_memory(host_device, dtype, rng):
    X, Y = sides(rng, (8, 8, 1))
    readouts = [Readout(5), Readout(3), Readout(4, False, "last")]
    call = X, Y, Architecture((8, 8, 1), network="myrtle5"), readouts
    small, large = host_device(shared_bytes=2000), host_device()
    values = CudaEngine([small]).gram(*call, dtype=dtype)
    expected = CudaEngine([large]).gram(*call, dtype=dtype)
    assert "network" in small.launches
    assert "network_sweep" in large.launches
    assert_close(values, expected, 1e-13 if dtype == "float64" else 1e-6)

    stack = stacks.Stack(PlanArrays(NetworkPlan(call[2], readouts), dtype), dtype)
    _, all_bytes = stack.fitted(10**6)
    middle = host_device(shared_bytes=all_bytes - 1)  # pixels stay outside
    np.testing.assert_array_equal(CudaEngine([middle]).gram(*call, dtype=dtype), expected)
    assert "network_sweep" in middle.launches


def random_stack(rng):
    """A network of convolutions, activations and pools that divide the images, and their shape."""
    layers, shape = [], np.ones(2, int)
    for stage in range(rng.integers(1, 4)):
        if stage:
            window = rng.integers(1, 4, 2)
            layers.append(AvgPool(tuple(int(side) for side in window)))
            shape *= window
        for _ in range(rng.integers(stage == 0, 3)):
            kind = rng.choice(["relu", "leaky_relu", "erf", "gelu", "gaussian"])
            layers += [Conv(bias_variance=0.2 * rng.integers(2)), Activation(str(kind))]
    return Network(layers), (*(int(side) for side in shape * rng.integers(1, 3, 2)), 2)


@pytest.mark.parametrize(
    ("shape", "window", "lap"),
    [
        ((8, 8, 1), 2, 0),
        ((12, 16, 1), 2, 1),
        ((12, 12, 1), (1, 2), 1),
        ((12, 8, 1), (2, 1), 2),
        ((16, 8, 1), (4, 2), 1),
    ],
)
def test_coarse_rows_between_which_nobody_needs_any(host_device, shape, window, lap, rng):
    """Those that are left, near 0 modulo the map, wait in turns in two places."""
    X, Y = sides(rng, shape)
    network = Network([Conv(), RELU, AvgPool(window), Conv(), RELU])
    call = X, Y, Architecture(shape, network=network), [Readout(3, False, "all", lap)]
    device = host_device(shared_bytes=2**17)
    values = CudaEngine([device]).gram(*call, dtype="float64")
    assert "network_sweep" in device.launches
    assert_close(values, cpu.gram(*call, dtype="float64"), 1e-12)


@pytest.mark.parametrize("kind", ["relu", "erf", "gelu", "gaussian"])
def test_equal_images_of_any_scale_in_float32(host_device, kind, rng):
    """Their variances are large, and 1 - λ² is rounding alone there."""
    X = 255 * rng.random((3, 6, 6, 1))
    Y = np.concatenate([X[1:], X[:1] / 2])
    conv, activation = Conv(bias_variance=0.1), Activation(kind)
    network = Network([conv, activation, conv, activation])
    call = X, Y, Architecture((6, 6, 1), network=network), [Readout(3), Readout(3, False, "last")]
    engine = CudaEngine([host_device()])
    values = engine.gram(*call)
    expected = cpu.gram(*call, dtype="float64")
    for i, j in ((1, 0), (2, 1)):
        np.testing.assert_allclose(values[:, i, j], expected[:, i, j], rtol=1e-8)
    assert_close(values, expected, 1e-3)
    own = engine.pairs(X, X, *call[2:])
    np.testing.assert_allclose(own, cpu.pairs(X, X, *call[2:]), rtol=1e-8)


def test_states_that_do_not_fit_in_registers(host_device, rng):
    X, Y = sides(rng, (1, 1, 2))
    readouts = [Readout(60, frozen_layers=k) for k in range(55)]
    call = X, Y, Architecture((1, 1, 2)), readouts
    device = host_device()
    values = CudaEngine([device]).gram(*call, dtype="float64")
    assert "network" in device.launches
    assert_close(values, cpu.gram(*call, dtype="float64"), 1e-10)


@pytest.mark.parametrize("network", [RESIDUAL, CIRCULAR])
def test_few_blocks_with_room_of_their_own(host_device, network, monkeypatch, rng):
    """As many as memory has room for, each of which computes several pairs."""
    X, Y = sides(rng, (8, 6, 1))
    call = X, Y, Architecture((8, 6, 1), network=network), [Readout(3), Readout(3, False, "last")]
    expected = CudaEngine([host_device()]).gram(*call)
    small = host_device(shared_bytes=400)
    monkeypatch.setattr(small, "free_bytes", lambda: 30000)
    np.testing.assert_array_equal(CudaEngine([small]).gram(*call), expected)


def test_no_images(host_device):
    call = CudaEngine([host_device()]).prepare(
        np.ones((2, 4, 4, 1)), np.ones((3, 4, 4, 1)), Architecture((4, 4, 1), network="myrtle5"),
        [Readout(5)], "float32",
    )  # fmt: skip
    assert call.gram([], slice(0, 3)).shape == (1, 0, 3)


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(k, marks=pytest.mark.compile) for k in range(6, 20))]
)
def test_random_stacks(host_device, seed, monkeypatch):
    """With few warps, which take several rounds of columns, and all depths or some of them."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(stacks, "_MOST_WARPS", int(rng.choice([1, 2, 16])))
    network, shape = random_stack(rng)
    try:
        network.shapes(shape)
    except ValueError:  # a pool of one pixel
        pytest.skip("no network for these images")
    architecture = Architecture(shape, network=network)
    readouts = [
        Readout(depth, gap, trained, lap)
        for depth in network.depths
        for gap, lap in ((True, 0), (False, 0), (False, 1))
        for trained in ("all", "last")
    ]
    chosen = rng.choice(len(readouts), rng.integers(1, len(readouts) + 1), replace=False)
    X, Y = sides(rng, shape)
    call = X, Y, architecture, [readouts[k] for k in chosen]
    device = host_device()
    values = CudaEngine([device]).gram(*call, dtype="float64")
    assert "network_sweep" in device.launches
    assert_close(values, cpu.gram(*call, dtype="float64"), 1e-10)


def test_tiles_change_no_bits(host_device, rng):
    X, Y = sides(rng, (8, 6, 1))
    call = CudaEngine([host_device()]).prepare(
        X, Y, Architecture((8, 6, 1), network="myrtle5"), [Readout(5)], "float32"
    )
    whole = call.gram(slice(0, 3), slice(0, 2))
    np.testing.assert_array_equal(call.gram([2, 0], [1]), whole[:, [2, 0]][:, :, [1]])
    np.testing.assert_array_equal(
        call.gram(slice(0, 3), slice(0, 2), triu=1)[:, 0, 1], whole[:, 0, 1]
    )


def test_out_of_memory_halves_the_tile(host_device, rng):
    X, Y = rng.normal(size=(5, 6, 6, 1)), rng.normal(size=(4, 6, 6, 1))
    call = X, Y, Architecture((6, 6, 1), network="myrtle5"), [Readout(5)]
    small = host_device(memory=1500)
    values = CudaEngine([small]).gram(*call)
    usual = host_device()
    np.testing.assert_array_equal(values, CudaEngine([usual]).gram(*call))
    assert len(small.launches) > len(usual.launches)
    with pytest.raises(MemoryError, match=r"one pair of images of shape \(6, 6, 1\) at depth 5"):
        CudaEngine([host_device(memory=300)]).gram(*call)


# --- From outside -------------------------------------------------------------------------------


def test_kernels_take_gpus_for_networks(host_device, monkeypatch, rng):
    images = rng.normal(size=(4, 8, 8, 1))
    found = [host_device()]
    monkeypatch.setattr(devices, "find_devices", lambda: found)
    monkeypatch.setattr(devices, "open_devices", lambda index: found)
    options = {"network": "myrtle5", "flip": True, "normalize": True}
    K = CNTK(**options)(images)
    assert "network_sweep" in found[0].launches
    np.testing.assert_allclose(K, CNTK(**options, device="cpu")(images), rtol=1e-5)
    np.testing.assert_array_equal(K, CNTK(**options, device="cuda")(images))


# --- For GPUs -----------------------------------------------------------------------------------


@needs_nvrtc
@pytest.mark.parametrize(
    ("network", "kernel", "architecture", "dtype"),
    [
        ("myrtle5", "network_sweep", "sm_90", "float32"),
        (RESIDUAL, "network", "sm_90", "float32"),
        *(
            pytest.param(network, kernel, f"sm_{k}", dtype, marks=pytest.mark.compile)
            for network, kernel, dtype in (
                ("myrtle5", "network_sweep", "float64"),
                (EVERY_KIND, "network", "float32"),
                (CIRCULAR, "network", "float64"),
            )
            for k in (75, 80, 90, 100, 120)
        ),
    ],
)
def test_compiles_without_spills(network, kernel, architecture, dtype):
    device = CompilingDevice(architecture)
    images = np.zeros((1, 8, 8, 1)), np.ones((1, 8, 8, 1))
    readouts = [Readout(3), Readout(3, False, frozen_layers=1)]
    CudaEngine([device]).gram(
        *images, Architecture((8, 8, 1), network=network), readouts, dtype=dtype
    )
    usage = dict(device.usage.values())
    assert set(usage) == {kernel, "network_variances", "network_tables"}
    for name, used in usage.items():
        assert used.spill_stores == used.spill_loads == 0, (name, used)


@needs_nvrtc
@pytest.mark.parametrize(
    ("activation", "trained"),
    [
        ("relu", "all"),
        *(
            pytest.param(*one, marks=pytest.mark.compile)
            for one in (("relu", "last"), ("gaussian", "all"), ("gaussian", "last"))
        ),
    ],
)
def test_registers_of_large_stacks(activation, trained):
    """Σ and Θ of 32 × 32 images in 128 registers, without spills: 16 warps a multiprocessor."""
    device = CompilingDevice("sm_90", shared_bytes=227 * 1024)
    images = np.zeros((1, 32, 32, 3)), np.ones((1, 32, 32, 3))
    architecture = Architecture((32, 32, 3), network=Network.myrtle(5, activation))
    CudaEngine([device]).gram(*images, architecture, [Readout(5, trained_layers=trained)])
    used = dict(device.usage.values())["network_sweep"]
    assert used.registers <= 128
    assert used.spill_stores == used.spill_loads == 0


@needs_nvrtc
def test_deep_stacks_fit_in_constant_memory():
    """64 KB: of what is compiled in, the coefficients of activations would be most."""
    device = CompilingDevice("sm_90", shared_bytes=227 * 1024)
    architecture = Architecture((4, 4, 1), network=Network.plain(200, bias_variance=0.1))
    readouts = [Readout(depth) for depth in range(2, 201)]
    CudaEngine([device]).gram(*np.ones((2, 1, 4, 4, 1)), architecture, readouts, dtype="float64")
    assert "network_sweep" in dict(device.usage.values())
