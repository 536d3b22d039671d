"""Which location a path belongs to, by nginx's own order.

Source: `ngx_http_core_find_location` in nginx's src/http/ngx_http_core_module.c. The longest prefix
is looked up first, with everything nested in it; unless that said `=`, `^~` or a nested regular
expression matched, the regular expressions of the level decide in order of appearance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pcre import Match as PatternMatch
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern


@dataclass(frozen=True, slots=True)
class Match:
    """How a location matches: `modifier` is ``, `=`, `^~`, `~`, `~*` or `@`; `pattern` the rest."""

    modifier: str
    pattern: str

    @property
    def is_regex(self) -> bool:
        return self.modifier in ("~", "~*")


def match_of(location: Level) -> Match:
    """The modifier and pattern of a location, also where they are written without a space."""
    args = location.directive.args if location.directive is not None else ("/",)
    if len(args) >= 2:
        return Match(args[0], args[1])
    name = args[0] if args else ""
    for modifier in ("=", "^~", "~*", "~", "@"):
        if name.startswith(modifier):
            return Match(modifier, name[len(modifier) :])
    return Match("", name)


@dataclass(slots=True)
class Found:
    """Where a URI path belongs.

    `level` is None where no location takes it. `redirects` tells that nginx sends the client to the
    location's name, which ends with a slash. `match` is what the location's regular expression
    found, and `unreadable` are expressions on the way that Python cannot read.
    """

    level: Level | None = None
    redirects: bool = False
    match: PatternMatch | None = None
    unreadable: list[str] = field(default_factory=list)


def find(level: Level, uri: str) -> Level | None:
    """The location inside a server (or location) that handles a normalized URI path, or None.

    A regular expression that Python cannot read matches nothing here.
    """
    return locate(level, uri).level


def locate(level: Level, uri: str) -> Found:
    """Where a normalized URI path belongs inside a server or location."""
    found = Found()
    _locate(level, uri, found)
    return found


def named(server: Level, name: str) -> Level | None:
    """The location `@name` of a server, the `@` left out."""
    return _table(server).named.get(name)


def limits(location: Level) -> list[Level]:
    """The `limit_except` blocks of a location."""
    return _table(location).limits


class _Table:
    """The locations of one level, ready to be looked up."""

    def __init__(self, level: Level) -> None:
        self.exact: dict[str, Level] = {}
        self.prefix: dict[str, tuple[Level, bool]] = {}
        self.regex: list[tuple[Level, Match]] = []
        self.slash: dict[str, Level] = {}
        self.named: dict[str, Level] = {}
        self.limits = [child for child in level.children if child.kind == "limit_except"]
        for location in level.children:
            if location.kind != "location":
                continue
            match = match_of(location)
            if match.modifier == "=":
                self.exact.setdefault(match.pattern, location)
            elif match.is_regex:
                self.regex.append((location, match))
            elif match.modifier == "@":
                self.named[match.pattern] = location
            else:
                self.prefix.setdefault(match.pattern, (location, match.modifier == "^~"))
            # A handler under a name with a slash at its end redirects to it.
            handles = location.own_handler is not None or "memcached_pass" in location.rows
            redirects = match.modifier in ("", "=", "^~") and match.pattern.endswith("/")
            if handles and redirects:
                self.slash.setdefault(match.pattern[:-1], location)
        # nginx takes the exact one of two with the same name.
        self.slash = {name: self.exact.get(f"{name}/", one) for name, one in self.slash.items()}
        self.lengths = sorted({len(name) for name in self.prefix}, reverse=True)


@lru_cache(maxsize=4096)
def _table(level: Level) -> _Table:
    return _Table(level)


def _locate(level: Level, uri: str, found: Found) -> bool:
    """Fill in `found`; gives whether nginx would stop looking."""
    table = _table(level)
    exact = table.exact.get(uri)
    if exact is not None:
        found.level = exact
        return True
    no_regex = False
    prefix = next((uri[:length] for length in table.lengths if uri[:length] in table.prefix), None)
    if prefix != uri and uri in table.slash and uri not in table.exact:
        found.level, found.redirects = table.slash[uri], True
        return True
    if prefix is not None:
        location, no_regex = table.prefix[prefix]
        found.level = location
        if _locate(location, uri, found):
            return True
    if not no_regex:
        for location, match in table.regex:
            try:
                matched = compile_pattern(match.pattern, match.modifier == "~*").search(uri)
            except Undecided:
                found.unreadable.append(match.pattern)
                continue
            if matched is not None:
                found.level, found.match = location, matched
                _locate(location, uri, found)
                return True
    return False
