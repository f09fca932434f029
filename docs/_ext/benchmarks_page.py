"""The page of benchmarks, made of the files in ``benchmarks/results/`` and of nothing else.

A result is a JSON object with a ``machine``, or a CSV file that starts with comment lines
``# key: value``; both name processor and date.  `SECTIONS` says what a file is about and which of
its numbers to show; files that it does not name are shown whole.
"""

import ast
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

#: Where the results are.
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

_SHOWN_VERSIONS = ("sklearn-cntk", "numpy", "scikit-learn", "numba")


@dataclass(frozen=True)
class Result:
    """A file of results: where it was measured, what with, and what came out."""

    name: str
    machine: dict
    settings: dict
    data: object  # a JSON object without its machine, or the rows of a CSV file as dictionaries


def read(path):
    """Read a result; raises ValueError if it does not say on which machine and day it was run."""
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
        raise ValueError(f"{path.name} names no {' and no '.join(missing)}: results need them.")
    return Result(path.name, machine, settings, data)


def describe(machine):
    """One line: date, processor, versions."""
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
    """A Markdown table; numbers stand on the right."""
    cells = [[number(cell) for cell in row] for row in rows]
    right = [all(_is_number(row[k]) for row in rows) for k in range(len(header))]
    marks = ["---:" if is_right else "---" for is_right in right]
    lines = [header, marks, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value):
    """A cell's text: three significant digits for measured floats, text as it is."""
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
    """An image shape as "8 × 8 × 1"."""
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
    header = ["images", "readout", "dtype", "median, 10⁹/s", "best, 10⁹/s", "% of bound"]
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
    header = ["network", "readout", "element-layers a pair", "median, 10⁹/s"]
    header += ["of plain", "of plain, per core", "cores used"]
    costs = [
        (layer, cost["time"], cost["processor_time"])
        for layer, cost in result.data["cost_in_per_cent"].items()
    ]
    text = f"Images of {shape_text(result.data['image_shape'])}, float32.\n\n"
    costs_header = ["layer", "time, %", "processor time, %"]
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
    header = ["what", "seconds", "in units of the first"]
    return f"{result.data['n']} images of 8 × 8 pixels.\n\n" + table(header, rows)


def small_images(result):
    """A table for each data set, a column for each number of images; then the seconds."""
    cells = {}
    for key, cell in result.data["cells"].items():
        row, method = key.rsplit(", draw ", 1)[0].split(": ", 1)
        name, size = row.rsplit(", ", 1)
        cells.setdefault(name, {}).setdefault(method, {}).setdefault(int(size), []).append(cell)
    draws = result.data["settings"]["draws"]
    text = f"Mean ± standard deviation over {draws} draws of training and test images.\n"
    text += f"Measured on {_measured(result.data['cells'])}.\n"
    seconds = "Processor seconds of a draw, of fitting with all choices and of predicting: medians."
    for name, methods in cells.items():
        sizes = sorted({size for found in methods.values() for size in found})
        header = ["method", *(f"{size} images" for size in sizes)]
        for about, show in (("Per cent correct.", _accuracy), (seconds, _seconds)):
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


#: What the page compares architectures with.
_COMMON = "depth 4, flattened"


def frontier(result):
    """Architectures by their time; bold where none that takes less is as accurate."""
    cells = {name: cell["result"] for name, cell in result.data["cells"].items()}
    base = cells[_COMMON]["accuracies"]
    rows, best = [], 0.0
    for name, found in sorted(cells.items(), key=lambda item: item[1]["processor"]):
        accuracies = found["accuracies"]
        is_best, best = mean(accuracies) > best, max(best, mean(accuracies))
        differences = [one - other for one, other in zip(accuracies, base, strict=True)]
        # As many images to train on as to test on: Nadeau and Bengio 2003.
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
    header = ["architecture", "element-layers a pair", "processor seconds", "per cent correct"]
    header.append(f"more than {_COMMON}")
    return table(header, rows) + f"\nMeasured on {_measured(result.data['cells'])}.\n"


def _measured(cells):
    """When and on what cells were measured."""
    pairs = {(cell["result"]["date"], cell["result"]["device"]) for cell in cells.values()}
    return "; ".join(", ".join(pair) for pair in sorted(pairs))


def small_tables(result):
    """Methods by sets."""
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
        + "\nProcessor seconds of a fold, with everything that is chosen within it.\n\n"
        + table(["method", *(name.rsplit(", ", 1)[0] for name in header)], seconds)
    )


