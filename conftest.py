"""What tests and the docstrings' examples share."""

import os
import sys
from importlib.util import find_spec

import pytest

# Tests say that they are skipped for want of an extra; examples cannot.
_NEEDS = {
    "sklearn_cntk/finite": "torch",
    "sklearn_cntk/plotting": "matplotlib",
    "sklearn_cntk/zarr_grams.py": "zarr",
}
collect_ignore = [path for path, module in _NEEDS.items() if find_spec(module) is None]
collect_ignore += ["tests/helpers", "tests/oracle"]  # imported by the tests, by other names
collect_ignore.append("tests/project/typing")  # for type checkers, not to be run

# Workers of pytest-xdist share the processors, and threads that wait for each other spin. Set here,
# before any of them imports NumPy.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("MKL", "OMP", "OPENBLAS"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Tests draw, and show nothing.
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _one_torch_thread():
    """Tests' networks are so small that threads would spend their time waiting for each other."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _figures_are_closed():
    """matplotlib warns of more than 20 open figures."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
