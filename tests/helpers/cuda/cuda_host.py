"""A CUDA device on the host: the engine's own code, compiled by g++ with ``cuda_host.h``."""

import ctypes
import hashlib
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.linalg

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
# Little optimisation, since kernels take longer to compile than to run; and without the checks of
# jumps between stacks, which fibres are.
FLAGS = ["-std=c++14", "-Og", "-fPIC", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas"]
# Where a GPU would fault, too: trapped, without a library.
FLAGS += ["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]
LOCK = threading.RLock()  # fibres are those of one thread at a time


def missing():
    """Why there is no such device here, or None."""
    if not sys.platform.startswith("linux"):
        return "cuda_host.h needs Linux"
    return None if COMPILER else "no g++ to compile CUDA sources for the host"


@cache
def toolchain():
    """A name of what kernels are compiled with, so that no folder offers those of another."""
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    sources = [
        (HERE / name).read_text(encoding="utf-8") for name in ("cuda_host.h", "cuda_host.cpp")
    ]
    return _digest(version.stdout, *FLAGS, *sources)


def _digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class HostDevice:
    """What ``devices.CupyDevice`` is for a GPU.

    Parameters
    ----------
    folder : Path
        Where the compiled kernels go, named by their code, and are found by other processes.
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

    FailedError = ()

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

    def beside(self):
        return self

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
        code = f'#include "cuda_host.h"\n{source}\nEXPORT_KERNEL({name})\n'
        runtime = self.folder / f"{toolchain()}.o"
        library = self.folder / f"{_digest(toolchain(), code)}.so"
        if not runtime.exists():
            self._build(runtime, ["-c", HERE / "cuda_host.cpp"])
        if not library.exists():
            self._build(library, ["-shared", "-x", "c++", "-", "-x", "none", runtime], code)
        return ctypes.CDLL(str(library)).launch

    def _build(self, target, arguments, code=None):
        """Other processes may build the same at the same time: a file appears when it is whole."""
        with TemporaryDirectory(dir=self.folder) as folder:
            built = Path(folder) / target.name
            command = [COMPILER, *FLAGS, f"-I{HERE}", *arguments, "-o", built]
            done = subprocess.run(command, input=code, capture_output=True, encoding="utf-8")
            if done.returncode:
                raise self.CompileError(done.stderr)
            built.replace(target)
