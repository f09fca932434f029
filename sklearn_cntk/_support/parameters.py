"""Constructors made of declared parameters: name, type, default and text in one place.

A class decorated with `parameters` declares its parameters like the fields of a dataclass::

    @parameters(kw_only=True)
    class WithFilters:
        filter_size: int = parameter("int", "Side of the square filters, odd.", default=3)

It gets the ``__init__`` that `dataclasses.dataclass` would write for its own fields and for those
of its bases, so scikit-learn and type checkers see a signature like any other.  A parameter that a
class redeclares keeps its place, and its type and text unless others are given.

The classes are not dataclasses otherwise: `dataclasses.asdict` and Dask's tokens reduce a dataclass
to its fields, while a fitted estimator is more than its parameters.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, dataclass_transform

_Class = TypeVar("_Class", bound=type)


class Parameter(NamedTuple):
    """What a class declares about one parameter."""

    type: str
    text: str
    default: Any
    annotation: Any = None
    kw_only: bool = True


def parameter(type: str = "", text: str = "", *, default: Any) -> Any:
    """Declare a parameter.

    Parameters
    ----------
    type : str
        Its type in the words of numpydoc, such as "int or None".
    text : str
        What it means.  Line breaks are kept, and lines are indented as needed.
    default : object
        An object that is never changed in place.
    """
    return Parameter(type, text, default)


@dataclass_transform(eq_default=False, field_specifiers=(parameter,))
def parameters(*, kw_only: bool) -> Callable[[_Class], _Class]:
    """Return a class decorator: `__init__` sets what the class and its bases declare."""

    def decorate(cls):
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
        inherited = declared(cls)
        for name, new in own.items():
            old = inherited.get(name, new)
            own[name] = Parameter(
                type=new.type or old.type,
                text=new.text or old.text,
                default=new.default,
                annotation=inspect.get_annotations(cls)[name],
                kw_only=kw_only,
            )
            delattr(cls, name)  # instances must not find their defaults on the class
        cls._declared_parameters = own
        cls.__init__ = _constructor(cls)
        return cls

    return decorate


def name_constructor(cls: type) -> None:
    """Give a class that inherits its constructor one of its own name, for error messages."""
    if declared(cls) and "__init__" not in vars(cls):
        setattr(cls, "__init__", _constructor(cls))  # noqa: B010 - mypy has seen the inherited one


def declared(cls: type) -> dict[str, Parameter]:
    """Return every Parameter of a class by name, those of its bases first."""
    result: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        result |= vars(base).get("_declared_parameters", {})
    return result


def _constructor(cls):
    fields = [
        (name, one.annotation, dataclasses.field(default=one.default, kw_only=one.kw_only))
        for name, one in declared(cls).items()
    ]
    made: Any = dataclasses.make_dataclass(
        cls.__name__, fields, repr=False, eq=False, match_args=False
    )
    init, names = made.__init__, declared(cls).keys()
    init.__module__ = cls.__module__
    init.__qualname__ = f"{cls.__qualname__}.__init__"

    @functools.wraps(init)
    def init_with_known_names(self, *args, **kwargs):
        for name in kwargs.keys() - names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            remedy = f"did you mean {near[0]!r}?" if near else f"use one of {sorted(names)}."
            # A class may say in `_remedies` where parameters belong that it lacks on purpose.
            remedy = getattr(self, "_remedies", {}).get(name, remedy)
            raise TypeError(f"{type(self).__name__} has no parameter {name!r}: {remedy}")
        init(self, *args, **kwargs)

    return init_with_known_names
