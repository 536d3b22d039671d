"""Words that templates and reports share, and the filters of templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from types import NoneType
from typing import Any

from msgspec import Struct

from nginx_stream_lint.rules.conditions import Unknown

CLIENTS = {
    "h1": "plain HTTP/1.1",
    "h1-tls": "HTTP/1.1 over TLS",
    "h2": "HTTP/2",
    "h3": "HTTP/3",
}
# The same names, as written before "clients".
CLIENT_ADJECTIVES = {client: word.replace(" over ", "-over-") for client, word in CLIENTS.items()}
_EVERY = frozenset({"h1", "h1-tls", "h2"})
HOLDS = {
    "upstream-buffer": "the {family} buffer",
    "sub-filter": "sub_filter",
    "gzip": "gzip",
    "brotli": "brotli",
    "body-filter": "the Lua or njs body filter",
    "file-buffer": "the write buffer of recorded responses (sendfile)",
    "tls-buffer": "the TLS write buffer",
}
# Holds that keep the whole response if the client accepts compression.
COMPRESSION = frozenset({"gzip", "brotli"})
CHANGES = {
    "close": "if the app stops using chunked encoding",
    "h1-tls": "if clients use HTTP/1.1 over TLS",
}


class TemplateMistake(Exception):
    """A template that cannot be rendered, in the words of rule authors."""


def listed(words: Sequence[str], last: str = "and") -> str:
    """Join words: `a`, `a and b`, `a, b and c`."""
    words = list(words)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def of_clients(clients: Sequence[str]) -> str:
    """Name kinds of clients: `plain HTTP/1.1 and HTTP/2 clients`."""
    if set(clients) >= _EVERY:
        return "every client"
    return f"{listed([CLIENT_ADJECTIVES.get(client, client) for client in clients])} clients"


def of_changes(names: Sequence[str]) -> str:
    """Describe changes to the app or its clients: `if the app … or if clients …`."""
    return listed([CHANGES.get(name, name) for name in names], "or")


def first_upper(text: str) -> str:
    """Capitalize the first letter of a text."""
    return text[:1].upper() + text[1:]


def without(words: Sequence[str], word: str) -> list[str]:
    """Remove a word from a list."""
    return [one for one in words if one != word]


def duration(number: float | Unknown | None) -> str:
    """Format seconds for people: `0.6 s`, `90 s`, `5 min`, `2 h`."""
    if number is None:
        return "the end of the response"
    if isinstance(number, Unknown):
        return str(number)
    for unit, name in ((3600, "h"), (60, "min")):
        if number >= 2 * unit and number % unit == 0:
            return f"{number / unit:g} {name}"
    return f"{number:g} s"


def amount(number: float | Unknown | None) -> str:
    """Format bytes for people: `4 KB`, `900 bytes`."""
    if number is None:
        return "the whole response"
    if isinstance(number, Unknown):
        return str(number)
    if number >= 1024 and number % 1024 == 0:
        return f"{number // 1024} KB"
    return f"{number} bytes"


def largest(numbers: Sequence[float]) -> float:
    """The largest of some numbers. Raises TemplateMistake if there are none."""
    if not numbers:
        raise TemplateMistake("the filter max needs at least one number; add one to the list")
    return max(numbers)


def whole(number: float) -> float:
    """Drop the fraction of a number; infinity stays."""
    return int(number) if isfinite(number) else number


class Filter(Struct, frozen=True):
    """A filter of templates: its function, and what it accepts.

    `accepts` are the types of the value, `items` those of its items if it is a list; `needs` says
    both in words. `arguments` are the fewest and the most arguments; each is a text.
    """

    function: Callable[..., Any]
    needs: str
    accepts: tuple[type, ...]
    items: tuple[type, ...] = (object,)
    arguments: tuple[int, int] = (0, 0)


_LISTS, _NUMBERS, _WORDS = (list, tuple), (int, float), (str,)
_QUANTITY = ("a number", (*_NUMBERS, Unknown, NoneType))
_LIST = ("a list of words", _LISTS, _WORDS)
FILTERS: dict[str, Filter] = {
    "amount": Filter(amount, *_QUANTITY),
    "changes": Filter(of_changes, *_LIST),
    "clients": Filter(of_clients, *_LIST),
    "duration": Filter(duration, *_QUANTITY),
    "int": Filter(whole, "a number", _NUMBERS),
    "length": Filter(len, "a list or text", (*_LISTS, str)),
    "listed": Filter(listed, *_LIST, arguments=(0, 1)),
    "max": Filter(largest, "a list of numbers", _LISTS, _NUMBERS),
    "sentence": Filter(first_upper, "text", _WORDS),
    "without": Filter(without, *_LIST, arguments=(1, 1)),
}


def checked(name: str) -> Callable[..., Any]:
    """The function of a filter; it raises TemplateMistake for a value that it does not accept."""
    one = FILTERS[name]

    def apply(value: Any, *arguments: str) -> Any:
        found = None if _is_any(value, one.accepts) else _kind_of(value)
        if isinstance(value, _LISTS) and found is None:
            wrong = [_kind_of(item) for item in value if not _is_any(item, one.items)]
            found = f"a list with {wrong[0]}" if wrong else None
        if found is None:
            return one.function(value, *arguments)
        advice = (
            "put it into an `if`" if found.endswith(_NO_VALUE) else "use another filter or fact"
        )
        raise TemplateMistake(f"the filter {name} needs {one.needs}, but gets {found}; {advice}")

    return apply


def _is_any(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (object in types or not isinstance(value, bool))


# Kinds of values, in words; a boolean is a number to Python, too.
_NO_VALUE = "no value"
_KINDS: dict[type | tuple[type, ...], str] = {
    NoneType: _NO_VALUE,
    bool: "true or false",
    _NUMBERS: "a number",
    str: "text",
    _LISTS: "a list",
    Unknown: "an unknown value",
}


def _kind_of(value: object) -> str:
    return next(words for types, words in _KINDS.items() if isinstance(value, types))
