"""Displays where matplotlib is missing, or not wanted yet."""

import subprocess
import sys

import pytest

pytest.importorskip("matplotlib", reason="displays need matplotlib")


def test_displays_are_imported_without_matplotlib():
    code = """
import sys, sklearn_cntk
assert "sklearn_cntk.plotting" not in sys.modules
import sklearn_cntk.plotting
assert not any(name.partition(".")[0] == "matplotlib" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_matplotlib_names_the_extra():
    code = """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from sklearn_cntk.plotting import *
calls = [
    lambda: DepthDisplay([2], {"a": [[1]]}).plot(),
    lambda: TrainSizeDisplay([2], {"a": [[1]]}).plot(),
    lambda: GramDisplay(np.eye(2)).plot(),
    lambda: DepthDisplay.from_estimator(None),
    lambda: TrainSizeDisplay.from_estimator(None, None, None),
    lambda: GramDisplay.from_estimator(None),
    lambda: NeighborsDisplay.from_estimator(None, None),
    NeighborsDisplay(*[np.zeros((1, 1, 1, 1, 1))] * 6).plot,
    lambda: OcclusionDisplay.from_estimator(None, None),
    OcclusionDisplay(*[np.zeros((1, 1, 1, 1))] * 4, (1, 1)).plot,
]
for call in calls:
    try:
        call()
    except ImportError as error:
        print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(run) == 10
    assert all("needs matplotlib" in line for line in run)
    assert all("pip install 'sklearn-cntk[plot]'" in line for line in run)
