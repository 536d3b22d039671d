"""Streams that one nginx passes to another, or one server to another of the same configuration.

A stream of one tier is added to the tiers in front of it and behind it. Each tier is judged by the
response that the tier behind it sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import Scenario, delivery_path_for
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.pass_target import parse_target
from nginx_stream_lint.nginx.proxy_tiers import (
    accepted_upstream,
    forwarded_response,
    in_force,
)
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import route_in_server
from nginx_stream_lint.nginx.self_proxying import MOST_TIERS
from nginx_stream_lint.nginx.target_sockets import may_be_self_proxied, target_peers
from nginx_stream_lint.streams.stream import CONTENT_TYPES, AccelFix, Stream
from nginx_stream_lint.tiers.chain import deliver
from nginx_stream_lint.tiers.hops import Find, Hop, TierConfiguration, next_hops

if TYPE_CHECKING:
    from nginx_stream_lint.streams.detect import ProxiedLocation

_MOST_STREAMS = 10  # that a location gets from those behind it


class TierLocations(Struct, eq=False):
    """One nginx with its proxied locations."""

    nginx: TierConfiguration
    locations: Sequence[ProxiedLocation]


_Place = tuple[TierConfiguration, Level, Level]


def link_streams(
    tiers: Sequence[TierLocations], find: Find | None = None, spread: bool = True
) -> None:
    """Add streams to locations to which others pass them, and to those in front of them.

    Each location gets the properties of the response that it gets from the next tier. `find`
    returns the next nginx; None: only servers of the same configuration count. Without `spread`, no
    streams are added. The locations are changed.
    """
    behind = _NextNginx(find)
    links = [
        (one, each) for one in tiers for each in one.locations if behind.of(one.nginx, each.handler)
    ]
    if links:
        _Links(tiers, links, find, behind).link(spread)


class _NextNginx:
    """Estimates the nginx behind each target quickly; `find` is as in `link_streams`."""

    def __init__(self, find: Find | None) -> None:
        self._find = find
        self._known: dict[tuple[TierConfiguration, str, str], list[TierConfiguration]] = {}

    def of(self, nginx: TierConfiguration, handler: Handler) -> Sequence[TierConfiguration]:
        """The nginx to which a handler's target leads, perhaps the same one."""
        key = nginx, handler.family, handler.target
        if key not in self._known:
            self._known[key] = list(dict.fromkeys(self._look(nginx, handler)))
        return self._known[key]

    def _look(self, nginx: TierConfiguration, handler: Handler) -> Iterator[TierConfiguration]:
        """The nginx behind a target that has no variables in its host."""
        http = nginx.http
        if handler.family not in ("proxy", "grpc") or http is None:
            return
        if not nginx.is_generated and may_be_self_proxied(http, handler, nginx.version):
            yield nginx
            return
        written, variable, _ = handler.target.partition("$")
        authority, slash, _ = written.partition("://")[2].partition("/")
        if self._find is None or (variable and not (authority and slash)):
            return
        target = parse_target(handler.family, written)
        for peer in [] if target is None else target_peers(http, target):
            assert target is not None
            reached = self._find(nginx, target, peer)
            if reached is not None and reached.nginx is not nginx:
                yield reached.nginx


