"""Which location a path belongs to, by nginx's own order.

Source: `ngx_http_core_find_location` in nginx's src/http/ngx_http_core_module.c. The longest prefix
is looked up first, with everything nested in it; unless that said `=`, `^~` or a nested regular
expression matched, the regular expressions of the level decide in order of appearance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from nginx_stream_lint.nginx.levels import Level


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


@cache
def compiled(pattern: str, ignore_case: bool) -> re.Pattern[str] | None:
    """A location's regular expression; None if Python cannot read it."""
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError):
        return None


def find(level: Level, uri: str) -> Level | None:
    """The location inside a server (or location) that handles a normalized URI path, or None.

    A regular expression that Python cannot read matches nothing here.
    """
    return _find(level, uri)[0]


def _find(level: Level, uri: str) -> tuple[Level | None, bool]:
    """The location, and whether nginx would stop looking there."""
    locations = [child for child in level.children if child.kind == "location"]
    best: Level | None = None
    best_match = Match("", "")
    for location in locations:
        match = match_of(location)
        if match.modifier == "=" and match.pattern == uri:
            return location, True
        if (
            match.modifier in ("", "^~")
            and uri.startswith(match.pattern)
            and (best is None or len(match.pattern) > len(best_match.pattern))
        ):
            best, best_match = location, match
    if best is not None:
        inner, final = _find(best, uri)
        if inner is not None:
            best = inner
        if final:
            return best, True
    if best is None or best_match.modifier != "^~":
        for location in locations:
            match = match_of(location)
            if match.is_regex:
                pattern = compiled(match.pattern, match.modifier == "~*")
                if pattern is not None and pattern.search(uri):
                    inner, _ = _find(location, uri)
                    return inner or location, True
    return best, False
