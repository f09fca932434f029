"""Versions, processor and GPUs: the facts that results and bug reports have to state."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from joblib import cpu_count
from threadpoolctl import threadpool_info

from .._engines.cuda import devices
from .._version import __version__

_REQUIRED = ("numpy", "scipy", "scikit-learn", "numba", "llvmlite", "joblib", "threadpoolctl")
_OPTIONAL = ("cupy", "cupy-cuda12x", "cupy-cuda13x", "torch", "dask", "ray", "zarr", "matplotlib")

# Variables that change how many threads run, what is compiled, or which GPUs there are.
_VARIABLES = ("NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "JOBLIB_", "CUDA_VISIBLE_DEVICES")


def versions():
    """Return versions by name: Python, the system, required and installed optional packages."""
    found = {
        "sklearn-cntk": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
    }
    for package in _REQUIRED:
        found[package] = _version(package) or "missing"
    for package in _OPTIONAL:
        if (number := _version(package)) is not None:
            found[package] = number
    return found


def cpu_model():
    """Return the processor's name, as reported by the system."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def cpu_facts():
    """Return the facts that determine the speed of the CPU engine, by name."""
    import llvmlite.binding  # imported here, since it is slow to import

    features = llvmlite.binding.get_host_cpu_features()
    vectors = [name for name in ("avx512f", "avx2", "fma", "neon", "sve") if features.get(name)]
    blas = {
        f"{pool.get('internal_api')} {pool.get('version')} ({pool.get('num_threads')} threads)"
        for pool in threadpool_info()
        if pool.get("user_api") == "blas"
    }
    return {
        "CPU": f"{cpu_model()} ({llvmlite.binding.get_host_cpu_name()})",
        "cores": f"{cpu_count()} usable of {os.cpu_count()}",
        "vectors": ", ".join(vectors) or "none known",
        "BLAS": ", ".join(sorted(blas)) or "none known",
    }


def gpus():
    """Return the usable CUDA devices, and None or the reason why there are none."""
    if find_spec("cupy") is None:
        return [], "CuPy is not installed"
    try:
        return devices.open_devices(None), None
    except RuntimeError as error:
        return [], str(error)


def environment():
    """Return the relevant environment variables, by name."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_VARIABLES)}


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
