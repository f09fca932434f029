"""What every result records: the machine, the versions and the date."""

import datetime
import platform
from importlib.metadata import version
from pathlib import Path

from joblib import cpu_count

from sklearn_cntk import __version__
from sklearn_cntk._selftest.machine import cpu_model

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "joblib")


def describe_machine():
    """Return a dictionary with processor, cores, versions and date."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return {
        "cpu": cpu_model(),
        "avx512": any("avx512f" in line for line in lines if line.startswith("flags")),
        "cores": cpu_count(),
        "python": platform.python_version(),
        "versions": {
            "sklearn-cntk": __version__,  # which need not be installed
            **{package: version(package) for package in PACKAGES},
        },
        "date": datetime.date.today().isoformat(),
    }
