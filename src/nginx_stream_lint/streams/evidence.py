"""What speaks for a stream in a location: its path, comments, upstream, and directives."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.pcre import compile_pattern
from nginx_stream_lint.nginx.routing import Match, match_of
from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.streams.catalogue import (
    App,
    Endpoint,
    apps,
    by_first_segment,
    every_endpoint,
    example,
    expression,
    words,
)
from nginx_stream_lint.streams.stream import Kind, Stream

_ENOUGH = 2
_LONG_S = 600.0


@dataclass(frozen=True, slots=True)
class Clue:
    """One thing that speaks for a stream: `points`, the `kind` it speaks for, and why."""

    points: int
    kind: Kind | None
    because: str


@dataclass(frozen=True, slots=True)
class Named:
    """What a location says of itself: the catalogued app behind it and the endpoints it is for.

    `by_path` tells that the location's own path names them, and not only its upstream.
    """

    app: App | None
    endpoints: tuple[Endpoint, ...]
    by_path: bool


def named_by(location: Level, handler: Handler | None) -> Named:
    """The catalogued app and endpoints that a location names.

    Its path must say so by itself, or its upstream must be known as the app's; then the app's own
    endpoints are better known than those of others with the same path.
    """
    match = match_of(location)
    app = _app(tuple(_hosts(location, handler))) if handler is not None else None
    if app is not None:
        own = tuple(one for one in app.endpoints if _takes_all(location) or _covers(match, one))
        if own:
            return Named(app, own, any(_names(match, one) for one in own))
    candidates = every_endpoint() if match.is_regex else by_first_segment(_first(match.pattern))
    others = tuple(one for one in candidates if _names(match, one) and _covers(match, one))
    return Named(app, others, True)


def _first(pattern: str) -> str:
    """The first segment of a path."""
    return pattern.lstrip("/").partition("/")[0]


def streams_of(
    location: Level, handler: Handler, app: App | None, endpoints: Sequence[Endpoint]
) -> list[Stream]:
    """The streams a location serves, the strongest first; empty if nothing says so.

    `endpoints` are the catalogued ones that end here: those are known. What else speaks for a
    stream makes it likely.
    """
    hosts = _hosts(location, handler)
    found = [replace(endpoint.stream, confidence="known") for endpoint in endpoints]
    clues = list(_clues(location, hosts, app, endpoints))
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


def _names(match: Match, endpoint: Endpoint) -> bool:
    """Whether a location's pattern has in it what only this app's endpoints have."""
    if match.is_regex:
        return endpoint.distinctive in re.sub(r"\\(.)", r"\1", match.pattern)
    return _leads(endpoint.distinctive, match.pattern)


def _covers(match: Match, endpoint: Endpoint) -> bool:
    """Whether requests for the endpoint can end in a location with this pattern."""
    if match.modifier == "@":
        return False
    path = example(endpoint.path)
    if match.is_regex:
        pattern = compile_pattern(match.pattern, match.modifier == "~*")
        return pattern is not None and pattern.search(path) is not None
    if match.modifier == "=":
        return expression(endpoint.path).fullmatch(match.pattern) is not None
    # A prefix of the endpoint's path (a bare / is everybody's), or that path and more.
    prefix = len(match.pattern.strip("/")) > 0 and path.startswith(match.pattern)
    return prefix or _leads(endpoint.path, match.pattern)


def _leads(pattern: str, path: str) -> bool:
    """Whether a path begins with a catalogue pattern, ending at the end of a segment."""
    found = expression(pattern).match(path)
    return found is not None and path[found.end() : found.end() + 1] in ("", "/")


def _hosts(location: Level, handler: Handler) -> list[str]:
    """The upstream's target, the servers behind its name, and who the server is where it is all.

    A server's names say something of the location that takes everything, and nothing of the others.
    """
    target = _filled(location, handler.target)
    hosts = [target]
    http = location.nearest("http")
    name = re.sub(r"^\w+://", "", target).split("/")[0]
    if http is not None:
        for upstream in http.children:
            directive = upstream.directive
            if upstream.kind == "upstream" and directive and directive.args == (name,):
                hosts += [row.args[0] for row in upstream.rows.get("server", []) if row.args]
    server = location.nearest("server")
    if server is not None and _takes_all(location):
        hosts += [arg for row in server.rows.get("server_name", []) for arg in row.args]
    return hosts


def _filled(location: Level, target: str) -> str:
    """A target with the variables that `set` gives a constant filled in."""
    for level in location.outward():
        for row in level.rows.get("set", []):
            if len(row.args) == 2 and row.args[0].startswith("$") and "$" not in row.args[1]:
                name, value = row.args
                target = re.sub(rf"{re.escape(name)}\b", value.replace("\\", r"\\"), target)
    return target


@cache
def _app(hosts: tuple[str, ...]) -> App | None:
    """The catalogued app that an upstream's name or port belongs to."""
    named = ["-".join(re.findall(r"[a-z0-9]+", host.lower())) for host in hosts]
    ports = {int(port) for host in hosts for port in re.findall(r":(\d{2,5})(?:/|$)", host)}
    for app in apps():
        if any(f"-{name}-" in f"-{host}-" for name in app.names for host in named):
            return app
    for app in apps():
        if app.ports & ports:
            return app
    return None


