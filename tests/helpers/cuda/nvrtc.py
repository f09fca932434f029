"""NVIDIA's runtime compiler from its PyPI wheel: compiles for any GPU without one, or a driver."""

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def compiler():
    """NVRTC as ctypes calls it, or None where its wheel is not installed."""
    try:
        spec = find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("lib/libnvrtc.so*")):
            return ctypes.CDLL(str(path))
    return None


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes: registers a thread, and bytes spilled to memory."""

    registers: int
    spill_stores: int
    spill_loads: int


def compile_cuda(source, architecture, options=()):
    """Compile `source` for an architecture such as "sm_90": kernel name -> Usage."""
    return usage(_compile(source, architecture, (*options, "--ptxas-options=-v"), "ProgramLog"))


def machine_code(source, architecture, options=()):
    """The same as an object file: bytes."""
    return _compile(source, architecture, options, "CUBIN")


def version():
    """That of the compiler, as text."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    compiler().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _compile(source, architecture, options, result):
    nvrtc = compiler()
    program = ctypes.c_void_p()

    def read(name):
        size = ctypes.c_size_t()
        getattr(nvrtc, f"nvrtcGet{name}Size")(program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{name}")(program, content)
        return content.raw if name == "CUBIN" else content.value.decode()

    def check(status):
        if status:
            log = read("ProgramLog")
            raise RuntimeError(f"NVRTC failed ({status}) for {architecture}:\n{log}")

    check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None
        )
    )
    options = [option.encode() for option in (*options, f"-arch={architecture}")]
    check(
        nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    )
    content = read(result)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return content


def usage(log):
    """Kernel name -> Usage, from the log of the assembler with -v."""
    spills = re.findall(
        r"properties for (\w+)\s.*?(\d+) bytes spill stores, (\d+) bytes spill", log, re.S
    )
    registers = re.findall(r"Used (\d+) registers", log)
    return {
        name: Usage(int(count), int(stores), int(loads))
        for (name, stores, loads), count in zip(spills, registers, strict=True)
    }
