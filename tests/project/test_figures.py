"""Tables of README and recipes that come from results in `benchmarks/results`."""

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean, median, stdev

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="tests run without the results")


def measured():
    """Cells of small_images.py by (data set, images, method), where all draws are there."""
    result = json.loads((RESULTS / "small_images_cpu.json").read_text(encoding="utf-8"))
    draws = defaultdict(list)
    for key, cell in result["cells"].items():
        row, method = key.rsplit(", draw ", 1)[0].split(": ", 1)
        name, size = row.rsplit(", ", 1)
        draws[name.split()[0], int(size), method].append(cell["result"])
    return {key: found for key, found in draws.items() if len(found) == result["settings"]["draws"]}


def accuracy(draws):
    found = [draw["accuracy"] for draw in draws]
    return f"{mean(found):.1f} ± {stdev(found):.1f}"


def seconds(draws):
    found = median(draw["fit"] + draw["predict"] for draw in draws)
    return f"{found:.{0 if found >= 9.95 else 1}f}"


def tables(page):
    """Rows of cells of each table."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        header, _, *rows = map(split_row, table.splitlines())
        yield header, rows


def split_row(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def columns(header, names):
    """Data set and number of images of each column; what a header leaves out is as before it."""
    name, size = None, None
    for cell in header:
        name = next((known for known in names if known in cell), name)
        numbers = re.findall(r"(?<![-×\d])\d+(?![×\d])", cell)
        size = int(numbers[-1]) if numbers else size
        yield name, size


@pytest.mark.parametrize(("page", "least"), [("README.md", 100), ("docs/recipes.md", 40)])
def test_small_images(page, least):
    cells = measured()
    names, methods = ({key[k] for key in cells} for k in (0, 2))
    compared = 0
    for header, rows in tables(ROOT / page):
        about = list(columns(header, names))[1:]
        if any(None in column for column in about):
            continue  # of other data
        for method, *shown in rows:
            assert method in methods, f"{page}: {method}"
            for (name, size), text in zip(about, shown, strict=True):
                where = f"{page}: {method}, {size} images of {name}"
                draws = cells.get((name, size, method))
                if draws is None:
                    assert text == "–", where
                    continue
                value, brackets = re.fullmatch(r"([^(]*?)(?: \((.*) s\))?", text).groups()
                figures = [accuracy(draws), seconds(draws)]
                if header[0] == "seconds":
                    figures = [seconds(draws), None]
                assert [value, brackets] in (figures, [figures[0], None]), where
                compared += 1
    assert compared >= least
