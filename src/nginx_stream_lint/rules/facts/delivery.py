"""Facts about delivery: where nginx holds a stream, and for which clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nginx_stream_lint.nginx.caching import NOTHING, response_caching
from nginx_stream_lint.nginx.delivery import (
    BODY_FILTERS,
    USUAL_ENCODINGS,
    AcceptEncoding,
    Delivery,
    DeliveryPath,
    Hold,
    Scenario,
    delivery_path_for,
)
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.listeners import PLAIN, Client
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.rules.facts.base import Facts, Headers, computed, fact
from nginx_stream_lint.rules.facts.location import is_http, usual_clients
from nginx_stream_lint.rules.facts.other_inputs import PLAIN_CLIENTS, REQUEST
from nginx_stream_lint.streams.stream import CONTENT_TYPES

if TYPE_CHECKING:
    from nginx_stream_lint.nginx.variables import RequestState

# The directives and inputs that `usual_deliveries` and `delivery_path` read.
RECORDING = (
    *("<family>_store", "<family>_cache", "<family>_cache_methods", "<family>_cache_valid"),
    *("<family>_cache_bypass", "<family>_cache_key", "<family>_cache_min_uses"),
    *("<family>_no_cache", "<family>_ignore_headers"),
    REQUEST,
    PLAIN_CLIENTS,
)
DELIVERY = (
    *RECORDING,
    *("<family>_buffering", "<family>_buffer_size", "proxy_http_version", "fastcgi_keep_conn"),
    *("gzip", "gzip_types", "gzip_disable", "gzip_min_length"),
    *("brotli", "brotli_types", "brotli_min_length", *BODY_FILTERS),
    *("sub_filter", "sub_filter_types", "ssi", "ssi_types"),
    *("postpone_output", "ssl_buffer_size", "sendfile", "tcp_nopush"),
)


@computed
def whole_path(facts: Facts) -> DeliveryPath:
    """The delivery path of the stream's response."""
    recorded = response_caching(
        facts.effective,
        facts.proxied.handler.family,
        facts.stream.method or "GET",
        lambda: _request(facts),
    )
    plain = PLAIN
    if recorded is not NOTHING and "h2" in facts.proxied.clients:
        plain = facts.elsewhere(PLAIN_CLIENTS)
    return delivery_path_for(
        facts.effective,
        facts.proxied.handler.family,
        CONTENT_TYPES[facts.stream.kind],
        recorded,
        plain,
    )


@computed
def delivery_path(facts: Facts) -> DeliveryPath:
    """The delivery path of the stream's response, without events that `sub_filter` delays."""
    return replace(whole_path(facts), sub_filter=False)


def _request(facts: Facts) -> RequestState:
    """The state of a request for the stream at the end of its route; unknown parts stay unknown."""
    # Imported here, because few locations have a cache that depends on the request.
    from nginx_stream_lint.nginx.request import Request
    from nginx_stream_lint.nginx.request_route import route_in_server
    from nginx_stream_lint.nginx.variables import unknown_request

    facts.elsewhere(REQUEST)  # reading more makes the location's cache key unique
    method = facts.stream.method or "GET"
    where = facts.proxied.level.nearest("location")
    pattern = None if where is None else match_of(where)
    path = facts.stream.path
    if path is None and pattern is not None and pattern.modifier in ("", "=", "^~"):
        path = pattern.pattern
    if path is not None and path.startswith("/"):
        asked = Request("http", None, None, path, method)
        found = route_in_server(facts.proxied.server, asked, facts.version)
        if found.location is facts.proxied.level and found.state is not None:
            return found.state
    return unknown_request(facts.proxied.server, method, None)


def scenario(facts: Facts, client: Client, accepted: AcceptEncoding = "identity") -> Scenario:
    """The usual scenario of a client with this Accept-Encoding."""
    return Scenario(
        client,
        facts.stream.framing or "chunked",
        facts.stream.x_accel_buffering or "absent",
        accepted,
    )


@computed
def usual_deliveries(facts: Facts) -> list[Delivery]:
    """The deliveries in the usual scenarios of each client."""
    if not is_http(facts) or facts.stream.kind in ("websocket", "long-poll"):
        return []  # tunnelled, or a single piece: nothing holds it back
    return [
        delivery_path(facts).deliver(scenario(facts, client, accepted))
        for accepted in (("identity",) if facts.stream.is_uncompressed else USUAL_ENCODINGS)
        for client in usual_clients(facts)
    ]


def clients_with(facts: Facts, verdict: str, accepted: AcceptEncoding) -> list[str]:
    """The clients with this verdict, among those with this Accept-Encoding."""
    return [
        one.scenario.client
        for one in usual_deliveries(facts)
        if one.worst == verdict and one.scenario.accept_encoding == accepted
    ]


@computed
def changes(facts: Facts) -> dict[str, Delivery]:
    """The deliveries that would stall although the stream works today, by the change."""
    if not usual_deliveries(facts):
        return {}
    base = scenario(facts, usual_clients(facts)[0])
    found: dict[str, Delivery] = {}

    def try_out(name: str, scenario: Scenario) -> None:
        delivery = delivery_path(facts).deliver(scenario)
        if delivery.worst != "streams":
            found[name] = delivery

    def changed(**what: Any) -> Scenario:
        fields = ("client", "framing", "x_accel_buffering", "accept_encoding")
        return Scenario(**{name: getattr(base, name) for name in fields} | what)

    if facts.stream.framing is None:
        try_out("close", changed(framing="close"))
    if facts.stream.clients is None and "h1-tls" not in usual_clients(facts):
        try_out("h1-tls", changed(client="h1-tls"))
    return found


