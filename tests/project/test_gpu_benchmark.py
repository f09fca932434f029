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

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk._engines.cuda import devices as _devices

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(fresh_devices, monkeypatch, host_device):
    """The module, on a GPU that is pretended."""
    pretend_gpus(monkeypatch, host_device(shared_bytes=99 * 1024), n_devices=1)
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("gpu", "gpu_networks", "gpu_tools", "gap_slice", "table1", "throughput")
    names += ("timed_device", "machine")
    yield importlib.import_module("gpu")
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def sizes(gpu):
    return gpu.Sizes(
        shapes=((2, 2, 1),),
        depths=(2, 3),
        sweeps=(((4, 4, 1), 3, 2),),
        traces=(((4, 4, 1), 3, 5),),
        seconds=0.01,
        repeats=2,
        least=4,
        most=8,
        error_shapes=((2, 3, 1),),
        error_depths=(3, 4),
        trace_images=(5, 4),
        trace_shape=(2, 2, 1),
        rows=(60, 300),
        networks=(((4, 4, 1), 2),),
        network_errors=((4, 4, 1),),
        slice_network="plain",
    )


@pytest.fixture
def cifar(gpu, monkeypatch, tmp_path):
    """Small images in two classes that a kernel tells apart."""
    table1 = sys.modules["table1"]
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = rng.normal(size=(24, 2, 2, 1)) + 3 * (2 * y - 1)[:, None, None, None] * np.eye(2)[..., None]
    data = SimpleNamespace(X_train=X[:16], y_train=y[:16], X_test=X[16:], y_test=y[16:])
    monkeypatch.chdir(tmp_path)
    Path("images.npz").write_bytes(b"what is hashed")
    for module in (table1, sys.modules["gap_slice"], sys.modules["gpu_networks"]):
        monkeypatch.setattr(
            module, "load_cifar10", lambda folder, n_train=0, n_test=0, standardize=True: data
        )
    monkeypatch.setattr(sys.modules["gap_slice"], "HEIGHT", 7)
    monkeypatch.setattr(sys.modules["gap_slice"], "TEST_HEIGHT", 3)
    return data


def pretend_pytest(gpu, monkeypatch, output, status):
    monkeypatch.setattr(gpu, "run_tool", lambda command, seconds: (status, output))


def parts(path):
    return json.loads(path.read_text())["parts"]


def test_every_part(gpu, sizes, cifar, monkeypatch, tmp_path, capsys):
    pretend_pytest(gpu, monkeypatch, "....\n4 passed, 100 deselected in 2.00s\n", 0)
    monkeypatch.setattr(sys.modules["table1"], "MANY", 10)
    path = tmp_path / "results" / "gpu.json"
    command = ["--json", str(path), "--data", "somewhere", "--slice", "images.npz"]
    command += ["--n-train", "16", "--n-test", "8"]
    monkeypatch.setattr(gpu.shutil, "which", lambda name: "python3" if name == "python3" else None)
    gpu.main(command, sizes)
    found = parts(path)
    assert list(found) == [part for part in gpu.PARTS if part not in ("ncu", "sanitizer")]
    for part in found.values():
        assert part["finished"]
        assert part["gpu"] == "Pretended GPU"
        assert part["driver"] == 12090
        assert len(part["date"]) == 10
    assert found["tests"]["summary"].startswith("4 passed")
    assert len(found["errors"]["deviations"]) == 4 + 4 * 5
    for name, error in found["errors"]["deviations"].items():
        assert 0 < error < (1e-5 if "float32" in name else 1e-11), name
    rows = found["throughput"]["rows"]
    assert len(rows) == 8  # readouts, dtypes and depths
    for row in rows:
        entries = 16 if row["readout"] == "gap" else 4
        work = row["pairs"] * entries * (row["depth"] - 1)
        assert row["of_whole_calls"] == pytest.approx(work / row["seconds"])
        assert row["element_layers_per_second"] == pytest.approx(work / row["kernel_seconds"])
        assert 0 < row["kernel_seconds"] < row["seconds"]
    of_variants = found["variants"]["rows"]
    for readout, names in (
        ("gap", [name for name, variant in gpu.CANDIDATES.items() if variant.strip == 1]),
        (
            "trace",
            ["usual", "second root", "second root, late sums", "strips", "strips, one table"],
        ),
    ):
        rows = [row for row in of_variants if row["readout"] == readout]
        assert [row["variant"] for row in rows] == names
        assert all(row["differs"] < 1e-6 for row in rows)
        assert rows[0]["differs"] == 0 < rows[1]["seconds"]
    of_networks = found["networks"]["rows"]
    assert [row["network"] for row in of_networks][:2] == ["plain", "Myrtle-5"]
    assert len(of_networks) == 7
    for row in of_networks:
        work = row["pairs"] * row["element_layers_a_pair"]
        assert row["element_layers_per_second"] == pytest.approx(work / row["seconds"])
    on_cpu = sys.modules["gpu_networks"].slice_of_network("plain", "images.npz", "cpu")
    assert found["slice-myrtle"]["accuracy"] == on_cpu["accuracy"]
    assert found["traces"]["images"] == [5, 4]
    assert [row["rows"] for row in found["solve"]["rows"]] == [60, 300]
    assert all(row["relative_error"] < 1e-10 for row in found["solve"]["rows"])
    assert [row["rows"] for row in found["slice-train"]["rows"]] == [[0, 7], [7, 14], [14, 16]]
    assert sum(row["pairs"] for row in found["slice-train"]["rows"]) == 16 * 17 / 2
    of_slice = found["slice-test"]
    assert of_slice["test_images"] == 8
    assert [row["paper"] for row in of_slice["rows"]] == [49.71, 51.06, 51.73, 51.92, 52.22]
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
    assert capsys.readouterr().out.count(" already") == 12
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


