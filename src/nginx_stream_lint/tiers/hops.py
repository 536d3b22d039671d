"""The way of a request from one nginx to the next, which has a configuration of its own."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import shortest
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.request_route import Route, route_on_socket
from nginx_stream_lint.nginx.self_proxying import (
    sent_server_name,
    target_peers,
    upstream_request,
)
from nginx_stream_lint.nginx.servers import (
    ListenSocket,
    is_address,
    reached_sockets,
    sockets_with_port,
    tcp_sockets,
)
from nginx_stream_lint.nginx.versions import Version

_LOOPBACKS = ("127.0.0.1", "[::1]")


class TierConfiguration(Struct, eq=False):
    """The configuration of one nginx of a chain: its `http` level and version.

    `name` is the path of its main file.
    """

    name: str
    http: Level | None
    version: Version


class Hop(Struct, frozen=True):
    """One nginx on the way of a request, and the request's route in it.

    `doubt` says why it is not certain that the request gets here; empty if it is.
    """

    nginx: TierConfiguration
    route: Route
    doubt: str = ""


class NamedChain:
    """The nginx of a chain that the user names, nearest the app first."""

    def __init__(self, chain: Sequence[TierConfiguration]) -> None:
        self._chain = chain

    def behind(self, hop: Hop) -> list[Hop]:
        """The hops of a request behind an nginx, if it does not go to the app.

        The next nginx is the nearest one that listens on the target's port; otherwise the next one,
        because ports may be mapped.
        """
        at = next((n for n, one in enumerate(self._chain) if one is hop.nginx), 0)
        for one in reversed(self._chain[:at]):
            found = hops_into(hop, one)
            if found:
                return found
        return hops_into(hop, self._chain[at - 1], any_port=True) if at else []


def hops_into(hop: Hop, nginx: TierConfiguration, any_port: bool = False) -> list[Hop]:
    """The routes in an nginx of a request that another one passes on to it.

    Empty if it does not listen on the port of the target. With `any_port` it is assumed to be
    reached through another port, if only one of its ports fits.
    """
    handler, target = hop.route.handler, hop.route.target
    if handler is None or target is None or handler.family not in ("proxy", "grpc"):
        return []
    if hop.nginx.http is None or nginx.http is None:
        return []
    found: list[Hop] = []
    for peer in target_peers(hop.nginx.http, target):
        socket, doubt = socket_of(nginx, peer), ""
        if socket is None and any_port:
            socket = _only_socket(nginx, peer)
            doubt = f"whether {handler.target} leads to {nginx.name}, which listens on other ports"
        request = None
        if socket is not None:
            request = upstream_request(hop.route, target, peer, socket, hop.nginx.version)
        if socket is None or request is None:
            continue
        name = sent_server_name(hop.route, target)
        route = route_on_socket(socket, request, nginx.version, name)
        ends = (route.server, route.location)
        if ends not in [(one.route.server, one.route.location) for one in found]:
            found.append(Hop(nginx, route, doubt))
    return found


def socket_of(nginx: TierConfiguration, peer: PassTarget) -> ListenSocket | None:
    """The socket of an nginx that a connection to an address or name reaches; None if none."""
    assert nginx.http is not None
    tls = peer.scheme in ("https", "grpcs")
    if peer.host.startswith("unix:"):
        here = [
            each for each in tcp_sockets(nginx.http, nginx.version) if each.address == peer.host
        ]
        return next((each for each in here if each.tls == tls), None)
    here = sockets_with_port(nginx.http, nginx.version, peer.port)
    here = [each for each in here if not each.quic and each.tls == tls]
    host = lower(peer.host)
    names = _LOOPBACKS if host == "localhost" else (shortest(host),)
    found = [each for name in names if is_address(name) for each in reached_sockets(name, here)]
    # The address of a name is unknown: probably the one that takes every address.
    every = [each for name in ("*", "[::]") for each in here if each.host == name]
    named = [each for each in here if each.host == host]
    return next(iter([*found, *named, *every, *here]), None)


def _only_socket(nginx: TierConfiguration, peer: PassTarget) -> ListenSocket | None:
    """The socket that takes connections with or without TLS; None if there are several ports."""
    assert nginx.http is not None
    tls = peer.scheme in ("https", "grpcs")
    every = [one for one in tcp_sockets(nginx.http, nginx.version) if one.tls == tls]
    ports = {one.address.rpartition(":")[2] for one in every}
    return every[0] if len(ports) == 1 else None
