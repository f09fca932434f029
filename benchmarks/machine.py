"""What a result needs beside it: the machine, the versions, the day."""

import datetime
import platform
from importlib.metadata import version
from pathlib import Path

from joblib import cpu_count

import sklearn_cntk

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "joblib")


def describe_machine():
    """Dictionary with processor, cores, versions and date."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "avx512": any("avx512f" in line for line in lines if line.startswith("flags")),
        "cores": cpu_count(),
        "python": platform.python_version(),
        "versions": {
            "sklearn-cntk": sklearn_cntk.__version__,
            **{package: version(package) for package in PACKAGES},
        },
        "date": datetime.date.today().isoformat(),
    }
