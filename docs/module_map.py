"""The map of the package in development.md, and the rules for its imports.

    python docs/module_map.py            # writes the map
    python docs/module_map.py --check    # fails if the page is out of date

Everything is read from the source: the first sentences of docstrings, and the imports, including
those in functions and for type checkers, and calls of `import_module` with a literal name.
tests/project/test_layers.py checks that the package follows the rules.
"""

import ast
import re
import sys
from collections import defaultdict
from itertools import combinations, pairwise
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "sklearn_cntk"
PAGE = HERE / "development.md"

BEGIN = "<!-- Module map: written by docs/module_map.py, not by hand. -->"
END = "<!-- End of the module map. -->"

# From top to bottom: an import goes down, or stays within its layer.  Modules without an
# underscore, and the package itself, are public.
PUBLIC = "Public modules"
LAYERS = {
    "Command line": ("__main__", "_selftest"),
    PUBLIC: (),
    "Models": ("_models",),
    "Linear algebra": ("_linalg",),
    "Gram matrices": ("_compute",),
    "Engines": ("_engines",),
    "Foundations": ("_store", "_support", "_version"),
}

# Within each group, no member imports another.
APART = (("_engines.cpu", "_engines.cuda", "_engines.reference"), ("_engines", "_store"))


# --- Imports ------------------------------------------------------------------------------------


def modules(package):
    """Return the path of every module of a package, given as a folder, by its full name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package):
    """Return, for each module of a package, the names of the package's modules that it imports."""
    paths = modules(package)
    return {name: _imports_of(name, path, set(paths)) for name, path in paths.items()}


def _imports_of(name, path, known):
    root, *_ = name.split(".")
    # The package that relative imports refer to.
    here = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]

    def absolute(dotted, level):
        start = here[: len(here) + 1 - level] if level else []
        return ".".join([*start, *filter(None, dotted.split("."))])

    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node.module or "", node.level)
            inner = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {module if module in known else origin for module in inner}
        elif isinstance(node, ast.Call) and node.args and _is_import_module(node.func):
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                dotted = argument.value.lstrip(".")
                found.add(absolute(dotted, len(argument.value) - len(dotted)))
    return {module for module in found if module.split(".")[0] == root} - {name}


def _is_import_module(function):
    name = getattr(function, "id", getattr(function, "attr", None))
    return name in ("import_module", "__import__")


# --- Rules --------------------------------------------------------------------------------------


def broken_rules(graph):
    """Return one sentence for each import of a graph (see `imports`) that breaks a rule."""
    return [*_unknown(graph), *_against_layers(graph), *_not_apart(graph), *_circles(graph)]


def _edges(graph):
    return [(name, other) for name in sorted(graph) for other in sorted(graph[name])]


def _unknown(graph):
    for name in sorted(graph):
        if _layer(name) is None:
            yield (
                f"{name} is in no layer: add {_part(name)!r} to LAYERS of docs/module_map.py, or "
                "move it into a folder that has one."
            )
    for name, other in _edges(graph):
        if other not in graph:
            yield f"{name} imports {other}, which does not exist: use its current name."


def _against_layers(graph):
    order = list(LAYERS)
    for name, other in _edges(graph):
        above, below = _layer(other), _layer(name)
        if above and below and order.index(above) < order.index(below):
            yield (
                f"{name} imports {other}: {_part(name)} is below {_part(other)}. Move what both "
                "need down, or let the caller pass it in."
            )


def _not_apart(graph):
    for group in APART:
        for one, another in combinations(group, 2):
            for name, other in _edges(graph):
                if {one, another} == {_member(name, group), _member(other, group)}:
                    yield (
                        f"{name} imports {other}: {one} and {another} must not depend on "
                        "each other. Move what both need into a module next to them, in "
                        f"{one.rpartition('.')[0]}."
                    )


def _member(name, group):
    """Return the member of a group of modules and folders that a module is, or is in."""
    inner = name.partition(".")[2]
    return next((part for part in group if f"{inner}.".startswith(f"{part}.")), None)


def _circles(graph):
    """Yield circular imports among the modules and folders in one folder, for every folder.

    Every circle of modules is found: in the folder that contains all of it.
    """
    folders = {name.rpartition(".")[0] for name in graph} - {""}
    for folder in sorted(folders):
        reasons = {}
        for name, other in _edges(graph):
            if folder in _ancestors(name) and folder in _ancestors(other):
                edge = _child(folder, name), _child(folder, other)
                if edge[0] != edge[1]:
                    reasons.setdefault(edge, f"{name} imports {other}")
        nodes = defaultdict(set)
        for start, end in reasons:
            nodes[start].add(end)
        circles = {circle for node in nodes if (circle := _shortest_circle(nodes, node))}
        for circle in sorted(circles):
            steps = ", ".join(reasons[edge] for edge in pairwise([*circle, circle[0]]))
            yield f"{steps}: circular imports. Move what both ends need into a module below them."


