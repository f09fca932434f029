"""The benchmarks page, generated only from the files in ``benchmarks/results/``.

A result is a JSON object with a ``machine``, or a CSV file that starts with comment lines
``# key: value``; both name the processor and the date.  `SECTIONS` describes each file and which
of its numbers to show; files that it does not list are shown in full.
"""

import ast
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

#: Folder of the results.
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

_SHOWN_VERSIONS = ("sklearn-cntk", "numpy", "scikit-learn", "numba")


@dataclass(frozen=True)
class Result:
    """A file of results: its machine, settings and data."""

    name: str
    machine: dict
    settings: dict
    data: object  # a JSON object without its machine, or the rows of a CSV file as dictionaries


def read(path):
    """Read a result; raise ValueError if it does not say on which machine and day it was run."""
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        data = json.loads(text)
        machine, settings = data.pop("machine", {}), {}
    else:
        lines = text.splitlines()
        head = [line for line in lines if line.startswith("#")]
        settings = dict(line.removeprefix("# ").split(": ", 1) for line in head)
        names = ("cpu", "gpu", "avx512", "cores", "python", "versions", "date")
        machine = {name: settings.pop(name) for name in names if name in settings}
        for name in ("avx512", "versions"):
            if name in machine:
                machine[name] = ast.literal_eval(machine[name])
        data = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    missing = [name for name in ("cpu", "date") if name not in machine]
    if missing:
        raise ValueError(f"{path.name} has no {' and no '.join(missing)}: every result needs them.")
    return Result(path.name, machine, settings, data)


def describe(machine):
    """Return one line with date, processor and versions."""
    parts = [str(machine["date"]), str(machine["cpu"])]
    if "cores" in machine:
        parts.append(
            f"{machine['cores']} cores" + " with AVX-512" * (machine.get("avx512") is True)
        )
    known = ("date", "cpu", "cores", "avx512", "python", "versions")
    parts += [f"{name} {value}" for name, value in machine.items() if name not in known]
    if "python" in machine:
        parts.append(f"Python {machine['python']}")
    versions = machine.get("versions", {})
    parts += [f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions]
    return ", ".join(parts)


