"""The logic of ``benchmarks/gpu.py``, with tiny sizes and a pretended GPU."""

import importlib
import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pretended_cupy import pretend_gpus

from sklearn_cntk import CNTKClassifier
from sklearn_cntk._engines.cuda import devices as _devices

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(fresh_devices, monkeypatch, host_device):
    """The module, on a GPU that is pretended."""
    pretend_gpus(monkeypatch, host_device(shared_bytes=99 * 1024), n_devices=1)
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("gpu", "table1", "throughput", "machine")
    yield importlib.import_module("gpu")
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def sizes(gpu):
    return gpu.Sizes(
        shapes=((2, 2, 1),),
        depths=(2, 3),
        seconds=0.01,
        repeats=2,
        least=4,
        most=8,
        error_shapes=((2, 3, 1),),
        error_depths=(3, 4),
        trace_images=(5, 4),
        trace_shape=(2, 2, 1),
        rows=(60, 300),
    )


@pytest.fixture
def cifar(gpu, monkeypatch):
    """Small images in two classes that a kernel tells apart."""
    table1 = sys.modules["table1"]
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = rng.normal(size=(24, 2, 2, 1)) + 3 * (2 * y - 1)[:, None, None, None] * np.eye(2)[..., None]
    data = SimpleNamespace(X_train=X[:16], y_train=y[:16], X_test=X[16:], y_test=y[16:])
    monkeypatch.setattr(table1, "load_cifar10", lambda folder, n_train, n_test: data)
    return data


def pretend_pytest(gpu, monkeypatch, ran):
    run = SimpleNamespace(run=lambda *args, **options: ran, PIPE=None)
    monkeypatch.setattr(gpu, "subprocess", run)


def parts(path):
    return json.loads(path.read_text())["parts"]


def test_every_part(gpu, sizes, cifar, monkeypatch, tmp_path, capsys):
    ran = SimpleNamespace(stdout="....\n4 passed, 100 deselected in 2.00s\n", returncode=0)
    pretend_pytest(gpu, monkeypatch, ran)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys.modules["table1"], "MANY", 10)
    path = tmp_path / "results" / "gpu.json"
    command = ["--json", str(path), "--data", "somewhere"]
    command += ["--n-train", "16", "--n-test", "8"]
    gpu.main(command, sizes)
    found = parts(path)
    assert list(found) == [part for part in gpu.PARTS if part != "ncu"]
    for part in found.values():
        assert part["finished"]
        assert part["gpu"] == "Pretended GPU"
        assert part["driver"] == 12090
        assert len(part["date"]) == 10
    assert found["tests"]["summary"].startswith("4 passed")
    assert len(found["errors"]["deviations"]) == 4
    for name, error in found["errors"]["deviations"].items():
        assert 0 < error < (1e-5 if "float32" in name else 1e-11), name
    rows = found["throughput"]["rows"]
    assert len(rows) == 8  # readouts, dtypes and depths
    for row in rows:
        entries = 16 if row["readout"] == "gap" else 4
        work = row["pairs"] * entries * (row["depth"] - 1)
        assert row["element_layers_per_second"] == pytest.approx(work / row["seconds"])
        bound = 128 * 132 * 1.98e9 / (46 if row["dtype"] == "float32" else 88)
        assert row["share_of_bound"] == pytest.approx(row["best"] / bound)
    assert found["traces"]["images"] == [5, 4]
    assert [row["rows"] for row in found["solve"]["rows"]] == [60, 300]
    assert all(row["relative_error"] < 1e-10 for row in found["solve"]["rows"])
    gap, flat = (found[part]["rows"] for part in ("table1-gap", "table1-v"))
    assert [row["depth"] for row in flat] == [3, 4, 6, 11, 21]
    assert [row["paper"] for row in flat] == ["64.47", "65.52", "66.03", "65.90", "64.09"]
    of_cntk = [row["paper"] for row in gap if row["kernel"] == "CNTK"]
    assert of_cntk == ["49.71", "51.06", "51.73", "51.92", "52.22"]
    model = CNTKClassifier(3, False, device="cpu").fit(cifar.X_train, cifar.y_train)
    expected = 100 * model.score(cifar.X_test, cifar.y_test)
    assert float(flat[0]["default_ridge"]) == pytest.approx(expected)
    assert expected > 80

    capsys.readouterr()
    before = path.read_text()
    gpu.main(command, sizes)
    assert capsys.readouterr().out.count(" already") == 7
    assert path.read_text() == before