def test_the_slice(gpu, cifar, tmp_path, monkeypatch):
    """Its triangle is the Gram matrix, its accuracies are a classifier's, and it is checked."""
    gap_slice = sys.modules["gap_slice"]
    options = SimpleNamespace(images="images.npz", folder=tmp_path, device="cuda", entries=50)
    rows = gap_slice.train(options)
    assert next(rows)["rows"] == [0, 7]
    rows.close()  # is killed, and goes on
    assert [row["rows"][0] for row in gap_slice.train(options)] == [0, 7, 14]
    paths = []
    with monkeypatch.context() as patch:
        patch.setattr(gap_slice, "cntk_path", lambda *a, **k: paths.append(a))
        assert len(list(gap_slice.train(options))) == 3
    assert not paths
    K = gap_slice.grams(tmp_path, 16)
    for depth, of_depth in zip(gap_slice.DEPTHS, K, strict=True):
        expected = CNTK(depth, trained_layers="hidden", dtype="float64")(cifar.X_train)
        # Of images this small, deep networks know little but their norms: λ is near 1.
        np.testing.assert_allclose(of_depth, expected, rtol=1e-4)
    pieces = gap_slice.test(options)
    assert [next(pieces)["test_images"] for _ in range(2)] == [3, 6]
    pieces.close()
    *_, found = gap_slice.test(options)
    assert found["test_images"] == 8
    for row in found["rows"]:
        model = CNTKClassifier(row["depth"], trained_layers="hidden", device="cpu", n_jobs=1)
        model.fit(cifar.X_train, cifar.y_train)
        score = 100 * model.score(cifar.X_test, cifar.y_test)
        assert row["default_ridge"] == pytest.approx(score)
    assert 0 < max(gap_slice.check(options)["deviations"].values()) < 1e-4
    files = sorted(tmp_path.glob("triangle*"))
    np.save(files[0], np.load(files[0]) * 1.01)
    assert max(gap_slice.check(options)["deviations"].values()) > 1e-3
    Path("images.npz").write_bytes(b"other images")
    with pytest.raises(SystemExit, match="holds the triangle of other images"):
        list(gap_slice.train(options))


