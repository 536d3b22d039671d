"""What facts read beside the directives in force at their location.

Each is one value that all that matters is in: it is a part of the key by which the verdict cache
knows a location, so the blocks that it is made from need not be.
"""

from __future__ import annotations

import re

from msgspec import Struct

from nginx_stream_lint.nginx.handshake import (
    LONG_CONNECTION,
    Handshake,
    connection_variable,
    handshake_at,
)
from nginx_stream_lint.nginx.levels import Level, kept
from nginx_stream_lint.nginx.listeners import Client, idle_timeout_s, plain_clients
from nginx_stream_lint.nginx.recording import depends_on_the_request
from nginx_stream_lint.nginx.routing import find, match_of
from nginx_stream_lint.nginx.stream_limits import StreamLimit, stream_limit
from nginx_stream_lint.nginx.undefined import defines
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts.base import Elsewhere, headers_at
from nginx_stream_lint.streams.evidence import streams_at
from nginx_stream_lint.streams.find import Served

_SCHEME = re.compile(r"^\w+://")
# One address of an upstream, not a name that may stand for several.
_ADDRESS = re.compile(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])(?::\d+)?$|unix:")
# Protocols that also poll, at the same path.
_TRANSPORTS = re.compile(r"(?i)socket\\?\.?io|sockjs|signalr|blazor|\bhubs?\b")
# Names for the variable that Connection gets, the usual one first.
_NAMES = ("connection_upgrade", "websocket_connection", "websocket_connection_2")


def location_path(served: Served) -> str:
    """The path of the location that the handler stands in."""
    return match_of(served.level.nearest("location") or served.level).pattern


class Upstream(Struct, frozen=True):
    """What matters of the upstream that a handler names.

    `keeps_alive`: its block asks for kept-alive connections. `has_one_peer`: there is only one
    address to send a request to, so that none is tried again.
    """

    keeps_alive: bool
    has_one_peer: bool


def _upstream(served: Served, _: Version) -> Upstream:
    http, target = served.server.parent or served.server, served.handler.target
    known = _upstreams_by_target(http)
    found = known.get(target)
    if found is None:
        found = known[target] = _upstream_of(http, target)
    return found


@kept
def _upstreams_by_target(_: Level) -> dict[str, Upstream]:
    """What is known of the targets in an `http` block so far."""
    return {}


def _upstream_of(http: Level, target: str) -> Upstream:
    host = _SCHEME.sub("", target).split("/")[0]
    block = upstream_block(http, host)
    if block is None:
        return Upstream(False, _ADDRESS.match(host) is not None)
    keepalive = block.rows.get("keepalive", [])
    hosts = [row.args[0] for row in block.rows.get("server", []) if row.args]
    return Upstream(
        bool(keepalive) and keepalive[-1].args[:1] != ("0",),
        len(hosts) == 1 and _ADDRESS.match(hosts[0]) is not None,
    )


def auth_target(served: Served, version: Version) -> Level | None:
    """The location of this server that `auth_request` asks, if it passes requests on."""
    uri = served.level.effective("auth_request", version).text
    return None if uri in ("", "off") or "$" in uri else _proxied(served.server, uri)


def _auth_waits_for_body(served: Served, version: Version) -> str | None:
    """The label of that location, if it announces a body to its upstream and sends none."""
    if served.level.kind == "stream-server":
        return None
    target = auth_target(served, version)
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


def _is_mirrored(served: Served, version: Version) -> bool | None:
    """Whether a `mirror` in force leads to a location that passes requests on."""
    rows = served.level.effective("mirror", version).rows
    uris = [row[0] for row in rows if row and row[0] != "off"]
    return any(_proxied(served.server, uri) is not None for uri in uris) or None


def _proxied(server: Level, uri: str) -> Level | None:
    """The location that a URI of the configuration leads to, if it passes requests on."""
    level = find(server, uri.split("?", maxsplit=1)[0])
    return level if level is not None and level.handler is not None else None


class Handshakes(Struct, frozen=True):
    """What becomes of WebSocket handshakes at a location.

    `shown` is the one that `verdict` is about; see the fact `handshake`. `variable` is one that is
    right for Connection there, without its `$`.
    """

    verdict: str | None
    shown: Handshake | None
    variable: str | None


_NO_HANDSHAKES = Handshakes(None, None, None)


