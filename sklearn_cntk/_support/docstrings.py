"""Docstrings completed on import: a line ``{name}`` becomes the paragraph of that name.

`help`, IPython, Sphinx and doctest see the paragraph as if it were written there.
``{parameters}`` becomes the entries of all parameters that the docstring does not describe itself.
Under ``python -OO`` there are no docstrings, and nothing happens.
"""

from __future__ import annotations

import inspect
import re
from textwrap import indent
from typing import TYPE_CHECKING, TypeVar

from .parameter_docs import PARAGRAPHS
from .parameters import declared, name_constructor

if TYPE_CHECKING:
    from collections.abc import Callable

    _Documented = TypeVar("_Documented", bound=Callable)

_PLACEHOLDER = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)


def fill_docs(documented: _Documented) -> _Documented:
    """Fill the docstring of a class and of its methods, or of a function, as a decorator.

    A class that inherits a declared constructor gets one of its own name.  Properties are filled
    like methods.
    """
    return fill_docs_like(documented)(documented)


def fill_docs_like(cls: object) -> Callable[[_Documented], _Documented]:
    """Return `fill_docs` with the parameter entries of another class, looked up by name."""

    def decorate(documented):
        members = []
        if isinstance(documented, type):
            name_constructor(documented)
            members = [
                getattr(value, "__func__", value)
                for value in vars(documented).values()
                if inspect.isroutine(value) or isinstance(value, property)
            ]
        for one in (documented, *members):
            if one.__doc__ and _PLACEHOLDER.search(one.__doc__):
                one.__doc__ = _filled(one, cls)
        return documented

    return decorate


def _filled(documented, cls):
    def paragraph(match):
        margin, name = match.groups()
        if name == "parameters":  # filled last, when it is known what else is described
            return match[0]
        text = PARAGRAPHS[name]
        if "{cls}" in text:  # a property has no name
            text = text.replace("{cls}", documented.__name__)
        return indent(text, margin)

    def entries(match):
        return indent("\n".join(_entries(documented, cls, text)), match[1])

    text = _PLACEHOLDER.sub(paragraph, documented.__doc__)
    return _PLACEHOLDER.sub(entries, text)


def _entries(documented, cls, text):
    """Yield entries of the parameters that `text` does not describe, with their own defaults."""
    known = declared(cls)
    described = ", ".join(re.findall(r"^ *([\w, ]+) : ", text, re.MULTILINE)).split(", ")
    for name, one in inspect.signature(documented).parameters.items():
        if name not in described:
            default = "" if one.default is one.empty else f", default={literal(one.default)}"
            yield f"{name} : {known[name].type}{default}"
            yield indent(inspect.cleandoc(known[name].text), "    ")


def literal(value):
    """Return a default as documentation writes it: "all", 1e-5, (1e-5, 1e-3, 1e-1).

    The floats of a sequence are written alike: if one has an exponent, all have one.
    """
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        floats = [item for item in value if isinstance(item, float)]
        alike = _with_exponent if any("e-" in repr(item) for item in floats) else literal
        items = [alike(item) if isinstance(item, float) else literal(item) for item in value]
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    return re.sub(r"e-0(?=\d)", "e-", repr(value))


def _with_exponent(number):
    """Return the shortest text with an exponent that equals the number, such as 1e-3."""
    digits = next(d for d in range(17) if float(f"{number:.{d}e}") == number)
    mantissa, exponent = f"{number:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
