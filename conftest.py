"""What tests and the docstrings' examples share."""

import sys
from importlib.util import find_spec

import pytest

# tests/test_finite.py says that it is skipped; examples cannot.
collect_ignore = [] if find_spec("torch") else ["sklearn_cntk/finite"]


@pytest.fixture(autouse=True)
def _one_torch_thread():
    """Tests' networks are so small that threads would spend their time waiting for each other."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
