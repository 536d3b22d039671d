"""What speaks for a stream in a location: its path, comments, upstream, and directives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.streams.catalogue import App, Endpoint, Word, apps, words
from nginx_stream_lint.streams.comments import comments_of
from nginx_stream_lint.streams.naming import takes_all
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.streams.upstreams import Behind

_ENOUGH = 2
_LONG_S = 300.0
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
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
    location: Level, behind: Behind, endpoints: Sequence[Endpoint], around: Iterable[Clue] = ()
) -> list[Stream]:
    """The streams a location serves, the strongest first; empty if nothing says so.

    `endpoints` are the catalogued ones that end here: those are known. What else speaks for a
    stream makes it likely, `around` (what its surroundings say) with the rest.
    """
    found = [replace(endpoint.stream, confidence="known") for endpoint in endpoints]
    clues = list(_clues(location, behind, endpoints))
    told = {clue.word for clue in clues}
    clues += (clue for clue in around if clue.word not in told)
    websocket = [clue for clue in clues if clue.kind == "websocket"]
    others = [clue for clue in clues if clue.kind != "websocket"]
    if sum(clue.points for clue in websocket) >= _ENOUGH:
        # Long timeouts and the like beside Upgrade are for the sockets.
        others = [clue for clue in others if clue.kind is not None or clue.points >= _ENOUGH]
    for group, is_websocket in ((others, False), (websocket, True)):
        known = [stream for stream in found if (stream.kind == "websocket") == is_websocket]
        if known or sum(clue.points for clue in group) < _ENOUGH:
            continue
        group.sort(key=lambda clue: -clue.points)
        kind: Kind = next((clue.kind for clue in group if clue.kind is not None), "chunked")
        reasons = list(dict.fromkeys(clue.because for clue in group))
        found.append(Stream(kind, "likely", " and ".join(reasons[:2])))
    return found


def hear(where: str, texts: Iterable[tuple[str, str]]) -> Iterator[Clue]:
    """A clue for each telling word in texts, the first time that it is there.

    `where` is the list of `evidence.yaml`. With each text goes how to say it, with `{text}` and
    `{word}` to be filled in.
    """
    seen: set[str] = set()
    for text, saying in texts:
        for clue in _heard(where, text):
            if clue.word not in seen:
                seen.add(clue.word)
                yield replace(clue, because=saying.format(text=text, word=clue.because))


@lru_cache(maxsize=4096)
def _heard(where: str, text: str) -> tuple[Clue, ...]:
    found = ((word, word.pattern.search(text)) for word in words()[where])
    return tuple(Clue(word.points, word.kind, match[0], match[0].lower()) for word, match in found if match)


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


def _clues(location: Level, behind: Behind, endpoints: Sequence[Endpoint]) -> Iterator[Clue]:
    pattern = match_of(location).pattern
    if answers_at_once(pattern):
        return
    yield from _directive_clues(location, behind)
    if any(word.pattern.search(pattern) for word in words()["files"]):
        return
    yield from hear("path", [(pattern, 'its path says "{word}"')])
    comments = [(comment, 'a comment says "{word}"') for comment in comments_of(location)]
    yield from hear(
        "comment",
        [*comments, *((one, 'a comment about its upstream says "{word}"') for one in behind.comments)],
    )
    app, because = behind.app, "its upstream looks like {}"
    if app is None:
        app, because = _called(pattern), "its path is called like {}"
    if app is not None:
        kinds = _kinds_here(location, app, endpoints)
        if kinds:
            kind = next((k for k in ("sse", "chunked", "long-poll") if k in kinds), "websocket")
            # That an app speaks WebSocket somewhere says little of this place alone.
            yield Clue(1 if kind == "websocket" else 2, _kind(kind), because.format(app.name))
    yield from hear("upstream", [(host, '"{text}" says "{word}"') for host in behind.hosts])


@lru_cache(maxsize=4096)
def _called(pattern: str) -> App | None:
    """The app whose name is a whole segment of a path."""
    segments = re.findall(r"[a-z0-9_-]+", pattern.lower())
    return next((app for app in apps() if not app.names.isdisjoint(segments)), None)


def _kinds_here(location: Level, app: App, endpoints: Sequence[Endpoint]) -> set[Kind]:
    """The kinds of streams of an app that can end in a location.

    What takes everything gets only the endpoints that no other location of the server takes, and so
    do an exact path, an expression, and a path among the app's own. An app below a path of its own
    may have any of them there, since nobody knows what the path becomes.
    """
    match = match_of(location)
    first = match.pattern.lstrip("/").partition("/")[0]
    own = any(endpoint.path.startswith(f"/{first}/") for endpoint in app.endpoints)
    if takes_all(location) or match.modifier in ("=", "~", "~*") or own:
        return {endpoint.stream.kind for endpoint in endpoints}
    return {endpoint.stream.kind for endpoint in app.endpoints}


def _directive_clues(location: Level, behind: Behind) -> Iterator[Clue]:
    """What directives say that are set in the location itself.

    `proxy_buffering off` for the whole server is as good as in each of its locations.
    """
    rows = location.rows
    for family in _BUFFERING:
        for level in location.outward():
            if level.kind not in ("location", "server"):
                break
            set_rows = level.rows.get(f"{family}_buffering", [])
            if any(row.args[:1] == ("off",) for row in set_rows):
                where = "there" if level is location else f"for its {level.kind}"
                yield Clue(2, None, f"{family}_buffering off is set {where}")
            if set_rows:
                break
    for family in (*_BUFFERING, "grpc"):
        for row in rows.get(f"{family}_read_timeout", []):
            time = seconds(row.args[0]) if row.args else None
            if time is not None and time >= _LONG_S:
                # An ordinary call has an end that the client sets.
                points = 2 if family == "grpc" else 1
                yield Clue(points, None, f"{family}_read_timeout {row.args[0]} is set there")
    headers = rows.get("proxy_set_header", [])
    connects = any(row.args[0].lower() == "connection" and row.args[1:] != ("",) for row in headers)
    for name in ("add_header", "proxy_set_header", "proxy_pass_header"):
        for row in rows.get(name, []):
            args = [arg.lower() for arg in row.args]
            if "x-accel-buffering" in args:
                yield Clue(2, None, "it sets X-Accel-Buffering")
            if args[:1] == ["upgrade"] and name == "proxy_set_header":
                # Without Connection beside it, it is a leftover as often as a mistake.
                yield Clue(2 if connects else 1, "websocket", "it passes on Upgrade")
            if args[:2] == ["connection", ""] and not behind.keepalive:
                yield Clue(1, None, f"it sets {row.args[0]}")
            if args[:2] == ["cache-control", "no-cache"]:
                yield Clue(1, None, f"it sets {row.args[0]}")
            if "text/event-stream" in args:
                yield Clue(2, "sse", "it says text/event-stream")
            if args[:1] == ["last-event-id"]:
                yield Clue(2, "sse", f"it sets {row.args[0]}")
    for name in ("chunked_transfer_encoding", "gzip", "proxy_cache"):
        for row in rows.get(name, []):
            if row.args[:1] == ("off",) or name == "chunked_transfer_encoding":
                yield Clue(1, None, f"{name} is set there")


def _kind(kind: str | None) -> Kind | None:
    return kind  # type: ignore[return-value]