class _Links:
    """The locations of all tiers that pass requests to other tiers."""

    def __init__(
        self,
        tiers: Sequence[TierLocations],
        links: Sequence[tuple[TierLocations, ProxiedLocation]],
        find: Find | None,
        behind: _NextNginx,
    ) -> None:
        self._links = links
        self._behind = behind
        self._hops_by_path: dict[tuple[Level, Level, str, str], list[Hop]] = {}
        self._find = find
        self._tiers = {one.nginx: one for one in tiers}
        self._places: dict[_Place, ProxiedLocation] = {
            (one.nginx, each.server, each.level): each for one in tiers for each in one.locations
        }

    def link(self, spread: bool) -> None:
        """Add streams until none is left to add, then set their properties."""
        for _ in range(MOST_TIERS if spread else 0):
            added = [self._inward(*link) for link in self._links]
            added += [self._outward(*link) for link in self._links]
            if not any(added):
                break
        paths = [
            (location, stream, self._hops(one, location, stream))
            for one, location in self._links
            if location.is_stream
            for stream in location.detected or location.streams
        ]
        changed: dict[int, list[Stream]] = {}
        for location, stream, hops in paths:
            changed.setdefault(id(location), []).append(self._changed(location, stream, hops))
        for location, _, hops in paths:
            location.detected = location.detected or location.streams
            location.streams = tuple(changed.get(id(location), location.streams))
            self._name_others(hops)
        for location, stream, hops in paths:
            self._pass_header_on(location, stream, hops)
        self._mark_plain([hops for _, _, hops in paths])

    def _inward(self, one: TierLocations, location: ProxiedLocation) -> bool:
        """Add a location's streams to the locations behind it."""
        added = False
        for stream in location.streams if location.is_stream else ():
            for hop in self._hops(one, location, stream)[1:2]:
                place = self._place(hop)
                if place is None or place is location or place.is_stream:
                    continue
                source = f"{location.level.label}{location.level.place}"
                because = f"{source} forwards its requests here: {stream.because}"
                place.streams = (replace(stream, because=because, path=hop.route.uri),)
                added = True
        return added

    def _outward(self, one: TierLocations, location: ProxiedLocation) -> bool:
        """Add the streams of locations behind a location to it."""
        if location.shadowed_by is not None:
            return False
        own = location.streams if location.is_stream else ()
        known = {_path(location, stream) for stream in own}
        found: dict[Stream, None] = {}
        for nginx in self._behind.of(one.nginx, location.handler):
            behind = self._tiers.get(nginx)
            for each in () if behind is None else behind.locations:
                if each.is_stream and each is not location:
                    news = self._in_front(one, location, each)
                    found |= dict.fromkeys(new for new in news if new.path not in known)
                if len(found) >= _MOST_STREAMS:
                    break
        if found and len(own) < _MOST_STREAMS:
            location.streams = (*own, *found)[:_MOST_STREAMS]
            if location.detected is not None:
                location.detected = (*location.detected, *found)[:_MOST_STREAMS]
            return True
        return False

    def _in_front(
        self, one: TierLocations, location: ProxiedLocation, behind: ProxiedLocation
    ) -> Iterator[Stream]:
        """The streams of a location as they pass another one in front of it."""
        for stream in behind.streams:
            path = _path(behind, stream)
            if stream.confidence == "possible" or path is None:
                continue
            for outer in _outer_paths(location, path):
                hops = self._from(one, location, outer, stream)
                if len(hops) > 1 and self._place(hops[1]) is behind:
                    where = f"{behind.level.label}{behind.level.place}"
                    because = f"it forwards {outer} to {where}: {stream.because}"
                    yield replace(stream, because=because, path=outer)
                    break

    def _hops(self, one: TierLocations, location: ProxiedLocation, stream: Stream) -> list[Hop]:
        """The hops of a stream from a location up to the app; empty if they are unknown."""
        path = _path(location, stream)
        return [] if path is None else self._from(one, location, path, stream)

    def _from(
        self, one: TierLocations, location: ProxiedLocation, path: str, stream: Stream
    ) -> list[Hop]:
        """The hops of a path from a location, each found once."""
        key = location.server, location.level, path, stream.method or "GET"
        if key not in self._hops_by_path:
            self._hops_by_path[key] = self._find_hops(one, location, path, stream)
        return self._hops_by_path[key]

    def _find_hops(
        self, one: TierLocations, location: ProxiedLocation, path: str, stream: Stream
    ) -> list[Hop]:
        request = Request("http", None, None, path, stream.method or "GET")
        route = route_in_server(location.server, request, one.nginx.version)
        if route.location is not location.level or route.handler is None:
            return []
        hops = [Hop(one.nginx, route)]
        while len(hops) < MOST_TIERS:
            onward = [each for each in next_hops(hops[-1], self._find) if each.route.handler]
            known = {(each.nginx, each.route.location) for each in hops}
            if not onward or (onward[0].nginx, onward[0].route.location) in known:
                break
            hops.append(onward[0])
        return hops

    def _place(self, hop: Hop) -> ProxiedLocation | None:
        server, level = hop.route.server, hop.route.location
        if server is None or level is None:
            return None
        return self._places.get((hop.nginx, server, level))

    def _changed(self, location: ProxiedLocation, stream: Stream, hops: Sequence[Hop]) -> Stream:
        """A stream with the properties of the response that a location gets."""
        if len(hops) < 2 or stream.kind not in ("sse", "chunked"):
            return stream
        sent = self._of_app(stream, hops)
        for hop in hops[:0:-1]:
            sent = _sent_by(hop, sent)
        return replace(sent, accel_fix=self._fix(location, stream, hops))

    def _of_app(self, stream: Stream, hops: Sequence[Hop]) -> Stream:
        """A stream with the known properties of its app."""
        last = self._place(hops[-1])
        for one in () if last is None else (last.detected or last.streams):
            if one.kind == stream.kind and one.confidence != "possible":
                return replace(
                    stream,
                    framing=stream.framing or one.framing,
                    x_accel_buffering=stream.x_accel_buffering or one.x_accel_buffering,
                    heartbeat_s=stream.heartbeat_s or one.heartbeat_s,
                )
        return stream

    def _mark_plain(self, paths: Sequence[Sequence[Hop]]) -> None:
        """Mark the streams of locations that only get requests without Accept-Encoding."""
        accepted: dict[int, bool] = {}
        places: dict[int, ProxiedLocation] = {}
        for hops in paths:
            accepts = True
            for front, hop in pairwise(hops):
                sent = accepted_upstream(front.effective, front.handler.family, front.state)
                accepts = accepts if sent is None else bool(sent)
                place = self._place(hop)
                if place is not None:
                    places[id(place)] = place
                    accepted[id(place)] = accepted.get(id(place), False) or accepts
        for key, place in places.items():
            if not accepted[key]:
                place.streams = tuple(replace(one, is_uncompressed=True) for one in place.streams)

    def _name_others(self, hops: Sequence[Hop]) -> None:
        """Note in each location which other locations its streams pass."""
        places = [one for one in map(self._place, hops) if one is not None]
        for place in places:
            others = (one.level for one in places if one is not place)
            place.other_tiers = tuple(dict.fromkeys((*place.other_tiers, *others)))

    def _fix(
        self, location: ProxiedLocation, stream: Stream, hops: Sequence[Hop]
    ) -> AccelFix | None:
        """The place of the fix if a location does not get the app's `X-Accel-Buffering: no`."""
        app = self._of_app(stream, hops)
        dropping = [hop for hop in hops[1:] if not _passes_on(hop)]
        if app.x_accel_buffering != "no" or not dropping:
            return None
        content_type = CONTENT_TYPES[stream.kind]
        tiers = [
            hop.tier(delivery_path_for(hop.effective, hop.handler.family, content_type))
            for hop in reversed(hops)
        ]
        framing = app.framing or "chunked"
        scenarios = [
            Scenario(client, framing, "no", accepts)
            for client in location.clients
            for accepts in ("identity", "gzip")
        ]
        if not any(deliver(tiers, one)[-1].verdict == "stalls" for one in scenarios):
            return None
        if tiers[-1].path.accel_ignored:
            return None
        behind = self._place(dropping[0])
        if len(dropping) == 1 and behind is not None and _is_broader(location, behind):
            return "elsewhere"
        return "stop-buffering"

    def _pass_header_on(
        self, location: ProxiedLocation, stream: Stream, hops: Sequence[Hop]
    ) -> None:
        """Mark the tier that consumes the app's header, if the fix belongs there."""
        if not any(one.accel_fix == "elsewhere" for one in location.streams):
            return
        for hop in hops[1:]:
            place = None if _passes_on(hop) else self._place(hop)
            if place is not None:
                place.streams = tuple(
                    replace(one, accel_fix="pass-on") if one.kind == stream.kind else one
                    for one in place.streams
                )


