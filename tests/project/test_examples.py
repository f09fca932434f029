"""The examples run, every warning an error."""

import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
DIGITS_SEARCH = ROOT / "examples" / "digits_search.py"


@pytest.mark.skipif(EXAMPLES == [], reason="tests run without the repository's examples")
def test_all_are_there():
    """A gallery whose files have moved must not pass for one that runs."""
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_form(example):
    """What the gallery's builder needs: a title, cells and a figure."""
    text = example.read_text(encoding="utf-8")
    title = re.match(r'"""\n(.+)\n(=+)\n\n', text)
    assert title, f"{example.name} should begin with a docstring that holds an underlined title"
    assert len(title[1]) == len(title[2])
    assert text.count("\n# %%\n") >= 2
    assert "plt.show()" in text


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_runs(example, tmp_path):
    if re.search(r"^(import|from) (torch|sklearn_cntk\.finite)\b", example.read_text(), re.M):
        if find_spec("torch") is None:
            pytest.skip(f"{example.name} needs PyTorch: pip install sklearn-cntk[finite]")
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # Where there is a screen, Agg says of plt.show() that it shows nothing.
    agg = "ignore:FigureCanvasAgg is non-interactive:UserWarning"
    command = [sys.executable, "-W", "error", "-W", agg, str(example)]
    # In a folder of its own, so that an example that left files behind would be seen.
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def digits_search():
    """Namespace of the README's example."""
    if not DIGITS_SEARCH.exists():
        pytest.skip("tests run without the repository's examples")
    pytest.importorskip("matplotlib", reason="the example draws")
    return runpy.run_path(str(DIGITS_SEARCH))


def test_digits_search(digits_search, tmp_path, monkeypatch, capsys):
    """On fewer digits and depths."""
    import matplotlib.pyplot as plt

    X, y = sklearn.datasets.load_digits(return_X_y=True)
    main = digits_search["main"]
    monkeypatch.setitem(main.__globals__, "DEPTHS", [3, 2])
    monkeypatch.setitem(main.__globals__, "load_digits", lambda return_X_y: (X[:200], y[:200]))
    picture = tmp_path / "search.png"
    main(["--output", str(picture)])
    (ax,) = plt.gcf().axes
    labels = ax.get_legend_handles_labels()[1]
    plt.close()
    assert labels == ["global average pooling", "flattening", "RBF SVM"]
    assert ax.get_xticks().tolist() == [2, 3]
    assert plt.imread(picture).shape[:2] == (800, 1200)
    assert picture.stat().st_size < 150_000
    assert list(tmp_path.iterdir()) == [picture]
    rows = re.findall(r"^ +(\d+) +\d+\.\d\d ± .+ \d+\.\d\d ± ", capsys.readouterr().out, re.M)
    assert rows == ["2", "3"]


@pytest.mark.parametrize(
    ("only_cntk", "only_svm", "verdict"),
    [
        (0, 0, "0.00 ± 0.00, within one standard error: a tie"),
        (3, 2, "0.25 ± 0.56, within one standard error: a tie"),
        (2, 3, "0.25 ± 0.56, within one standard error: a tie"),
        (1, 4, "0.75 ± 0.56, 1.3 standard errors in favour of the SVM (weak evidence)"),
        (9, 0, "2.25 ± 0.74, 3.0 standard errors in favour of the CNTK"),
    ],
)
def test_digits_search_claims_no_more_than_the_test_shows(
    digits_search, only_cntk, only_svm, verdict, capsys
):
    """Of 400 digits, those that one of the two alone gets right."""
    cntk, svm = np.ones((2, 400), bool)
    svm[:only_cntk] = False
    cntk[only_cntk : only_cntk + only_svm] = False
    digits_search["compare"]({"CNTK, depth 3": cntk, "SVM, C=1": svm})
    assert capsys.readouterr().out.splitlines()[-1] == f"  difference: {verdict}"
