"""The types that users see: mypy over the package and over typical use."""

import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sklearn_cntk
from sklearn_cntk import datasets, plotting, preprocessing

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is missing"),
    pytest.mark.skipif(
        not (ROOT / "sklearn_cntk" / "py.typed").exists(), reason="tests run without the package"
    ),
]


def test_package_and_typical_use(pytestconfig):
    cache = pytestconfig.cache.mkdir("mypy")
    command = [
        *(sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"),
        *("--cache-dir", str(cache), "sklearn_cntk", "tests/project/typing"),
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("Success")


def test_annotations_name_every_public_parameter():
    """Nothing public is left without types: parameters, and what is returned."""
    modules = [sklearn_cntk, datasets, plotting, preprocessing]
    if find_spec("torch"):
        from sklearn_cntk import finite

        modules.append(finite)
    lacking = []
    for module in modules:
        for name, value in vars(module).items():
            if name.startswith("_") or not getattr(value, "__module__", "").startswith(
                "sklearn_cntk"
            ):
                continue
            members = [(name, value)]
            if isinstance(value, type):
                members = [
                    (f"{name}.{key}", getattr(value, key))
                    for key in dir(value)
                    if not key.startswith("_") or key in ("__init__", "__call__")
                ]
            for label, function in members:
                ours = getattr(function, "__module__", "") or ""
                if not inspect.isroutine(function) or not ours.startswith("sklearn_cntk"):
                    continue
                signature = inspect.signature(function)
                typed = [
                    parameter.annotation is not parameter.empty
                    for parameter in signature.parameters.values()
                    if parameter.name not in ("self", "cls")
                ]
                if not all(typed) or signature.return_annotation is signature.empty:
                    lacking.append(label)
    assert not lacking
