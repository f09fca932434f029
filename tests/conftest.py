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
    """Folder with real images: $SKLEARN_CNTK_DATA, or a folder `data` near the checkout."""
    near = Path(__file__).parents[2]
    folders = [near / "data", *sorted(near.glob("*/data"))]
    if "SKLEARN_CNTK_DATA" in os.environ:
        folders = [Path(os.environ["SKLEARN_CNTK_DATA"])]
    for folder in folders:
        if any(folder.glob("cifar*")):
            return folder
    pytest.skip(f"no CIFAR-10 files in {folders}: set SKLEARN_CNTK_DATA to their folder")
