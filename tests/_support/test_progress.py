"""Progress bars, in terminals and notebooks."""

import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK

N = 40
DIGITS = load_digits()
X = DIGITS.data[:N]


@pytest.fixture
def kernel():
    return CNTK(depth=3, gap=False, image_shape=(8, 8))


def test_progress(kernel, capsys):
    kernel(X)
    assert capsys.readouterr() == ("", "")
    clone(kernel).set_params(verbose=1)(X)
    error = capsys.readouterr().err
    assert "pair/s" in error
    assert f"{N * (N + 1) // 2}/{N * (N + 1) // 2}" in error


def test_no_progress_without_a_console(kernel, monkeypatch):
    """As of a program in a window, which has no stderr."""
    expected = kernel(X)
    monkeypatch.setattr(sys, "stderr", None)
    np.testing.assert_array_equal(clone(kernel).set_params(verbose=1)(X), expected)


def test_progress_in_a_notebook_without_widgets(kernel, notebook_without_widgets, capsys):
    clone(kernel).set_params(verbose=1)(X)
    assert not [str(warning.message) for warning in notebook_without_widgets]
    assert capsys.readouterr().err.startswith("\rCNTK on ")
