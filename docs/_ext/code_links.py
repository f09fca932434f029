"""Links of Markdown pages, which stay plain Markdown and read well outside the site too.

The first mention of a public name on a page, such as `` `CNTKClassifier` ``, leads to its page of
the reference, except in headings and where it is part of a link already.  Links to examples and to
the description of the benchmarks lead to the pages that the site has of them.
"""

import re
from pathlib import Path

import api_pages
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform


def public_paths():
    """Full paths of all public names, by themselves and by their last part."""
    paths = {}
    for module in api_pages.modules():
        for name in api_pages.public_names(module):
            path = f"{module}.{name}"
            if name in paths:
                raise ValueError(f"{name} is public in two modules, as {paths[name]} and {path}")
            paths[name] = paths[path] = path
    return paths


class LinkNames(SphinxPostTransform):
    """Turn names in the text of Markdown pages into references of Sphinx's Python domain."""

    default_priority = 5  # Sphinx resolves references at 10

    def run(self, **kwargs):
        if Path(self.env.doc2path(self.env.docname)).suffix != ".md":
            return
        paths, linked = public_paths(), set()
        for literal in list(self.document.findall(nodes.literal)):
            path = paths.get(literal.astext())
            if path is None or path in linked or _inside_link_or_heading(literal):
                continue
            linked.add(path)
            reference = pending_xref(
                refdomain="py",
                reftype="obj",
                reftarget=path,
                refdoc=self.env.docname,
                refwarn=True,
            )
            literal.replace_self(reference)
            reference += literal


def link_pages_of_the_site(app, docname, source):
    """Replace links to files whose pages are generated: event `source-read`."""
    text = re.sub(r"\(\.\./examples/(plot_\w+)\.py\)", r"(auto_examples/\1.rst)", source[0])
    source[0] = text.replace("(../benchmarks/README.md)", "(benchmarks.md)")


def _inside_link_or_heading(node):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, (nodes.reference, nodes.title, pending_xref)):
            return True
    return False


def setup(app):
    app.add_post_transform(LinkNames)
    app.connect("source-read", link_pages_of_the_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
