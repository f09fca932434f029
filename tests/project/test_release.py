"""What a release says of itself in several files: versions, dependencies, Pythons."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FILES = {
    "package": "sklearn_cntk/_version.py",
    "project": "pyproject.toml",
    "oldest": "constraints-oldest.txt",
    "citation": "CITATION.cff",
    "recipe": "recipe/recipe.yaml",
    "workflow": ".github/workflows/tests.yml",
}

pytestmark = pytest.mark.skipif(
    not all((ROOT / file).exists() for file in FILES.values()),
    reason="tests run without the repository's files",
)


def read():
    return {name: (ROOT / file).read_text(encoding="utf-8") for name, file in FILES.items()}


def only(pattern, text):
    """What a pattern's group matches, which there has to be once."""
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return found


def project(texts):
    return tomllib.loads(texts["project"])["project"]


def versions(texts):
    """The package's version, by file.  pyproject.toml has none of its own."""
    assert project(texts)["dynamic"] == ["version"]
    return {
        "package": only(r'^__version__ = "(.*)"$', texts["package"]),
        "citation": only(r"^version: (.*)$", texts["citation"]),
        "recipe": only(r'^  version: "(.*)"$', texts["recipe"]),
    }


def dependencies(texts):
    """{name: specifiers} of what the package needs, by file."""
    run = only(r"^  run:\n((?:    - .*\n)+)", texts["recipe"])
    in_recipe = [Requirement(line) for line in re.findall(r"- (.*)", run) if "python " not in line]
    in_project = [Requirement(line) for line in project(texts)["dependencies"]]
    return {
        "recipe": {requirement.name: str(requirement.specifier) for requirement in in_recipe},
        "project": {requirement.name: str(requirement.specifier) for requirement in in_project},
    }


def oldest(texts):
    """{name: oldest version} of what the package needs, by file."""
    pins = re.findall(r"^([\w-]+)==(.*)$", texts["oldest"], re.MULTILINE)
    bounds = dependencies(texts)["project"].items()
    return {
        "oldest": {name: Version(version) for name, version in pins},
        "project": {name: Version(bound.removeprefix(">=")) for name, bound in bounds},
    }


def pythons(texts):
    """Versions of Python, by what names them."""
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(project(texts)["classifiers"]))
    matrix = only(r"^        python: \[(.*)\]$", texts["workflow"])
    return {"project": classifiers, "workflow": re.findall(r'"(.*?)"', matrix)}


def first_pythons(texts):
    """The oldest Python, by what names it."""
    return {
        "classifiers": pythons(texts)["project"][0],
        "project": project(texts)["requires-python"].removeprefix(">="),
        "recipe": only(r'^  python_min: "(.*)"$', texts["recipe"]),
        # Each has a target in its own spelling.
        "mypy": tomllib.loads(texts["project"])["tool"]["mypy"]["python_version"],
        "ruff": re.sub(
            r"^py3", "3.", tomllib.loads(texts["project"])["tool"]["ruff"]["target-version"]
        ),
        "workflow": only(r'python: "(.*)", versions: oldest', texts["workflow"]),
    }


def last_pythons(texts):
    """The newest Python, by what names it; other systems than Linux are tested with it alone."""
    found = re.findall(r'os: (?!ubuntu)\S+, python: "(.*?)"', texts["workflow"])
    assert len(found) >= 2
    return {"classifiers": pythons(texts)["project"][-1], **dict(enumerate(found))}


COMPARED = [versions, dependencies, oldest, pythons, first_pythons, last_pythons]


def agree(compared, texts):
    first, *others = compared(texts).values()
    return bool(first) and all(other == first for other in others)


@pytest.mark.parametrize("compared", COMPARED)
def test_files_agree(compared):
    texts = read()
    assert agree(compared, texts), compared(texts)


@pytest.mark.parametrize(
    ("compared", "file", "old", "new"),
    [
        (versions, "package", '__version__ = "', '__version__ = "9.'),
        (versions, "citation", "\nversion: ", "\nversion: 9."),
        (versions, "recipe", '  version: "', '  version: "9.'),
        (dependencies, "recipe", "numpy >=", "numpy >=9."),
        (dependencies, "recipe", "    - tqdm", "    - more\n    - tqdm"),
        (dependencies, "project", '"scipy>=', '"scipy>=9.'),
        (dependencies, "project", '    "tqdm', '    "more",\n    "tqdm'),
        (oldest, "oldest", "joblib==", "joblib==9."),
        (oldest, "project", '"joblib>=', '"joblib>=9.'),
        (pythons, "project", "Python :: 3.12", "Python :: 3.99"),
        (pythons, "workflow", '"3.12", ', ""),
        (first_pythons, "recipe", 'python_min: "3', 'python_min: "9'),
        (first_pythons, "project", 'requires-python = ">=3', 'requires-python = ">=9'),
        (first_pythons, "workflow", 'ubuntu-latest, python: "3', 'ubuntu-latest, python: "9'),
        (last_pythons, "workflow", 'windows-latest, python: "3', 'windows-latest, python: "9'),
    ],
)
def test_disagreements_are_found(compared, file, old, new):
    texts = read()
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new)
    assert not agree(compared, texts)


def test_the_readme_names_the_oldest_scikit_learn():
    named = only(r"^scikit-learn (\d\.\d+) to ", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert f">={named}" == dependencies(read())["project"]["scikit-learn"]
