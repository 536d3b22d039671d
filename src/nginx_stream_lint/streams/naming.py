"""Which catalogued endpoints a location names by its path."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern
from nginx_stream_lint.nginx.routing import Match, match_of
from nginx_stream_lint.streams.catalogue import (
    App,
    Endpoint,
    by_first_segment,
    by_words,
    example,
    expression,
    words,
)

_ELSE = "elsewhere"  # a segment that no app has


def takes_all(location: Level) -> bool:
    """Whether a location takes whatever no other one takes."""
    return match_of(location).pattern in ("", "/", "^/")


def is_general(location: Level) -> bool:
    """Whether a location is for an API as such: its path says `api`, `v1` and no more."""
    match = match_of(location)
    return location.kind == "location" and match.modifier != "@" and _is_general(match.pattern)


@lru_cache(maxsize=4096)
def _is_general(pattern: str) -> bool:
    segments = re.findall(r"[A-Za-z][A-Za-z0-9_-]*", pattern)
    general = words()["general"]
    return bool(segments) and all(
        any(word.pattern.fullmatch(segment) for word in general) for segment in segments
    )


def named_by(location: Level) -> tuple[Endpoint, ...]:
    """The catalogued endpoints that a location's own path is enough to name."""
    match = match_of(location)
    candidates = (
        by_words(match.pattern)
        if match.is_regex
        else by_first_segment(match.pattern.lstrip("/").partition("/")[0])
    )
    return tuple(one for one in candidates if _covers(match, one) and _names(match, one))


def of_app(location: Level, app: App) -> tuple[Endpoint, ...]:
    """The endpoints of an app that can end in a location."""
    if takes_all(location):
        return app.endpoints
    match = match_of(location)
    return tuple(one for one in app.endpoints if _covers(match, one))


def names(location: Level, endpoint: Endpoint) -> bool:
    """Whether a location's path has in it what only this app's endpoints have."""
    return _names(match_of(location), endpoint)


def _names(match: Match, endpoint: Endpoint) -> bool:
    if not match.is_regex:
        return _leads(endpoint.distinctive, match.pattern)
    if not endpoint.distinctive.startswith("/"):
        return False
    # It says so where it would not take the path with any of the app's own segments changed.
    pattern = compile_pattern(match.pattern, match.modifier == "~*")
    try:
        return not any(map(pattern.search, _others(endpoint)))
    except Undecided:
        return False


@cache
def _others(endpoint: Endpoint) -> tuple[str, ...]:
    """The endpoint's path with each distinctive segment changed in turn."""
    segments = example(endpoint.path).split("/")
    own = enumerate(endpoint.distinctive.split("/"))
    return tuple(
        "/".join((*segments[:at], _ELSE, *segments[at + 1 :]))
        for at, segment in own
        if segment and "*" not in segment
    )


def _covers(match: Match, endpoint: Endpoint) -> bool:
    """Whether requests for the endpoint can end in a location with this pattern."""
    if match.modifier == "@":
        return False
    path = example(endpoint.path)
    if match.is_regex:
        try:
            found = compile_pattern(match.pattern, match.modifier == "~*").search(path)
        except Undecided:
            return False
        return found is not None
    if match.modifier == "=":
        return expression(endpoint.path).fullmatch(match.pattern) is not None
    # A prefix of the endpoint's path (a bare / is everybody's), or that path and more.
    prefix = len(match.pattern.strip("/")) > 0 and path.startswith(match.pattern)
    return prefix or _leads(endpoint.path, match.pattern)


def _leads(pattern: str, path: str) -> bool:
    """Whether a path begins with a catalogue pattern, ending at the end of a segment."""
    found = expression(pattern).match(path)
    return found is not None and path[found.end() : found.end() + 1] in ("", "/")