def _clues(
    location: Level, hosts: list[str], app: App | None, endpoints: Sequence[Endpoint]
) -> Iterator[Clue]:
    yield from _directive_clues(location)
    match = match_of(location)
    if any(word.pattern.search(match.pattern) for word in words()["never"]):
        return
    for word in words()["path"]:
        found = word.pattern.search(match.pattern)
        if found:
            yield Clue(word.points, _kind(word.kind), f'its path says "{found[0]}"')
    for comment in _comments(location):
        for word in words()["comment"]:
            found = word.pattern.search(comment)
            if found:
                yield Clue(word.points, _kind(word.kind), f'a comment says "{found[0]}"')
    kinds = _kinds_here(location, app, endpoints) if app is not None else set()
    if app is not None and kinds:
        kind = next((k for k in ("sse", "chunked", "long-poll") if k in kinds), "websocket")
        # That an app speaks WebSocket somewhere says little of this place alone.
        points = 1 if kind == "websocket" else 2
        yield Clue(points, _kind(kind), f"its upstream looks like {app.name}")
    for host in hosts:
        for word in words()["upstream"]:
            found = word.pattern.search(host)
            if found:
                yield Clue(word.points, _kind(word.kind), f'"{host}" says "{found[0]}"')


def _kinds_here(location: Level, app: App, endpoints: Sequence[Endpoint]) -> set[str]:
    """The kinds of streams of an app that can end in a location.

    What takes everything gets only the endpoints that no other location of the server takes. An app
    below a path of its own may have any of them there, since nobody knows what the path becomes.
    """
    here = endpoints if _takes_all(location) else app.endpoints
    return {endpoint.stream.kind for endpoint in here}


def _takes_all(location: Level) -> bool:
    return match_of(location).pattern in ("", "/", "^/")


def _directive_clues(location: Level) -> Iterator[Clue]:
    rows = {name: [row for row in given if row.is_written] for name, given in location.rows.items()}
    for family in ("proxy", "fastcgi", "uwsgi", "scgi"):
        for row in rows.get(f"{family}_buffering", []):
            if row.args[:1] == ("off",):
                yield Clue(2, None, f"{family}_buffering off is set there")
        for row in rows.get(f"{family}_read_timeout", []):
            time = seconds(row.args[0]) if row.args else None
            if time is not None and time >= _LONG_S:
                yield Clue(1, None, f"{family}_read_timeout {row.args[0]} is set there")
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
            if args[:2] in (["connection", ""], ["cache-control", "no-cache"]):
                yield Clue(1, None, f"it sets {row.args[0]}")
            if "text/event-stream" in args:
                yield Clue(2, "sse", "it says text/event-stream")
    for name in ("chunked_transfer_encoding", "gzip", "proxy_cache"):
        for row in rows.get(name, []):
            if row.args[:1] == ("off",) or name == "chunked_transfer_encoding":
                yield Clue(1, None, f"{name} is set there")


def _kind(kind: str | None) -> Kind | None:
    return kind  # type: ignore[return-value]


def _comments(location: Level) -> Iterator[str]:
    """Comments directly inside a location, on the lines right above it, and about all of them."""
    directive = location.directive
    if directive is None or not directive.file.tokens.comments:
        return
    comments = directive.file.tokens.comments
    text = directive.source.text
    inner = [
        (child.directive.start, child.directive.block_end)
        for child in location.children
        if child.directive is not None and child.directive.file is directive.file
    ]
    first = bisect_left(comments, (directive.start, 0))
    above = directive.start
    for start, end in reversed(comments[:first]):
        between = text[end:above]
        line_start = text.rfind("\n", 0, start) + 1
        if between.strip() or between.count("\n") > 1 or text[line_start:start].strip():
            break
        yield text[start:end]
        above = start
    end_of_block = directive.block_end
    for start, end in comments[first:]:
        if start > end_of_block:
            break
        if not any(begin <= start < stop for begin, stop in inner):
            yield text[start:end]
    author = directive.file.reading.author
    if author is not None:
        begin, stop = author.notes
        yield from (text[start:end] for start, end in comments if begin <= start < stop)