def test_a_part_that_fails_stops_no_other(gpu, sizes, monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    for output, status in (("1 failed, 3 passed in 1s", 1), ("9 skipped in 1s", 0), ("", 4)):
        pretend_pytest(gpu, monkeypatch, output, status)
        with pytest.raises(SystemExit, match="Failed: tests."):
            gpu.main(["--json", str(path), "--parts", "tests,traces"], sizes)
        assert not parts(path)["tests"]["finished"]
        assert parts(path)["traces"]["finished"]

    def wrong(*arguments):
        raise RuntimeError("a device that is lost")

    monkeypatch.setitem(gpu.RUN, "solve", wrong)
    with pytest.raises(SystemExit, match="Failed: solve."):
        gpu.main(["--json", str(path), "--parts", "solve,errors"], sizes)
    assert parts(path)["errors"]["finished"]


@pytest.mark.parametrize("part", ["errors", "variants"])
def test_wrong_values_are_found(gpu, sizes, monkeypatch, tmp_path, part):
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(gpu, "LARGEST_ERRORS", {"float32": 1e-9, "float64": 1e-11})
    with pytest.raises(SystemExit, match=f"Failed: {part}."):
        gpu.main(["--json", str(path), "--parts", part], sizes)
    assert parts(path)[part]["finished"]


def test_quick_results_do_not_stand_for_full_ones(gpu, sizes, monkeypatch, tmp_path, capsys):
    command = ["--json", str(tmp_path / "gpu.json"), "--parts", "traces"]
    for options, known in ([["--quick"], 0], [["--quick"], 1], [[], 0], [[], 1], [["--quick"], 1]):
        gpu.main([*command, *options], sizes)
        assert capsys.readouterr().out.count("already") == known


def test_systems_that_do_not_fit(gpu, sizes, monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(_devices.CupyDevice, "free_bytes", lambda device: 10**5)
    gpu.main(["--json", str(path), "--parts", "solve"], sizes)
    assert [row["fits"] for row in parts(path)["solve"]["rows"]] == [True, False]


NCU = """==PROF== Connected to process 1
==PROF== Profiling "sweep": 0%....100% - 40 passes
"ID","Kernel Name","gpu__time_duration.sum","launch__registers_per_thread","dram__bytes.sum"
"","","msecond","register/thread","Mbyte"
"0","sweep","24.1","128","3.5"
"""


@pytest.mark.skipif(os.name != "posix", reason="scripts stand for NVIDIA's tools")
def test_tools(gpu, sizes, monkeypatch, tmp_path):
    path, ncu, sanitizer = (tmp_path / name for name in ("gpu.json", "ncu", "compute-sanitizer"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    command = ["--json", str(path), "--parts", "ncu,sanitizer", "--again"]
    for script, output in ((ncu, NCU), (sanitizer, "ran\n===== ERROR SUMMARY: 0 errors\n")):
        lines = f"#!/bin/sh\necho \"$@\" >>{script}.asked\ncat <<'END'\n{output}END\n"
        script.write_text(lines)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    gpu.main(command, sizes)
    figures = {
        "gpu__time_duration.sum": "24.1 msecond",
        "launch__registers_per_thread": "128 register/thread",
    }
    kernels = ("sweep", "sweep_pairs", "trace", "network_sweep")
    assert parts(path)["ncu"]["figures"] == dict.fromkeys(kernels, figures)
    asked = (tmp_path / "ncu.asked").read_text().splitlines()
    for kernel, line in zip(kernels, asked, strict=True):
        assert "--clock-control none" in line
        assert f"--kernel-name {kernel} --launch-skip 1 --launch-count 1" in line
        assert ("--trace" in line) == (kernel == "trace")
    findings = parts(path)["sanitizer"]["findings"]
    tools = ("memcheck", "racecheck")
    assert findings == dict.fromkeys(tools, ["ran", "===== ERROR SUMMARY: 0 errors"])
    sanitizer.write_text("#!/bin/sh\necho '===== ERROR SUMMARY: 2 errors'; exit 9\n")
    with pytest.raises(SystemExit, match="Failed: sanitizer."):
        gpu.main(command, sizes)
    assert parts(path)["sanitizer"]["statuses"] == dict.fromkeys(tools, 9)
    assert gpu.run_tool(["sh", "-c", "echo begun; sleep 60 & wait"], 0.5) == (
        124,
        "begun\n\nnot done within 0.5 s",
    )
    sanitizer.write_text("#!/bin/sh\necho 'ran'\n")

    ncu.write_text("#!/bin/sh\necho '==ERROR== ERR_NVGPUCTRPERM' >&2; exit 1\n")
    gpu.main(command, sizes)
    assert "ERR_NVGPUCTRPERM" in parts(path)["ncu"]["figures"]["sweep"]
    assert not parts(path)["ncu"]["finished"]

    ncu.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu.main(["--json", str(path), "--parts", "ncu", "--again"], sizes)
    assert "ncu" in parts(path)["ncu"]["figures"]["trace"]


def test_wrong_parts(gpu, sizes, tmp_path):
    with pytest.raises(SystemExit, match="--parts: trace unknown: use some of errors, variants"):
        gpu.main(["--parts", "trace"], sizes)
    with pytest.raises(SystemExit, match="--parts table1-v needs --data"):
        gpu.main(["--parts", "table1-v"], sizes)
    with pytest.raises(SystemExit, match="--parts slice-test needs --slice"):
        gpu.main(["--parts", "slice-test"], sizes)


def test_what_tools_look_at(gpu, monkeypatch):
    """Whole launches of one engine, and every kernel."""
    calls = []

    class Engine:
        def __init__(self, devices, variant):
            assert len(devices) == 1

        def gram(self, X, Y, architecture, readouts, dtype="float32"):
            calls.append((X.shape, len(Y), readouts[0].gap))

    with monkeypatch.context() as patch:
        patch.setattr(gpu, "CudaEngine", Engine)
        gpu.main(["--one-launch", "usual"])
        gpu.main(["--one-launch", "usual", "--trace"])
        gpu.main(["--one-launch", "usual", "--network", "myrtle5"])
    expected = 2 * [((64, 32, 32, 3), 64, True)] + 2 * [((1024, 32, 32, 3), 1024, False)]
    assert calls == expected + 2 * [((64, 32, 32, 3), 64, True)]

    names = []
    launch = _devices.CupyDevice.launch
    monkeypatch.setattr(
        _devices.CupyDevice,
        "launch",
        lambda d, s, name, *a: names.append(name) or launch(d, s, name, *a),
    )
    smaller = [((2, 2, 1), gpu.SMALL_CALLS[0][1]), ((1, 34, 1), gpu.SMALL_CALLS[-1][1])]
    monkeypatch.setattr(gpu, "SMALL_CALLS", smaller)
    gpu.main(["--small-calls"])
    of_plain = {"tables", "sweep", "sweep_pairs", "trace", "planes"}
    of_networks = {"network_tables", "network_variances", "network_sweep", "network"}
    assert set(names) == of_plain | of_networks