def uci(result):
    data = result.data
    header = list(data["summary"][0])
    text = table(header, [[row[name] for name in header] for row in data["summary"]])
    text += (
        "\nWilcoxon's signed-rank test of the accuracies over the tables, as it is and corrected "
        "for the number of tests by Holm's method. Differences above 0 are in favour of the method "
        "in the first column.\n\n"
    )
    header = list(data["comparisons"][0])
    text += table(header, [[row[name] for name in header] for row in data["comparisons"]])
    grids = {name: grid for name, grid in data["grids"].items() if isinstance(grid, dict)}
    grids["NTK (hidden layers, frozen ones)"] = data["grids"]["NTK"]
    grids["C of SVMs on kernels"] = data["grids"]["C"]
    grids["alpha of CNTKClassifier"] = data["grids"]["alpha"]
    return text + "\nWhat was chosen from:\n\n" + table(["method", "grid"], list(grids.items()))


def whole(result):
    """All of a result: its tables, one after the other, and its single numbers."""
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
            ["what", "value"], [(key, _flat(value)) for key, value in plain.items()]
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
    """What a file of results is about, the script it is of, and how to show it."""

    title: str
    script: str
    about: str
    show: Callable = whole


#: In the order of the page.
SECTIONS = {
    "neural_tangents_cpu.json": Section(
        "Beside neural-tangents",
        "compare_neural_tangents.py",
        "Pairs of images per second on all cores, in turns on the same images; neural-tangents "
        "0.6.5 with its compiled `kernel_fn` and the better of two batch sizes. The values are "
        "checked to be proportional.",
        neural_tangents,
    ),
    "rbf_cpu.json": Section(
        "Beside scikit-learn's RBF kernel",
        "rbf.py",
        "For scale: the Gram matrix of n images with themselves by `rbf_kernel` on their pixels, "
        "and by this package, in one run. The entries of a Gram matrix are counted as n².",
        rbf,
    ),
    "throughput_cpu.json": Section(
        "Beside the machine",
        "throughput.py",
        "The bound is what the processor's multiplications alone allow, measured in turns with "
        "the kernel.",
        throughput,
    ),
    "throughput_networks.json": Section(
        "Other networks beside plain ones",
        "throughput.py --networks",
        "Ratios to the plain network of the same readout, one measured right after the other; per "
        "core, for a machine that other processes use as well. Below, what layers add to the time "
        "of the same network without them.",
        networks,
    ),
    "cold_start_cpu.json": Section(
        "The first call",
        "cold_start.py",
        "Processor seconds of new processes: importing the package, and the kernel of six 8 × 8 "
        'images, which compiles where the cache is cold. Median of the repetitions; "there" is '
        "an earlier state, measured in turns.",
    ),
    "near_duplicates_cpu.json": Section(
        "Nearly parallel images in float32",
        "near_duplicates.py",
        "The largest relative difference of float32 from float64 for an image and 2.3 times the "
        "same with noise of a share of its size.",
    ),
    "cuda_code_sm_90.json": Section(
        "What the CUDA kernels cost by their machine code",
        "cuda_code.py",
        "Cycles that one of a multiprocessor's four schedulers needs for a row of 32 entries of a "
        "layer: the largest of what it issues and what its pipes need. No GPU ran them: this "
        "bounds the speed. Instructions that few layers take are counted as if all did.",
        cuda_code,
    ),
    "search_cpu.json": Section(
        "Architecture search",
        "search.py",
        "Every depth from 2 to 21, and both poolings, against the Gram matrix of one architecture.",
        search,
    ),
    "cluster_cpu.json": Section(
        "Workers, stores, conjugate gradients",
        "cluster.py",
        "Two Dask workers beside one and beside threads; a Zarr array beside memory; conjugate "
        "gradients beside Cholesky (this part beside other work on the machine).",
    ),
    "cifar10_full.json": Section(
        "All of CIFAR-10 on one machine",
        "cifar10_full.py",
        "50 000 training images, trace kernel: Gram matrix in a Zarr array, conjugate gradients, "
        "predictions of the 10 000 test images. Usage sums over all runs of a phase.",
    ),
    "nystroem.csv": Section(
        "Landmarks",
        "nystroem.py",
        "Per cent correct on CIFAR-10, seconds, processor seconds and peak memory in gigabytes "
        "against the number m of landmarks.",
    ),
    "small_images_cpu.json": Section(
        "Small data: images",
        "small_images.py",
        "Kernels, a tuned SVM, a random forest and a small network with augmentation. All of them "
        "are given the same images, and choose on the training images alone. The machine had "
        "other work, so compare seconds roughly. A dash has not been run.",
        small_images,
    ),
    "frontier_cpu.json": Section(
        "Architectures: accuracy and cost",
        "frontier.py",
        "Kernel regression on 500 images of CIFAR-10, accuracy on 500 others: five random halvings "
        "of the same 1000 images, each half once for training and once for testing, the same for "
        "all. Processor seconds are of the kernel matrix of all 1000, on a machine that had other "
        "work. An architecture is bold where none that takes less time is as accurate. In the last "
        "column, the paired difference and its corrected standard error (Nadeau and Bengio 2003): "
        "read nothing into less than two of these.",
        frontier,
    ),
    "uci_cpu.json": Section(
        "Small data: tables",
        "uci.py",
        "Tables of the UCI collection, by the protocol of Arora et al. 2020: per cent correct, "
        "mean of four splits. Friedman's rank is the mean rank among the methods here, 1 being "
        "the best; P90 and P95 are the shares of tables on which a method reaches 90 and 95 % of "
        "the best accuracy, PMA is the mean of its share of the best. Processor seconds are those "
        "of all tables, with all 15 kernels where an SVM is on top of one. Gradient boosting has "
        "100 iterations, and libsvm stops after 200 000.",
        uci,
    ),
    "tables_cpu.json": Section(
        "Small data: three scikit-learn tables",
        "tables.py",
        "Mean ± standard deviation over the folds of five-fold cross-validation that is repeated "
        "five times, the same folds for all methods. Each chooses its settings on the training "
        "rows of a fold. The machine had other work, so compare seconds roughly.",
        small_tables,
    ),
    "table1_cntk_v_2k.csv": Section(
        "The paper's Table 1, CNTK-V-2K",
        "table1.py",
        "Per cent correct on CIFAR-10, without a ridge and with the default one, beside the "
        "paper's figures.",
    ),
    "pooling_cifar10.csv": Section(
        "Local pooling and flips", "pooling.py", "Per cent correct on CIFAR-10, normalised kernel."
    ),
    "myrtle_quick.csv": Section(
        "Myrtle networks",
        "myrtle.py --quick",
        "A check that the script works: too few images to rank networks. Per cent correct, seconds "
        "of the kernel matrices beside other work on the machine, and cores used.",
    ),
    "table2_quick.csv": Section(
        "Exact kernels and random features",
        "table2.py --quick",
        "CIFAR-2, test accuracy in per cent and its standard deviation over networks.",
    ),
    "convergence_quick.csv": Section(
        "Theorems 3.1 and 3.2",
        "convergence.py --quick",
        "Relative errors against the width of the network, and their slope on log-log axes.",
    ),
    "architecture_search_quick.csv": Section(
        "Ranking architectures",
        "architecture_search.py --quick",
        "Leave-one-out accuracy of the kernel beside the test accuracy of trained networks, in "
        "per cent.",
    ),
    "table1_networks_quick.csv": Section(
        "The finite columns of Table 1",
        "table1.py --networks --quick",
        "A check that the script works, far from the paper's settings.",
    ),
}

_INTRODUCTION = """# Benchmarks

Every number below comes from a file in the repository's folder `benchmarks/results/`, of which
this page is made when the site is built. Above each table stand date and hardware; what has not
been run is not here. Machines differ and drift: compare numbers of one table, not of two.
`benchmarks/README.md` says how to run the scripts and what their units are.
"""


def page(folder):
    """The page in Markdown, from a folder of results."""
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
    """What the page says of a result, below its title."""
    section = _section_of(result)
    source = f"`benchmarks/results/{result.name}`"
    if section.script:
        source += f", written by `benchmarks/{section.script}`"
    settings = "; ".join(f"{name}: {value}" for name, value in result.settings.items())
    parts = [section.about, f"*{describe(result.machine)}.* {source}."]
    parts += [f"Settings: {settings}."] if settings else []
    return "\n\n".join(part for part in [*parts, section.show(result)] if part)


def write(file, text):
    """Write a page, unless it holds that text already."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
