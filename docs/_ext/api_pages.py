"""The API reference: one page per public module, generated from ``__all__`` to be complete."""

import importlib
import inspect
import re
from importlib.util import find_spec

import sklearn_cntk

#: Public modules.
MODULES = (
    "sklearn_cntk",
    "sklearn_cntk.networks",
    "sklearn_cntk.preprocessing",
    "sklearn_cntk.datasets",
    "sklearn_cntk.plotting",
    "sklearn_cntk.finite",
)

# Methods of scikit-learn that are shown along with a class's own methods, and methods that only the
# package itself calls.
_INHERITED = {"score", "fit_transform"}
_INTERNAL = {
    "KernelStore.of",
    "KernelStore.partition",
    "Layer.output_shape",
    "Conv.output_shape",
    "Conv.padding_before",
    "AvgPool.output_shape",
    "AvgPool.windows",
    "Residual.output_shape",
    "Residual.steps_divide",
    "Network.check_mirror_symmetry",
    "Network.named",
    # Properties, which have no qualified name.
    *("sides", "steps", "branches", "digest", "plain_filter_size", "channel_degree"),
}


def public_names(module_name):
    """Return the public names of a module: its ``__all__``, or else its public definitions."""
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__ == module_name
        ]
    return sorted(name for name in names if not name.startswith("__"))


def modules():
    """Return those of `MODULES` that this version of the package has."""
    return [name for name in MODULES if name == "sklearn_cntk" or find_spec(name)]


def module_page(module_name):
    """Return a module's page in reStructuredText: its docstring and a table of its names."""
    module = importlib.import_module(module_name)
    lines = [module_name, "=" * len(module_name), ""]
    lines += [f".. currentmodule:: {module_name}", "", inspect.getdoc(module), ""]
    lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
    lines += [f"   {name}" for name in public_names(module_name)]
    return "\n".join(lines) + "\n"


def write(folder):
    """Write the pages of the modules into `folder`; unchanged pages are not rewritten."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.rst")) - {folder / f"{name}.rst" for name in modules()}:
        stale.unlink()
    for name in modules():
        file = folder / f"{name}.rst"
        text = module_page(name)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def skip_foreign(app, what, name, obj, skip, options):
    """Skip members that are not for users; handles autodoc's event `autodoc-skip-member`."""
    function = getattr(obj, "__func__", obj)
    if what != "class" or name in _INHERITED:
        return None
    if getattr(function, "__qualname__", name) in _INTERNAL:
        return True
    module = getattr(function, "__module__", None) or ""
    return None if module.split(".")[0] == sklearn_cntk.__name__ else True


def unlink_labels(app, what, name, obj, options, lines):
    """Turn links to scikit-learn's user guide into text; handles `autodoc-process-docstring`.

    Docstrings of inherited methods contain them, and these sections do not exist here.
    """
    module = getattr(obj, "__module__", None) or ""
    if module.startswith("sklearn."):
        lines[:] = [re.sub(r":ref:`([^`<]*?)\s*(<[^`]*>)?`", r"\1", line) for line in lines]
