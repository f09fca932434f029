"""Python processes that import what the tests do."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def environment():
    """Environment of a process that imports this checkout and the tests' helpers."""
    paths = [os.fspath(ROOT), os.fspath(HERE), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def command(code, *arguments):
    """What starts one that runs some code."""
    return [sys.executable, "-c", code, *map(str, arguments)]
