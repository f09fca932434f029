"""The example gallery runs, every warning an error."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


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