def _path(location: ProxiedLocation, stream: Stream) -> str | None:
    """A path of a stream at a location; None if its location has a regular expression."""
    if stream.path is not None and "*" not in stream.path:
        return stream.path
    level = location.level.nearest("location")
    match = None if level is None else match_of(level)
    if match is None or match.modifier not in ("", "=", "^~"):
        return None
    return match.pattern


def _outer_paths(location: ProxiedLocation, path: str) -> list[str]:
    """The paths that a location may pass on as this one: the same, and that before its URI."""
    level = location.level.nearest("location")
    match = None if level is None else match_of(level)
    target = parse_target(location.handler.family, location.handler.target.partition("$")[0])
    found = [path]
    if match is None or match.modifier not in ("", "^~", "=") or target is None:
        return found
    if target.uri and path.startswith(target.uri):
        found.insert(0, match.pattern + path[len(target.uri) :])
    return found


def _is_broader(location: ProxiedLocation, behind: ProxiedLocation) -> bool:
    """Whether a change would affect more paths in a location than in one behind it."""
    outer, inner = (one.level.nearest("location") for one in (location, behind))
    if outer is None or inner is None:
        return outer is None and inner is not None
    patterns = match_of(outer), match_of(inner)
    if any(one.modifier not in ("", "=", "^~") for one in patterns):
        return False
    return patterns[0].pattern == "/" and patterns[1].pattern != "/"


def _passes_on(hop: Hop) -> bool:
    """Whether an nginx sends an X-Accel-Buffering header to the next tier."""
    version = hop.nginx.version
    sent = forwarded_response(hop.effective, hop.handler.family, hop.state, version)
    return sent.accel["no"] != "absent"


def _sent_by(hop: Hop, stream: Stream) -> Stream:
    """A stream with the properties of another server's response."""
    version = hop.nginx.version
    made = forwarded_response(hop.effective, hop.handler.family, hop.state, version)
    accel = in_force(made.accel[stream.x_accel_buffering or "absent"])
    framing = (
        stream.framing if stream.framing == "length" else "chunked" if made.chunks else "close"
    )
    return replace(stream, framing=framing, x_accel_buffering=accel)
