"""Engines, which turn tiles of images into tiles of kernel values: see ``protocol``.

Each engine is imported on first use, because its compiler is slow to import.
"""

import os
from importlib import import_module

from .._support.checks import check_device
from .protocol import Engine


def select_engine(device):
    """Return the engine for a `device`: "auto" uses all GPUs if there are any, else the CPU.

    If `device` is already an engine, it is returned unchanged.

    Raises
    ------
    ValueError
        Unknown `device`.
    RuntimeError
        A GPU is requested and none can be used; or Numba's compilation is disabled.
    """
    if isinstance(device, Engine) and not isinstance(device, type):
        return device
    kind, index = check_device(device)
    if kind != "cpu":
        from .cuda.devices import find_devices, open_devices

        found = find_devices() if kind == "auto" else open_devices(index)
        if found:
            return import_module(".cuda.engine", __name__).CudaEngine(found)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise RuntimeError(
            "NUMBA_DISABLE_JIT is set, but the CPU engine runs only as compiled code: unset it in "
            "the environment in which Python starts."
        )
    return import_module(".cpu.engine", __name__).CpuEngine()
