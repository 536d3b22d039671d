"""Find the location for a path in nginx's order.

Source: `ngx_http_core_find_location` in nginx's src/http/ngx_http_core_module.c. The longest prefix
is looked up first, with everything nested in it. Unless that has `=` or `^~`, or a nested regular
expression matched, the regular expressions of the level are tried in order.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from msgspec import Struct, field

from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.pcre import RegexMatch as PatternMatch
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern, prefix


class LocationPattern(Struct, frozen=True):
    """How a location matches: `modifier` is ``, `=`, `^~`, `~`, `~*` or `@`; `pattern` the rest."""

    modifier: str
    pattern: str

    @property
    def is_regex(self) -> bool:
        return self.modifier in ("~", "~*")


_GLUED = r"(?s)(=|\^~|~\*?|@|)(.*)"


def match_of(location: Level) -> LocationPattern:
    """Parse a location's modifier and pattern, even without a space between them."""
    directive = location.directive
    if directive is None:
        return LocationPattern("", "/")
    args = directive.args
    if len(args) >= 2:
        return LocationPattern(args[0], args[1])
    name = args[0] if args else ""
    if name[:1] in ("/", ""):
        return LocationPattern("", name)
    glued = re.match(_GLUED, name)
    assert glued is not None
    return LocationPattern(glued[1], glued[2])


class LocationMatch(Struct):
    """The location for a URI path.

    `level` is None if no location matches. `redirects`: nginx redirects the client to the
    location's name, which ends with a slash. `match` is the match of the location's regular
    expression, and `unreadable` are expressions on the way that Python cannot read.
    """

    level: Level | None = None
    redirects: bool = False
    match: PatternMatch | None = None
    unreadable: list[str] = field(default_factory=list)


def find_location(level: Level, uri: str) -> Level | None:
    """The location inside a server (or location) that handles a normalized URI path, or None.

    A regular expression that Python cannot read does not match.
    """
    return locate_uri(level, uri).level


def locate_uri(level: Level, uri: str) -> LocationMatch:
    """Find the location for a normalized URI path inside a server or location."""
    found = LocationMatch()
    _locate(level, uri, found)
    return found


def named_location(server: Level, name: str) -> Level | None:
    """The location `@name` of a server; `name` is without the `@`."""
    return _table(server).named.get(name)


def limit_except_blocks(location: Level) -> list[Level]:
    """The `limit_except` blocks of a location."""
    return _table(location).limits if location.children else []


class _Table:
    """The locations of one level, indexed for lookups."""

    def __init__(self, level: Level) -> None:
        self.exact: dict[str, Level] = {}
        self.prefix: dict[str, tuple[Level, bool]] = {}
        self.slash: dict[str, Level] = {}
        self.named: dict[str, Level] = {}
        self.limits: list[Level] = []
        # Regular expressions in their order, and their indexes by literal prefix.
        self.regex: list[tuple[Level, LocationPattern]] = []
        self.begun: dict[str, list[int]] = {}
        for location in level.children:
            if location.kind == "limit_except":
                self.limits.append(location)
            if location.kind != "location":
                continue
            match = match_of(location)
            modifier, pattern = match.modifier, match.pattern
            if modifier == "=":
                self.exact.setdefault(pattern, location)
            elif match.is_regex:
                self.begun.setdefault(prefix(pattern).lower(), []).append(len(self.regex))
                self.regex.append((location, match))
            elif modifier == "@":
                self.named[pattern] = location
            else:
                self.prefix.setdefault(pattern, (location, modifier == "^~"))
            # A handler below a name with a final slash redirects to it.
            redirects = pattern[-1:] == "/" and modifier in ("", "=", "^~")
            if redirects and (location.own_handler or "memcached_pass" in location.rows):
                self.slash.setdefault(pattern[:-1], location)
        # nginx prefers the exact one of two with the same name.
        if self.exact:
            self.slash = {name: self.exact.get(f"{name}/", one) for name, one in self.slash.items()}
        self.lengths = sorted(set(map(len, self.prefix)))
        self.begun_lengths = sorted(set(map(len, self.begun)))

    def longest(self, uri: str) -> str | None:
        """The longest of the prefixes that a URI begins with."""
        for at in range(bisect_right(self.lengths, len(uri)) - 1, -1, -1):
            name = uri[: self.lengths[at]]
            if name in self.prefix:
                return name
        return None

    def expressions(self, uri: str) -> list[tuple[Level, LocationPattern]]:
        """The regular expressions that may match a URI, in their order."""
        found: list[int] = []
        for length in self.begun_lengths[: bisect_right(self.begun_lengths, len(uri))]:
            found += self.begun.get(uri[:length].lower(), ())
        return [self.regex[at] for at in sorted(found)]


@cached_on_level
def _table(level: Level) -> _Table:
    return _Table(level)


def _locate(level: Level, uri: str, found: LocationMatch) -> bool:
    """Fill in `found`; returns whether nginx would stop searching."""
    if not level.children:
        return False
    table = _table(level)
    exact = table.exact.get(uri)
    if exact is not None:
        found.level = exact
        return True
    no_regex = False
    prefix = table.longest(uri)
    if prefix != uri and uri in table.slash and uri not in table.exact:
        found.level, found.redirects = table.slash[uri], True
        return True
    if prefix is not None:
        location, no_regex = table.prefix[prefix]
        found.level = location
        if _locate(location, uri, found):
            return True
    if not no_regex:
        for location, match in table.expressions(uri):
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
