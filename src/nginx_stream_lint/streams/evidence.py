"""What speaks for a stream in a location: its path, comments, upstream, and directives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.streams.catalogue import App, Endpoint, by_word, words
from nginx_stream_lint.streams.comments import comments_of
from nginx_stream_lint.streams.naming import is_general, takes_all
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.streams.upstreams import Behind

_ENOUGH = 2
_LONG_S = 300.0
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
# The kinds that an app's name is told with, the first it has.
_STRONGEST: tuple[Kind, ...] = ("sse", "chunked", "long-poll", "websocket")
_BUFFERING = ("proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, slots=True)
class Clue:
    """One thing that speaks for a stream: `points`, the `kind` it speaks for, and why.

    `word` is the telling word, if it is one: the same word in two places is one clue.
    """

    points: int
    kind: Kind | None
    because: str
    word: str = ""


def streams_of(
    location: Level,
    behind: Behind,
    endpoints: Sequence[Endpoint],
    at_home: bool = False,
    around: Iterable[Clue] = (),
) -> list[Stream]:
    """The streams a location serves, the strongest first; empty if nothing says so.

    `endpoints` are the catalogued ones that end here: those are known. What else speaks for a
    stream makes it likely, `around` (what its surroundings say) with the rest. `at_home` tells that
    this upstream has catalogued endpoints in other locations, at their usual paths.
    """
    found = [replace(endpoint.stream, confidence="known") for endpoint in endpoints]
    clues = list(_clues(location, behind, endpoints, at_home))
    told = {clue.word for clue in clues}
    clues += (clue for clue in around if clue.word not in told)
    websocket = [clue for clue in clues if clue.kind == "websocket"]
    others = [clue for clue in clues if clue.kind != "websocket"]
    if _points(websocket) >= _ENOUGH:
        # Long timeouts and the like beside Upgrade are for the sockets.
        others = [clue for clue in others if clue.kind is not None or clue.points >= _ENOUGH]
    for group, is_websocket in ((others, False), (websocket, True)):
        known = [stream for stream in found if (stream.kind == "websocket") == is_websocket]
        if known or _points(group) < _ENOUGH:
            continue
        group.sort(key=lambda clue: -clue.points)
        kind: Kind = next((clue.kind for clue in group if clue.kind is not None), "chunked")
        reasons = list(dict.fromkeys(clue.because for clue in group))
        found.append(Stream(kind, "likely", " and ".join(reasons[:2])))
    return found


def _points(clues: Sequence[Clue]) -> int:
    """What clues are worth together.

    Small ones that say nothing of a kind (a long timeout, kept connections) are a point less: two
    of them are set for other reasons as often.
    """
    small = [clue for clue in clues if clue.kind is None and clue.points == 1]
    return sum(clue.points for clue in clues) - (1 if len(small) > 1 else 0)


def hear(where: str, texts: Iterable[tuple[str, str]]) -> Iterator[Clue]:
    """A clue for each telling word in texts, the first time that it is there.

    `where` is the list of `evidence.yaml`. With each text goes how to say it, with {text} and
    {word} where those belong.
    """
    seen: set[str] = set()
    for text, saying in texts:
        for clue in _heard(where, text):
            if clue.word not in seen:
                seen.add(clue.word)
                because = saying.replace("{text}", text).replace("{word}", clue.because)
                yield replace(clue, because=because)


@lru_cache(maxsize=4096)
def _heard(where: str, text: str) -> tuple[Clue, ...]:
    found = ((word, word.pattern.search(text)) for word in words()[where])
    return tuple(
        Clue(word.points, word.kind, match[0], match[0].lower()) for word, match in found if match
    )


@lru_cache(maxsize=4096)
def answers_at_once(pattern: str) -> bool:
    """Whether a path is one that is asked once and answered at once, whatever runs behind it.

    The last word decides: `/sse/health` does, `/health/sse` does not. Of alternatives all must:
    `^/(api|openapi.json)` does not.
    """
    for choice in _CHOICE.findall(pattern):
        if any(_last("never", one) < 0 for one in choice.split("|")):
            pattern = pattern.replace(choice, "")
    return _last("never", pattern) > _last("path", pattern)


def _last(where: str, pattern: str) -> int:
    """Where the last telling word (one that is enough by itself) begins in a path; or -1."""
    return max(
        (
            found.start()
            for word in words()[where]
            if word.points != 1
            for found in word.pattern.finditer(pattern)
        ),
        default=-1,
    )


def _clues(
    location: Level, behind: Behind, endpoints: Sequence[Endpoint], at_home: bool
) -> Iterator[Clue]:
    pattern = match_of(location).pattern
    if answers_at_once(pattern):
        return
    yield from _directive_clues(location, behind)
    if any(word.pattern.search(pattern) for word in words()["files"]):
        return
    yield from hear("path", [(pattern, 'its path says "{word}"')])
    if not any(word.pattern.search(host) for word in words()["pages"] for host in behind.hosts):
        yield from hear("talk", [(pattern, 'its path says "{word}"')])
    yield from hear("comment", [(one, 'a comment says "{word}"') for one in comments_of(location)])
    yield from _upstream_clues(location, behind, endpoints, at_home)


def _upstream_clues(
    location: Level, behind: Behind, endpoints: Sequence[Endpoint], at_home: bool
) -> Iterator[Clue]:
    """What is behind a location, and what that is called."""
    pattern = match_of(location).pattern
    app, because = behind.app, "its upstream looks like {}"
    if app is None:
        app, because = _called(pattern), "its path is called like {}"
    # An app that gets its own paths from other locations and this path as it is has no stream here.
    moved = "rewrite" in location.rows or behind.path not in ("", pattern)
    elsewhere = at_home and not moved and not endpoints
    kinds: set[Kind] = set()
    if app is not None:
        kinds = _kinds_here(location, app, endpoints, elsewhere, moved)
        if kinds:
            kind = next(kind for kind in _STRONGEST if kind in kinds)
            # That an app speaks WebSocket somewhere says little of this place alone.
            yield Clue(1 if kind == "websocket" else 2, kind, because.format(app.name))
    if elsewhere or (behind.app is not None and not kinds):
        return
    yield from hear("upstream", [(host, '"{text}" says "{word}"') for host in behind.hosts])
    saying = 'a comment about its upstream says "{word}"'
    yield from hear("comment", [(one, saying) for one in behind.comments])


@lru_cache(maxsize=4096)
def _called(pattern: str) -> App | None:
    """The app whose name is a whole segment of a path."""
    segments = re.findall(r"[a-z0-9_-]+", pattern.lower())
    return next((app for app in map(by_word, segments) if app is not None), None)


def _kinds_here(
    location: Level, app: App, endpoints: Sequence[Endpoint], elsewhere: bool, moved: bool
) -> set[Kind]:
    """The kinds of streams of an app that can end in a location.

    What takes everything gets only the `endpoints` that no other location of the server takes, and
    so do an exact path, an expression, and a path among the app's own. An app below a path of its
    own may have any of them there, since nobody knows what the path becomes.
    """
    match = match_of(location)
    first = match.pattern.lstrip("/").partition("/")[0]
    own = any(endpoint.path.startswith(f"/{first}/") for endpoint in app.endpoints)
    as_it_is = match.modifier == "=" or (match.is_regex and not moved)
    here = elsewhere or takes_all(location) or as_it_is or own
    return {endpoint.stream.kind for endpoint in (endpoints if here else app.endpoints)}


def _directive_clues(location: Level, behind: Behind) -> Iterator[Clue]:
    """What directives say that are set in the location.

    What is set for the whole server is there for the locations without a purpose of their own.
    """
    outer = location.nearest("server") if is_general(location) or takes_all(location) else None

    def rows(name: str) -> list[Directive]:
        own = [row for row in location.rows.get(name, []) if row.is_written]
        return own if own or outer is None else outer.rows.get(name, [])

    yield from _buffering_clues(location)
    for family in (*_BUFFERING, "grpc"):
        for row in rows(f"{family}_read_timeout"):
            time = seconds(row.args[0]) if row.args else None
            if time is not None and time >= _LONG_S:
                # An ordinary call has an end that the client sets.
                points = 2 if family == "grpc" else 1
                yield Clue(points, None, f"{family}_read_timeout {row.args[0]} is set")
    for name in ("add_header", "proxy_set_header", "proxy_pass_header"):
        yield from _header_clues(name, rows(name), behind)
    for name in ("chunked_transfer_encoding", "gzip", "proxy_cache"):
        for row in location.rows.get(name, []):
            if row.args[:1] == ("off",):
                # Recipes for server-sent events switch chunks off, and little else does.
                kind: Kind | None = "sse" if name == "chunked_transfer_encoding" else None
                yield Clue(1, kind, f"{name} off is set")
    included = [one.args[0] for one in location.block if one.name == "include" and one.args]
    limits = [arg for one in location.rows.get("limit_req", []) for arg in one.args]
    zones = [arg for arg in limits if arg.startswith("zone=") and not answers_at_once(arg)]
    yield from hear(
        "upstream",
        [
            *((name, 'it includes "{text}"') for name in included),
            *((zone, 'it has the limit "{text}"') for zone in zones),
        ],
    )


def _buffering_clues(location: Level) -> Iterator[Clue]:
    """Buffering switched off, in the location for anybody, or around it for its handler."""
    for family in _BUFFERING:
        for row in location.rows.get(f"{family}_buffering", []):
            if row.is_written and row.args[:1] == ("off",):
                yield Clue(2, None, f"{family}_buffering off is set there")
    handler = location.handler
    name = f"{handler.family}_buffering" if handler is not None else ""
    set_at = next((level for level in location.outward() if level.rows.get(name)), location)
    outer = set_at is not location and set_at.kind in ("location", "server")
    if outer and set_at.rows[name][0].args[:1] == ("off",):
        yield Clue(2, None, f"{name} off is set for its {set_at.kind}")


def _header_clues(name: str, rows: Sequence[Directive], behind: Behind) -> Iterator[Clue]:
    """What rows of `add_header`, `proxy_set_header` or `proxy_pass_header` say."""
    lower = [[arg.lower() for arg in row.args] for row in rows]
    connects = any(args[0] == "connection" and args[1:] != [""] for args in lower if args)
    for args, row in zip(lower, rows, strict=True):
        if "x-accel-buffering" in args:
            yield Clue(2, None, "it sets X-Accel-Buffering")
        if args[:1] == ["upgrade"] and name == "proxy_set_header":
            # Without Connection beside it, it is a leftover as often as a mistake.
            yield Clue(2 if connects else 1, "websocket", "it passes on Upgrade")
        # An empty Connection is for the upstream's kept connections, where there are any.
        if args[:2] == ["connection", ""] and not behind.keepalive:
            yield Clue(1, None, f"it sets {row.args[0]}")
        if args[:2] == ["cache-control", "no-cache"]:
            yield Clue(1, None, f"it sets {row.args[0]}")
        if "text/event-stream" in args:
            yield Clue(2, "sse", "it says text/event-stream")
        if args[:1] == ["last-event-id"]:
            yield Clue(2, "sse", f"it passes on {row.args[0]}")
