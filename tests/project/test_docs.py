"""The documentation: snippets run, the reference is complete, results become tables."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sklearn_cntk
import sklearn_cntk.plotting

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="tests run without the repository's docs")

# Pages whose snippets want an extra; what is skipped says why.
EXTRAS = {
    "explaining.md": "matplotlib",
    "finite.md": "torch",
    "images_from_a_folder.md": "PIL",
    "large_data.md": "zarr",
    "planning.md": "zarr",
    "plotting.md": "matplotlib",
    "searches.md": "pandas matplotlib",
    "tables.md": "pandas",
    "uncertainty.md": "matplotlib",
}

# Messages on the page of errors that scikit-learn writes.
FOREIGN_MESSAGES = {
    "X has … features, but CNTKClassifier is expecting … features",
    "Input X contains NaN",
    "Found array with dim 4, while dim <= 2 is required by StandardScaler",
}

# The first line of a snippet that is for reading only, and its reason.
NOT_RUN = re.compile(r"# Not run by the tests: needs \S+")


@pytest.fixture
def extension(monkeypatch):
    """Function that imports a module of docs/_ext, or the script beside it."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.syspath_prepend(DOCS / "_ext")
    yield importlib.import_module
    for name in ("api_pages", "benchmarks_page", "check_links"):
        sys.modules.pop(name, None)


def snippets(page):
    """Python snippets of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


PAGES = [page for page in sorted(DOCS.glob("*.md")) if snippets(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets(page, tmp_path, monkeypatch):
    for module in EXTRAS.get(page.name, "").split():
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)  # some keep kernel entries in a folder
    namespace = {}
    for snippet in snippets(page):
        if not NOT_RUN.match(snippet):
            exec(compile(snippet, str(page), "exec"), namespace)
    assert namespace, f"{page.name}: no snippet was run"


def test_every_display_is_on_its_page_and_in_the_gallery():
    page = (DOCS / "plotting.md").read_text(encoding="utf-8")
    scripts = [path.read_text(encoding="utf-8") for path in DOCS.parent.glob("examples/plot_*.py")]
    displays = sklearn_cntk.plotting.__all__
    assert displays
    for name in displays:
        call = re.compile(rf"\b{name}\.from_\w+\(")
        assert call.search(page), name
        assert any(call.search(script) for script in scripts), name


def public_modules():
    """Modules that a user may import names from: those with an __all__, and without underscore."""
    # What these hold is the package's own.
    inner = {"kernels", "estimators", "search", "zarr_grams"}
    names = [module.name for module in pkgutil.iter_modules(sklearn_cntk.__path__)]
    return {"sklearn_cntk"} | {
        f"sklearn_cntk.{name}" for name in names if not name.startswith("_") and name not in inner
    }


def test_reference_has_every_module(extension):
    assert set(extension("api_pages").modules()) == public_modules()


@pytest.mark.parametrize("name", sorted(public_modules()))
def test_reference_has_every_name(name, extension):
    if name == "sklearn_cntk.finite" and find_spec("torch") is None:
        pytest.skip("needs PyTorch")
    module = importlib.import_module(name)
    page = extension("api_pages").module_page(name)
    public = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and (key in getattr(module, "__all__", ()) or value.__module__ == name)
    ]
    assert public
    for key in public:
        assert re.search(rf"^   {key}$", page, re.MULTILINE), key
    for key in set(getattr(module, "__all__", ())) - {"__version__"}:
        assert key in public


@pytest.mark.parametrize("name", sorted(public_modules()))
def test_docstrings_name_every_parameter(name, extension):
    if name == "sklearn_cntk.finite" and find_spec("torch") is None:
        pytest.skip("needs PyTorch")
    module = importlib.import_module(name)
    for key in extension("api_pages").public_names(name):
        value = getattr(module, key)
        text = inspect.getdoc(value)
        named = re.findall(r"^ {0,4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: :.*)?$", text, re.MULTILINE)
        named = {part for line in named for part in line.split(", ")}
        assert set(inspect.signature(value).parameters) <= named, f"{name}.{key}"


def string_literals():
    """The package's strings, values that are formatted into them as …."""
    for file in Path(sklearn_cntk.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "…" for v in node.values]
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def words(text):
    """Words that are long enough to tell messages apart, without parameters and their values."""
    text = re.sub(r"\w+=('[^']*'|…)", "", text)
    return [word for word in re.findall(r"[^\s…=:,.()]+", text) if len(word) > 3]