def _handshakes(served: Served, version: Version) -> Handshakes:
    """Handshakes of WebSockets, for the usual clients; none without such a stream."""
    if not _has_websockets(served):
        return _NO_HANDSHAKES
    path = next((one.path for one in served.streams if one.kind == "websocket"), None)
    path = path.partition("*")[0] if path is not None else None
    scheme = "http" if "h1" in served.clients else "https"
    variable = connection_variable(served.server)

    def of(*connection: str) -> Handshake | None:
        return handshake_at(served.level, served.server, version, path, scheme, *connection)

    usual, other = of(), of(LONG_CONNECTION)
    if usual is not None and usual.fails:
        return Handshakes("fails", usual, variable)
    if other is not None and other.fails:
        return Handshakes("depends-on-client", other, variable)
    is_old = usual is not None and usual.is_old
    return Handshakes("depends-on-app" if is_old else None, usual, variable)


def _has_websockets(served: Served) -> bool:
    return any(one.kind == "websocket" for one in served.streams)


def _new_variable(served: Served, _: Version) -> str | None:
    """A name for a new variable, without its `$`; None where Connection needs none."""
    if not _has_websockets(served) or _has_only_websockets(served):
        return None
    http = served.level.nearest("http")
    return _NAMES[0] if http is None else _free_name(http)


def _has_only_websockets(served: Served) -> bool:
    """Whether a location is for WebSockets alone, by its path.

    Not if they are one transport of several there, as with Socket.IO, SockJS and SignalR.
    """
    pattern = location_path(served)
    kinds = {one.kind for one in (*served.streams, *streams_at(pattern))}
    if kinds != {"websocket"} or _TRANSPORTS.search(pattern):
        return False
    return bool(streams_at(pattern)) or pattern in {one.path for one in served.streams}


@kept
def _free_name(http: Level) -> str | None:
    return next((name for name in _NAMES if not defines(http, name)), None)


def _request(served: Served, version: Version) -> Served | None:
    """The location itself, like no other, where its cache looks at the request."""
    depends = depends_on_the_request(
        lambda name: served.level.effective(name, version), served.handler.family
    )
    return served if depends else None


def _plain_clients(served: Served, version: Version) -> frozenset[Client] | None:
    return plain_clients(served.server, version) if "h2" in served.clients else None


def _http3_timeout_s(served: Served, version: Version) -> float | None:
    """The seconds after which HTTP/3 clients without PINGs are cut; None where there are none."""
    return idle_timeout_s(served.server, version) if _has_http3(served) else None


def _has_http3(served: Served) -> bool:
    return "h3" in served.clients or any("h3" in (one.clients or ()) for one in served.streams)


def _stream_limit(served: Served, version: Version) -> StreamLimit | None:
    return stream_limit(served.level, lambda name: served.level.effective(name, version))


TARGET = Elsewhere("target", lambda served, _: served.handler.target, by_version=False)
PREFIX = Elsewhere("prefix", lambda served, _: location_path(served), by_version=False)
# The location itself: what is read there is like no other.
LOCATION = Elsewhere("location", lambda served, _: served)
# nginx's version, which is the same for all that a cache knows.
VERSION = Elsewhere("version", lambda _, version: version)
UPSTREAM = Elsewhere("upstream", _upstream, by_version=False)
AUTH_REQUEST = Elsewhere("auth_request", _auth_waits_for_body, only_with=("auth_request",))
MIRRORED = Elsewhere("mirror", _is_mirrored, only_with=("mirror",))
HANDSHAKES = Elsewhere("handshakes", _handshakes, only_for=_has_websockets)
NEW_VARIABLE = Elsewhere("new variable", _new_variable, only_for=_has_websockets, by_version=False)
# What a cache makes of the request.
REQUEST = Elsewhere("request", _request, only_with=("<family>_cache",))
# Which clients come without TLS to the sockets of the server.
PLAIN_CLIENTS = Elsewhere(
    "plain clients", _plain_clients, only_with=("<family>_cache", "<family>_store")
)
HTTP3_TIMEOUT = Elsewhere("HTTP/3 timeout", _http3_timeout_s, only_for=_has_http3)
# The `limit_conn` or `limit_req` that allows the fewest streams.
STREAM_LIMIT = Elsewhere("stream limit", _stream_limit, only_with=("limit_conn", "limit_req"))
