"""The layers of the package: imports go down, in no circle, and the map of the modules shows it."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

if not DOCS.exists():
    pytest.skip("tests run without the repository's docs", allow_module_level=True)

sys.path.insert(0, str(DOCS))
try:
    import module_map
finally:
    sys.path.remove(str(DOCS))

# What a folder needs to be imported at all.
EXTRAS = {"sklearn_cntk.finite": "torch"}


@pytest.fixture
def package(tmp_path):
    """Function that writes a package of the given files, and returns its folder."""

    def write(files):
        folder = tmp_path / "made_up"
        for name, text in {"__init__.py": '"""A package."""\n', **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if not (path.parent / "__init__.py").exists():
                (path.parent / "__init__.py").write_text('"""A folder."""\n', encoding="utf-8")
        return folder

    return write


def broken_rules(folder):
    return module_map.broken_rules(module_map.imports(folder))


# --- The package --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", module_map.modules(module_map.PACKAGE))
def test_every_module_can_be_imported(name):
    for folder, extra in EXTRAS.items():
        if f"{name}.".startswith(f"{folder}."):
            pytest.importorskip(extra, reason=f"{folder} needs {extra}")
    importlib.import_module(name)


def test_imports_keep_the_rules():
    broken = broken_rules(module_map.PACKAGE)
    assert not broken, "\n".join(broken)


def test_the_page_has_the_map_of_today():
    module_map.main(["--check"])


def test_files_that_the_docs_name_exist():
    root = DOCS.parent
    folders = ("sklearn_cntk", "tests", "benchmarks", "docs", "examples")
    there = [path.as_posix() for folder in folders for path in (root / folder).rglob("*.*")]
    pages = {*DOCS.glob("*.md"), root / "CONTRIBUTING.md", root / "benchmarks" / "README.md"}
    for page in pages - {DOCS / "comparison.md"}:  # which names files of other packages
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:[\w.]+/)*\w+\.(?:py|cu|cpp))\b", text):
            assert any(path.endswith(f"/{name}") for path in there), f"{page.name}: no {name}"


# --- Broken packages, by the same functions -----------------------------------------------------


def test_circle_of_modules(package):
    folder = package({
        "_compute/job.py": "from .tiles import gram\n",
        "_compute/tiles.py": "def gram():\n    from . import cost\n",
        "_compute/cost.py": "from made_up._compute import job\n",
    })  # fmt: skip
    assert broken_rules(folder) == [
        "made_up._compute.cost imports made_up._compute.job, made_up._compute.job imports "
        "made_up._compute.tiles, made_up._compute.tiles imports made_up._compute.cost: circular "
        "imports. Move what both ends need into a module below them."
    ]


def test_circle_of_folders(package):
    folder = package({
        "_store/entries.py": "from .._support.images import digest\n",
        "_store/records.py": "",
        "_support/images.py": "",
        "_support/ram.py": "import made_up._store.records\n",
    })  # fmt: skip
    (broken,) = broken_rules(folder)
    assert broken.startswith(
        "made_up._store.entries imports made_up._support.images, made_up._support.ram imports "
        "made_up._store.records: circular imports."
    )


@pytest.mark.parametrize(
    "line",
    [
        "from ..kernels import CNTK",
        "from .. import kernels",
        "from made_up.kernels import CNTK",
        "import made_up.kernels as kernels",
        "if TYPE_CHECKING:\n    from ..kernels import CNTK",
        "def solve():\n    from ..kernels import CNTK",
        "import_module('..kernels', __package__)",
        "importlib.import_module('made_up.kernels')",
    ],
)
def test_import_against_the_layers(line, package):
    folder = package({"kernels.py": "class CNTK: ...\n", "_linalg/ridge.py": f"{line}\n"})
    assert broken_rules(folder) == [
        "made_up._linalg.ridge imports made_up.kernels: _linalg is below the public modules. Move "
        "what both need down, or let the caller pass it in."
    ]


def test_imports_that_go_down_are_right(package):
    folder = package({
        "kernels.py": "from ._compute.job import Job\nimport numpy.linalg\n",
        "finite/net.py": "from ..kernels import CNTK\nfrom .. import _version\n",
        "_compute/job.py": "from .._engines import select\nfrom . import tiles\n",
        "_compute/tiles.py": "",
        "_engines/__init__.py": "def select():\n    import_module('.cpu.engine', __name__)\n",
        "_engines/cpu/engine.py": "from ..scales import Gauge\nfrom ..._support import images\n",
        "_engines/scales.py": "",
        "_support/images.py": "",
        "_version.py": "",
    })  # fmt: skip
    assert broken_rules(folder) == []
    graph = module_map.imports(folder)
    assert graph["made_up._engines"] == {"made_up._engines.cpu.engine"}
    assert graph["made_up._compute.job"] == {"made_up._engines", "made_up._compute.tiles"}
    assert graph["made_up.finite.net"] == {"made_up.kernels", "made_up._version"}


def test_engines_stand_side_by_side(package):
    folder = package({
        "_engines/cpu/engine.py": "",
        "_engines/cuda/engine.py": "from ..cpu import engine\n",
        "_engines/reference.py": "",
    })  # fmt: skip
    (broken,) = broken_rules(folder)
    assert broken == (
        "made_up._engines.cuda.engine imports made_up._engines.cpu.engine: _engines.cpu and "
        "_engines.cuda must not depend on each other. Move what both need into a module next to "
        "them, in _engines."
    )


def test_names_that_are_gone_and_folders_without_a_layer(package):
    folder = package({"kernels.py": "def f():\n    from ._gram import gram\n", "_new/a.py": ""})
    broken = broken_rules(folder)
    assert [sentence.partition(":")[0] for sentence in broken] == [
        "made_up._new is in no layer",
        "made_up._new.a is in no layer",
        "made_up.kernels imports made_up._gram, which does not exist",
    ]


# --- The map ------------------------------------------------------------------------------------

FILES = {
    "kernels.py": '"""Kernels | of 2.5 kinds,\nby ``it``.  More.\n"""\nfrom ._engines import cpu\n',
    "_engines/__init__.py": '"""What computes"""\n',
    "_engines/cpu/__init__.py": '"""Numba."""\n',
    "_engines/cpu/engine.py": '"""Loops."""\nfrom .. import scales\nfrom ..._store import files\n',
    "_engines/cpu/kernels.cu": "// Planes of\n// a GPU.  Not\n\n// this.\n",
    "_engines/scales.py": '"""Scales: of images.\n\nFour.\n"""\n',
    "_store/__init__.py": '"""Files."""\n',
    "_store/files.py": '"""A file."""\n',
}

MAP = """\
| module | description |
| --- | --- |
| **2. Public modules** | Imports `_engines/cpu`. |
| `__init__.py` | A package. |
| `kernels.py` | Kernels \\| of 2.5 kinds, by `it`. |
| **6. Engines** | |
| **`_engines/`** | What computes |
| `_engines/scales.py` | Scales: of images. |
| **`_engines/cpu/`** | Numba. Imports `_engines/scales`, `_store`. |
| `_engines/cpu/engine.py` | Loops. |
| `_engines/cpu/kernels.cu` | Planes of a GPU. |
| **7. Foundations** | |
| **`_store/`** | Files. |
| `_store/files.py` | A file. |"""


def test_map(package):
    assert module_map.module_map(package(FILES)) == MAP


def test_page_is_written_once_and_checked(package, tmp_path):
    folder, page = package(FILES), tmp_path / "page.md"
    page.write_text(f"# Above\n\n{module_map.BEGIN}\n{module_map.END}\n\nBelow\n")
    with pytest.raises(SystemExit, match="out of date: run python docs/module_map.py"):
        module_map.main(["--check"], page, folder)
    module_map.main([], page, folder)
    text = page.read_text(encoding="utf-8")
    assert text == f"# Above\n\n{module_map.BEGIN}\n\n{MAP}\n\n{module_map.END}\n\nBelow\n"
    module_map.main(["--check"], page, folder)
    (folder / "_store" / "files.py").write_text('"""Another file."""\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="out of date"):
        module_map.main(["--check"], page, folder)


def test_page_without_marks_and_module_without_docstring(package, tmp_path):
    folder, page = package({"kernels.py": "import numpy\n"}), tmp_path / "page.md"
    page.write_text("# Above\n")
    with pytest.raises(ValueError, match=r"kernels\.py has no docstring"):
        module_map.main([], page, folder)
    (folder / "kernels.py").write_text('"""Kernels."""\n', encoding="utf-8")
    with pytest.raises(ValueError, match="needs these two lines"):
        module_map.main([], page, folder)
    with pytest.raises(SystemExit, match="use --check"):
        module_map.main(["--chek"], page, folder)
