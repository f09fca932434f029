"""What several test files share."""

import os
from pathlib import Path

import numpy as np
import pytest

from sklearn_cntk._engines import cpu, reference


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=[reference, cpu], ids=["reference", "cpu"])
def engine(request):
    """Every engine: a test that asks for it runs once for each."""
    return request.param


@pytest.fixture(scope="session")
def data_dir():
    """Folder with real image data: $SKLEARN_CNTK_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("SKLEARN_CNTK_DATA", beside))
    if not path.is_dir():
        pytest.skip(f"no real images at {path}: set SKLEARN_CNTK_DATA to their folder")
    return path
