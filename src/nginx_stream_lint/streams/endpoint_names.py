"""Match locations by path with the catalogued endpoints that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.location_match import LocationPattern, match_of
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern
from nginx_stream_lint.streams.catalogue import (
    App,
    Endpoint,
    endpoints_by_leading_segments,
    endpoints_by_words,
    example_path,
    pattern_regex,
)
from nginx_stream_lint.streams.evidence_words import evidence_words

# The patterns of catch-all locations.
EVERYTHING = ("", "/", "^/")
_ELSE = "elsewhere"  # a segment that no app has


def is_catch_all(location: Level) -> bool:
    """Whether a location is a catch-all, for requests that no other location handles."""
    return match_of(location).pattern in EVERYTHING


def is_general(pattern: str) -> bool:
    """Whether a path is a whole API: `api`, `v1` and nothing more specific."""
    segments = re.findall(r"[A-Za-z][A-Za-z0-9_-]*", pattern)
    general = evidence_words()["general"]
    return bool(segments) and all(
        any(word.pattern.fullmatch(segment) for word in general) for segment in segments
    )


def candidates(match: LocationPattern) -> Sequence[Endpoint]:
    """Return the catalogued endpoints that a location's words may name."""
    return (
        endpoints_by_words(match.pattern)
        if match.is_regex
        else endpoints_by_leading_segments(match.pattern)
    )


def endpoints_named_by(match: LocationPattern, among: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """The candidates that a location's own path is enough to name."""
    return [one for one in among if _covers(match, one) and names_endpoint(match, one)]


def app_endpoints_for(match: LocationPattern, app: App) -> tuple[Endpoint, ...]:
    """The endpoints of an app that can end in a location."""
    if match.pattern in EVERYTHING:
        return app.endpoints
    return tuple(one for one in app.endpoints if _covers(match, one))


def names_endpoint(match: LocationPattern, endpoint: Endpoint) -> bool:
    """Whether a location's path has a part that only this app's endpoints have."""
    if not match.is_regex:
        return begins_with(endpoint.distinctive, match.pattern)
    if not endpoint.distinctive.startswith("/"):
        return False
    # It names the endpoint if it would not match with any distinctive segment changed.
    pattern = compile_pattern(match.pattern, match.modifier == "~*")
    try:
        return not any(map(pattern.search, _others(endpoint)))
    except Undecided:
        return False


@cache
def _others(endpoint: Endpoint) -> tuple[str, ...]:
    """The endpoint's path with each distinctive segment changed in turn."""
    segments = example_path(endpoint.path).split("/")
    own = enumerate(endpoint.distinctive.split("/"))
    return tuple(
        "/".join((*segments[:at], _ELSE, *segments[at + 1 :]))
        for at, segment in own
        if segment and "*" not in segment
    )


def _covers(match: LocationPattern, endpoint: Endpoint) -> bool:
    """Whether requests for the endpoint can end in a location with this pattern."""
    if match.modifier == "@":
        return False
    path = example_path(endpoint.path)
    if match.is_regex:
        try:
            found = compile_pattern(match.pattern, match.modifier == "~*").search(path)
        except Undecided:
            return False
        return found is not None
    if match.modifier == "=":
        return pattern_regex(endpoint.path).fullmatch(match.pattern) is not None
    # A prefix of the endpoint's path (but not /, which any app may have), or a longer path.
    prefix = len(match.pattern.strip("/")) > 0 and path.startswith(match.pattern)
    return prefix or begins_with(endpoint.path, match.pattern)


def begins_with(pattern: str, path: str) -> bool:
    """Whether a path begins with a catalogue pattern, ending at the end of a segment."""
    found = pattern_regex(pattern).match(path)
    return found is not None and path[found.end() : found.end() + 1] in ("", "/")
