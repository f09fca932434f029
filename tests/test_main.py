"""``python -m sklearn_cntk``: through a real process, and with broken engines."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_cntk import __version__
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._engines.cpu import roofline as _bound
from sklearn_cntk._engines.cuda import engine as cuda
from sklearn_cntk._selftest import machine as _machine
from sklearn_cntk._selftest import reference_values as _reference_values
from sklearn_cntk._selftest import report as _self_test

ORACLE = np.load(Path(__file__).parent / "data" / "oracle" / "kernel_values.npz")


def test_reference_values_are_the_oracles():
    np.testing.assert_array_equal(_reference_values.X, ORACLE["case2_X"][0].ravel())
    np.testing.assert_array_equal(_reference_values.Y, ORACLE["case2_Y"][0].ravel())
    expected = {}
    for entry in json.loads(str(ORACLE["spec"])):
        if (entry["case"], entry["depth"]) == (2, 6):
            assert tuple(entry["image_shape"]) == _reference_values.IMAGE_SHAPE
            assert entry["filter_size"] == _reference_values.FILTER_SIZE
            name = entry["readout"]
            lap = int(name.removeprefix("lap")) if name.startswith("lap") else 0
            key = (6, name == "gap", lap, entry["trained_layers"])
            expected[key] = ORACLE[entry["key"]][0, 0]
    assert expected == _reference_values.VALUES


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


def test_unusable_gpu_has_a_reason(monkeypatch):
    assert _machine.gpus()[0] or _machine.gpus()[1]

    def fail(index):
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(_machine, "find_spec", lambda name: object())
    monkeypatch.setattr(_machine.devices, "open_devices", fail)
    assert _machine.gpus() == ([], "the driver is too old")


def test_throughput_and_bound(monkeypatch):
    """Rates are work over time: here of an engine that has a known speed."""
    monkeypatch.setattr(_self_test, "measure_rate", lambda job: job.architecture.image_shape[0])
    cases = list(_self_test.throughput("cpu"))
    assert [rate for *_, rate in cases] == [8, 32, 32]
    assert [gap for _, gap, _ in cases] == [True, True, False]
    bound = _bound.arithmetic_bound("float32", 1, 1e-3)
    assert set(bound) == {"fma", "sqrt"}
    assert all(0 < rate < np.inf for rate in bound.values())


def test_multiplications_of_the_bound():
    # By hand: 2 for λ, degrees 6 and 5, t, two for κ₁, two for K, one for U.
    assert _bound.multiplications("float32") == 2 + 6 + 5 + 1 + 2 + 2 + 1
