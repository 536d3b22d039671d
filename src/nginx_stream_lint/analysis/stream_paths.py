"""Paths of a stream through several servers of one configuration, and its delivery on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.caching import response_caching
from nginx_stream_lint.nginx.delivery import (
    Delivery,
    DeliveryPath,
    Repeat,
    Scenario,
    Settings,
    delivery_path_for,
)
from nginx_stream_lint.nginx.levels import Effective, Handler, Level
from nginx_stream_lint.nginx.listeners import plain_clients
from nginx_stream_lint.nginx.proxy_tiers import NginxTier, tier
from nginx_stream_lint.nginx.request_route import Route
from nginx_stream_lint.nginx.self_proxying import MOST_TIERS, self_proxied_routes
from nginx_stream_lint.nginx.values import parse_size
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.stream import CONTENT_TYPES
from nginx_stream_lint.tiers.chain import deliver

# Further paths are omitted.
_MOST_WAYS = 20


class PassedPlace(Struct, frozen=True):
    """A location that a stream passes, with its delivery in each scenario of the client."""

    server: Level
    level: Level
    handler: Handler
    uri: str
    deliveries: Sequence[Delivery]


def passed_place(route: Route, deliveries: Sequence[Delivery]) -> PassedPlace:
    """Return the location where a request is proxied, with its deliveries."""
    assert route.server is not None
    return PassedPlace(route.server, _place(route), _handler(route), route.uri, deliveries)


class StreamPaths:
    """The paths through the servers of an `http` level."""

    def __init__(self, http: Level | None, version: Version) -> None:
        self._http = http
        self._version = version

    def of(self, route: Route) -> tuple[list[list[Route]], list[str]]:
        """The paths that continue from a place, and notes about loops.

        Each path begins with the place, and ends where the request leaves the configuration.
        """
        ways: list[list[Route]] = []
        circles: list[str] = []
        work = [[route]]
        while work and len(ways) < _MOST_WAYS:
            way = work.pop()
            further = (
                []
                if self._http is None
                else self_proxied_routes(self._http, way[-1], self._version)
            )
            passing = [one for one in further if one.handler is not None]
            again = [one for one in passing if _is_in(one, way)]
            for one in again:
                at = _place(one)
                circles.append(f"the response: the request returns to {at.label}{at.place}")
            onward = [one for one in passing if one not in again]
            if not onward or len(way) == MOST_TIERS:
                ways.append(way)
            else:
                work += [[*way, one] for one in reversed(onward)]
        return ways, list(dict.fromkeys(circles))

    def delivered(
        self, routes: Sequence[Sequence[Route]], scenarios: Sequence[Scenario]
    ) -> tuple[list[Delivery], list[PassedPlace]]:
        """The delivery in each scenario on the worst path, and the locations of that path."""
        found = [self._on(way, scenarios) for way in routes]
        return max(found, key=lambda one: sum(each.worst != "streams" for each in one[0]))

    def _on(
        self, routes: Sequence[Route], scenarios: Sequence[Scenario]
    ) -> tuple[list[Delivery], list[PassedPlace]]:
        outward = routes[::-1]
        tiers = [self._tier(one) for one in outward]
        rows = [deliver(tiers, scenario) for scenario in scenarios]
        places = [passed_place(one, [row[at] for row in rows]) for at, one in enumerate(outward)]
        pairs = zip(scenarios, rows, strict=True)
        return [_together(scenario, row) for scenario, row in pairs], places

    def _tier(self, route: Route) -> NginxTier:
        level = _place(route)
        scheme = "" if route.target is None else route.target.scheme

        def settings(name: str) -> Effective:
            return level.effective(name, self._version)

        return tier(settings, delivery_path(route, settings, self._version), scheme)


def delivery_path(route: Route, settings: Settings, version: Version) -> DeliveryPath:
    """The delivery path of event streams at the end of a route, with these settings in force."""
    handler, state = _handler(route), route.state
    assert state is not None
    assert route.server is not None
    recorded = response_caching(settings, handler.family, state.method, lambda: state)
    plain = plain_clients(route.server, version)
    # Scenarios do not name a content type.
    way = delivery_path_for(settings, handler.family, CONTENT_TYPES["sse"], recorded, plain)
    server = route.tls_of
    if server is None or server is route.server:
        return way
    # The TLS buffer is that of the connection.
    buffer = parse_size(server.effective("ssl_buffer_size", version).text)
    return way if buffer is None else replace(way, ssl_buffer_size=buffer)


def _together(scenario: Scenario, row: Sequence[Delivery]) -> Delivery:
    """Combine the deliveries of all tiers; the last one is next to the client."""
    last = row[-1]
    repeats = {one.repeat for one in row}
    worst: tuple[Repeat, ...] = ("replays", "unknown", "stalls", "streams")
    repeat = next(each for each in worst if each in repeats)
    is_replayed = any(one.is_replayed for one in row)
    holding = [one for one in row if one.verdict == "stalls"]
    if not holding:
        return replace(last, scenario=scenario, repeat=repeat, is_replayed=is_replayed)
    slowest = max(holding, key=_wait)
    return replace(
        slowest,
        scenario=scenario,
        held_by=holding[0].held_by if holding[0] is last else "tier",
        slowest=slowest.slowest if slowest is last else "tier",
        repeat=repeat,
        is_replayed=is_replayed,
    )


def _wait(delivery: Delivery) -> float:
    return math.inf if delivery.first_text_s is None else delivery.first_text_s


def _is_in(route: Route, routes: Sequence[Route]) -> bool:
    return any(
        (each.location, each.uri, each.args) == (route.location, route.uri, route.args)
        for each in routes
    )


def _place(route: Route) -> Level:
    assert route.location is not None
    return route.location


def _handler(route: Route) -> Handler:
    assert route.handler is not None
    return route.handler
