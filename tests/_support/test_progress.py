"""Progress bars, in terminals and notebooks."""

import io
import multiprocessing
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk._support import progress

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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_long_work_shows_progress_by_itself(kernel, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)  # here: pytest puts its own in place before
    assert kernel.verbose == "auto"
    kernel(X)
    assert terminal.getvalue() == ""  # which did not take 10 seconds
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    kernel(X)
    assert f"{N * (N + 1) // 2}/{N * (N + 1) // 2}" in terminal.getvalue()
    terminal.truncate(0)
    kernel.set_params(verbose=0)(X)
    assert terminal.getvalue() == ""


def test_nobody_watches(kernel, monkeypatch):
    """A file, or a process beside others that would write into one terminal."""
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    kernel(X)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(multiprocessing.current_process(), "name", "LokyProcess-1")
    kernel(X)
    assert sys.stderr.getvalue() == ""


def test_notebooks_are_watched():
    stream = type("OutStream", (), {"__module__": "ipykernel.iostream"})()
    assert progress._is_watched(stream)
    assert not progress._is_watched(None)


def test_auto_prints_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    CNTKClassifier(3, image_shape=(8, 8)).fit(X, DIGITS.target[:N])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", ["yes", -1, 0.5, None])
def test_no_verbosity(kernel, verbose):
    with pytest.raises(ValueError, match=f"verbose={verbose!r} has no meaning: use 'auto'"):
        kernel.set_params(verbose=verbose)(X)


@pytest.mark.parametrize("patience", [0, 1000])
def test_compilation_is_shown(patience, monkeypatch):
    """As soon as a bar is: the first call on a machine may take half a minute."""
    numba = pytest.importorskip("numba")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    monkeypatch.setattr(progress, "_PATIENCE_TO_COMPILE", patience)
    with progress.progress_bar(10, "auto", "CNTK") as advance:
        assert "compiling" not in terminal.getvalue()
        numba.njit(lambda x: x + 1)(1)
        assert ("compiling" in terminal.getvalue()) == (patience == 0)
        advance(10)
    last = terminal.getvalue().rpartition("\r")[2]
    assert "compiling" not in last
    if patience == 0:
        assert "10.0/10.0" in last
    after = terminal.getvalue()
    numba.njit(lambda x: x + 2)(1)  # the listener is gone
    assert terminal.getvalue() == after
