"""CuPy with NumPy and SciPy in its place, and kernels on the host."""

import sys
import time
import types
from collections import defaultdict
from contextlib import contextmanager
from threading import get_ident

import cuda_host
import numpy as np
import scipy.linalg


class Event:
    """A moment of the host."""

    def record(self, stream):
        self.time = time.perf_counter()

    def synchronize(self):
        pass


def pretend_cupy(monkeypatch, count):
    """A CuPy whose ``getDeviceCount`` is `count`: a function."""
    cupy = types.ModuleType("cupy")
    cupy.__spec__ = types.SimpleNamespace()
    runtime = types.SimpleNamespace(
        getDeviceCount=count, getDeviceProperties=lambda k: {"name": b"Pretended GPU"}
    )
    cupy.cuda = types.SimpleNamespace(runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def pretend_gpus(monkeypatch, device, n_devices=2):
    """All that ``devices`` asks of CuPy, by `device`, a HostDevice.

    Checks that launches and linear algebra happen inside a device and its stream, and that no
    two threads are inside one Device object, whose stack CuPy does not protect.
    """
    cupy = pretend_cupy(monkeypatch, lambda: n_devices)
    stacks = defaultdict(list)  # of threads

    class Context:
        mem_info = 2**30, 2**31
        compute_capability = "90"
        attributes = {"MultiProcessorCount": 132, "ClockRate": 1_980_000}

        def __init__(self, name):
            self.name = name
            self.inside = []

        def __enter__(self):
            assert all(thread == get_ident() for thread in self.inside)
            self.inside.append(get_ident())
            stacks[get_ident()].append(self.name)
            return self

        def __exit__(self, *error):
            assert self.inside.pop() == get_ident()
            assert stacks[get_ident()].pop() == self.name

    def inside():
        assert stacks[get_ident()][-1] == "stream"

    class RawModule:
        def __init__(self, code, options):
            inside()
            assert "-ftz=true" in options
            self.code = code

        def get_function(self, name):
            return RawKernel(self.code, name)

    class RawKernel:
        max_dynamic_shared_size_bytes = 48 * 1024

        def __init__(self, code, name):
            self.code, self.name = code, name

        def __call__(self, grid, block, arguments, shared_mem=0):
            if self.name == "probe":
                arguments[0][0] = 1
                return
            inside()
            assert shared_mem <= self.max_dynamic_shared_size_bytes
            with cuda_host.LOCK:
                device.launch(self.code, self.name, *grid, *block, shared_mem, arguments)

    cupy.cuda.runtime.getDeviceProperties = lambda k: {
        "name": b"Pretended GPU",
        "sharedMemPerBlockOptin": device.shared_bytes,
        "sharedMemPerBlock": 48 * 1024,
    }
    cupy.cuda.Device = lambda index: Context(f"device {index}")
    cupy.cuda.Stream = lambda non_blocking: Context("stream")
    cupy.cuda.runtime.CUDARuntimeError = type("CUDARuntimeError", (RuntimeError,), {})
    cupy.cuda.driver = types.SimpleNamespace(
        CUDADriverError=type("CUDADriverError", (RuntimeError,), {})
    )
    cupy.cuda.Event = Event
    cupy.cuda.get_elapsed_time = lambda start, end: 1e3 * (end.time - start.time)
    cupy.cuda.memory = types.SimpleNamespace(OutOfMemoryError=MemoryError)
    cupy.cuda.compiler = types.SimpleNamespace(CompileException=SyntaxError)
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(
        free_bytes=lambda: 0, free_all_blocks=lambda: None
    )
    cupy.__version__ = "0"
    cupy.cuda.runtime.driverGetVersion = cupy.cuda.runtime.runtimeGetVersion = lambda: 12090
    cupy.RawModule, cupy.RawKernel = RawModule, RawKernel
    cupy.zeros, cupy.empty, cupy.asarray, cupy.asnumpy = np.zeros, np.empty, np.array, np.array

    settings = {"linalg": "ignore"}

    @contextmanager
    def errstate(linalg):
        before = settings["linalg"]
        settings["linalg"] = linalg
        yield
        settings["linalg"] = before

    def cholesky(a):
        """As cuSOLVER: the lower triangle is read, and a failure shows in a status alone."""
        inside()
        try:
            return np.linalg.cholesky(np.tril(a) + np.tril(a, -1).T)
        except np.linalg.LinAlgError:
            if settings["linalg"] == "raise":
                raise
            return a.copy()

    def solve_triangular(a, b, trans, lower, overwrite_b, check_finite):
        inside()
        assert overwrite_b
        x = scipy.linalg.solve_triangular(
            np.tril(a), b, trans=trans, lower=lower, check_finite=False
        )
        if not b.flags.f_contiguous:
            return x
        b[...] = x
        return b

    cupy.linalg = types.SimpleNamespace(cholesky=cholesky)
    for name in ("cupyx", "cupyx.scipy", "cupy_backends", "cupy_backends.cuda"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["cupyx"].errstate = errstate
    linalg = types.ModuleType("cupyx.scipy.linalg")
    linalg.solve_triangular = solve_triangular
    monkeypatch.setitem(sys.modules, "cupyx.scipy.linalg", linalg)
    sys.modules["cupyx"].scipy = sys.modules["cupyx.scipy"]
    sys.modules["cupyx.scipy"].linalg = linalg
    libraries = types.ModuleType("cupy_backends.cuda.libs")
    libraries.cublas = types.SimpleNamespace(CUBLASError=type("CUBLASError", (RuntimeError,), {}))
    libraries.cusolver = types.SimpleNamespace(
        CUSOLVERError=type("CUSOLVERError", (RuntimeError,), {})
    )
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", libraries)
    return cupy
