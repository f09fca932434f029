"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import api_pages  # noqa: E402
import benchmarks_page  # noqa: E402

from sklearn_cntk import __version__  # noqa: E402

project = "sklearn-cntk"
author = "The sklearn-cntk developers"
copyright = author
version = release = __version__

extensions = [
    "benchmark_directive",  # this and the next two in _ext
    "code_links",
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "**/README.*"]
templates_path = ["_templates"]
html_math_renderer = "mathml"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Inventories of other projects are downloaded only on request, so that no build depends on the
# network.  Without them, names of scikit-learn's classes are plain text.
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template lists those that the package defines
# Docstrings must describe every parameter and result, and nothing else.
numpydoc_validation_checks = {"PR01", "PR02", "PR03", "PR10", "RT01", "SS01", "YD01"}
numpydoc_validation_exclude = {r"\.score$", r"\.fit_transform$"}  # scikit-learn's

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|[\\/])(?!plot_)[^\\/]*\.py$",
    "doc_module": ("sklearn_cntk",),
    "backreferences_dir": "api/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "image_srcset": ["2x"],
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "footer_center": [],
    "footer_end": ["sphinx-version"],
    "footer_start": ["copyright"],
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
html_sidebars = {
    page: [] for page in ("index", "benchmarks", "comparison", "mathematics", "quickstart")
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _write_pages(app, config):
    """Write the pages generated from code and benchmark results before Sphinx reads them."""
    api_pages.write(HERE / "api")
    benchmarks_page.write(HERE / "benchmarks.md", benchmarks_page.page(benchmarks_page.RESULTS))


def setup(app):
    app.connect("config-inited", _write_pages)
    app.connect("autodoc-skip-member", api_pages.skip_foreign)
    app.connect("autodoc-process-docstring", api_pages.unlink_labels)
