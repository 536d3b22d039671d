"""Where the value of a directive comes from, in words: they differ from place to place."""

from __future__ import annotations

from nginx_stream_lint.config import Directive, File
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts import UPSTREAM, holder
from nginx_stream_lint.streams.detect import ProxiedLocation

_LONGEST_PATH = 24


def origin(level: Level, name: str, version: Version, word: str = "") -> str:
    """Where the value of a directive in force at a level comes from, in words.

    Of several rows, it is that of the first one with the word among its arguments, if there is one.
    """
    effective = holder(level, name).effective(name, version)
    if not effective.directives:
        return "default"
    rows = effective.directives
    directive = next((one for one in rows if word and word in map(str.lower, one.args)), rows[0])
    author = directive.file.reading.author
    if author is not None and not directive.is_written:
        assumed = ", the assumed controller" if author.assumed else ""
        return f"default of {author.name}{assumed}"
    if effective.origin == "explicit" and directive.file is _home(level):
        return "set here"
    return f"set in {_place(directive)}"


def _place(directive: Directive) -> str:
    """Where a directive stands, as a message says it."""
    return f"{_end_of(directive.source.name)}:{directive.line}"


def _end_of(path: str) -> str:
    """A path, or of a long one as many of its last parts as a message has room for."""
    if len(path) <= _LONGEST_PATH:
        return path
    parts = path.split("/")
    end = parts.pop()
    while parts and len(end) + len(parts[-1]) < _LONGEST_PATH:
        end = f"{parts.pop()}/{end}"
    return f".../{end}" if parts else end


def _home(level: Level) -> File | None:
    """The file that a level's block is written in; what its includes set is not set there."""
    if level.directive is not None:
        return level.directive.file
    return None if level.own_handler is None else level.own_handler.directive.file


def doubted(served: ProxiedLocation, name: str, version: Version) -> str:
    """Why an error is a warning only, with what may set a directive unseen."""
    directive: Directive | None = served.handler.directive
    if name != UPSTREAM:
        directive = holder(served.level, name).effective(name, version).unknown_by
    assert directive is not None
    because = "Reported as a warning because"
    if directive is served.handler.directive:
        return f"{because} the upstream is unknown"
    if directive.name == "include":
        return f"{because} the contents of {_end_of(directive.args[0])} are unknown"
    home = _home(served.level)
    is_here = home is not None and directive.source is home.source
    place = f"line {directive.line}" if is_here else _place(directive)
    if directive.unknown:
        return f"{because} the template decides what is set at {place}"
    return f"{because} the template decides the value of {directive.name} ({place})"
