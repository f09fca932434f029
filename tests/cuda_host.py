"""A CUDA device on the host: the engine's own code, compiled by g++ with ``cuda_host.h``."""

import ctypes
import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
LOCK = threading.Lock()  # fibres are those of one thread at a time


def missing():
    """Why there is no such device here, or None."""
    if not sys.platform.startswith("linux"):
        return "cuda_host.h needs Linux"
    return None if COMPILER else "no g++ to compile cntk.cu for the host"


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

    class OutOfMemoryError(Exception):
        pass

    class CompileError(Exception):
        pass

    def __init__(self, folder, shared_bytes=48 * 1024, memory=None):
        self.folder = folder
        self.shared_bytes = shared_bytes
        self.memory = memory
        self.launches = []  # (kernel, its constants), for tests of which one ran
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

    def download(self, array):
        return array.copy()

    def free_bytes(self):
        return 2**30

    def release_memory(self):
        pass

    def launch(self, source, name, blocks, threads, shared_bytes, arguments):
        self.launches.append((name, constants(source)))
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
            code = stem.with_suffix(".cu")
            code.write_text(source)
            # Loops stay rolled: a plane's rows are unrolled for the registers of a GPU.
            command = [COMPILER, "-std=c++14", "-O1", "-shared", "-fPIC", "-U_FORTIFY_SOURCE"]
            command += ["-Wno-unknown-pragmas", f"-DKERNEL={name}", f'-DCUDA_SOURCE="{code}"']
            command += [f"-I{HERE}", str(HERE / "cuda_host.cpp"), "-o", str(library)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise self.CompileError(done.stderr)
        return ctypes.CDLL(str(library)).launch


def constants(source):
    """The constants in front of a kernel's source: name -> text."""
    lines = source.splitlines()
    return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("#define KERNEL_"))