def test_messages_on_the_page_of_errors_exist():
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]*`)", page, re.MULTILINE)
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    bold = re.findall(r"\*\*`([^`]+)`\*\*", page)
    spans += [re.sub(r"^\w+(Error|Warning): ", "", span) for span in bold]
    spans = [span for span in spans if span not in FOREIGN_MESSAGES]
    assert len(spans) > 30
    literals = [words(literal) for literal in string_literals()]
    for span in spans:
        assert any(is_subsequence(words(span), literal) for literal in literals), span


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(word in rest for word in part)


def write_result(folder, name, machine):
    data = {"machine": machine, "cases": [{"image_shape": [8, 8, 1], "seconds": 0.12345}]}
    (folder / name).write_text(json.dumps(data))


def test_benchmarks_say_machine_date_and_number(extension, tmp_path):
    write_result(tmp_path, "new.json", {"cpu": "Some CPU", "cores": 3, "date": "2030-01-02"})
    (tmp_path / "table.csv").write_text(
        "# data: CIFAR-10\n# cpu: Other CPU\n# cores: 5\n# date: 2031-03-04\n"
        "kernel,correct\nGAP,9.5\n"
    )
    page = extension("benchmarks_page").page(tmp_path)
    for text in (
        "2030-01-02, Some CPU, 3 cores",
        "| 8 × 8 × 1 | 0.123 |",
        "2031-03-04, Other CPU, 5 cores",
        "Settings: data: CIFAR-10.",
        "| GAP | 9.5 |",
    ):
        assert text in page


@pytest.mark.parametrize("missing", ["cpu", "date"])
def test_benchmarks_without_machine_are_refused(missing, extension, tmp_path):
    machine = {"cpu": "Some CPU", "date": "2030-01-02"}
    del machine[missing]
    write_result(tmp_path, "new.json", machine)
    with pytest.raises(ValueError, match=missing):
        extension("benchmarks_page").page(tmp_path)


def test_every_result_is_on_the_page(extension):
    benchmarks_page = extension("benchmarks_page")
    page = benchmarks_page.page(benchmarks_page.RESULTS)
    files = {file.name: file for file in benchmarks_page.RESULTS.iterdir()}
    assert set(files) == set(benchmarks_page.SECTIONS)
    for file in files.values():
        assert f"benchmarks/results/{file.name}`" in page
    ratio = json.loads((benchmarks_page.RESULTS / "neural_tangents_cpu.json").read_text())
    assert f"| {ratio['cases'][0]['ratio']:.0f} |" in page


def test_cells_of_small_images_become_tables(extension):
    """A row that lacks a draw is a dash."""
    module = extension("benchmarks_page")
    cells = {
        f"photos, 32×32, {size}: {method}, draw {draw}": {
            "result": {"accuracy": accuracy, "fit": 1.0 + draw, "predict": 0.5,
                       "date": "2030-01-02", "device": "Some CPU"}
        }
        for size, method, accuracies in (
            (10, "SVM: tuned", (50.0, 60.0)),
            (300, "SVM: tuned", (70.0,)),
            (10, "CNTK", (55.0, 55.0)),
        )
        for draw, accuracy in enumerate(accuracies)
    }  # fmt: skip
    data = {"settings": {"draws": 2}, "cells": cells}
    text = module.small_images(module.Result("small_images_cpu.json", {}, {}, data))
    for line in (
        "Measured on 2030-01-02, Some CPU.",
        "**photos, 32×32.** Accuracy (%).",
        "| method | 10 images | 300 images |",
        "| SVM: tuned | 55.0 ± 7.1 | – |",
        "| CNTK | 55.0 ± 0.0 | – |",
        "| CNTK | 2.00 | – |",
    ):
        assert line in text.splitlines()


def test_architectures_are_compared_by_their_time(extension):
    module = extension("benchmarks_page")
    cells = {
        name: {
            "result": {"accuracies": accuracies, "processor": seconds, "element_layers": 7,
                       "date": "2030-01-02", "device": "Some CPU"}
        }
        for name, seconds, accuracies in (
            ("slow", 9.0, [38.0, 39.0]),
            ("depth 4, flattened", 1.0, [30.0, 34.0]),
            ("best", 3.0, [40.0, 42.0]),
        )
    }  # fmt: skip
    text = module.frontier(module.Result("frontier_cpu.json", {}, {}, {"cells": cells}))
    # Differences of 10 and 8: their deviation, sqrt(2), times sqrt(1/2 + 1).
    assert text.splitlines()[2:5] == [
        "| **depth 4, flattened** | 7 | 1.00 | 32.0 | – |",
        "| **best** | 7 | 3.00 | 41.0 | +9.0 ± 1.7 |",
        "| slow | 7 | 9.00 | 38.5 | +6.5 ± 2.6 |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.123"), (63554.08, "63 600"), (3018276.4, "3 020 000"), (44.0, "44.0"),
     (496.2, "496"), (2000, "2 000"), (True, "True"), (None, ""), ("0.0912", "0.0912"),
     ("a|b", "a\\|b"), (1.5e-7, "1.50e-07"), (0.0, "0.00"), (999.9, "1 000")],
)  # fmt: skip
def test_numbers(value, text, extension):
    assert extension("benchmarks_page").number(value) == text