def _ancestors(name):
    """Return a module and the folders that contain it."""
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts) + 1)]


def _child(folder, name):
    """Return the direct child of a folder that a module is, or is in; or the folder itself."""
    depth = folder.count(".") + 2
    return ".".join(name.split(".")[:depth])


def _shortest_circle(nodes, start):
    """Return the shortest cycle through `start`, beginning with its alphabetically first node."""
    ways = [(start,)]
    seen = set()
    for way in ways:
        for node in sorted(nodes.get(way[-1], ())):
            if node == start:
                first = way.index(min(way))
                return way[first:] + way[:first]
            if node not in seen:
                seen.add(node)
                ways.append((*way, node))
    return None


def _layer(name):
    """Return the layer of a module, or None."""
    top = [*name.split("."), ""][1]
    for layer, members in LAYERS.items():
        if top in members:
            return layer
    return None if top.startswith("_") else PUBLIC


def _part(name):
    """Return the name, for a sentence, of the part of the package that a module is in."""
    return "the public modules" if _layer(name) == PUBLIC else name.split(".")[1]


# --- The map ------------------------------------------------------------------------------------


def module_map(package):
    """Return the map as a Markdown table: layers from top to bottom, folders, files."""
    paths, graph = modules(package), imports(package)
    lines = ["| module | description |", "| --- | --- |"]
    for number, layer in enumerate(LAYERS, 1):
        names = [name for name in paths if _layer(name) == layer]
        if not names:
            continue
        alone = [name for name in names if _folder(name, paths) == package.name]
        lines.append(_cells(f"**{number}. {layer}**", _imported(alone, graph, paths)))
        lines += [_row(package, paths[name]) for name in alone]
        for folder in sorted({_folder(name, paths) for name in names} - {package.name}):
            inside = [name for name in names if _folder(name, paths) == folder]
            path = paths[folder]
            lines.append(_row(package, path, _imported(inside, graph, paths)))
            files = sorted([*path.parent.glob("*.py"), *path.parent.glob("*.cu")])
            lines += [_row(package, file) for file in files if file != path]
    return "\n".join(lines)


def _folder(name, paths):
    """Return the package that a module is, or is in."""
    return name if paths[name].name == "__init__.py" else name.rpartition(".")[0]


def _imported(names, graph, paths):
    """Return the imports of a folder's modules: other folders, or modules of its parent folders."""
    found = set()
    for name in names:
        for other in graph[name] - set(names):
            here, folder = _folder(name, paths), _folder(other, paths)
            found.add(other if f"{here}.".startswith(f"{folder}.") else folder)
    order = list(LAYERS)
    ordered = sorted(found, key=lambda name: (order.index(_layer(name)), name))
    shown = [f"`{(name.partition('.')[2] or name).replace('.', '/')}`" for name in ordered]
    return f"Imports {', '.join(shown)}." if shown else ""


def _row(package, path, imported=""):
    name = f"`{path.relative_to(package).as_posix()}`"
    if path.name == "__init__.py" and path.parent != package:
        name = f"**`{path.parent.relative_to(package).as_posix()}/`**"
    return _cells(name, f"{first_sentence(path)} {imported}")


def _cells(*texts):
    return " ".join(["|", *(f"{text.strip()} |".lstrip() for text in texts)])


def first_sentence(path):
    """Return the first sentence of a file's docstring, or of the first comment of a CUDA file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(text))
    else:
        comment = re.match(r"(//.*\n)+", text)
        docstring = comment and re.sub(r"^// ?", "", comment[0], flags=re.MULTILINE)
    if not docstring:
        raise ValueError(f"{path} has no docstring: begin it with one sentence that describes it.")
    sentence = re.match(r".+?(?:\.(?=\s|$)|(?=\n\n|$))", docstring, re.DOTALL)[0]
    return " ".join(sentence.replace("``", "`").replace("|", "\\|").split())


def with_map(text, table, begin=BEGIN, end=END):
    """Return the text of a page with a table between its two marks."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"The page needs these two lines, one after the other: {begin} {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def update(arguments, page, new_text, command):
    """Write the new text of a page, or with ``--check`` exit if it differs from the old one."""
    if arguments not in ([], ["--check"]):
        sys.exit(f"Unknown arguments {arguments}: use --check, or none to write the page.")
    text = page.read_text(encoding="utf-8")
    new = new_text(text)
    if arguments and new != text:
        sys.exit(f"The table of {page} is out of date: run python {command}.")
    if new != text:
        page.write_text(new, encoding="utf-8")


def main(arguments, page=PAGE, package=PACKAGE):
    update(arguments, page, lambda text: with_map(text, module_map(package)), "docs/module_map.py")


if __name__ == "__main__":
    main(sys.argv[1:])
