"""Engines, which turn tiles of images into tiles of kernel values: see ``protocol``.

They are imported when they are first asked for: their compilers are slow to import.
"""

import os
import warnings
from importlib import import_module

from .._support.checks import check_device
from .plan import cpu_only
from .protocol import Engine


def select_engine(device, architecture=None, readouts=()):
    """The engine for a `device` parameter: "auto" takes all GPUs if there are any, else the CPU.

    An engine itself is taken as it is.

    Raises
    ------
    ValueError
        Unknown `device`, or a GPU is asked for what the CUDA engine does not compute.
    RuntimeError
        A GPU is asked for and none can be used; or Numba is told to compile nothing.

    Warns
    -----
    UserWarning
        "auto" takes the CPU although there is a GPU, since the CUDA engine computes plain networks
        alone.
    """
    if isinstance(device, Engine) and not isinstance(device, type):
        return device
    kind, index = check_device(device)
    if kind != "cpu":
        from .cuda.devices import find_devices, open_devices

        found = find_devices() if kind == "auto" else open_devices(index)
        reason = cpu_only(architecture, readouts)
        if found and reason and kind == "auto":
            warnings.warn(
                f"device='auto' takes the CPU although there is a GPU: {reason}. device='cpu' says "
                "so without this warning.",
                stacklevel=2,
            )
        elif found and reason:
            raise ValueError(f"device={device!r}: {reason}. Use device='cpu' or 'auto'.")
        elif found:
            return import_module(".cuda.engine", __name__).CudaEngine(found)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise RuntimeError(
            "NUMBA_DISABLE_JIT is set, but the CPU engine's vectors exist in compiled code alone: "
            "unset it, in the environment in which Python starts."
        )
    return import_module(".cpu.engine", __name__).CpuEngine()
