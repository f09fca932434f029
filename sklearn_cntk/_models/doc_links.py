"""Links from estimators' diagrams in notebooks to pages of the documentation."""

import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, metadata
from itertools import takewhile

#: Page of a class, below the project's URL called "Documentation".
PAGE = "api/generated/{module}.{name}.html"


@lru_cache
def documentation_url():
    """The project URL "Documentation" of the installed package, or None without one."""
    try:
        urls = metadata("sklearn-cntk").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a folder that is not installed
        return None
    labelled = dict(url.split(", ", 1) for url in urls)
    return labelled.get("Documentation")


class DocumentationLink:
    """Mixin for estimators: what scikit-learn needs to link to classes of other packages."""

    _doc_link_module = "sklearn_cntk"

    @property
    def _doc_link_template(self):
        url = documentation_url()
        return "" if url is None else f"{url.rstrip('/')}/{PAGE}"

    def _doc_link_url_param_generator(self):
        # A class is documented where it is public: in the package, or in a module of its own.
        package, name = self._doc_link_module, type(self).__name__
        module = package
        if not hasattr(sys.modules[package], name):
            parts = type(self).__module__.split(".")
            module = ".".join(takewhile(lambda part: not part.startswith("_"), parts))
        return {"module": module, "name": name}
