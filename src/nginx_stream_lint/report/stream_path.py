"""The path of a stream from its app through nginx to each client, with its holds, as data."""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.analysis.lint import MIN_READ_TIMEOUT_S, Result
from nginx_stream_lint.nginx.delivery import Delivery, Hold, Worst
from nginx_stream_lint.nginx.handshake import HANDSHAKE_CLIENTS
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.facts.delivery import delivery_path, usual_deliveries
from nginx_stream_lint.rules.facts.location import usual_clients
from nginx_stream_lint.rules.policy import Policy
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import Stream

# The reasons why a stream stops: a hold, or a cache that replays a response.
Stop = Hold | Literal["cache"]

# In the order in which a response passes them.
_ORDER: tuple[Stop, ...] = (
    "cache",
    "upstream-buffer",
    "brotli",
    "gzip",
    "body-filter",
    "file-buffer",
    "tls-buffer",
)


class HoldStage(Struct, frozen=True):
    """A stage that holds the stream, always or only if `only_if` becomes true.

    `held_bytes` is how much it collects before it forwards data (None: the whole response),
    `clients` are the affected kinds of clients.
    """

    hold: Stop
    held_bytes: int | None
    clients: frozenset[Client]
    only_if: str = ""


class Arrival(Struct, frozen=True):
    """How the stream reaches a kind of client; see `delivery.Delivery` for the numbers."""

    client: Client
    verdict: Worst
    held_bytes: int | None = None
    first_text_s: float | None = 0.0


class StreamPath(Struct, frozen=True):
    """The path of the most certain stream of a proxied location."""

    proxied: ProxiedLocation
    stream: Stream
    stages: tuple[HoldStage, ...]
    arrivals: tuple[Arrival, ...]

    @property
    def gets_through(self) -> bool:
        return all(one.verdict == "streams" for one in self.arrivals)


def stream_paths(
    report: Result, version: Version | None, policy: Policy | None = None
) -> list[StreamPath]:
    """The paths of all assumed streams, each location once, in file order.

    `version` is the user's, `policy` sets it for some files; otherwise the deployment determines
    it. If several nginx read a location, the first one that holds its stream back is shown.
    """
    version_of = cache((policy or Policy()).nginx_version)
    found: dict[tuple[str, int], StreamPath] = {}
    for proxied in report.proxied:
        directive = proxied.level.directive or proxied.handler.directive
        if proxied.is_stream and proxied.shadowed_by is None:
            name = directive.source.name
            key = (name, directive.start)
            if key in found and not found[key].gets_through:
                continue
            known = version_of(name, version)
            if known is None and proxied.nginx is not None:
                # Of a floating tag, the older release is shown, as by the findings.
                known = next(iter(proxied.nginx.versions), None)
            way = _stream_path(proxied, known)
            if key not in found or not way.gets_through:
                found[key] = way
    return list(found.values())


def _stream_path(proxied: ProxiedLocation, version: Version | None) -> StreamPath:
    stream = proxied.streams[0]
    facts = Facts(proxied, stream, version, MIN_READ_TIMEOUT_S)
    if stream.kind == "websocket":
        # nginx has no WebSocket over HTTP/2: browsers open an HTTP/1.1 connection instead.
        fails = facts.value("handshake") == "fails"
        clients = [one for one in usual_clients(facts) if one in HANDSHAKE_CLIENTS]
        verdict: Worst = "no-stream" if fails else "streams"
        arrivals = tuple(Arrival(one, verdict) for one in clients or usual_clients(facts))
        return StreamPath(proxied, stream, (), arrivals)
    if not usual_deliveries(facts):
        # A tunnel, or a response in one piece: nothing can hold it.
        arrivals = tuple(Arrival(client, "streams") for client in usual_clients(facts))
        return StreamPath(proxied, stream, (), arrivals)
    held: dict[Stop, set[Client]] = {}
    always = [one for one in usual_deliveries(facts) if one.scenario.accept_encoding == "identity"]
    for one in always:
        if one.is_replayed:
            held.setdefault("cache", set()).add(one.scenario.client)
        for hold in delivery_path(facts).holds(one.scenario):
            held.setdefault(hold, set()).add(one.scenario.client)
    stages = [
        HoldStage(
            hold,
            None if hold == "cache" else delivery_path(facts).held_bytes(hold),
            frozenset(clients),
        )
        for hold, clients in held.items()
    ]
    compression = [hold for hold in facts.value("holds") if hold in ("gzip", "brotli")]
    stages += [
        HoldStage(hold, None, frozenset(usual_clients(facts)), "clients accept it")
        for hold in compression
        if hold not in held
    ]
    # For each client, the worst of its usual scenarios.
    worst: dict[Client, Delivery] = {}
    for one in usual_deliveries(facts):
        known = worst.get(one.scenario.client)
        if known is None or _is_worse(one, known):
            worst[one.scenario.client] = one
    arrivals = tuple(
        Arrival(client, one.worst, one.held_bytes, one.first_text_s)
        for client, one in worst.items()
    )
    ordered = sorted(stages, key=lambda stage: _ORDER.index(stage.hold))
    return StreamPath(proxied, stream, tuple(ordered), arrivals)


def _is_worse(delivery: Delivery, other: Delivery) -> bool:
    """Whether a delivery is worse: it no longer streams, or its first text comes later."""
    if "streams" in (delivery.worst, other.worst) or "replays" in (delivery.worst, other.worst):
        return other.worst == "streams" != delivery.worst
    if other.first_text_s is None:
        return False
    return delivery.first_text_s is None or delivery.first_text_s > other.first_text_s
