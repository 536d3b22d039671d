"""Deliveries of a WebSocket: they begin with a handshake, which has to reach the app."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.analysis.stream_paths import StreamPaths
from nginx_stream_lint.nginx.delivery import Delivery, Verdict
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.handshake import (
    CONNECTION,
    HANDSHAKE_CLIENTS,
    TUNNELS,
    as_handshake,
    received_handshake,
)
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import route_request
from nginx_stream_lint.nginx.self_proxying import MOST_TIERS
from nginx_stream_lint.tiers.hops import Hop, TierConfiguration


def deliveries_of_websocket(
    deliveries: Sequence[Delivery],
    root: Level,
    request: Request,
    nginx: TierConfiguration,
    files: DocumentRoot | None,
    paths: StreamPaths,
) -> list[Delivery]:
    """Convert the deliveries of a URL to those of a WebSocket at that URL.

    nginx has no WebSockets over HTTP/2: browsers open an HTTP/1.1 connection instead. Nothing holds
    data in the tunnel, so the handshake decides.
    """
    way = route_request(root, as_handshake(request, CONNECTION), nginx.version, files)
    verdict: Verdict = "streams" if handshake_succeeds(Hop(nginx, way), paths) else "no-stream"
    return [
        Delivery(one.scenario, verdict, repeat=verdict)
        for one in deliveries
        if one.scenario.client in HANDSHAKE_CLIENTS
    ]


def handshake_succeeds(hop: Hop, paths: StreamPaths, tiers: int = MOST_TIERS) -> bool:
    """Whether a handshake gets a 101 from a place and at most `tiers` servers behind it.

    The app is assumed to accept HTTP/1.0, too.
    """
    route = hop.route
    if route.handler is None or route.location is None or route.state is None:
        return bool(route.unknown)
    if route.handler.family not in TUNNELS:
        return False
    found = received_handshake(route.location, route.state, hop.nginx.version)
    if found is not None and found.fails:
        return False
    behind = paths.behind(hop) if tiers > 1 else ()
    return all(handshake_succeeds(one, paths, tiers - 1) for one in behind)
