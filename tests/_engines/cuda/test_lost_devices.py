"""A GPU that fails in the middle of its work: what is said, and what is kept."""

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


def test_others_do_not_wait_for_a_lost_device(cupy, monkeypatch, rng):
    """Not even where leaving its context fails as well."""
    (device,) = _engines.select_engine("cuda").devices
    monkeypatch.setattr(type(device._device), "__exit__", lambda *a: cupy.fail(), raising=True)
    cupy.fail_after = 0
    with pytest.raises(RuntimeError, match="failed"):
        CNTK(3, device="cuda")(rng.normal(size=(4, 3, 3, 1)))
    done = []

    def acquire():
        done.append(device._lock.acquire(timeout=30))

    thread = threading.Thread(target=acquire)
    thread.start()
    thread.join()
    assert done == [True]


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

    def fails(matrix):
        raise cupy.cuda.driver.CUDADriverError("CUDA_ERROR_LAUNCH_FAILED")

    monkeypatch.setattr(cupy.linalg, "cholesky", fails)
    with pytest.raises(RuntimeError, match=r"Pretended GPU\) failed \(CUDA_ERROR_LAUNCH_FAILED"):
        model.fit(X, y)


def test_a_gpu_that_others_fill(fresh_devices, monkeypatch, host_device):
    pretend_gpus(monkeypatch, host_device(), n_devices=1)

    def check(index):
        raise RuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(_devices, "check", check)
    with pytest.raises(RuntimeError, match="out of memory.*another process may have filled it"):
        _engines.select_engine("cuda")
