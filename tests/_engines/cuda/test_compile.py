"""The CUDA engine's kernels compiled for GPUs by NVRTC: registers and spills."""

import numpy as np
import nvrtc
import pytest
from compiling_device import CompilingDevice

from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk.networks import Architecture, Readout

READOUTS = [Readout(d, g, t) for d in (3, 4) for g in (True, False) for t in ("all", "last")]
READOUTS += [Readout(4, True, "hidden"), Readout(3, False, "hidden"), Readout(2, False)]
POOLED = [Readout(4, False, "all", lap=1), Readout(3, False, "last", lap=2)]
POOLED += [Readout(4, False, "hidden", lap=1)]

needs_nvrtc = pytest.mark.skipif(nvrtc.compiler() is None, reason="NVRTC is not installed")


def usage_of(architecture, shape, q, readouts, dtype):
    """Kernel name -> Usage of what one Gram matrix launches."""
    device = CompilingDevice(architecture)
    images = np.zeros((1, *shape)), np.ones((1, *shape))
    CudaEngine([device]).gram(*images, Architecture(shape, q), readouts, dtype=dtype)
    return dict(device.usage.values())


@needs_nvrtc
@pytest.mark.parametrize(
    "architecture",
    [
        "sm_90",
        *(pytest.param(f"sm_{k}", marks=pytest.mark.compile) for k in (75, 80, 100, 120)),
    ],
)
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
@pytest.mark.compile
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
