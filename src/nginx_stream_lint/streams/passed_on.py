"""Streams that one server of a configuration passes to another one of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.own_server import MOST_TIERS, may_be_own, own_routes
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.route import Route, route_in
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.tiers import sent
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.stream import Stream

if TYPE_CHECKING:
    from nginx_stream_lint.streams.find import Served


def pass_on(http: Level, served: Sequence[Served], version: Version, spread: bool) -> None:
    """Give streams to the places that they are passed to, where nothing says that these stream.

    What passes them on gets what the other server makes of a response: only that without `spread`.
    `served` is changed.
    """
    by_place = {(one.server, one.level): one for one in served if spread}
    own: dict[tuple[str, str], bool] = {}

    def is_own(handler: Handler) -> bool:
        key = (handler.family, handler.target)
        if key not in own:
            own[key] = may_be_own(http, handler, version)
        return own[key]

    work = [one for one in served if is_own(one.handler) and one.is_stream]
    for _ in range(MOST_TIERS):
        work = [
            inner
            for one in work
            if is_own(one.handler)
            for inner in _passed(http, one, version, by_place.get)
        ]


def _passed(
    http: Level,
    one: Served,
    version: Version,
    find: Callable[[tuple[Level, Level]], Served | None],
) -> list[Served]:
    """The places that the streams of a place are passed to, if they are news there."""
    news: list[Served] = []
    found: list[Stream] = []
    for stream in one.streams:
        changed = stream
        for inner in _inner_routes(http, one, stream, version):
            assert inner.server is not None
            assert inner.location is not None
            changed = _sent_by(inner, changed, version)
            place = find((inner.server, inner.location))
            if place is None or place is one or place.is_stream:
                continue
            because = (
                f"{one.level.label}{one.level.place} forwards its requests here: {stream.because}"
            )
            place.streams = (replace(stream, because=because, path=inner.uri),)
            news.append(place)
        found.append(changed)
    one.streams = tuple(found)
    return news


def _inner_routes(http: Level, one: Served, stream: Stream, version: Version) -> list[Route]:
    """Where a stream goes on to in this configuration."""
    path = stream.path
    if path is None or "*" in path:
        location = one.level.nearest("location")
        match = None if location is None else match_of(location)
        if match is None or match.modifier not in ("", "=", "^~"):
            return []
        path = match.pattern
    request = Request("http", None, None, path, stream.method or "GET")
    found = route_in(one.server, request, version)
    if found.location is not one.level or found.handler is None:
        return []
    return [each for each in own_routes(http, found, version) if each.handler is not None]


def _sent_by(inner: Route, stream: Stream, version: Version) -> Stream:
    """A stream as another server sends it."""
    level, handler = inner.location, inner.handler
    assert level is not None
    assert handler is not None
    if stream.kind not in ("sse", "chunked"):
        return stream
    made = sent(lambda name: level.effective(name, version), handler.family)
    accel = made.accel(stream.x_accel_buffering or "absent")
    framing = (
        stream.framing if stream.framing == "length" else "chunked" if made.chunks else "close"
    )
    return replace(stream, framing=framing, x_accel_buffering=accel)
