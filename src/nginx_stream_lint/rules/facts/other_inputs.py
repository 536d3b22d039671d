"""Inputs of facts other than the effective directives of their location.

Each is a single value that contains everything that matters. The verdict cache uses that value in
its keys instead of the blocks that it is computed from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.caching import depends_on_the_request
from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.listeners import Client, idle_timeout_s, plain_clients
from nginx_stream_lint.nginx.location_match import find_location, match_of
from nginx_stream_lint.nginx.stream_limits import StreamLimit, stream_limit
from nginx_stream_lint.nginx.undefined_names import defines
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts.base import OtherInput, headers_at
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.evidence import streams_at
from nginx_stream_lint.streams.upstreams import authority

if TYPE_CHECKING:
    from nginx_stream_lint.nginx.handshake import Handshake

# One address of an upstream, not a name that may resolve to several.
_ADDRESS = r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])(?::\d+)?$|unix:"
# Protocols that also poll at the same path.
_TRANSPORTS = r"(?i)socket\\?\.?io|sockjs|signalr|blazor|\bhubs?\b"
# Names for the variable used as Connection header, the usual one first.
_NAMES = ("connection_upgrade", "websocket_connection", "websocket_connection_2")


def location_path(proxied: ProxiedLocation) -> str:
    """The path of the location that contains the handler."""
    return match_of(proxied.level.nearest("location") or proxied.level).pattern


class UpstreamConnections(Struct, frozen=True):
    """The relevant properties of the upstream that a handler names.

    `keeps_alive`: its block has `keepalive`. `has_one_peer`: there is only one address, so nginx
    never retries a request. A name has one if the deployment runs one replica of its service.
    """

    keeps_alive: bool
    has_one_peer: bool


def _upstream(proxied: ProxiedLocation, _: Version) -> UpstreamConnections:
    http, target = proxied.server.parent or proxied.server, proxied.handler.target
    known = _upstreams_by_target(http)
    found = known.get(target)
    if found is None:
        found = known[target] = _upstream_of(http, target, proxied.nginx)
    return found


@cached_on_level
def _upstreams_by_target(_: Level) -> dict[str, UpstreamConnections]:
    """The upstreams of an `http` block that were looked up so far, by target."""
    return {}


def _upstream_of(http: Level, target: str, nginx: Deployed | None) -> UpstreamConnections:
    host = authority(target)
    block = upstream_block(http, host)
    if block is None:
        return UpstreamConnections(False, _is_one(host, nginx))
    keepalive = block.rows.get("keepalive", [])
    hosts = [row.args[0] for row in block.rows.get("server", []) if row.args]
    return UpstreamConnections(
        bool(keepalive) and keepalive[-1].args[:1] != ("0",),
        len(hosts) == 1 and _is_one(hosts[0], nginx),
    )


def _is_one(peer: str, nginx: Deployed | None) -> bool:
    """Whether a server of an upstream certainly has one address."""
    if re.match(_ADDRESS, peer) is not None:
        return True
    return nginx is not None and nginx.addresses_of(peer.partition(":")[0]) == 1


def auth_target(proxied: ProxiedLocation, version: Version) -> Level | None:
    """The location of this server that `auth_request` uses, if it is a proxied one."""
    uri = proxied.level.effective("auth_request", version).text
    return None if uri in ("", "off") or "$" in uri else _proxied(proxied.server, uri)


def _auth_waits_for_body(proxied: ProxiedLocation, version: Version) -> str | None:
    """The label of that location, if it announces a body to its upstream and sends none."""
    if proxied.level.kind == "stream-server":
        return None
    target = auth_target(proxied, version)
    if target is None or target.handler is None or target.handler.family != "proxy":
        return None
    if target.effective("proxy_set_body", version).rows:
        return None
    headers = headers_at(target, "proxy_set_header", version)
    if any(row[0].lower() == "content-length" for row in headers if row):
        return None
    if target.effective("proxy_pass_request_headers", version).text == "off":
        return None
    return target.label


def _is_mirrored(proxied: ProxiedLocation, version: Version) -> bool | None:
    """Whether a `mirror` in force leads to a proxied location."""
    rows = proxied.level.effective("mirror", version).rows
    uris = [row[0] for row in rows if row and row[0] != "off"]
    return any(_proxied(proxied.server, uri) is not None for uri in uris) or None


def _proxied(server: Level, uri: str) -> Level | None:
    """The location that a URI of the configuration leads to, if it is a proxied one."""
    level = find_location(server, uri.split("?", maxsplit=1)[0])
    return level if level is not None and level.handler is not None else None


class Handshakes(Struct, frozen=True):
    """The results of WebSocket handshakes at a location.

    `verdict` describes the handshake `shown`; see the fact `handshake`. `variable` is an existing
    variable, without its `$`, that is suitable as Connection header there.
    """

    verdict: str | None
    shown: Handshake | None
    variable: str | None


_NO_HANDSHAKES = Handshakes(None, None, None)


def _handshakes(proxied: ProxiedLocation, version: Version) -> Handshakes:
    """Evaluate WebSocket handshakes of the usual clients; none without such a stream."""
    if not _has_websockets(proxied):
        return _NO_HANDSHAKES
    from nginx_stream_lint.nginx.handshake import (
        LONG_CONNECTION,
        connection_variable,
        handshake_at,
    )

    path = next((one.path for one in proxied.streams if one.kind == "websocket"), None)
    path = path.partition("*")[0] if path is not None else None
    scheme = "http" if "h1" in proxied.clients else "https"
    variable = connection_variable(proxied.server)

    def of(*connection: str) -> Handshake | None:
        return handshake_at(proxied.level, proxied.server, version, path, scheme, *connection)

    usual, other = of(), of(LONG_CONNECTION)
    if usual is not None and usual.fails:
        return Handshakes("fails", usual, variable)
    if other is not None and other.fails:
        return Handshakes("depends-on-client", other, variable)
    is_old = usual is not None and usual.is_old
    return Handshakes("depends-on-app" if is_old else None, usual, variable)


def _has_websockets(proxied: ProxiedLocation) -> bool:
    return any(one.kind == "websocket" for one in proxied.streams)


def _new_variable(proxied: ProxiedLocation, _: Version) -> str | None:
    """A name for a new variable, without its `$`; None if Connection needs none."""
    if not _has_websockets(proxied) or _has_only_websockets(proxied):
        return None
    http = proxied.level.nearest("http")
    return _NAMES[0] if http is None else _free_name(http)


def _has_only_websockets(proxied: ProxiedLocation) -> bool:
    """Whether a location is for WebSockets alone, by its path.

    False if they are one transport of several there, as with Socket.IO, SockJS and SignalR.
    """
    pattern = location_path(proxied)
    kinds = {one.kind for one in (*proxied.streams, *streams_at(pattern))}
    if kinds != {"websocket"} or re.search(_TRANSPORTS, pattern):
        return False
    return bool(streams_at(pattern)) or pattern in {one.path for one in proxied.streams}


@cached_on_level
def _free_name(http: Level) -> str | None:
    return next((name for name in _NAMES if not defines(http, name)), None)


def _request(proxied: ProxiedLocation, version: Version) -> ProxiedLocation | None:
    """The location itself, as a unique value, if its cache depends on the request."""
    depends = depends_on_the_request(
        lambda name: proxied.level.effective(name, version), proxied.handler.family
    )
    return proxied if depends else None


def _plain_clients(proxied: ProxiedLocation, version: Version) -> frozenset[Client] | None:
    return plain_clients(proxied.server, version) if "h2" in proxied.clients else None


def _http3_timeout_s(proxied: ProxiedLocation, version: Version) -> float | None:
    """Seconds of silence until HTTP/3 clients without PINGs are cut; None without HTTP/3."""
    return idle_timeout_s(proxied.server, version) if _has_http3(proxied) else None


def _has_http3(proxied: ProxiedLocation) -> bool:
    return "h3" in proxied.clients or any("h3" in (one.clients or ()) for one in proxied.streams)


def _stream_limit(proxied: ProxiedLocation, version: Version) -> StreamLimit | None:
    return stream_limit(proxied.level, lambda name: proxied.level.effective(name, version))


TARGET = OtherInput("target", lambda proxied, _: proxied.handler.target, by_version=False)
PREFIX = OtherInput("prefix", lambda proxied, _: location_path(proxied), by_version=False)
# The location itself: its facts are never shared with other locations.
LOCATION = OtherInput("location", lambda proxied, _: proxied)
# nginx's version, which is the same within one cache.
VERSION = OtherInput("version", lambda _, version: version)
UPSTREAM = OtherInput("upstream", _upstream, by_version=False)
AUTH_REQUEST = OtherInput("auth_request", _auth_waits_for_body, only_with=("auth_request",))
MIRRORED = OtherInput("mirror", _is_mirrored, only_with=("mirror",))
HANDSHAKES = OtherInput("handshakes", _handshakes, only_for=_has_websockets)
NEW_VARIABLE = OtherInput("new variable", _new_variable, only_for=_has_websockets, by_version=False)
# The request, if caching depends on it.
REQUEST = OtherInput("request", _request, only_with=("<family>_cache",))
# The kinds of clients that connect without TLS.
PLAIN_CLIENTS = OtherInput(
    "plain clients", _plain_clients, only_with=("<family>_cache", "<family>_store")
)
HTTP3_TIMEOUT = OtherInput("HTTP/3 timeout", _http3_timeout_s, only_for=_has_http3)
# The `limit_conn` or `limit_req` that allows the fewest streams.
STREAM_LIMIT = OtherInput("stream limit", _stream_limit, only_with=("limit_conn", "limit_req"))

INPUTS = {
    one.name: one
    for one in (
        TARGET,
        PREFIX,
        LOCATION,
        VERSION,
        UPSTREAM,
        AUTH_REQUEST,
        MIRRORED,
        HANDSHAKES,
        NEW_VARIABLE,
        REQUEST,
        PLAIN_CLIENTS,
        HTTP3_TIMEOUT,
        STREAM_LIMIT,
    )
}
