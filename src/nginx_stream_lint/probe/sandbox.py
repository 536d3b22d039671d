"""Make a configuration run without touching anything outside one folder.

Only as much of nginx's syntax is read here as that takes: where directives begin and end. Line
and column of everything the author wrote stay what they were, so that nginx's messages point at
the author's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PATHS_OF_NGINX = frozenset(
    {
        "access_log",
        "client_body_temp_path",
        "daemon",
        "error_log",
        "fastcgi_temp_path",
        "lock_file",
        "master_process",
        "pid",
        "proxy_temp_path",
        "scgi_temp_path",
        "user",
        "uwsgi_temp_path",
        "worker_processes",
    }
)
# In other blocks (map, types, ...) a first word is data, whatever it looks like.
_BLOCKS = frozenset({"", "http", "server", "location", "if", "limit_except", "stream"})
_WORD = re.compile(
    r"""
    (?P<space>\s+) | (?P<comment>\#[^\n]*) | (?P<mark>[;{}])
    | (?P<word>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?:\\.|\$\{[^}]*\}|[^\s;{}\\]|\\)+)
    """,
    re.VERBOSE | re.DOTALL,
)
_LUA = re.compile(
    r"(?:--[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[^{}\"'-]|-(?!-))*", re.DOTALL
)


@dataclass(frozen=True)
class Directive:
    """A directive and where it is: `text[start:end]`, up to its `;` or its `{`, both included.

    `inside` is the first word of the block around it, empty at the main level.
    """

    words: tuple[str, ...]
    start: int
    end: int
    inside: str
    is_block: bool


def directives(text: str) -> Iterator[Directive]:
    """Yield the directives of a file in order; what is not nginx syntax is passed over."""
    at = start = 0
    words: list[str] = []
    blocks = [""]
    while found := _WORD.match(text, at):
        at = found.end()
        if found["word"]:
            start = start if words else found.start()
            words.append(found["word"].strip("\"'"))
        if not found["mark"]:
            continue
        if words:
            yield Directive(tuple(words), start, at, blocks[-1], found["mark"] == "{")
        if found["mark"] == "{":
            if words and words[0].endswith("_by_lua_block"):
                at = _end_of_lua(text, at)
            else:
                blocks.append(words[0] if words else "{")
        elif found["mark"] == "}" and len(blocks) > 1:
            blocks.pop()
        words = []


def _end_of_lua(text: str, at: int) -> int:
    depth = 1
    while depth:
        plain = _LUA.match(text, at)
        at = plain.end() if plain else at
        if at >= len(text):
            return at
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at


def blank(text: str, spans: list[Directive]) -> str:
    """Return the text with these directives overwritten by spaces, line ends kept."""
    for span in spans:
        hidden = re.sub(r"[^\r\n]", " ", text[span.start : span.end])
        text = text[: span.start] + hidden + text[span.end :]
    return text


def confine(text: str, http_level: str) -> str:
    """Return the text without its own paths, and with `http_level` put into its `http` block.

    Main-level replacements for what is dropped (pid, error_log, ...) are left to `nginx -g`.

    Args:
        text: a whole main configuration file.
        http_level: directives on one line, such as `proxy_temp_path "/tmp/x/proxy";`.
    """
    found = list(directives(text))
    dropped = [
        one
        for one in found
        if one.words[0] in _PATHS_OF_NGINX and one.inside in _BLOCKS and not one.is_block
    ]
    confined = blank(text, dropped)
    opening = [one for one in found if one.words == ("http",) and not one.inside and one.is_block]
    for block in reversed(opening):
        confined = f"{confined[: block.end]} {http_level}{confined[block.end :]}"
    if not any(one.words[0] == "events" and not one.inside for one in found):
        confined += "\nevents { worker_connections 4096; }\n"
    return confined
