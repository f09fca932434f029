"""Texts of the package: none stands twice, and docstrings say what signatures say."""

import ast
import dataclasses
import importlib
import inspect
import io
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import pytest
from sklearn.base import clone

import sklearn_cntk
from sklearn_cntk._support.docstrings import fill_docs, fill_docs_like
from sklearn_cntk._support.parameters import declared, parameter, parameters

PACKAGE = Path(sklearn_cntk.__file__).parent
PLACEHOLDER = re.compile(r"\{\w+\}")
SECTION = re.compile(r"^.+\n-{3,}\n?", re.MULTILINE)


# --- nothing stands twice ------------------------------------------------------------------------


def texts(source):
    """Docstrings, other strings of several lines, and blocks of comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            yield inspect.cleandoc(node.value)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    # Lines that follow each other keep their distance to their rank.
    for _, block in groupby(enumerate(comments), key=lambda pair: pair[1] - pair[0]):
        yield "\n".join(comments[line].lstrip("# ") for _, line in block)


def paragraphs(text):
    """Blocks between blank lines, without headings, and the entries that they are made of."""
    for block in re.split(r"\n\s*\n", SECTION.sub("", text)):
        block = inspect.cleandoc(block)
        entries = re.split(r"\n(?=\S)", block)
        yield block
        if any("\n" in entry for entry in entries):
            yield from entries


def counted(text, longer_than):
    """Paragraphs of more than some lines, of which placeholders are none, without line breaks."""
    for paragraph in paragraphs(text):
        lines = [line for line in paragraph.split("\n") if not PLACEHOLDER.fullmatch(line)]
        if len(lines) > longer_than:
            yield " ".join(" ".join(lines).split())


def repeated(sources, longer_than=2):
    """Names of the modules that a paragraph stands in, for those that stand twice.

    `sources` are the texts of modules by their names.
    """
    places = defaultdict(list)
    for name, source in sources.items():
        for text in texts(source):
            for paragraph in set(counted(text, longer_than)):
                places[paragraph].append(name)
    return {text[:99]: names for text, names in places.items() if len(names) > 1}


def test_no_paragraph_stands_twice():
    files = PACKAGE.rglob("*.py")
    assert not repeated({str(file): file.read_text(encoding="utf-8") for file in files})


ENTRY = '''
def {name}(size, {name}):
    """Do {name}.

    Parameters
    ----------
    size : int
        {size}
    {name} : int
        Something else.
    """
'''


@pytest.mark.parametrize(
    ("first", "second", "times"),
    [
        ("One line\n        and another.", "One line and\n        another.", 1),
        ("One line\n        and another.", "One line and\n        another one.", 0),
        ("One line.", "One line.", 0),
    ],
)
def test_repeated_entries_are_found(first, second, times):
    sources = {
        "a": ENTRY.format(name="this", size=first),
        "b": ENTRY.format(name="that", size=second),
    }
    assert len(repeated(sources)) == times


def test_repeated_comments_and_blocks_are_found():
    comment = "x = 1  # alone\n# A reason\n# that takes\n# three lines.\ny = 2\n"
    block = '"""Heading.\n\nSome words\nof a text\nof three lines.\n"""\n'
    assert len(repeated({"a": comment, "b": "if x:\n    " + comment.replace("\n", "\n    ")})) == 1
    assert len(repeated({"a": block, "b": block.replace("Heading", "Another")})) == 1
    assert len(repeated({"a": comment, "b": block})) == 0


# --- docstrings and signatures agree -------------------------------------------------------------


# Methods that only the package itself calls.
INTERNAL = {"sklearn_cntk.KernelStore.of", "sklearn_cntk.KernelStore.partition"}


def documented():
    """(label, class or function) of what is public, methods too."""
    modules = ["sklearn_cntk", "sklearn_cntk.preprocessing", "sklearn_cntk.datasets"]
    modules += ["sklearn_cntk.plotting"] if find_spec("matplotlib") else []
    modules += ["sklearn_cntk.finite"] if find_spec("torch") else []
    for name in modules:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            home = getattr(value, "__module__", None) or ""
            if key.startswith("_") or not home.startswith(name) or not callable(value):
                continue
            yield f"{name}.{key}", value
            if not isinstance(value, type):
                continue
            for method, function in inspect.getmembers(value, inspect.isroutine):
                ours = (getattr(function, "__module__", None) or "").startswith("sklearn_cntk")
                label = f"{name}.{key}.{method}"
                if ours and (not method.startswith("_") or method == "__call__"):
                    if label not in INTERNAL:
                        yield label, function


def described(text):
    """[(names, rest of the line)] of the entries of a docstring's section of parameters."""
    found = re.search(r"^Parameters\n-+\n(.*?)(\n\n\S|\Z)", inspect.cleandoc(text), re.S | re.M)
    heads = re.findall(r"^(\S.*)(?:\\\n.*)?$", found[1], re.MULTILINE) if found else []
    return [(re.split(", ", head.partition(" : ")[0]), head.partition(" : ")[2]) for head in heads]


