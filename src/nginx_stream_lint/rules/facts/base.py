"""Facts: their declaration, and the facts of one stream through one location.

A fact is a function of `Facts` with the decorator `@fact`; its docstring is its documentation. The
decorator declares what the function reads: the verdict cache (`rules/cache.py`) treats locations as
equal if they are equal in everything that the rules' facts read. tests/rules/test_reads.py checks
the declarations by recording what each fact really reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any, TypeVar

from msgspec import Struct

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.conditions import UNKNOWN, Quantity
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import Stream

_T = TypeVar("_T")
_NOT_YET = object()
_PLACEHOLDER = re.compile(r"<(\w+)>")
# The headers whose values facts read.
_RELEVANT = frozenset(
    {"cache-control", "connection", "content-length", "upgrade", "x-accel-buffering"}
)


class OtherInput(Struct, frozen=True):
    """An input of facts other than the effective directives of their location.

    `value` returns it in a form that compares equal if it means the same. It is constant if none of
    the directives `only_with` is in force (if there are any), or if `only_for`, which reads only
    the streams and clients, returns false. `by_version`: it may depend on the nginx version.
    """

    name: str
    value: Callable[[ProxiedLocation, Version], Hashable]
    only_with: tuple[str, ...] = ()
    only_for: Callable[[ProxiedLocation], bool] | None = None
    by_version: bool = True

    def is_for(self, proxied: ProxiedLocation) -> bool:
        """Whether the input may vary for these streams and clients."""
        return self.only_for is None or self.only_for(proxied)


class Headers(Struct, frozen=True):
    """A list of headers: facts read all names, and the values of some."""

    directive: str


# An item that a fact reads: the name of a directive or another fact, or one of these.
Read = str | Headers | OtherInput


class Fact(Struct, frozen=True):
    """A fact: its function, what that reads, and which directives it may name."""

    value: Callable[[Facts], Any]
    reads: tuple[Read, ...]
    directives: tuple[str, ...]

    @property
    def documentation(self) -> str:
        """The fact's docstring."""
        return self.value.__doc__ or ""

    @property
    def kinds(self) -> list[str]:
        """The types of its values, as annotated: `str`, `float`, `None` …"""
        return str(self.value.__annotations__["return"]).split(" | ")


FACTS: dict[str, Fact] = {}
# Facts whose value is the name of a directive: `<name>` in a rule file stands for it.
PLACEHOLDERS = {"family"}


def fact(
    *, reads: Sequence[Read] = (), directives: Sequence[str] = ()
) -> Callable[[Callable[[Facts], _T]], Callable[[Facts], _T]]:
    """Decorator: make a function of `Facts` a fact, under its own name.

    `reads` lists everything that the function reads. If the fact names a directive, `directives`
    are the possible ones.
    """

    def add(function: Callable[[Facts], _T]) -> Callable[[Facts], _T]:
        name = function.__name__
        FACTS[name] = Fact(function, tuple(reads), tuple(directives))
        if directives:
            PLACEHOLDERS.add(name)
        return function

    return add


def computed(function: Callable[[Facts], _T]) -> Callable[[Facts], _T]:
    """Decorator: compute once a value that several facts about one stream need."""

    def known(facts: Facts) -> _T:
        if function not in facts.intermediate:
            facts.intermediate[function] = function(facts)
        found: _T = facts.intermediate[function]
        return found

    return known


