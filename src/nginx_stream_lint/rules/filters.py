"""Words that templates and reports share, and the filters of templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

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


def whole(number: float) -> float:
    """Drop the fraction of a number; infinity stays."""
    return int(number) if isfinite(number) else number


# The filters for templates; `template_check.py` lists which values each accepts.
FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount,
    "changes": of_changes,
    "clients": of_clients,
    "duration": duration,
    "int": whole,
    "length": len,
    "listed": listed,
    "max": max,
    "sentence": first_upper,
    "without": without,
}