def table(header, rows):
    """Return a Markdown table; numbers are right-aligned."""
    cells = [[number(cell) for cell in row] for row in rows]
    right = [all(_is_number(row[k]) for row in rows) for k in range(len(header))]
    marks = ["---:" if is_right else "---" for is_right in right]
    lines = [header, marks, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value):
    """Return the text of a cell: three significant digits for floats, text unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value).replace("|", "\\|")
    if isinstance(value, float):
        digits = f"{value:#.3g}".removesuffix(".")
        if "e" not in digits or abs(value) < 1:
            return digits
        value = int(float(digits))
    return f"{value:,}".replace(",", " ")


def _is_number(value):
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return value == ""
        return True
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def shape_text(shape):
    """Return an image shape as text, such as "8 × 8 × 1"."""
    return " × ".join(map(str, shape))


def neural_tangents(result):
    rows = [
        (
            shape_text(case["image_shape"]),
            case["readout"],
            case["our_pairs_per_second"],
            case["their_pairs_per_second"],
            case["ratio"],
        )
        for case in result.data["cases"]
    ]
    header = ["images", "readout", "sklearn_cntk, pairs/s", "neural-tangents, pairs/s", "ratio"]
    return f"Depth {result.data['depth']}, float32.\n\n" + table(header, rows)


def rbf(result):
    rows = [
        (
            shape_text(case["image_shape"]),
            case["kernel"],
            case["n"],
            case["seconds"],
            case["entries_per_second"],
            case["cores_used"],
        )
        for case in result.data["cases"]
    ]
    header = ["images", "kernel", "n", "seconds for n × n", "entries/s", "cores used"]
    return f"CNTK of depth {result.data['depth']} in float32.\n\n" + table(header, rows)


def throughput(result):
    rows = [
        (
            shape_text(kernel["image_shape"]),
            kernel["readout"],
            kernel["dtype"],
            kernel["element_layers_per_second"] / 1e9,
            kernel["best"] / 1e9,
            100 * kernel["share_of_bound"],
        )
        for kernel in result.data["kernels"]
    ]
    header = ["images", "readout", "dtype", "median, 10⁹/s", "best, 10⁹/s", "share of bound, %"]
    text = (
        f"Element-layers per second, depth {result.data['depth']}, {result.data['n_jobs']} jobs.\n"
    )
    return text + "\n" + table(header, rows)


def networks(result):
    rows = [
        (
            row["network"],
            row["readout"],
            row["element_layers_a_pair"],
            row["element_layers_per_second"] / 1e9,
            row["of_plain"],
            row["of_plain_per_processor_second"],
            row["cores_used"],
        )
        for row in result.data["networks"]
    ]
    header = ["network", "readout", "element-layers per pair", "median, 10⁹/s"]
    header += ["relative to plain", "relative to plain, per core", "cores used"]
    costs = [
        (layer, cost["time"], cost["processor_time"])
        for layer, cost in result.data["cost_in_per_cent"].items()
    ]
    text = f"Images of {shape_text(result.data['image_shape'])}, float32.\n\n"
    costs_header = ["layer", "added time, %", "added processor time, %"]
    return f"{text}{table(header, rows)}\n{table(costs_header, costs)}"


def cuda_code(result):
    rows = [
        (
            shape_text(row["image_shape"]),
            row["readout"],
            row["dtype"],
            row["variant"],
            max(row["cycles"].values()),
            *(row["cycles"].get(name, 0.0) for name in ("issue", "float64", "roots", "shared")),
            row["registers"],
            row["spilled_bytes"],
        )
        for row in result.data["kernels"]
    ]
    header = ["images", "readout", "dtype", "variant", "cycles", "issue", "float64 operations"]
    header += ["roots", "shuffles and shared memory", "registers", "bytes spilled"]
    text = f"{result.data['architecture']}, NVRTC {result.data['nvrtc']}, one Θ."
    return f"{text}\n\n{table(header, rows)}"


def search(result):
    seconds, ratios = result.data["seconds"], result.data["ratios"]
    rows = [(name, value, ratios[name]) for name, value in seconds.items()]
    header = ["task", "seconds", "relative to the first"]
    return f"{result.data['n']} images of 8 × 8 pixels.\n\n" + table(header, rows)


def small_images(result):
    """Return accuracy and time tables for each data set, one column per number of images."""
    cells = {}
    for key, cell in result.data["cells"].items():
        row, method = key.rsplit(", draw ", 1)[0].split(": ", 1)
        name, size = row.rsplit(", ", 1)
        cells.setdefault(name, {}).setdefault(method, {}).setdefault(int(size), []).append(cell)
    draws = result.data["settings"]["draws"]
    text = f"Mean ± standard deviation over {draws} draws of training and test images.\n"
    text += f"Measured on {_measured(result.data['cells'])}.\n"
    seconds = "Median processor seconds per draw, for fitting (with all choices) and predicting."
    for name, methods in cells.items():
        sizes = sorted({size for found in methods.values() for size in found})
        header = ["method", *(f"{size} images" for size in sizes)]
        for about, show in (("Accuracy (%).", _accuracy), (seconds, _seconds)):
            rows = [
                (method, *(show(found.get(size, ()), draws) for size in sizes))
                for method, found in methods.items()
            ]
            text += f"\n**{name}.** {about}\n\n" + table(header, rows)
    return text


def _accuracy(cells, draws):
    if len(cells) < draws:
        return "–"
    found = [cell["result"]["accuracy"] for cell in cells]
    return f"{mean(found):.1f} ± {stdev(found):.1f}"


def _seconds(cells, draws):
    if len(cells) < draws:
        return "–"
    return number(median(cell["result"]["fit"] + cell["result"]["predict"] for cell in cells))


#: The baseline that other architectures are compared with.
_COMMON = "depth 4, flattened"


def frontier(result):
    """Return a table of architectures by time; bold if no faster one is as accurate."""
    cells = {name: cell["result"] for name, cell in result.data["cells"].items()}
    base = cells[_COMMON]["accuracies"]
    rows, best = [], 0.0
    for name, found in sorted(cells.items(), key=lambda item: item[1]["processor"]):
        accuracies = found["accuracies"]
        is_best, best = mean(accuracies) > best, max(best, mean(accuracies))
        differences = [one - other for one, other in zip(accuracies, base, strict=True)]
        # Correction of Nadeau and Bengio 2003, for as many training as test images.
        error = stdev(differences) * (1 / len(differences) + 1) ** 0.5
        rows.append(
            (
                f"**{name}**" if is_best else name,
                found["element_layers"],
                number(float(found["processor"])),
                f"{mean(accuracies):.1f}",
                "–" if name == _COMMON else f"{mean(differences):+.1f} ± {error:.1f}",
            )
        )
    header = ["architecture", "element-layers per pair", "processor seconds", "accuracy (%)"]
    header.append(f"difference from {_COMMON}")
    return table(header, rows) + f"\nMeasured on {_measured(result.data['cells'])}.\n"


def _measured(cells):
    """Return when and on which devices cells were measured."""
    pairs = {(cell["result"]["date"], cell["result"]["device"]) for cell in cells.values()}
    return "; ".join(", ".join(pair) for pair in sorted(pairs))


def small_tables(result):
    """Return tables of scores and seconds, one row per method and one column per set."""
    rows = {}
    for row in result.data["rows"]:
        rows.setdefault(row["method"], {})[f"{row['set']}, {row['metric']}"] = row
    header = list(next(iter(rows.values())))
    digits = {name: 2 if name.endswith("R²") else 1 for name in header}
    scores = [
        (
            method,
            *(
                f"{found[name]['mean']:.{digits[name]}f} ± "
                f"{found[name]['standard deviation']:.{digits[name]}f}"
                for name in header
            ),
        )
        for method, found in rows.items()
    ]
    seconds = [
        (method, *(found[name]["processor seconds"] for name in header))
        for method, found in rows.items()
    ]
    return (
        table(["method", *header], scores)
        + "\nProcessor seconds per fold, including the choice of settings.\n\n"
        + table(["method", *(name.rsplit(", ", 1)[0] for name in header)], seconds)
    )


def uci(result):
    data = result.data
    header = list(data["summary"][0])
    text = table(header, [[row[name] for name in header] for row in data["summary"]])
    text += (
        "\nWilcoxon's signed-rank test of the accuracies over the tables, with p-values before and "
        "after Holm's correction for the number of tests. Differences above 0 favour the method in "
        "the first column.\n\n"
    )
    header = list(data["comparisons"][0])
    text += table(header, [[row[name] for name in header] for row in data["comparisons"]])
    grids = {name: grid for name, grid in data["grids"].items() if isinstance(grid, dict)}
    grids["NTK (hidden layers, frozen layers)"] = data["grids"]["NTK"]
    grids["C of SVMs on kernels"] = data["grids"]["C"]
    grids["alpha of CNTKClassifier"] = data["grids"]["alpha"]
    return text + "\nSettings to choose from:\n\n" + table(["method", "grid"], list(grids.items()))


def whole(result):
    """Return all of a result: its tables one after the other, and its single numbers."""
    if isinstance(result.data, list):
        return _records(result.data)
    return "\n".join(_parts(result.data, "")) or "No numbers.\n"


def _records(records):
    header = list(dict.fromkeys(name for record in records for name in record))
    return table(header, [[_flat(record.get(name)) for name in header] for record in records])


def _parts(data, name):
    plain = {key: value for key, value in data.items() if not isinstance(value, dict | list)}
    plain |= {k: v for k, v in data.items() if isinstance(v, list) and not _is_records(v)}
    if plain:
        yield (f"**{name}**\n\n" if name else "") + table(
            ["quantity", "value"], [(key, _flat(value)) for key, value in plain.items()]
        )
    for key, value in data.items():
        title = f"{name}, {key}" if name else key
        if isinstance(value, dict):
            yield from _parts(value, title)
        elif _is_records(value):
            yield f"**{title}**\n\n{_records(value)}"


def _is_records(value):
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _flat(value):
    if isinstance(value, list):
        return shape_text(value) if all(isinstance(v, int) for v in value) else str(value)
    return str(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class Section:
    """The title of a file of results, its script, a description, and how to show it."""

    title: str
    script: str
    about: str
    show: Callable = whole


#: Sections by file name, in the order of the page.
SECTIONS = {
    "neural_tangents_cpu.json": Section(
        "Comparison with neural-tangents",
        "compare_neural_tangents.py",
        "Pairs of images per second on all cores. The two packages take turns on the same images; "
        "neural-tangents 0.6.5 runs its compiled `kernel_fn` with the better of two batch sizes. "
        "The script checks that the values are proportional.",
        neural_tangents,
    ),
    "rbf_cpu.json": Section(
        "Comparison with scikit-learn's RBF kernel",
        "rbf.py",
        "To put the cost into perspective: the Gram matrix of n images by `rbf_kernel` on their "
        "pixels, and by this package, in one run. A Gram matrix counts as n² entries.",
        rbf,
    ),
    "throughput_cpu.json": Section(
        "Comparison with the arithmetic bound",
        "throughput.py",
        "The bound is the speed that the multiplications alone would allow on this processor. It "
        "is measured alternately with the kernel.",
        throughput,
    ),
    "throughput_networks.json": Section(
        "Other networks compared with plain ones",
        "throughput.py --networks",
        "Ratios are relative to the plain network of the same readout, measured immediately before "
        "or after. Ratios per core allow for other processes on the machine. The second table "
        "shows how much layers add to the time of the same network without them.",
        networks,
    ),
    "cold_start_cpu.json": Section(
        "The first call",
        "cold_start.py",
        "Processor seconds of new processes for importing the package, and for the kernel of six "
        "8 × 8 images, which includes compilation if the cache is cold. Medians over repetitions.",
    ),
    "small_matrices_cpu.json": Section(
        "Small matrices",
        "small_matrices.py",
        "Milliseconds for the Gram matrix of n images in the calling thread (one), in joblib's "
        "threads on all cores (all), and as the package chooses. Medians, measured in turn.",
    ),
    "near_duplicates_cpu.json": Section(
        "Nearly parallel images in float32",
        "near_duplicates.py",
        "The largest relative difference between the kernel values in float32 and float64 of an "
        "image and a noisy copy, multiplied by 2.3. Noise is relative to the size of the image.",
    ),
    "cuda_code_sm_90.json": Section(
        "Cost of the CUDA kernels from their machine code",
        "cuda_code.py",
        "Cycles that one of the four schedulers of a multiprocessor needs for a row of 32 entries "
        "of a layer: the maximum of the cycles to issue instructions and those of each pipe. "
        "Nothing was run on a GPU: the figures bound the speed. Instructions that few layers "
        "execute are counted as if all did.",
        cuda_code,
    ),
    "search_cpu.json": Section(
        "Architecture search",
        "search.py",
        "The time for every depth from 2 to 21 and both poolings, compared with the time for the "
        "Gram matrix of one architecture.",
        search,
    ),
    "cluster_cpu.json": Section(
        "Workers, stores, conjugate gradients",
        "cluster.py",
        "Two Dask workers compared with one and with threads, a Zarr array with memory, and "
        "conjugate gradients with Cholesky (the last while the machine was doing other work).",
    ),
    "cifar10_full.json": Section(
        "All of CIFAR-10 on one machine",
        "cifar10_full.py",
        "50 000 training images, trace kernel: Gram matrix in a Zarr array, conjugate gradients, "
        "predictions for the 10 000 test images. Usage is the sum over all runs of a phase.",
    ),
    "nystroem.csv": Section(
        "Landmarks",
        "nystroem.py",
        "Accuracy (%) on CIFAR-10, seconds, processor seconds and peak memory in gigabytes, by the "
        "number m of landmarks.",
    ),
    "small_images_cpu.json": Section(
        "Small data: images",
        "small_images.py",
        "Kernels, a tuned SVM, a random forest and a small network with augmentation. All methods "
        "get the same images, and choose their settings on the training images alone. The machine "
        "was also doing other work, so seconds are only roughly comparable. A dash means that the "
        "method has not been run.",
        small_images,
    ),
    "frontier_cpu.json": Section(
        "Architectures: accuracy and cost",
        "frontier.py",
        "Accuracy on 500 images of CIFAR-10 of kernel regression on 500 others. The same five "
        "random halvings of 1000 images are used for all architectures, with each half once for "
        "training and once for testing. Processor seconds are for the kernel matrix of all 1000 "
        "images, on a machine that was also doing other work. An architecture is bold if no faster "
        "one is as accurate. The last column shows the paired difference and its corrected "
        "standard error (Nadeau and Bengio 2003); differences below two standard errors are not "
        "significant.",
        frontier,
    ),
    "uci_cpu.json": Section(
        "Small data: tables",
        "uci.py",
        "Tables of the UCI collection, with the protocol of Arora et al. 2020: mean accuracy (%) "
        "over four splits. Friedman's rank is the mean rank among the methods here, where 1 is the "
        "best. P90 and P95 are the percentages of tables on which a method reaches 90 % and 95 % "
        "of the best accuracy, and PMA is the mean percentage of the best accuracy. Processor "
        "seconds are totals over all tables; for SVMs on kernels they include all 15 kernels. "
        "Gradient boosting has 100 iterations, and libsvm stops after 200 000.",
        uci,
    ),
    "tables_cpu.json": Section(
        "Small data: three scikit-learn tables",
        "tables.py",
        "Mean ± standard deviation over the folds of five-fold cross-validation, repeated five "
        "times with the same folds for all methods. Each method chooses its settings on the "
        "training rows of a fold. The machine was also doing other work, so seconds are only "
        "roughly comparable.",
        small_tables,
    ),
    "table1_cntk_v_2k.csv": Section(
        "The paper's Table 1, CNTK-V-2K",
        "table1.py",
        "Accuracy (%) on CIFAR-10, without a ridge and with the default ridge, compared with the "
        "figures in the paper.",
    ),
    "pooling_cifar10.csv": Section(
        "Local pooling and flips", "pooling.py", "Accuracy (%) on CIFAR-10, normalised kernel."
    ),
    "myrtle_quick.csv": Section(
        "Myrtle networks",
        "myrtle.py --quick",
        "A check that the script works, with too few images to rank networks: accuracy (%), "
        "seconds for the kernel matrices while the machine was doing other work, and cores used.",
    ),
    "table2_quick.csv": Section(
        "Exact kernels and random features",
        "table2.py --quick",
        "Test accuracy (%) on CIFAR-2, and its standard deviation over networks.",
    ),
    "convergence_quick.csv": Section(
        "Theorems 3.1 and 3.2",
        "convergence.py --quick",
        "Relative errors by the width of the network, and their slope on log-log axes.",
    ),
    "architecture_search_quick.csv": Section(
        "Ranking architectures",
        "architecture_search.py --quick",
        "Leave-one-out accuracy (%) of the kernel, compared with the test accuracy (%) of trained "
        "networks.",
    ),
    "table1_networks_quick.csv": Section(
        "The finite columns of Table 1",
        "table1.py --networks --quick",
        "A check that the script works, with settings far from those of the paper.",
    ),
}

_INTRODUCTION = """# Benchmarks

