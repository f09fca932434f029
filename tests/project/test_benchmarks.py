"""Benchmarks of accuracy on tiny data: what they print, keep and resume from."""

import importlib
import json
import sys
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(
    not BENCHMARKS.exists(), reason="tests run without the repository's benchmarks"
)


@pytest.fixture
def benchmark_module(monkeypatch):
    """Function that imports a script of the folder; its modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and BENCHMARKS == Path(sys.modules[name].__file__).parent
        ):
            del sys.modules[name]


@pytest.fixture
def two_classes(rng, tmp_path):
    """A file of bright and dark images."""
    y, y_test = np.arange(40) % 2, np.arange(20) % 2
    images = {
        f"X_{part}": rng.normal(size=(len(labels), 8, 8)) + 2 * labels[:, None, None]
        for part, labels in (("train", y), ("test", y_test))
    }
    path = tmp_path / "two classes.npz"
    np.savez(path, **images, y_train=y, y_test=y_test)
    return path


def run(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, arguments)])
    module.main()


def test_small_images(benchmark_module, two_classes, tmp_path, monkeypatch, capsys):
    module = benchmark_module("small_images")
    monkeypatch.setattr(module, "load_digits", lambda: pytest.fail("only what is asked for"))
    result, picture = tmp_path / "result.json", tmp_path / "frontier.png"
    command = ["--file", two_classes, "--sizes", 10, 30, 100, "--json", result, "--plot", picture]
    command += ["--methods", "RBF SVM", "CNTK, flattened", "CNTK, GAP"]
    monkeypatch.setattr(module, "DRAWS", 2)
    run(monkeypatch, module, *command)
    cells = json.loads(result.read_text())["cells"]
    assert len(cells) == 2 * 3 * 2  # sizes that there are images for, methods, draws
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.strip().startswith("two classes  ")]
    assert picture.stat().st_size > 10_000
    for name, cell in cells.items():
        assert 90 <= cell["result"]["accuracy"] <= 100, name
        assert cell["result"]["fit"] > 0
    assert len(rows) == 6

    # Killed after the cheap ones, and with a smaller budget: what is there stays.
    before = result.read_text()
    monkeypatch.setattr(module, "measure", lambda *_: pytest.fail("all of them are there"))
    run(monkeypatch, module, *command, "--budget", 0)
    assert result.read_text() == before


def test_draws_differ_and_keep_the_shares(benchmark_module, two_classes):
    module = benchmark_module("small_images")
    data = module.read(two_classes, mirror=False)
    first, again, other = (data.draw(10, seed) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    assert first[1].sum() == other[1].sum() == 5


def test_frontier(benchmark_module, two_classes, tmp_path, monkeypatch, capsys):
    module = benchmark_module("frontier")
    with np.load(two_classes) as held:
        data = SimpleNamespace(X_train=held["X_train"][..., None], y_train=held["y_train"])
    asked = []
    monkeypatch.setattr(
        module, "load_cifar10", lambda folder, **sizes: asked.append(folder) or data
    )
    result, picture = tmp_path / "result.json", tmp_path / "frontier.png"
    chosen = ["depth 4 on 8 × 8 images, GAP", "depth 4, GAP", "depth 4, windows of 3"]
    chosen += ["depth 2, flattened"]
    command = ["--data", "somewhere", "--json", result, "--plot", picture, "--architectures"]
    run(monkeypatch, module, *command, *chosen, "--budget", 500)
    found = json.loads(result.read_text())["cells"]
    costs = [cell["result"]["element_layers"] for cell in found.values()]
    assert costs == [2 * 2 * 2 * 2 * 3, 8 * 8]  # the cheap ones, and of these the cheapest first
    measured, measure = [], module.measure
    monkeypatch.setattr(module, "measure", lambda *of: measured.append(of) or measure(*of))
    run(monkeypatch, module, *command, *chosen)
    assert len(measured) == 2  # the others are there
    found = json.loads(result.read_text())["cells"]
    assert set(found) == set(chosen)
    for name, cell in found.items():
        accuracies = cell["result"]["accuracies"]
        assert len(accuracies) == 10
        assert 85 <= np.mean(accuracies) <= 100, name
    assert asked == ["somewhere"] * 2
    assert picture.stat().st_size > 10_000
    assert "depth 4, windows of 3" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="the cheapest takes 48"):
        run(monkeypatch, module, "--data", "x", "--architectures", *chosen, "--budget", 1)


def test_every_architecture_of_the_frontier_takes_photographs(benchmark_module):
    module = benchmark_module("frontier")
    assert len(module.ARCHITECTURES) >= 40
    costs = {
        name: module.cost_of(candidate, (32, 32, 3))
        for name, candidate in module.ARCHITECTURES.items()
    }
    assert costs["depth 4, flattened"] == 3 * 32**2
    assert costs["depth 4, GAP"] == 3 * 32**4
    assert costs["depth 4 on 8 × 8 images, GAP"] == 3 * 8**4


def test_the_frontier_is_judged_on_images_that_are_left_out(benchmark_module, rng):
    """Labels that say nothing are guessed, though the ridge hardly counts."""
    module = benchmark_module("frontier")
    X, y = rng.normal(size=(200, 30)), np.arange(200) % 2
    halves = next(module.HALVINGS.split(X, y))
    accuracy, alpha = module.judge(X @ X.T + np.eye(200), y, *halves)
    assert 30 <= accuracy <= 70
    assert alpha in module.ALPHAS


def test_uci(benchmark_module, rng, tmp_path, monkeypatch, capsys):
    module = benchmark_module("uci")
    y = np.arange(60) % 2
    X = (rng.normal(size=(60, 3)) + 2 * y[:, None]).astype(np.float32)
    folds = np.array([np.where((np.arange(60) // 2) % 4 == k, 2, 1) for k in range(4)])
    sets = {
        f"{name}/{key}": value
        for name in ("easy", "hopeless")
        for key, value in (
            ("X", X if name == "easy" else rng.normal(size=X.shape)),
            ("y", y),
            ("select", 1 + (np.arange(60) // 2) % 2),
            ("folds", folds),
        )
    }
    data = tmp_path / "tables.npz"
    np.savez(data, **sets)
    monkeypatch.setattr(module, "COSTS", [1.0])
    monkeypatch.setattr(module, "ALPHAS", [1e-2])
    monkeypatch.setattr(module, "RIVALS", {"RBF SVM": module.RIVALS["RBF SVM"]})
    monkeypatch.setattr(module, "METHODS", (*module.KERNELS, module.RIDGE, "RBF SVM"))
    result, checkpoint = tmp_path / "result.json", tmp_path / "cells.json"
    command = ["--data", data, "--json", result, "--checkpoint", checkpoint, "--n-jobs", 1]
    run(monkeypatch, module, *command)
    found = json.loads(result.read_text())
    easy, hopeless = found["sets"]
    assert (easy["set"], easy["rows"], easy["features"], easy["classes"]) == ("easy", 60, 3, 2)
    for method in module.METHODS:
        assert easy[method] > 90
        assert 20 < hopeless[method] < 80
    for row in found["summary"]:
        mean = (easy[row["method"]] + hopeless[row["method"]]) / 2
        assert row["mean accuracy"] == pytest.approx(mean)
    assert len(found["comparisons"]) == 10
    monkeypatch.setattr(module, "measure", lambda *_: pytest.fail("all of them are there"))
    capsys.readouterr()
    run(monkeypatch, module, *command)
    assert "resuming: 2 finished cells" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"has no set unheard-of"):
        run(monkeypatch, module, *command, "--sets", "unheard-of")


def test_tables(benchmark_module, rng, tmp_path, monkeypatch, capsys):
    module = benchmark_module("tables")
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 3)) + 3 * y[:, None]
    sets = {"wine": lambda **_: (X, y), "diabetes": lambda **_: (X, X.sum(axis=1))}
    monkeypatch.setattr(module, "SETS", sets)
    monkeypatch.setattr(module, "ALPHAS", [1e-2])
    monkeypatch.setattr(module, "COSTS", [1.0])
    monkeypatch.setattr(module, "GAMMAS", [0.1])
    result = tmp_path / "result.json"
    methods = [*module.KERNELS, "linear", "RBF SVM"]
    run(monkeypatch, module, "--repeats", 1, "--methods", *methods, "--json", result)
    rows = json.loads(result.read_text())["rows"]
    assert [(row["set"], row["method"]) for row in rows] == [(s, m) for s in sets for m in methods]
    for row in rows:
        assert len(row["scores"]) == 5
        assert row["mean"] == pytest.approx(np.mean(row["scores"]))
        assert row["standard deviation"] == pytest.approx(np.std(row["scores"], ddof=1))
        if row["set"] == "wine":
            assert 90 <= row["mean"] <= 100, row["method"]
        elif row["method"] != "RBF SVM":  # whose tube is for targets of another size
            assert 0.9 <= row["mean"] <= 1, row["method"]
    assert "CNTK, biases, first layer frozen" in capsys.readouterr().out


def test_measures_over_sets(benchmark_module, monkeypatch):
    module = benchmark_module("uci")
    monkeypatch.setattr(module, "METHODS", ("a", "b", "c"))
    accuracy = np.array([[100.0, 90.0, 80.0], [50.0, 50.0, 48.0], [60.0, 80.0, 20.0]])
    a, b, c = module.summary(accuracy)
    assert a["mean accuracy"] == 70
    assert a["Friedman rank"] == pytest.approx((1 + 1.5 + 2) / 3)
    assert b["Friedman rank"] == pytest.approx((2 + 1.5 + 1) / 3)
    assert b["P90"] == 100
    assert c["P95"] == pytest.approx(100 / 3)
    assert c["PMA"] == pytest.approx(100 * (0.8 + 0.96 + 0.25) / 3)
    assert [row["best or tied"] for row in (a, b, c)] == [2, 2, 0]
    of_a_and_b = module.comparisons(accuracy)[0]
    assert [of_a_and_b[key] for key in ("wins", "ties", "losses")] == [1, 1, 1]
    assert of_a_and_b["mean difference"] == pytest.approx(-10 / 3)


def test_settings_are_chosen_on_one_split_alone(benchmark_module):
    """The folds, on which the other candidate would be better, are not looked at."""
    module = benchmark_module("uci")
    table = SimpleNamespace(select="select", folds=["fold 1", "fold 2"])
    accuracy = {
        ("a", "select"): 70.0, ("a", "fold 1"): 10.0, ("a", "fold 2"): 20.0,
        ("b", "select"): 60.0, ("b", "fold 1"): 90.0, ("b", "fold 2"): 90.0,
        ("c", "select"): 70.0,
    }  # fmt: skip
    result = module.evaluate(
        table,
        [{"name": name} for name in "abc"],
        lambda candidate, split: (accuracy[candidate["name"], split], 1.0),
    )
    assert result["chosen"] == {"name": "a"}  # the first of the best
    assert (result["accuracy"], result["validation"]) == (15.0, 70.0)
    assert (result["choosing_seconds"], result["fold_seconds"]) == (3.0, 2.0)


def test_folds_in_another_order_are_a_tie(benchmark_module, monkeypatch):
    module = benchmark_module("uci")
    monkeypatch.setattr(module, "METHODS", ("a", "b"))
    folds = [97.1, 0.3, 88.888, 63.21]
    means = [float(np.mean(order)) for order in permutations(folds)]
    assert len(set(means)) > 1  # or this test would show nothing
    sets = {
        str(k): {"methods": {"a": {"accuracy": means[0]}, "b": {"accuracy": mean}}}
        for k, mean in enumerate(means)
    }
    a, b = module.summary(module.accuracies(sets))
    assert a["Friedman rank"] == b["Friedman rank"] == 1.5


def test_holm(benchmark_module):
    corrected = benchmark_module("uci").holm([0.04, 0.01, 0.03, 0.9])
    np.testing.assert_allclose(corrected, [0.09, 0.04, 0.09, 0.9])


def test_kernels_of_tables_are_those_of_the_recursion(benchmark_module, rng):
    """The recursion of Arora et al. 2020 for every number of hidden and of frozen layers."""
    X = rng.normal(size=(6, 3))
    for (hidden, frozen), K in benchmark_module("uci").grams(X).items():
        S = X @ X.T
        T = np.zeros_like(S) if frozen else S
        for layer in range(1, hidden + 1):
            d = np.sqrt(np.diag(S))
            cosine = np.clip(S / np.outer(d, d), -1, 1)
            np.fill_diagonal(cosine, 1)  # where rounding would be that of a square root
            derivative = 1 - np.arccos(cosine) / np.pi
            S = np.outer(d, d) * (cosine * derivative + np.sqrt(1 - cosine**2) / np.pi)
            T = T * derivative + (S if layer >= frozen else 0)
        expected = T * 3 / np.diag(T).mean()
        np.testing.assert_allclose(K, expected, rtol=1e-9, err_msg=f"{hidden} {frozen}")
