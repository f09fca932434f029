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
from sklearn_cntk._support.docstrings import fill_docs, fill_docs_like, literal
from sklearn_cntk._support.parameters import declared, parameter, parameters

PACKAGE = Path(sklearn_cntk.__file__).parent
PLACEHOLDER = re.compile(r"^ *\{\w+\}\n?", re.MULTILINE)
SECTION = re.compile(r"^.+\n-{3,}\n?", re.MULTILINE)


# --- nothing stands twice ------------------------------------------------------------------------

# A text may stand twice if it has neither more lines nor more characters.
LINES, CHARACTERS = 2, 150


def strings(node):
    """(text, source lines) of the strings of a syntax tree, f-strings with {} for their values.

    Those that have lines of their own, such as docstrings, count as one line of the source.
    """
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = [node.value]
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)
        return
    text = "".join(parts)
    yield inspect.cleandoc(text), 1 if "\n" in text else node.end_lineno - node.lineno + 1


def texts(source):
    """(text, source lines) of the strings and blocks of comments of a module."""
    yield from strings(ast.parse(source))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    # Lines that follow each other keep their distance to their rank.
    for _, block in groupby(enumerate(comments), key=lambda pair: pair[1] - pair[0]):
        yield "\n".join(comments[line].lstrip("# ") for _, line in block), 1


def paragraphs(text):
    """Blocks between blank lines, the entries of each, and the entries' bodies.

    Without headings, and without placeholders, which stand for texts and repeat none.
    """
    for block in re.split(r"\n\s*\n", SECTION.sub("", text)):
        block = inspect.cleandoc(PLACEHOLDER.sub("", block))
        entries = re.split(r"\n(?=\S)", block)
        yield block
        if any("\n" in entry for entry in entries):
            yield from entries if len(entries) > 1 else ()
            for entry in entries:
                _, *body = entry.split("\n", 1)
                yield from body


def repeated(sources):
    """Names of the modules that a paragraph stands in, for those that stand twice.

    `sources` are the texts of modules by their names.  Line breaks make no difference.
    """
    places, sizes = defaultdict(list), defaultdict(int)
    for name, source in sources.items():
        for text, source_lines in texts(source):
            for paragraph in paragraphs(text):
                words = " ".join(paragraph.split())
                places[words].append(name)
                sizes[words] = max(sizes[words], source_lines, paragraph.count("\n") + 1)
    return {
        words[:99]: names
        for words, names in places.items()
        if len(names) > 1 and (sizes[words] > LINES or len(words) > CHARACTERS)
    }


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
    ("first", "second", "found"),
    [
        ("One line\n        and another.", "One line and\n        another.", True),
        ("One line\n        and another.", "One line and\n        another one.", False),
        ("One line.", "One line.", False),
    ],
)
def test_repeated_entries_are_found(first, second, found):
    sources = {
        "a": ENTRY.format(name="this", size=first),
        "b": ENTRY.format(name="that", size=second),
    }
    assert bool(repeated(sources)) == found


# Of 168 characters.
LONG = "Words that say the same. " * 6 + "And the last ones."
HALVES = LONG[:75].rstrip(), LONG[75:]
IN_TWO, IN_THREE = "\n    ".join(HALVES), "\n    ".join((LONG[:50], LONG[50:100], LONG[100:]))


@pytest.mark.parametrize("body", [LONG, IN_TWO.replace("\n", "\n    "), "A\n        B\n        C"])
@pytest.mark.parametrize("head", ["height : int", "size : float, default=1"])
def test_bodies_of_entries_are_found_under_other_heads(head, body):
    source = ENTRY.format(name="this", size=body)
    other = ENTRY.format(name="that", size=body).replace("size : int", head)
    assert repeated({"a": source, "b": other})
    assert not repeated({"a": source, "b": other.replace("\n", "\n\n").replace(body, "Other.")})