def disagreements(function):
    """What a docstring says of parameters that is not so, in words."""
    text = function.__doc__ or ""
    wrong = [f"{line.strip()} is left" for line in re.findall(r"^ *\{\w+\}$", text, re.MULTILINE)]
    entries = described(text)
    names = [name.lstrip("*") for several, _ in entries for name in several]
    signature = inspect.signature(function).parameters
    expected = [name for name in signature if name not in ("self", "cls")]
    wrong += [f"{name} is missing" for name in expected if name not in names]
    wrong += [f"{name} is no parameter" for name in names if name not in expected]
    wrong += [f"{name} stands twice" for name in set(names) if names.count(name) > 1]
    for several, rest in entries:
        for name in {*several} & {*expected}:
            default = signature[name].default
            _, given, value = rest.partition("default=")
            if not rest or (default is inspect.Parameter.empty and not given):
                continue
            try:
                same = bool(given) and repr(ast.literal_eval(value)) == repr(default)
            except (ValueError, SyntaxError):  # no literal, such as torch.float32
                same = value == repr(default)
            if not same:
                wrong.append(f"{name} has the default {default!r}, not {value or 'none'}")
    return wrong


DOCUMENTED = [pytest.param(value, id=label) for label, value in documented()]


@pytest.mark.parametrize("function", DOCUMENTED)
def test_docstrings_agree_with_signatures(function):
    assert not disagreements(function)


@pytest.mark.parametrize("function", DOCUMENTED)
def test_references_are_cited_and_listed(function):
    text = inspect.getdoc(function)
    listed = re.findall(r"^\.\. \[(\d+)\]", text, re.MULTILINE)
    assert set(re.findall(r"\[(\d+)\]_", text)) == set(listed)
    assert len(listed) == len(set(listed))


GOOD = """Do it.

    Parameters
    ----------
    a, b : int, default=1
        Numbers.
    c : {"x", "y"}, default="x"
    **others
        Passed on.

    Returns
    -------
    int
    """


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", None),
        ("a, b", "a", "b is missing"),
        ("**others", "b : int, default=1", "b stands twice"),
        ("**others", "**rest", "rest is no parameter"),
        ("default=1", "default=2", "a has the default 1, not 2"),
        (", default=1", "", "a has the default 1, not none"),
        ('default="x"', "default=x", "c has the default 'x', not x"),
        ("        Passed on.", "    {text}", "{text} is left"),
    ],
)
def test_disagreements_are_found(old, new, message):
    def function(a=1, b=1, c="x", **others):
        pass

    function.__doc__ = GOOD.replace(old, new) if old else GOOD
    found = disagreements(function)
    assert message in found if message else not found


# --- declared parameters -------------------------------------------------------------------------


@parameters(kw_only=False)
class Size:
    size: int = parameter("int", "How large it is.", default=3)