@fact(reads=[*DELIVERY])
def buffered(facts: Facts) -> bool:
    """Whether the response is buffered in the usual scenario."""
    if not usual_deliveries(facts):
        return False
    return delivery_path(facts).is_buffered(facts.stream.x_accel_buffering or "absent")


@fact(reads=["<family>_buffering"])
def buffering_is_default(facts: Facts) -> bool:
    """Whether buffering has its default value, that of nginx or of a controller."""
    name = f"{facts.proxied.handler.family}_buffering"
    return name in table() and not any(one.is_written for one in facts.effective(name).directives)


@fact(reads=["buffered", *DELIVERY])
def app_asks_for_buffering(facts: Facts) -> bool:
    """Whether the app itself turns buffering on (`X-Accel-Buffering: yes`)."""
    asked = facts.stream.x_accel_buffering == "yes" and facts.value("buffered")
    return bool(asked) and not delivery_path(facts).accel_ignored


@fact(reads=[*DELIVERY])
def stalled_clients(facts: Facts) -> list[str]:
    """The clients for which the stream stalls in a usual scenario."""
    stalled = [one.scenario.client for one in usual_deliveries(facts) if one.worst == "stalls"]
    return list(dict.fromkeys(stalled))


@fact(reads=[*DELIVERY])
def breaking_changes(facts: Facts) -> list[str]:
    """The common changes that would make the stream stall: close, h1-tls."""
    return list(changes(facts))


@fact(reads=[*DELIVERY])
def holds(facts: Facts) -> list[str]:
    """All holds that stop the response in some usual scenario."""
    found: dict[Hold, None] = {}
    for one in usual_deliveries(facts):
        found |= dict.fromkeys(delivery_path(facts).holds(one.scenario))
    return list(found)


@fact(reads=[*DELIVERY])
def held_bytes(facts: Facts) -> int | None:
    """Number of bytes that the worst usual hold collects; none: the whole response, or no hold."""
    held = [one.held_bytes for one in usual_deliveries(facts) if one.worst == "stalls"]
    return None if None in held else max((one for one in held if one is not None), default=None)


@fact(reads=[*DELIVERY])
def first_text_s(facts: Facts) -> float | None:
    """Seconds until the first text in the worst usual case; none: after the whole response."""
    waits = [one.first_text_s for one in usual_deliveries(facts)]
    return None if None in waits else max((one for one in waits if one is not None), default=0)


@fact(reads=[*DELIVERY])
def event_ends_wait(facts: Facts) -> bool:
    """Whether the end of each event is held until the next event arrives (`sub_filter`)."""
    return bool(usual_deliveries(facts)) and whole_path(facts).sub_filter


@fact(reads=[*DELIVERY])
def accel_header_ignored(facts: Facts) -> bool:
    """Whether nginx ignores the app's X-Accel-Buffering (`<family>_ignore_headers`)."""
    return is_http(facts) and delivery_path(facts).accel_ignored


@fact(reads=[Headers("add_header")])
def accel_header_added(facts: Facts) -> bool:
    """Whether `add_header X-Accel-Buffering no` is in force."""
    return is_http(facts) and _has_header(facts.headers("add_header"), "x-accel-buffering")


@fact(reads=[Headers("<family>_set_header")])
def accel_header_sent_upstream(facts: Facts) -> bool:
    """Whether X-Accel-Buffering is set on the request to the app."""
    if facts.proxied.handler.family not in ("proxy", "grpc") or not is_http(facts):
        return False
    return _has_header(facts.headers("<family>_set_header"), "x-accel-buffering")


@fact(
    reads=["accel_header_sent_upstream", "accel_header_added", "buffered"],
    directives=["<family>_set_header", "add_header"],
)
def misplaced_accel(facts: Facts) -> str | None:
    """The directive that sets X-Accel-Buffering although this nginx does not read it there.

    In a request to the app it has no effect; in a response to the client it only matters while this
    nginx buffers.
    """
    if facts.value("accel_header_sent_upstream"):
        return f"{facts.proxied.handler.family}_set_header"
    added = facts.value("accel_header_added") and facts.value("buffered")
    return "add_header" if added else None


@fact()
def accel_fix(facts: Facts) -> str | None:
    """The fix if an nginx does not forward the X-Accel-Buffering that the one in front needs.

    `pass-on` and `stop-buffering` are fixes in this location, `elsewhere` is not.
    """
    return facts.stream.accel_fix


@fact(reads=["<family>_buffering"], directives=["<family>_buffering"])
def other_family_buffering(facts: Facts) -> str | None:
    """`<family>_buffering off` of another family than the handler's, written at this level."""
    named = facts.proxied.level.nearest("location") or facts.proxied.level
    for family in FAMILIES:
        name = f"{family}_buffering"
        if family == facts.proxied.handler.family:
            continue
        for row in named.rows.get(name, []):
            if row.args[:1] == ("off",) and row.is_written:
                return name
    return None


def _has_header(rows: list[tuple[str, ...]], name: str) -> bool:
    return any(row[0].lower() == name for row in rows if row)
