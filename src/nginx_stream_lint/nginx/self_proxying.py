"""Find the server of the same configuration to which a request is proxied, if any.

Source: `ngx_http_proxy_create_request` in nginx's src/http/modules/ngx_http_proxy_module.c for the
inner request.
"""

from __future__ import annotations

import re

from nginx_stream_lint.nginx.levels import Level, rows_in_force
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import Route, route_on_socket
from nginx_stream_lint.nginx.servers import (
    ListenSocket,
    is_address,
)
from nginx_stream_lint.nginx.target_sockets import sockets_of, target_peers
from nginx_stream_lint.nginx.uri import escape_path
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

_PROXY_HOST = re.compile(r"\$proxy_host\b|\$\{proxy_host\}")
MOST_TIERS = 10  # servers of one configuration on a request's route


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
        for socket in sockets_of(http, peer, version):
            request = upstream_request(route, target, peer, socket, version)
            if request is None:
                continue
            one = route_on_socket(socket, request, version, sent_server_name(route, target))
            if (one.server, one.location) not in ends:
                ends.add((one.server, one.location))
                routes.append(one)
    return routes


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
