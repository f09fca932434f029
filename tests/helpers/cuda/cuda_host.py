"""A CUDA device on the host: the engine's own code, compiled by g++ with ``cuda_host.h``."""

import ctypes
import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import scipy.linalg

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
LOCK = threading.RLock()  # fibres are those of one thread at a time


def missing():
    """Why there is no such device here, or None."""
    if not sys.platform.startswith("linux"):
        return "cuda_host.h needs Linux"
    return None if COMPILER else "no g++ to compile kernels.cu for the host"


class HostDevice:
    """What ``_devices.CupyDevice`` is for a GPU.

    Parameters
    ----------
    folder : Path
        Where the compiled kernels go.
    shared_bytes : int
        Shared memory of a block; 48 KB is what every GPU has.
    memory : int or None
        Bytes of the largest array, beyond which memory is out.
    """

    label = "host"
    architecture = "no GPU"

    class OutOfMemoryError(Exception):
        pass

    class CompileError(Exception):
        pass

    def __init__(self, folder, shared_bytes=48 * 1024, memory=None):
        self.folder = folder
        self.shared_bytes = shared_bytes
        self.memory = memory
        self.launches = []  # names of kernels
        self._functions = {}

    def __enter__(self):
        LOCK.acquire()
        return self

    def __exit__(self, *error):
        LOCK.release()

    def upload(self, array):
        return np.array(array, order="C")

    def empty(self, shape, dtype):
        array = np.empty(shape, dtype)
        if self.memory is not None and array.nbytes > self.memory:
            raise self.OutOfMemoryError(f"{array.nbytes} bytes")
        array.view(np.uint8).fill(0xFF)  # NaN: what is read must have been written
        return array

    def zeros(self, shape):
        return np.zeros(shape)

    def load_linear_algebra(self):
        pass

    def cholesky(self, matrix):
        return np.linalg.cholesky(matrix)

    def solve_triangular(self, factor, b, transposed=False):
        b[...] = scipy.linalg.solve_triangular(
            factor, b, trans=int(transposed), lower=True, check_finite=False
        )

    def download(self, array):
        return array.copy()

    def free_bytes(self):
        return 2**30

    def release_memory(self):
        pass

    def launch(self, source, name, blocks, threads, shared_bytes, arguments):
        self.launches.append(name)
        assert shared_bytes <= self.shared_bytes
        if (name, source) not in self._functions:
            self._functions[name, source] = self._compile(source, name)
        values = []
        for argument in arguments:
            if argument is None:
                values.append(ctypes.c_void_p(None))
            elif isinstance(argument, np.ndarray):
                values.append(ctypes.c_void_p(argument.ctypes.data))
            else:
                values.append(np.ctypeslib.as_ctypes_type(argument.dtype)(argument))
        pointers = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values)
        )
        self._functions[name, source](blocks, threads, ctypes.c_size_t(shared_bytes), pointers)

    def _compile(self, source, name):
        stem = self.folder / hashlib.sha256(source.encode()).hexdigest()[:16]
        library = stem.with_suffix(".so")
        if not library.exists():
            runtime = self.folder / "cuda_host.o"
            if not runtime.exists():
                self._run_compiler("-c", HERE / "cuda_host.cpp", "-o", runtime)
            code = stem.with_suffix(".cpp")
            code.write_text(f'#include "cuda_host.h"\n{source}\nEXPORT_KERNEL({name})\n')
            self._run_compiler("-shared", code, runtime, "-o", library)
        return ctypes.CDLL(str(library)).launch

    def _run_compiler(self, *arguments):
        # Without the checks of jumps between stacks, which fibres are.
        command = [COMPILER, "-std=c++14", "-O1", "-fPIC", "-U_FORTIFY_SOURCE", f"-I{HERE}"]
        command += ["-Wno-unknown-pragmas", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise self.CompileError(done.stderr)