class Facts:
    """The facts about one stream, each computed on first use.

    `version` is None if it is unknown; then the old defaults apply.
    """

    def __init__(
        self,
        proxied: ProxiedLocation,
        stream: Stream,
        version: Version | None,
        min_read_timeout_s: float,
    ) -> None:
        self.proxied = proxied
        self.stream = stream
        self.version = version or OLD
        self.version_is_known = version is not None
        self.minimum_s = min_read_timeout_s
        self.intermediate: dict[Callable[[Facts], Any], Any] = {}
        self._effective: dict[str, Effective] = {}
        self._elsewhere: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._newer: Facts | None = None

    def about(self, stream: Stream) -> Facts:
        """The facts about another stream through the same location."""
        facts = Facts(self.proxied, stream, self.version, self.minimum_s)
        facts.version_is_known = self.version_is_known
        facts._effective = self._effective
        facts._elsewhere = self._elsewhere
        return facts

    @property
    def newer(self) -> Facts:
        """The same facts with the defaults of newer nginx."""
        if self._newer is None:
            self._newer = Facts(self.proxied, self.stream, NEW, self.minimum_s)
            self._newer._effective = {
                name: one for name, one in self._effective.items() if not _by_version(one)
            }
        return self._newer

    def value(self, subject: str) -> Any:
        """The value of a directive or fact; see `conditions.Subjects`."""
        known = self._values.get(subject, _NOT_YET)
        if known is _NOT_YET:
            one = FACTS.get(subject)
            known = one.value(self) if one is not None else self._directive(subject)
            self._values[subject] = known
        return known

    def effective(self, name: str) -> Effective:
        """The effective value of a directive; KeyError if the table lacks it."""
        if "<" in name:
            name = self.resolve(name)
        found = self._effective.get(name)
        if found is None:
            level = self.proxied.level
            if table()[name].merge == "own":
                level = holder(level, name)
            found = self._effective[name] = level.effective(name, self.version)
        return found

    def headers(self, name: str) -> list[tuple[str, ...]]:
        """The header rows in force; for headers that no rule knows, only their names."""
        return headers_at(self.proxied.level, self.resolve(name), self.version)

    def headers_written(self, level: Level, name: str) -> list[tuple[str, ...]]:
        """The header rows written at one level; if no rule knows the header, only its name."""
        return [relevant_header(row.args) for row in level.rows.get(self.resolve(name), ())]

    def elsewhere(self, other_input: OtherInput) -> Any:
        """The value of an input other than the location's effective directives."""
        if other_input.name not in self._elsewhere:
            self._elsewhere[other_input.name] = other_input.value(self.proxied, self.version)
        return self._elsewhere[other_input.name]

    def is_written(self, name: str) -> bool:
        """Whether a directive in force is written, not a default."""
        name = self.resolve(name)
        if name.endswith("_header"):
            return bool(self.headers(name))
        return bool(self.effective(name).directives)

    def resolve(self, name: str) -> str:
        """Fill in placeholders such as `<family>` and `<read_timeout>` in a directive's name.

        Empty if the placeholder's fact does not apply.
        """
        if "<" not in name:
            return name

        def fill(match: re.Match[str]) -> str:
            return str(self.value(match[1]) or "")

        return _PLACEHOLDER.sub(fill, name)

    def has(self, name: str) -> bool:
        """Whether this stream's family has such a directive."""
        return self.resolve(name) in table()

    def _directive(self, subject: str) -> Any:
        name = self.resolve(subject)
        entry = table().get(name)
        if entry is None:
            return None  # this family has no such directive
        effective = self.effective(name)
        if not effective.rows:
            return None
        if entry.value in ("strings", "row"):
            return [arg for row in effective.rows for arg in row]
        text = effective.text
        if "$" in text or has_placeholder(text):
            return UNKNOWN
        if entry.value in ("time", "size"):
            return Quantity(text, parse_time if entry.value == "time" else parse_size)
        return text.lower() if entry.value == "flag" else text


def _by_version(effective: Effective) -> bool:
    """Whether another nginx version may use another value."""
    return effective.origin == "default" and table()[effective.name].default_changed


@cache
def directives_meant(name: str) -> tuple[str, ...]:
    """The directives that a name with placeholders may mean: `<family>_cache`, `<cut_by>`."""
    match = _PLACEHOLDER.search(name)
    if match is None:
        return (name,) if name in table() else ()
    one = FACTS.get(match[1])
    words = FAMILIES if match[1] == "family" else () if one is None else one.directives
    return tuple(
        found for word in words for found in directives_meant(name.replace(match[0], word))
    )


def placeholders_in(name: str) -> list[str]:
    """The facts used as placeholders in a directive's name."""
    return _PLACEHOLDER.findall(name)


def headers_at(level: Level, name: str, version: Version) -> list[tuple[str, ...]]:
    """The rows of a header list in force at a level, reduced to what facts read."""
    return [relevant_header(row) for row in level.effective(name, version).rows]


def relevant_header(header: tuple[str, ...]) -> tuple[str, ...]:
    """A header row reduced to what facts read: the values of only a few headers."""
    return header if header and header[0].lower() in _RELEVANT else header[:1]


def holder(level: Level, name: str) -> Level:
    """The level to look up a directive at: the stream's, or the one block that may contain it."""
    entry = table()[name]
    if entry.merge != "own":
        return level
    if entry.contexts == {"events"}:
        main = level.nearest("main")
        return (main and main.first("events")) or level
    return level.nearest(*entry.contexts) or level
