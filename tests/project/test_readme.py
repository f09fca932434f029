"""The README's snippets, run one after the other."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="tests run without the repository's README")
def test_snippets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them keeps kernel entries in a folder
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) >= 3
    namespace = {}
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), namespace)
    assert namespace["search"].score(namespace["images"][400:], namespace["y"][400:]) > 0.9
