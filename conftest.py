"""What tests and the docstrings' examples share."""

import sys
from importlib.util import find_spec

import pytest

# Tests say that they are skipped for want of an extra; examples cannot.
_NEEDS = {"sklearn_cntk/finite": "torch", "sklearn_cntk/_zarr_gram.py": "zarr"}
collect_ignore = [path for path, module in _NEEDS.items() if find_spec(module) is None]


@pytest.fixture(autouse=True)
def _one_torch_thread():
    """Tests' networks are so small that threads would spend their time waiting for each other."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
