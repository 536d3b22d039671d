"""The ways through several servers of one configuration, and what becomes of a stream on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import Delivery, Path, Repeat, Scenario, Settings, path
from nginx_stream_lint.nginx.levels import Effective, Handler, Level
from nginx_stream_lint.nginx.listeners import plain_clients
from nginx_stream_lint.nginx.own_server import MOST_TIERS, own_routes
from nginx_stream_lint.nginx.recording import recording
from nginx_stream_lint.nginx.route import Route
from nginx_stream_lint.nginx.tiers import Tier, deliver, tier
from nginx_stream_lint.nginx.values import size
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.stream import CONTENT_TYPES

# More ways are cut off.
_MOST_WAYS = 20


class Passed(Struct, frozen=True):
    """A place that a stream passes, and what happens there in each scenario of the client."""

    server: Level
    level: Level
    handler: Handler
    uri: str
    deliveries: Sequence[Delivery]


def passed(found: Route, deliveries: Sequence[Delivery]) -> Passed:
    """The place where a request is passed on, and what happens there."""
    assert found.server is not None
    return Passed(found.server, _place(found), _handler(found), found.uri, deliveries)


class Ways:
    """The ways through the servers of an `http` level."""

    def __init__(self, http: Level | None, version: Version) -> None:
        self._http = http
        self._version = version

    def of(self, found: Route) -> tuple[list[list[Route]], list[str]]:
        """The ways that go on from a place, and what is to say of circles.

        Each way begins with the place, and ends where the request leaves the configuration.
        """
        ways: list[list[Route]] = []
        circles: list[str] = []
        work = [[found]]
        while work and len(ways) < _MOST_WAYS:
            way = work.pop()
            further = [] if self._http is None else own_routes(self._http, way[-1], self._version)
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
        self, ways: Sequence[Sequence[Route]], scenarios: Sequence[Scenario]
    ) -> tuple[list[Delivery], list[Passed]]:
        """What happens in each scenario, on the worst of the ways, and the places of that way."""
        found = [self._on(way, scenarios) for way in ways]
        return max(found, key=lambda one: sum(each.worst != "streams" for each in one[0]))

    def _on(
        self, way: Sequence[Route], scenarios: Sequence[Scenario]
    ) -> tuple[list[Delivery], list[Passed]]:
        outward = way[::-1]
        tiers = [self._tier(one) for one in outward]
        rows = [deliver(tiers, scenario) for scenario in scenarios]
        places = [passed(one, [row[at] for row in rows]) for at, one in enumerate(outward)]
        pairs = zip(scenarios, rows, strict=True)
        return [_together(scenario, row) for scenario, row in pairs], places

    def _tier(self, found: Route) -> Tier:
        level = _place(found)
        scheme = "" if found.target is None else found.target.scheme

        def settings(name: str) -> Effective:
            return level.effective(name, self._version)

        return tier(settings, delivery_path(found, settings, self._version), scheme)


def delivery_path(found: Route, settings: Settings, version: Version) -> Path:
    """The delivery path of event streams where a request ends and `settings` are in force."""
    handler, state = _handler(found), found.state
    assert state is not None
    assert found.server is not None
    recorded = recording(settings, handler.family, state.method, lambda: state)
    plain = plain_clients(found.server, version)
    # Scenarios do not name a content type.
    way = path(settings, handler.family, CONTENT_TYPES["sse"], recorded, plain)
    server = found.tls_of
    if server is None or server is found.server:
        return way
    # The TLS buffer is that of the connection.
    buffer = size(server.effective("ssl_buffer_size", version).text)
    return way if buffer is None else replace(way, ssl_buffer_size=buffer)


def _together(scenario: Scenario, row: Sequence[Delivery]) -> Delivery:
    """What comes of what each tier does, the last one being the client's."""
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


def _wait(one: Delivery) -> float:
    return math.inf if one.first_text_s is None else one.first_text_s


def _is_in(one: Route, way: Sequence[Route]) -> bool:
    return any(
        (each.location, each.uri, each.args) == (one.location, one.uri, one.args) for each in way
    )


def _place(found: Route) -> Level:
    assert found.location is not None
    return found.location


def _handler(found: Route) -> Handler:
    assert found.handler is not None
    return found.handler
