"""The directive ``benchmark-result FILE``, which shows one file as on the benchmarks page."""

import benchmarks_page
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList


class BenchmarkResult(Directive):
    """The directive, for Markdown pages."""

    required_arguments = 1

    def run(self):
        file = benchmarks_page.RESULTS / self.arguments[0]
        self.state.document.settings.record_dependencies.add(str(file))
        container = nodes.container()
        text = benchmarks_page.body(benchmarks_page.read(file))
        lines = StringList(text.splitlines(), source=file.name)
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


def setup(app):
    app.add_directive("benchmark-result", BenchmarkResult)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
