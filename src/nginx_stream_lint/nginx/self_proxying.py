"""Find the server of the same configuration to which a request is proxied, if any.

Source: `ngx_http_proxy_create_request` in nginx's src/http/modules/ngx_http_proxy_module.c for the
inner request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Handler, Level, rows_in_force
from nginx_stream_lint.nginx.listeners import shortest
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.pass_target import PassTarget, parse_target
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import Route, route_on_socket
from nginx_stream_lint.nginx.servers import (
    LOOPBACKS,
    ListenSocket,
    is_address,
    reached_sockets,
    sockets,
    sockets_with_port,
)
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.nginx.uri import escape_path
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

_PATH_VARIABLE = re.compile(r"\$\{?(?:request_uri|uri)\b")
_PROXY_HOST = re.compile(r"\$proxy_host\b|\$\{proxy_host\}")
MOST_TIERS = 10  # servers of one configuration on a request's route
_MOST_PEERS = 20  # of an upstream


def self_proxied_routes(http: Level, route: Route, version: Version) -> list[Route]:
    """The routes of a request that is proxied to the same configuration; empty if it leaves it.

    There are several if an upstream has several servers that end in different places.
    """
    handler, target = route.handler, route.target
    if handler is None or target is None or handler.family not in ("proxy", "grpc"):
        return []
    routes: list[Route] = []
    ends: set[tuple[Level | None, Level | None]] = set()
    for peer in target_peers(http, target):
        for socket in _sockets(http, peer, version):
            request = upstream_request(route, target, peer, socket, version)
            if request is None:
                continue
            one = route_on_socket(socket, request, version, sent_server_name(route, target))
            if (one.server, one.location) not in ends:
                ends.add((one.server, one.location))
                routes.append(one)
    return routes


def may_be_self_proxied(http: Level, handler: Handler, version: Version) -> bool:
    """Whether a handler may proxy to a server of this configuration (a quick estimate).

    False if the host has a variable: evaluating it takes the whole route of a request.
    """
    if handler.family not in ("proxy", "grpc"):
        return False
    written, variable, _ = handler.target.partition("$")
    authority, slash, _ = written.partition("://")[2].partition("/")
    is_path = _PATH_VARIABLE.match(handler.target, len(written)) is not None
    if variable and not (authority and (slash or is_path)):
        return False
    target = parse_target(handler.family, written)
    peers = [] if target is None else target_peers(http, target)
    return any(_sockets(http, peer, version) for peer in peers)


def target_peers(http: Level, target: PassTarget) -> Iterator[PassTarget]:
    """The servers of an upstream, or the target itself.

    nginx uses `backup` servers only while the others fail.
    """
    block = upstream_block(http, target.host)
    if block is None or target.has_port:
        yield target
        return
    rows = [row for row in block.rows.get("server", ()) if row.args and "down" not in row.args]
    usual = [row for row in rows if "backup" not in row.args]
    for row in (usual or rows)[:_MOST_PEERS]:
        peer = parse_target("fastcgi", row.args[0])  # an address alone
        if peer is not None:
            port = peer.port or 80
            yield PassTarget(target.scheme, peer.host, port, peer.has_port)


def _sockets(http: Level, peer: PassTarget, version: Version) -> list[ListenSocket]:
    """The sockets of this configuration that a connection to a peer reaches."""
    tls = peer.scheme in ("https", "grpcs")
    if peer.host.startswith("unix:"):
        found = [socket for socket in sockets(http, version) if socket.address == peer.host]
    else:
        here = sockets_with_port(http, version, peer.port)
        names = LOOPBACKS if lower(peer.host) == "localhost" else (shortest(peer.host),)
        found = []
        for name in names:
            at = reached_sockets(name, here)
            # The address may belong to another machine; it is this one only if nginx listens on it.
            mine = name.startswith("127.") or name == "[::1]"
            found += [socket for socket in at if mine or socket.host == name]
    tcp = (socket for socket in dict.fromkeys(found) if not socket.quic)
    return [socket for socket in tcp if socket.tls == tls]


def upstream_request(
    route: Route,
    target: PassTarget,
    peer: PassTarget,
    socket: ListenSocket,
    version: Version,
    assumed_host: str | None = None,
) -> Request | None:
    """The request that the server behind gets.

    If its Host header is unknown, `assumed_host` is used; None without one.
    """
    handler, level, state = route.handler, route.location, route.state
    assert handler is not None
    assert level is not None
    assert state is not None
    usual = target.port in (80 if target.scheme in ("http", "grpc") else 443, 0)
    sent = target.host if usual or not target.has_port else f"{target.host}:{target.port}"
    if target.host.startswith("unix:"):
        sent = "localhost"
    for row in level.effective(f"{handler.family}_set_header", version).rows:
        if len(row) == 2 and row[0].lower() == "host":
            value = state.expand(_PROXY_HOST.sub(lambda _: sent, row[1]))  # noqa: B023
            if value is None:
                value = assumed_host
            if value is None:
                return None
            sent = value
    host, _, port = sent.rpartition(":") if not sent.endswith("]") else (sent, "", "")
    if whole_number(port) is None:
        host = sent
    scheme = "https" if socket.tls else "http"
    path = _path(route, target)
    port_there = peer.port or socket.first_port
    headers = state.request.headers
    return Request(scheme, host, port_there, path, state.method, headers)


def sent_server_name(route: Route, target: PassTarget) -> str | None:
    """The name that nginx sends in the TLS handshake with a target (SNI); None if it sends none."""
    level, state, handler = route.location, route.state, route.handler
    assert handler is not None
    assert level is not None
    assert state is not None
    switches = rows_in_force(level, f"{handler.family}_ssl_server_name")
    if not any(row.args == ("on",) for row in switches):
        return None
    rows = rows_in_force(level, f"{handler.family}_ssl_name")
    name = state.expand(rows[0].args[0]) if rows and rows[0].args else target.host
    name = None if name is None else name.partition(":")[0]
    return None if not name or name.startswith("[") or is_address(name) else name


def _path(route: Route, target: PassTarget) -> str:
    """The path and query of the upstream request."""
    handler, level, state = route.handler, route.location, route.state
    assert handler is not None
    assert level is not None
    assert state is not None
    args = f"?{state.args}" if state.args else ""
    rewritten = any(step.directive.name != "proxy_pass" for step in route.via)
    if handler.family != "proxy" or not target.uri:
        same = not rewritten and state.request.target.startswith("/")
        return state.request.target if same else escape_path(state.uri) + args
    if "$" in handler.target:
        return target.uri if target.uri.startswith("/") else f"/{target.uri}"
    location = level.nearest("location")
    match = None if location is None else match_of(location)
    rest = state.uri
    if match is not None and match.modifier in ("", "^~", "="):
        rest = rest.removeprefix(match.pattern)
    return target.uri + escape_path(rest) + args
