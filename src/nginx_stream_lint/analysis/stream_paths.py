"""Paths of a stream through several servers, of one nginx or several, and its delivery on them."""

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
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.listeners import plain_clients
from nginx_stream_lint.nginx.self_proxying import MOST_TIERS
from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.streams.stream import CONTENT_TYPES
from nginx_stream_lint.tiers.chain import deliver
from nginx_stream_lint.tiers.hops import Find, Hop, TierConfiguration, next_hops
from nginx_stream_lint.tiers.records import ProductBehaviour, ProxyTier

# Further paths are omitted.
_MOST_PATHS = 20


class PassedPlace(Struct, frozen=True):
    """A location that a stream passes, with its delivery in each scenario of the client."""

    nginx: TierConfiguration
    server: Level
    level: Level
    handler: Handler
    uri: str
    deliveries: Sequence[Delivery]

    @property
    def read_timeout_s(self) -> float | None:
        """The longest silence of the next tier, in seconds."""
        name = f"{self.handler.family}_read_timeout"
        return parse_time(self.level.effective(name, self.nginx.version).text)


class PassedProduct(Struct, frozen=True):
    """A proxy other than nginx that a stream passes, with its delivery in each scenario."""

    tier: ProxyTier
    deliveries: Sequence[Delivery]

    @property
    def read_timeout_s(self) -> float | None:
        """The longest silence, in seconds; None if it is unknown or there is no limit."""
        behaviour = self.tier.behaviour
        return behaviour.idle_timeout_s if isinstance(behaviour, ProductBehaviour) else None


Passed = PassedPlace | PassedProduct


class ProductPosition(Struct, frozen=True):
    """A product in a chain: the nginx directly behind it; None if the app is."""

    tier: ProxyTier
    behind: TierConfiguration | None


def passed_place(hop: Hop, deliveries: Sequence[Delivery]) -> PassedPlace:
    """Return the location where a request is proxied, with its deliveries."""
    route = hop.route
    assert route.server is not None
    return PassedPlace(hop.nginx, route.server, hop.place, hop.handler, route.uri, deliveries)


class StreamPaths:
    """The paths of streams through the servers of one nginx, and through those behind it."""

    def __init__(self, find: Find | None = None) -> None:
        self._find = find

    def behind(self, hop: Hop) -> list[Hop]:
        """The hops that follow one: in the same nginx, or otherwise in others."""
        return next_hops(hop, self._find)

    def of(self, hop: Hop) -> tuple[list[list[Hop]], list[str]]:
        """The paths that continue from a place, and notes about loops and doubts.

        Each path begins with the place, and ends where the request goes to the app.
        """
        paths: list[list[Hop]] = []
        notes: list[str] = []
        work = [[hop]]
        while work and len(paths) < _MOST_PATHS:
            path = work.pop()
            behind = self.behind(path[-1])
            passing = [one for one in behind if one.route.handler is not None]
            notes += (_without_app(one) for one in behind if one.nginx is not path[-1].nginx)
            again = [one for one in passing if _is_in(one, path)]
            for one in again:
                at = one.place
                notes.append(f"the response: the request returns to {at.label}{at.place}")
            onward = [one for one in passing if one not in again]
            for one in onward:
                notes += [*filter(None, [one.doubt]), *one.route.unknown]
            if not onward or len(path) == MOST_TIERS:
                paths.append(path)
            else:
                work += [[*path, one] for one in reversed(onward)]
        return paths, list(dict.fromkeys(filter(None, notes)))

    def delivered(
        self,
        paths: Sequence[Sequence[Hop]],
        scenarios: Sequence[Scenario],
        products: Sequence[ProductPosition] = (),
    ) -> tuple[list[Delivery], list[Passed]]:
        """The delivery in each scenario on the worst path, and the tiers of that path."""
        found = [self._on(path, scenarios, products) for path in paths]
        return max(found, key=lambda one: sum(each.worst != "streams" for each in one[0]))

    def _on(
        self,
        path: Sequence[Hop],
        scenarios: Sequence[Scenario],
        products: Sequence[ProductPosition],
    ) -> tuple[list[Delivery], list[Passed]]:
        outward = _with_products(path[::-1], products)
        tiers = [
            one.tier(delivery_path(one, one.effective)) if isinstance(one, Hop) else one.behaviour
            for one in outward
        ]
        rows = [deliver(tiers, scenario) for scenario in scenarios]
        places: list[Passed] = []
        for at, one in enumerate(outward):
            own = [row[at] for row in rows]
            places.append(
                passed_place(one, own) if isinstance(one, Hop) else PassedProduct(one, own)
            )
        pairs = zip(scenarios, rows, strict=True)
        return [_together(scenario, row) for scenario, row in pairs], places


def _with_products(
    outward: Sequence[Hop], products: Sequence[ProductPosition]
) -> list[Hop | ProxyTier]:
    """The tiers of a path with the products between them, nearest the app first.

    A product in front of an nginx that the path skips is skipped, too.
    """
    found: list[Hop | ProxyTier] = [one.tier for one in products if one.behind is None]
    for at, hop in enumerate(outward):
        found.append(hop)
        if at + 1 == len(outward) or outward[at + 1].nginx is not hop.nginx:
            found += [one.tier for one in products if one.behind is hop.nginx]
    return found


def _without_app(hop: Hop) -> str:
    """A note about a request that another nginx does not pass on; empty if it does."""
    level = hop.route.location or hop.route.server
    if hop.route.handler is not None or level is None:
        return ""
    return f"the response: {level.label}{level.place} passes the request to no app"


def delivery_path(hop: Hop, settings: Settings) -> DeliveryPath:
    """The delivery path of event streams at the end of a route, with these settings in force."""
    route, family, version = hop.route, hop.handler.family, hop.nginx.version
    assert route.server is not None
    recorded = response_caching(settings, family, hop.state.method, lambda: hop.state)
    plain = plain_clients(route.server, version)
    # Scenarios do not name a content type.
    path = delivery_path_for(settings, family, CONTENT_TYPES["sse"], recorded, plain)
    server = route.tls_of
    if server is None or server is route.server:
        return path
    # The TLS buffer is that of the connection.
    buffer = parse_size(server.effective("ssl_buffer_size", version).text)
    return path if buffer is None else replace(path, ssl_buffer_size=buffer)


def _together(scenario: Scenario, row: Sequence[Delivery]) -> Delivery:
    """Combine the deliveries of all tiers; the last one is next to the client."""
    last = row[-1]
    repeats = {one.repeat for one in row}
    worst: tuple[Repeat, ...] = ("replays", "unknown", "stalls", "streams")
    repeat = next(each for each in worst if each in repeats)
    is_replayed = any(one.is_replayed for one in row)
    if any(one.verdict == "no-stream" for one in row):
        return Delivery(scenario, "no-stream", repeat="no-stream")
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


def _is_in(hop: Hop, path: Sequence[Hop]) -> bool:
    return any(_position(each) == _position(hop) for each in path)


def _position(hop: Hop) -> tuple[TierConfiguration, Level | None, str, str]:
    return hop.nginx, hop.route.location, hop.route.uri, hop.route.args
