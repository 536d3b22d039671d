"""Streams that one server of a configuration passes to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.proxy_tiers import forwarded_response
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import Route, route_in_server
from nginx_stream_lint.nginx.self_proxying import (
    MOST_TIERS,
    may_be_self_proxied,
    self_proxied_routes,
)
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.stream import Stream

if TYPE_CHECKING:
    from nginx_stream_lint.streams.detect import ProxiedLocation


def add_self_proxied_streams(
    http: Level, locations: Sequence[ProxiedLocation], version: Version, spread: bool
) -> None:
    """Add streams to locations to which another server of this configuration proxies them.

    The location that passes them on gets the properties of the other server's response; without
    `spread`, only that is done. `locations` is changed.
    """
    by_place = {(one.server, one.level): one for one in locations if spread}
    own: dict[tuple[str, str], bool] = {}

    def is_own(handler: Handler) -> bool:
        key = (handler.family, handler.target)
        if key not in own:
            own[key] = may_be_self_proxied(http, handler, version)
        return own[key]

    work = [one for one in locations if is_own(one.handler) and one.is_stream]
    for _ in range(MOST_TIERS):
        work = [
            inner
            for one in work
            if is_own(one.handler)
            for inner in _passed(http, one, version, by_place.get)
        ]


def _passed(
    http: Level,
    proxied: ProxiedLocation,
    version: Version,
    find: Callable[[tuple[Level, Level]], ProxiedLocation | None],
) -> list[ProxiedLocation]:
    """The places to which a place's streams are passed, if those do not have them yet."""
    news: list[ProxiedLocation] = []
    found: list[Stream] = []
    for stream in proxied.streams:
        changed = stream
        for inner in _inner_routes(http, proxied, stream, version):
            assert inner.server is not None
            assert inner.location is not None
            changed = _sent_by(inner, changed, version)
            place = find((inner.server, inner.location))
            if place is None or place is proxied or place.is_stream:
                continue
            source = f"{proxied.level.label}{proxied.level.place}"
            because = f"{source} forwards its requests here: {stream.because}"
            place.streams = (replace(stream, because=because, path=inner.uri),)
            news.append(place)
        found.append(changed)
    proxied.streams = tuple(found)
    return news


def _inner_routes(
    http: Level, proxied: ProxiedLocation, stream: Stream, version: Version
) -> list[Route]:
    """The routes of a stream through other servers of this configuration."""
    path = stream.path
    if path is None or "*" in path:
        location = proxied.level.nearest("location")
        match = None if location is None else match_of(location)
        if match is None or match.modifier not in ("", "=", "^~"):
            return []
        path = match.pattern
    request = Request("http", None, None, path, stream.method or "GET")
    found = route_in_server(proxied.server, request, version)
    if found.location is not proxied.level or found.handler is None:
        return []
    return [each for each in self_proxied_routes(http, found, version) if each.handler is not None]


def _sent_by(inner: Route, stream: Stream, version: Version) -> Stream:
    """A stream with the properties of another server's response."""
    level, handler = inner.location, inner.handler
    assert level is not None
    assert handler is not None
    if stream.kind not in ("sse", "chunked"):
        return stream
    made = forwarded_response(lambda name: level.effective(name, version), handler.family)
    accel = made.accel(stream.x_accel_buffering or "absent")
    framing = (
        stream.framing if stream.framing == "length" else "chunked" if made.chunks else "close"
    )
    return replace(stream, framing=framing, x_accel_buffering=accel)
