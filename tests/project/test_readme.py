"""The README's snippets, run one after the other."""

import re
from pathlib import Path

import pytest
import sklearn.datasets

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def fewer_digits(monkeypatch):
    """400 test images, where the README has 1397: most of the time goes into them."""
    load_digits = sklearn.datasets.load_digits

    def load(*, return_X_y=False):
        digits = load_digits()
        for key in ("data", "images", "target"):
            digits[key] = digits[key][:800]
        return (digits.data, digits.target) if return_X_y else digits

    monkeypatch.setattr(sklearn.datasets, "load_digits", load)


@pytest.mark.usefixtures("fewer_digits")
@pytest.mark.skipif(not README.exists(), reason="tests run without the repository's README")
def test_snippets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them keeps kernel entries in a folder
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) >= 3
    namespace = {}
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), namespace)
    images, X, y = (namespace[name][400:] for name in ("images", "X", "y"))
    assert namespace["search"].score(images, y) > 0.85
    assert namespace["grid_search"].score(X, y) > 0.85
