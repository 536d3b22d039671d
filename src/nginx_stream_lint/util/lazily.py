"""Dataclasses and regular expressions that are made when they are first used.

A small run loads a hundred of each and uses few, and making them would take longer than all else
that it does: 0.4 to 0.7 ms for a class, 0.1 to 0.5 ms for an expression.

`dataclasses.dataclass` writes and compiles up to seven functions when a class is defined. Here only
`__init__` is compiled, when the first instance is made; the other methods are the same closures for
all classes, and what `dataclasses.replace` and `fields` ask for is made by the standard decorator
when they do. That a frozen instance does not change is for mypy to see, not for each run.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

_T = TypeVar("_T")
_ABSENT = dataclasses.MISSING


def _dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True
) -> Callable[[type[_T]], type[_T]]:
    """The decorator, for classes without bases; frozen and compared ones have a hash."""

    def decorated(cls: Any) -> Any:
        names = tuple(cls.__annotations__)
        body = dict(cls.__dict__)
        kept = ("__module__", "__qualname__", "__doc__", "__post_init__", *names)
        fields = {name: body[name] for name in kept if name in body}
        fields["__annotations__"] = cls.__annotations__
        if slots:
            for name in ("__dict__", "__weakref__", *names):
                body.pop(name, None)
            cls = type(cls)(cls.__name__, cls.__bases__, body | {"__slots__": names})
        methods = {"__repr__": _repr(names)} | (_comparing(names, frozen) if eq else {})
        for name, make in (("__init__", _init), ("__dataclass_fields__", _standard)):
            methods[name] = _Later(cls, name, partial(make, names, fields))
        for name, method in methods.items():
            if body.get(name) is None:
                setattr(cls, name, method)
        return cls

    return decorated


class _Later:
    """An attribute of a class that is made when it is first asked for."""

    def __init__(self, owner: type, name: str, make: Callable[[], Any]) -> None:
        self.owner = owner
        self.name = name
        self.make = make

    def __get__(self, instance: object, _: type) -> Any:
        setattr(self.owner, self.name, self.make())
        return getattr(self.owner if instance is None else instance, self.name)


def _init(names: tuple[str, ...], body: dict[str, Any]) -> Any:
    """`__init__` as the standard decorator would write it."""
    parameters = ["self"]
    lines: list[str] = []
    values: dict[str, Any] = {"_ABSENT": _ABSENT}
    for name in names:
        default: Any = body.get(name, _ABSENT)
        factory: Any = _ABSENT
        if isinstance(default, dataclasses.Field):
            if not default.init:
                continue
            default, factory = default.default, default.default_factory
        if factory is not _ABSENT:
            values[f"_{name}"] = factory
            parameters.append(f"{name}=_ABSENT")
            lines.append(f"self.{name} = _{name}() if {name} is _ABSENT else {name}")
            continue
        lines.append(f"self.{name} = {name}")
        if default is _ABSENT:
            parameters.append(name)
        else:
            values[f"_{name}"] = default
            parameters.append(f"{name}=_{name}")
    lines.append("self.__post_init__()" if "__post_init__" in body else "return")
    text = "\n ".join((f"def __init__({', '.join(parameters)}):", *lines))
    exec(text, values)
    return values["__init__"]


def _standard(_: tuple[str, ...], body: dict[str, Any]) -> dict[str, dataclasses.Field[Any]]:
    """`__dataclass_fields__`, from a class with nothing but these fields."""
    fields = type("_Fields", (), body)
    made: Any = dataclasses.dataclass(repr=False, eq=False)(fields)
    found: dict[str, dataclasses.Field[Any]] = made.__dataclass_fields__
    return found


def _repr(names: tuple[str, ...]) -> Callable[[object], str]:
    @recursive_repr()
    def method(self: object) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({fields})"

    return method


def _comparing(names: tuple[str, ...], frozen: bool) -> dict[str, Any]:
    values = attrgetter(*names)

    def equal(self: object, other: object) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return values(self) == values(other)

    def hashed(self: object) -> int:
        return hash(values(self))

    return {"__eq__": equal, "__hash__": hashed if frozen else None}


class _Regex:
    """An expression that is compiled when one of its methods is first asked for.

    From then on that method is an attribute, as quick to call as that of the expression.
    """

    def __init__(self, *given: Any) -> None:
        self._given = given

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found


if TYPE_CHECKING:
    from dataclasses import dataclass
    from re import compile as regex
else:
    dataclass, regex = _dataclass, _Regex

__all__ = ["dataclass", "regex"]