def test_repetitions_within_a_docstring_are_found():
    for paragraph in (IN_TWO, "One\n    Two\n    Three"):
        text = f'"""Do it.\n\n    {paragraph}\n\n    Notes\n    -----\n    {{}}\n    """\n'
        assert repeated({"a": text.format(paragraph)})
        assert not repeated({"a": text.format("Others.")})
    entries = ENTRY.format(name="other", size=IN_TWO.replace("\n", "\n    "))
    assert repeated({"a": entries.replace("Something else.", IN_TWO.replace("\n", "\n    "))})


def test_rewrapped_paragraphs_are_found():
    first, second = (f'"""Do it.\n\n    {text}\n    """\n' for text in (IN_TWO, IN_THREE))
    assert repeated({"a": first, "b": second})
    assert repeated({"a": first, "b": f"# {HALVES[0]}\n# {HALVES[1]}\n"})
    assert not repeated({"a": first, "b": second.replace("last", "first")})


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (f'"{LONG}"', True),
        (f'"{HALVES[0]} "\n    "{HALVES[1]}"', True),
        (f'f"{{x}} {HALVES[0]} "\n    "{HALVES[1]}"', True),
        ('"One "\n    "two "\n    "three."', True),
        ('f"One {x} "\n    f"{x} two "\n    "three."', True),
        ('"One "\n    "two."', False),
        ('f"One {x} "\n    "two."', False),
        ('"""\n    One line.\n    """', False),
    ],
)
def test_repeated_messages_are_found(message, found):
    source = f"raise ValueError(\n    {message}\n)\n"
    assert bool(repeated({"a": source, "b": source.replace("{x}", "{y!r}")})) == found
    assert bool(repeated({"a": source + source})) == found
    assert not repeated({"a": source})


def test_repeated_comments_and_blocks_are_found():
    comment = "x = 1  # alone\n# A reason\n# that takes\n# three lines.\ny = 2\n"
    block = '"""Heading.\n\nSome words\nof a text\nof three lines.\n"""\n'
    assert len(repeated({"a": comment, "b": "if x:\n    " + comment.replace("\n", "\n    ")})) == 1
    assert len(repeated({"a": block, "b": block.replace("Heading", "Another")})) == 1
    assert len(repeated({"a": comment, "b": block})) == 0


# --- docstrings and signatures agree -------------------------------------------------------------


# Methods that only the package itself calls.
INTERNAL = {"sklearn_cntk.KernelStore.of", "sklearn_cntk.KernelStore.partition"}


def has_docstring(member):
    return inspect.isroutine(member) or isinstance(member, property)


def documented():
    """(label, class, function or property) of what is public, methods too."""
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
            for method, function in inspect.getmembers(value, has_docstring):
                code = function.fget if isinstance(function, property) else function
                ours = (getattr(code, "__module__", None) or "").startswith("sklearn_cntk")
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
    is_property = isinstance(function, property)
    signature = {} if is_property else inspect.signature(function).parameters
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
        with pytest.raises(TypeError, match="Thing has no parameter"):
            Thing(**wrong)
    with pytest.raises(TypeError, match="positional"):
        Thing(1, "red")


def test_constructors_of_public_classes_bear_their_names():
    """And a default is none of an object that was not told."""
    for cls in (sklearn_cntk.CNTK, sklearn_cntk.CNTKClassifier, sklearn_cntk.CNTKRegressorCV):
        with pytest.raises(TypeError, match=rf"^{cls.__name__} has no parameter 'depht': did you"):
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


@fill_docs
class WithProperty:
    @property
    def share(self):
        """Of all things.

        {one_pass}
        """


def test_properties_are_filled():
    assert "leave-one-out" in WithProperty.share.__doc__
    assert not disagreements(WithProperty.share)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("all", '"all"'),
        (("all",), '("all",)'),
        ((), "()"),
        (None, "None"),
        (0.0, "0.0"),
        (0.1, "0.1"),
        (1e-5, "1e-5"),
        (2.5e-7, "2.5e-7"),
        ((1e-5, 1e-3, 1e-1), "(1e-5, 1e-3, 1e-1)"),
        ((0.1, 2), "(0.1, 2)"),
        ((1.5e-5, True, 30.0), "(1.5e-5, True, 3e1)"),
    ],
)
def test_defaults_are_written_alike(value, text):
    assert literal(value) == text
    assert ast.literal_eval(text) == value


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
