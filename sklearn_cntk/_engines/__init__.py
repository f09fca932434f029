"""Engines, which turn tiles of images into tiles of kernel values: see ``protocol``.

They are imported when they are first asked for: their compilers are slow to import.
"""

from importlib import import_module

from .._support.checks import check_device
from .protocol import Engine


def select_engine(device):
    """The engine for a `device` parameter: "auto" takes all GPUs if there are any, else the CPU.

    An engine itself is taken as it is.

    Raises
    ------
    ValueError
        Unknown `device`.
    RuntimeError
        A GPU is asked for and none can be used.
    """
    if isinstance(device, Engine) and not isinstance(device, type):
        return device
    kind, index = check_device(device)
    if kind != "cpu":
        from .cuda.devices import find_devices, open_devices

        found = find_devices() if kind == "auto" else open_devices(index)
        if found:
            return import_module(".cuda.engine", __name__).CudaEngine(found)
    return import_module(".cpu.engine", __name__).CpuEngine()