def test_broken_links_are_found(extension, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/page.html#there">1</a> <a href="#no">2</a> <img src="no.png">'
        '<a href="https://example.org/no">3</a> <a href="sub/page.html#gone">4</a>'
    )
    (tmp_path / "sub" / "page.html").write_text('<p id="there"></p><a href="../index.html">5</a>')
    assert extension("check_links").broken_links(tmp_path) == [
        ("index.html", "#no"),
        ("index.html", "no.png"),
        ("index.html", "sub/page.html#gone"),
    ]


SITE = """
# The `{name}`

`{name}` and `{name}` come before `unknown`, [`{other}`](target.md) and `{other}`.
[Figures](../benchmarks/README.md), [an example](../examples/plot_depth.py).

```{{eval-rst}}
.. py:class:: {path}
.. py:function:: sklearn_cntk.{other}
```
"""


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("CNTK", "sklearn_cntk.CNTK"),
        ("GramDisplay", "sklearn_cntk.plotting.GramDisplay"),
        ("sklearn_cntk.CNTK", "sklearn_cntk.CNTK"),
    ],
)
def test_first_mention_of_a_name_is_a_link(name, path, tmp_path):
    for module in ("sphinx", "myst_parser"):
        pytest.importorskip(module)
    text = SITE.format(name=name, path=path, other="cntk_path")
    (tmp_path / "index.md").write_text(text, encoding="utf-8")
    (tmp_path / "auto_examples").mkdir()
    for file in ("target.md", "benchmarks.md"):
        (tmp_path / file).write_text("# Other\n", encoding="utf-8")
    (tmp_path / "auto_examples" / "plot_depth.rst").write_text("Other\n=====\n", encoding="utf-8")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "extensions = ['myst_parser', 'code_links']\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(tmp_path), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    page = (out / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]*)"[^>]*>(?:<span[^>]*>)?<code[^>]*><span[^>]*>([^<]*)<', page)
    assert links == [
        (f"#{path}", name),
        ("target.html", "cntk_path"),
        ("#sklearn_cntk.cntk_path", "cntk_path"),
    ]
    assert re.search(r"<h1>The <code", page)
    for target in ("benchmarks.html", "auto_examples/plot_depth.html"):
        assert f'href="{target}"' in page