@parameters(kw_only=True)
class Colour:
    colour: str = parameter(
        "str",
        """
        What colour
        it has.
        """,
        default="red",
    )


@fill_docs
@parameters(kw_only=True)
class Thing(Colour, Size):
    """A thing.

    Parameters
    ----------
    {parameters}
    """

    share: float = parameter("float", "Of all things.", default=1e-5)
    colour: str = parameter(default="blue")


def test_declared_parameters_make_a_constructor():
    assert str(inspect.signature(Thing)) == (
        "(size: int = 3, *, colour: str = 'blue', share: float = 1e-05) -> None"
    )
    assert vars(Thing(4, share=0.5)) == {"size": 4, "colour": "blue", "share": 0.5}
    assert Thing.__init__.__qualname__ == "Thing.__init__"
    assert Thing.__init__.__module__ == __name__
    assert vars(Colour()) == {"colour": "red"}
    for wrong in ({"colour": "red", "weight": 1}, {"siz": 1}):
        with pytest.raises(TypeError, match=r"Thing\.__init__\(\) got an unexpected keyword"):
            Thing(**wrong)
    with pytest.raises(TypeError, match="positional"):
        Thing(1, "red")


def test_constructors_of_public_classes_bear_their_names():
    """And a default is none of an object that was not told."""
    for cls in (sklearn_cntk.CNTK, sklearn_cntk.CNTKClassifier, sklearn_cntk.CNTKRegressorCV):
        with pytest.raises(TypeError, match=rf"^{cls.__name__}\.__init__\(\) got an unexpected"):
            cls(depht=3)
        assert not hasattr(cls, "filter_size")


def test_a_subclass_keeps_its_own_constructor():
    class Deep(sklearn_cntk.CNTKClassifier):
        def __init__(self, extra=1, depth=20, gap=False):
            super().__init__(depth, gap)
            self.extra = extra

    class Deeper(Deep):
        pass

    model = clone(Deeper(extra=2))
    assert (model.extra, model.depth, model.gap, model.alpha) == (2, 20, False, 1e-5)
    assert set(model.get_params()) == {"extra", "depth", "gap"}


def test_declared_parameters_fill_the_docstring():
    assert inspect.getdoc(Thing).splitlines()[4:] == [
        "size : int, default=3",
        "    How large it is.",
        'colour : str, default="blue"',
        "    What colour",
        "    it has.",
        "share : float, default=1e-5",
        "    Of all things.",
    ]


def test_functions_take_over_what_they_do_not_describe():
    @fill_docs_like(Thing)
    def function(size, *, colour="green"):
        """Do it.

        Parameters
        ----------
        colour : str, default="green"
            Its own.
        {parameters}
        """

    assert inspect.getdoc(function).splitlines()[4:] == [
        'colour : str, default="green"',
        "    Its own.",
        "size : int",
        "    How large it is.",
    ]


def test_unknown_names_are_errors():
    def function():
        """{no_such_paragraph}"""

    with pytest.raises(KeyError, match="no_such_paragraph"):
        fill_docs(function)

    def other(weight):
        """{parameters}"""

    with pytest.raises(KeyError, match="weight"):
        fill_docs_like(Thing)(other)


def test_estimators_are_no_dataclasses():
    """`dataclasses.asdict` and Dask's tokens would take fitted ones for their parameters alone."""
    for cls in (sklearn_cntk.CNTK, sklearn_cntk.CNTKClassifier, sklearn_cntk.CNTKRegressorCV):
        assert declared(cls)
        assert not dataclasses.is_dataclass(cls)


def test_package_without_docstrings():
    code = """
import sys
import sklearn_cntk
from sklearn_cntk import datasets, plotting, preprocessing

sys.exit(0 if sklearn_cntk.CNTK.__doc__ is None and sklearn_cntk.CNTK(3).depth == 3 else 1)
"""
    subprocess.run([sys.executable, "-OO", "-c", code], check=True, cwd=PACKAGE.parent)