Every number below comes from a file in the repository's folder `benchmarks/results/`, from which
this page is generated when the site is built. The date and hardware are given above each table.
Benchmarks that have not been run are not listed. Machines differ, and their speed drifts: compare
numbers within a table, not between tables. See `benchmarks/README.md` for how to run the scripts,
and for their units.
"""


def page(folder):
    """Return the page in Markdown for a folder of results."""
    files = {path.name: path for path in Path(folder).iterdir() if path.suffix in (".json", ".csv")}
    names = [name for name in SECTIONS if name in files]
    names += sorted(name for name in files if name not in SECTIONS)
    return "\n".join([_INTRODUCTION, *(_section(read(files[name])) for name in names)])


def _section(result):
    title = _section_of(result).title
    return f"## {title}\n\n{body(result)}"


def _section_of(result):
    title = Path(result.name).stem.replace("_", " ")
    return SECTIONS.get(result.name, Section(title, "", ""))


def body(result):
    """Return the text of the page for a result, below its title."""
    section = _section_of(result)
    source = f"`benchmarks/results/{result.name}`"
    if section.script:
        source += f", written by `benchmarks/{section.script}`"
    settings = "; ".join(f"{name}: {value}" for name, value in result.settings.items())
    parts = [section.about, f"*{describe(result.machine)}.* {source}."]
    parts += [f"Settings: {settings}."] if settings else []
    return "\n\n".join(part for part in [*parts, section.show(result)] if part)


def write(file, text):
    """Write a page unless it already holds that text."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
