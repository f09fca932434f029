"""``python -m sklearn_cntk``: through a real process, and with broken engines."""

import subprocess
import sys

import numpy as np
from engines import ChangedEngine, cpu

from sklearn_cntk import __version__
from sklearn_cntk._engines.cpu import roofline
from sklearn_cntk._selftest import report


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


def no_gpus():
    return [], "none in this test"


def host_engines(engine):
    """What is tested on every machine, with an engine in the CPU engine's place."""
    reference, (name, dtypes, _) = report.HOST_ENGINES
    return reference, (name, dtypes, lambda: engine)


def test_wrong_values_fail(capsys):
    def wrong(*arguments, dtype, **options):
        values = cpu.gram(*arguments, dtype=dtype, **options)
        return values * (1 + 1e-4 * (dtype == "float32"))

    assert report.main([], engines=host_engines(ChangedEngine(gram=wrong)), gpus=no_gpus) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "float" in line]
    assert [line.split()[:2] for line in lines if line.endswith("FAILED")] == [["cpu", "float32"]]
    assert "1.0e-04 relative error" in lines[1]
    assert len([line for line in lines if line.endswith("ok")]) == 2


def test_engine_that_raises_fails(capsys):
    def broken(*arguments, **options):
        raise RuntimeError("no compiler")

    engines = host_engines(ChangedEngine(pairs=broken))
    assert report.main(["--no-throughput"], engines=engines, gpus=no_gpus) == 1
    output = capsys.readouterr().out
    assert output.count("RuntimeError: no compiler  FAILED") == 2
    assert output.splitlines()[-1].startswith("FAILED")


def test_gpus_are_tested(host_device, capsys):
    """The CUDA engine on the host in a GPU's place."""
    device = host_device()
    device.label = "cuda:0 (the host)"
    assert report.main(["--no-throughput"], gpus=lambda: ([device], None)) == 0
    output = capsys.readouterr().out
    assert output.count("cuda:0 (the host) float") == 2

    def launch(source, name, blocks, threads, shared_bytes, arguments):
        """Of a GPU that computes nothing."""
        arguments[-1][...] = 0

    device.launch = launch
    assert report.main(["--no-throughput"], gpus=lambda: ([device], None)) == 1


def test_throughput_and_bound(monkeypatch):
    """Rates are work over time: here of an engine that has a known speed."""
    monkeypatch.setattr(report, "measure", lambda job: (job.architecture.image_shape[0], 0.1))
    cases = list(report.throughput("cpu"))
    assert [rate for *_, rate in cases] == [8, 32, 32]
    assert [gap for _, gap, _ in cases] == [True, True, False]
    bound = roofline.arithmetic_bound("float32", 1, 1e-2)  # so long that loops have to grow
    assert set(bound) == {"fma", "sqrt"}
    assert all(0 < rate < np.inf for rate in bound.values())
