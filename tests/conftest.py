"""What several test files share."""

import os
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cuda_host
import numpy as np
import pytest
from engines import CountingEngine, cpu, reference
from large_gram import LARGE, LARGE_KERNEL

from sklearn_cntk._engines.cuda import devices as _devices
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._support import ram


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def host_device(pytestconfig):
    """Function that makes CUDA devices on the host.

    Compiled kernels are kept in pytest's cache, for all workers and for later runs; `--cache-clear`
    removes them.
    """
    if reason := cuda_host.missing():
        pytest.skip(reason)
    folder = pytestconfig.cache.mkdir("cuda_host")
    return lambda **options: cuda_host.HostDevice(folder, **options)


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda_devices(request):
    """CUDA devices: one on the host, and all GPUs."""
    if request.param == "host":
        return [request.getfixturevalue("host_device")()]
    try:
        return _devices.open_devices(None)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["reference", "cpu", "cuda"])
def engine(request):
    """Every engine: a test that asks for it runs once for each, CUDA's on the host."""
    if request.param == "cuda":
        return CudaEngine([request.getfixturevalue("host_device")()])
    return {"reference": reference, "cpu": cpu}[request.param]


@pytest.fixture
def free_memory(monkeypatch):
    """Function that says how many bytes of memory are free, to all that ask."""
    return lambda n_bytes: monkeypatch.setattr(ram, "available_bytes", lambda: n_bytes)


@pytest.fixture
def fresh_devices():
    """Devices are looked for again, and nothing a test pretends is remembered."""
    functions = _devices.open_devices, _devices.find_devices
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


@pytest.fixture
def counting():
    """The CPU engine, which counts pairs of images: for `device`."""
    return CountingEngine()


@pytest.fixture
def gram_to_zarr():
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    from sklearn_cntk import gram_to_zarr

    return gram_to_zarr


@pytest.fixture(scope="session")
def large_gram():
    return LARGE_KERNEL(LARGE)


@pytest.fixture
def notebook_without_widgets(monkeypatch):
    """What tqdm takes for a notebook where ipywidgets is not installed; the warnings shown there.

    They are recorded: as an error tqdm would catch its own.
    """
    IPython = ModuleType("IPython")
    IPython.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", ModuleType("ipykernel.zmqshell"))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    for name in ("auto", "autonotebook", "notebook"):
        monkeypatch.delitem(sys.modules, f"tqdm.{name}", raising=False)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        yield shown


@pytest.fixture(scope="session")
def data_dir():
    """Folder with real images: $SKLEARN_CNTK_DATA, or a folder `data` near the checkout."""
    near = Path(__file__).parents[2]
    folders = [near / "data", *sorted(near.glob("*/data"))]
    if "SKLEARN_CNTK_DATA" in os.environ:
        folders = [Path(os.environ["SKLEARN_CNTK_DATA"])]
    for folder in folders:
        if any(folder.glob("cifar*")):
            return folder
    pytest.skip(f"no CIFAR-10 files in {folders}: set SKLEARN_CNTK_DATA to their folder")
