"""Which engine a device's name chooses, and why it cannot: CuPy is pretended."""

import sys
import warnings

import numpy as np
import pytest
from pretended_cupy import pretend_cupy, pretend_gpus

from sklearn_cntk import CNTK, _engines
from sklearn_cntk._engines.cpu.engine import CpuEngine
from sklearn_cntk._engines.cuda import devices as _devices


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


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
    assert isinstance(_engines.select_engine("auto"), CpuEngine)


def test_without_driver(fresh_devices, monkeypatch):
    pretend_cupy(monkeypatch, fails(35, "driver version is insufficient"))
    with pytest.raises(RuntimeError, match=r"'cuda' found no usable .*version is insufficient"):
        _engines.select_engine("cuda")
    with pytest.warns(RuntimeWarning, match="uses the CPU.*driver version is insufficient"):
        assert isinstance(_engines.select_engine("auto"), CpuEngine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(_engines.select_engine("auto"), CpuEngine)  # once


def test_without_device(fresh_devices, monkeypatch):
    pretend_cupy(monkeypatch, fails(100, "no CUDA-capable device is detected"))
    assert isinstance(_engines.select_engine("auto"), CpuEngine)
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
    with pytest.raises(RuntimeError, match=r"cuda:0 cannot run kernels \(no kernel image"):
        _engines.select_engine("cuda:0")
    with pytest.warns(RuntimeWarning, match="cannot run kernels"):
        assert isinstance(_engines.select_engine("auto"), CpuEngine)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", 0, None])
def test_unknown_device(device):
    with pytest.raises(ValueError, match="is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'"):
        _engines.select_engine(device)