def test_a_killed_run_goes_on(gpu, sizes, monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    measured = []
    measure = gpu.measure_gpu

    def measure_two(device, facts, case, *settings):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(case)
        return measure(device, facts, case, *settings)

    monkeypatch.setattr(gpu, "measure_gpu", measure_two)
    command = ["--json", str(path), "--parts", "throughput,traces"]
    with pytest.raises(KeyboardInterrupt):
        gpu.main(command, sizes)
    kept = parts(path)["throughput"]["rows"]
    assert len(kept) == 2
    assert not parts(path)["throughput"]["finished"]

    monkeypatch.setattr(gpu, "measure_gpu", lambda d, f, case, *s: measured.append(case) or case)
    gpu.main(command, sizes)
    assert parts(path)["throughput"]["rows"][:2] == kept
    assert len(measured) == 8
    assert parts(path)["traces"]["finished"]
    gpu.main([*command, "--again"], sizes)
    assert len(measured) == 16


def test_columns_go_on(gpu, sizes, cifar, monkeypatch, tmp_path):
    """GAP from its blocks of kernels, CNTK-V from its depths."""
    table1 = sys.modules["table1"]
    monkeypatch.setattr(table1, "MANY", 10)
    path = tmp_path / "gpu.json"
    command = ["--json", str(path), "--data", "x", "--n-train", "16", "--n-test", "8"]
    paths, cntk_path = [], table1.cntk_path

    def two_calls(*images, **options):
        if len(paths) == 3:
            raise KeyboardInterrupt
        paths.append(options["depths"])
        return cntk_path(*images, **options)

    monkeypatch.setattr(table1, "cntk_path", two_calls)
    with pytest.raises(KeyboardInterrupt):
        gpu.main([*command, "--parts", "table1-v"], sizes)
    assert paths == [[3], [3], [4]]
    assert [row["depth"] for row in parts(path)["table1-v"]["rows"]] == [3]
    paths.clear()
    with pytest.raises(KeyboardInterrupt):
        gpu.main([*command, "--parts", "table1-v"], sizes)
    assert paths == [[4], [4], [6]]

    monkeypatch.setattr(table1, "MANY", 100)
    paths.clear()

    def one_call(*images, **options):
        if paths:
            raise KeyboardInterrupt
        return two_calls(*images, **options)

    monkeypatch.setattr(table1, "cntk_path", one_call)
    with pytest.raises(KeyboardInterrupt):
        gpu.main([*command, "--parts", "table1-gap"], sizes)
    paths.clear()
    gpu.main([*command, "--parts", "table1-gap"], sizes)
    assert len(paths) == 1  # the test images; the training images' kernels were kept
    assert parts(path)["table1-gap"]["finished"]


def test_failing_tests_stop_the_run(gpu, sizes, monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    for output, status in (("1 failed, 3 passed in 1s", 1), ("9 skipped in 1s", 0), ("", 4)):
        ran = SimpleNamespace(stdout=output, returncode=status)
        pretend_pytest(gpu, monkeypatch, ran)
        with pytest.raises(SystemExit, match="tests fail, or do not run"):
            gpu.main(["--json", str(path), "--parts", "tests,traces"], sizes)
        assert "traces" not in parts(path)


def test_systems_that_do_not_fit(gpu, sizes, monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(_devices.CupyDevice, "free_bytes", lambda device: 10**5)
    gpu.main(["--json", str(path), "--parts", "solve"], sizes)
    assert [row["fits"] for row in parts(path)["solve"]["rows"]] == [True, False]


NCU = """==PROF== Connected to process 1
==PROF== Profiling "sweep": 0%....100% - 1 pass
"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","1","sweep","gpu__time_duration.sum","msecond","24.1"
"0","1","sweep","launch__registers_per_thread","register/thread","128"
"0","1","sweep","sm__warps_active.avg.pct_of_peak_sustained_active","%","24.7"
"0","1","sweep","smsp__issue_active.avg.pct_of_peak_sustained_active","%","91.2"
"""


@pytest.mark.skipif(os.name != "posix", reason="a script stands for ncu")
def test_ncu(gpu, sizes, monkeypatch, tmp_path):
    path, script = tmp_path / "gpu.json", tmp_path / "ncu"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    command = ["--json", str(path), "--parts", "ncu", "--again"]
    script.write_text(f"#!/bin/sh\necho \"$@\" >{tmp_path}/asked\ncat <<'END'\n{NCU}END\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    gpu.main(command, sizes)
    assert parts(path)["ncu"]["figures"] == {
        "duration": "24.1 msecond",
        "registers": "128 register/thread",
        "achieved_occupancy_percent": "24.7 %",
        "issue_slots_used_percent": "91.2 %",
    }
    asked = (tmp_path / "asked").read_text()
    assert "--kernel-name sweep --launch-skip 1 --launch-count 1" in asked
    assert "gpu.py --one-sweep --device cuda:0" in asked

    script.write_text("#!/bin/sh\necho '==ERROR== ERR_NVGPUCTRPERM' >&2; exit 1\n")
    gpu.main(command, sizes)
    assert "ERR_NVGPUCTRPERM" in parts(path)["ncu"]["reason"]

    script.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu.main(["--json", str(path), "--parts", "traces", "--ncu", "--again"], sizes)
    assert "ncu" in parts(path)["ncu"]["reason"]


def test_wrong_parts(gpu, sizes, tmp_path):
    with pytest.raises(SystemExit, match="--parts: trace unknown: use some of tests, errors"):
        gpu.main(["--parts", "trace"], sizes)
    with pytest.raises(SystemExit, match="need --data FOLDER"):
        gpu.main(["--parts", "table1-v"], sizes)


def test_sweep_for_ncu(gpu, monkeypatch):
    calls = []
    monkeypatch.setattr(
        gpu, "CNTK", lambda *a, **k: lambda X, Y: calls.append((k, X.shape, Y.shape))
    )
    gpu.main(["--one-sweep", "--device", "cuda:0"])
    assert calls == 2 * [({"device": "cuda:0"}, (64, 32, 32, 3), (64, 32, 32, 3))]
