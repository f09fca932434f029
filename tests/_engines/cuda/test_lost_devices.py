"""A GPU that fails in the middle of its work: what is said, and what is kept."""

import sys
import threading

import numpy as np
import pytest
from pretended_cupy import pretend_gpus

from sklearn_cntk import CNTK, CNTKClassifier, KernelStore, _engines
from sklearn_cntk._engines.cuda import devices as _devices


@pytest.fixture
def cupy(fresh_devices, monkeypatch, host_device):
    """A CuPy with one GPU, whose `fail_after` launches fail it for good."""
    cupy = pretend_gpus(monkeypatch, host_device(shared_bytes=99 * 1024), n_devices=1)
    cupy.launches, cupy.fail_after = 0, 10**9
    launch = _devices.CupyDevice.launch

    def counted(device, *arguments):
        cupy.launches += 1
        fail(cupy)
        launch(device, *arguments)

    def fail(cupy):
        if cupy.launches > cupy.fail_after:
            error = "cudaErrorLaunchFailure: unspecified launch failure\nand more"
            raise cupy.cuda.runtime.CUDARuntimeError(error)

    monkeypatch.setattr(_devices.CupyDevice, "launch", counted)
    cupy.fail = lambda *arguments, **options: fail(cupy)
    return cupy


def test_the_error_says_what_to_do(cupy, rng):
    cupy.fail_after = 0
    X = rng.normal(size=(4, 3, 3, 1))
    with pytest.raises(
        RuntimeError, match=r"cuda:0 \(Pretended GPU\) failed \(cudaErrorLaunchF"
    ) as e:
        CNTK(3, device="cuda")(X)
    for words in ("start a new one", "device='cpu'", "the next run continues from there"):
        assert words in str(e.value)
    assert "and more" not in str(e.value)


@pytest.mark.parametrize("what", ["_device", "_stream"])
@pytest.mark.parametrize("where", ["__enter__", "__exit__"])
def test_others_do_not_wait_for_a_lost_device(cupy, monkeypatch, what, where, rng):
    """Not even where its context can neither be entered nor left."""
    (device,) = _engines.select_engine("cuda").devices

    usual = type(device._device)

    class Lost(usual):
        pass

    def fails(*arguments):
        if where == "__exit__":
            usual.__exit__(*arguments)
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorECCUncorrectable: uncorrectable")

    monkeypatch.setattr(Lost, where, fails)
    monkeypatch.setattr(device, what, Lost("lost"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"failed \(cudaErrorECC"):
            CNTK(3, device="cuda")(rng.normal(size=(4, 3, 3, 1)))
    done = []
    thread = threading.Thread(target=lambda: done.append(device._lock.acquire(timeout=30)))
    thread.start()
    thread.join()
    assert done == [True]


def test_asking_a_lost_device_for_its_memory(cupy, monkeypatch, rng):
    """Which is what every call begins with."""

    def fails(index):
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorLaunchFailure: unspecified")

    _engines.select_engine("cuda")
    monkeypatch.setattr(cupy.cuda, "Device", fails)
    with pytest.raises(RuntimeError, match=r"Pretended GPU\) failed \(cudaErrorLaunchFailure"):
        CNTK(3, device="cuda")(rng.normal(size=(4, 3, 3, 1)))


@pytest.mark.parametrize("kind", ["runtime.CUDARuntimeError", "driver.CUDADriverError"])
def test_memory_that_is_out_outside_of_arrays(cupy, monkeypatch, kind, rng):
    """As where a kernel is loaded: half of the tile may do, and what is said is of memory."""
    module, name = kind.split(".")
    error = getattr(getattr(cupy.cuda, module), name)
    launch = _devices.CupyDevice.launch
    most = 6

    def launches(device, source, name, blocks, *arguments):
        if name == "trace" and arguments[-1][-2] > most:
            raise error("CUDA_ERROR_OUT_OF_MEMORY: out of memory")
        launch(device, source, name, blocks, *arguments)

    monkeypatch.setattr(_devices.CupyDevice, "launch", launches)
    X = rng.normal(size=(5, 3, 3, 1))
    values = CNTK(3, False, device="cuda")(X)
    np.testing.assert_allclose(values, CNTK(3, False, device="cpu")(X), rtol=1e-5)
    most = 0
    with pytest.raises(
        MemoryError, match=r"Pretended GPU\) does not have enough free memory for one pair"
    ):
        CNTK(3, False, device="cuda")(X)


def test_stores_keep_what_was_finished(cupy, tmp_path, rng):
    """And another device continues from there."""
    X = rng.normal(size=(60, 3, 3, 1))
    store = KernelStore(tmp_path)
    first = CNTK(3, device="cuda", memory=store)(X[:20])
    cupy.fail_after = cupy.launches + 3
    with pytest.raises(RuntimeError, match="failed"):
        CNTK(3, device="cuda", memory=store)(X)
    whole = CNTK(3, device="cpu", memory=store)(X)
    np.testing.assert_array_equal(whole[:20, :20], first)
    np.testing.assert_allclose(whole, CNTK(3, device="cpu", dtype="float64")(X), rtol=2e-5)


def test_a_device_that_fails_while_it_solves(cupy, monkeypatch, rng):
    X, y = rng.normal(size=(20, 3, 3, 1)), np.arange(20) % 2
    model = CNTKClassifier(3, device="cuda", alpha=1e-3).fit(X, y)

    cusolver = sys.modules["cupy_backends.cuda.libs"].cusolver
    raised = cupy.cuda.driver.CUDADriverError("CUDA_ERROR_LAUNCH_FAILED")

    def fails(matrix):
        raise raised

    monkeypatch.setattr(cupy.linalg, "cholesky", fails)
    with pytest.raises(RuntimeError, match=r"Pretended GPU\) failed \(CUDA_ERROR_LAUNCH_FAILED"):
        model.fit(X, y)
    raised = cusolver.CUSOLVERError("CUSOLVER_STATUS_EXECUTION_FAILED")
    with pytest.raises(RuntimeError, match=r"Pretended GPU\) failed \(CUSOLVER_STATUS_EXECUTION"):
        model.fit(X, y)
    raised = cusolver.CUSOLVERError("CUSOLVER_STATUS_ALLOC_FAILED")
    with pytest.raises(MemoryError, match="ran out of memory for the linear system of 20 rows"):
        model.fit(X, y)


def test_a_gpu_that_others_fill(fresh_devices, monkeypatch, host_device):
    pretend_gpus(monkeypatch, host_device(), n_devices=1)

    message = "cudaErrorMemoryAllocation: out of memory"

    def check(index):
        raise RuntimeError(message)

    monkeypatch.setattr(_devices, "check", check)
    with pytest.raises(RuntimeError, match="out of memory.*another process may have filled it"):
        _engines.select_engine("cuda")
    message = "cudaErrorIllegalAddress: an illegal memory access was encountered"
    with pytest.raises(RuntimeError, match="illegal memory access.*pip install"):
        _engines.select_engine("cuda")
