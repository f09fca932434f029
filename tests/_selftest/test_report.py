"""``python -m sklearn_cntk``: through a real process, and with broken engines."""

import subprocess
import sys

import numpy as np
import pytest

from sklearn_cntk import __version__
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._engines.cpu import roofline as _bound
from sklearn_cntk._engines.cuda import engine as cuda
from sklearn_cntk._selftest import machine as _machine
from sklearn_cntk._selftest import report as _self_test


def test_report():
    command = [sys.executable, "-m", "sklearn_cntk", "--no-throughput"]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8")
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    facts = {words[0]: words[1] for words in lines if len(words) > 1}
    assert facts["sklearn-cntk"] == __version__
    assert facts["numpy"] == np.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    tested = [(words[0], words[1], words[-1]) for words in lines if words and words[-1] == "ok"]
    assert {
        ("reference", "float64", "ok"),
        ("cpu", "float32", "ok"),
        ("cpu", "float64", "ok"),
    } <= set(tested)
    assert "Throughput" not in done.stdout


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setattr(_machine, "gpus", lambda: ([], "none in this test"))


def test_wrong_values_fail(no_gpus, monkeypatch, capsys):
    right = cpu.gram

    def wrong(*arguments, dtype, **options):
        values = right(*arguments, dtype=dtype, **options)
        return values * (1 + 1e-4 * (dtype == "float32"))

    monkeypatch.setattr(cpu, "gram", wrong)
    assert _self_test.main([]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "float" in line]
    assert [line.split()[:2] for line in lines if line.endswith("FAILED")] == [["cpu", "float32"]]
    assert "1.0e-04 relative error" in lines[1]
    assert len([line for line in lines if line.endswith("ok")]) == 2


def test_engine_that_raises_fails(no_gpus, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(cpu, "pairs", broken)
    assert _self_test.main(["--no-throughput"]) == 1
    output = capsys.readouterr().out
    assert output.count("RuntimeError: no compiler  FAILED") == 2
    assert output.splitlines()[-1].startswith("FAILED")


def test_gpus_are_tested(monkeypatch, host_device, capsys):
    """The CUDA engine on the host in a GPU's place."""
    device = host_device()
    device.label = "cuda:0 (the host)"
    monkeypatch.setattr(_machine, "gpus", lambda: ([device], None))
    assert _self_test.main(["--no-throughput"]) == 0
    output = capsys.readouterr().out
    assert output.count("cuda:0 (the host) float") == 2
    monkeypatch.setattr(cuda.Engine, "pairs", lambda self, X, *a, **k: np.zeros((12, len(X))))
    assert _self_test.main(["--no-throughput"]) == 1


def test_throughput_and_bound(monkeypatch):
    """Rates are work over time: here of an engine that has a known speed."""
    monkeypatch.setattr(_self_test, "measure_rate", lambda job: job.architecture.image_shape[0])
    cases = list(_self_test.throughput("cpu"))
    assert [rate for *_, rate in cases] == [8, 32, 32]
    assert [gap for _, gap, _ in cases] == [True, True, False]
    bound = _bound.arithmetic_bound("float32", 1, 1e-2)  # so long that loops have to grow
    assert set(bound) == {"fma", "sqrt"}
    assert all(0 < rate < np.inf for rate in bound.values())
