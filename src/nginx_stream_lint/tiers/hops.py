"""The path of a request from one nginx to the next, which has a separate configuration."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from nginx_stream_lint.config.configuration import Configuration
from nginx_stream_lint.nginx.delivery import DeliveryPath
from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Effective, Handler, Level
from nginx_stream_lint.nginx.listeners import shortest
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.proxy_tiers import NginxTier, tier
from nginx_stream_lint.nginx.request_route import Route, route_on_socket
from nginx_stream_lint.nginx.self_proxying import (
    self_proxied_routes,
    sent_server_name,
    upstream_request,
)
from nginx_stream_lint.nginx.servers import (
    LOOPBACKS,
    ListenSocket,
    is_address,
    reached_sockets,
    sockets_with_port,
    tcp_sockets,
)
from nginx_stream_lint.nginx.target_sockets import target_peers
from nginx_stream_lint.nginx.variables import RequestState
from nginx_stream_lint.nginx.versions import Version


class TierConfiguration(Struct, eq=False):
    """One nginx of a chain: its configuration, the `http` level of that, and its version.

    Without `knows_version`, `version` is assumed.
    """

    configuration: Configuration
    http: Level | None
    version: Version
    knows_version: bool = True

    @property
    def name(self) -> str:
        """The path of its main file."""
        return self.configuration.path

    @property
    def is_generated(self) -> bool:
        """Whether a controller generates it: the addresses of its upstreams are not real ones."""
        return self.configuration.author is not None


class Hop(Struct, frozen=True):
    """One nginx that a request passes, and the route of the request in its configuration.

    `doubt` is the reason why it is not certain that the request gets here; empty if it is certain.
    `socket` is the listen address that another nginx connects to; empty if the request comes from a
    client or from this nginx itself.
    """

    nginx: TierConfiguration
    route: Route
    doubt: str = ""
    socket: str = ""

    # What follows is of a hop that passes the request on.

    @property
    def place(self) -> Level:
        """The location where the route ends."""
        assert self.route.location is not None
        return self.route.location

    @property
    def handler(self) -> Handler:
        """The handler of that location."""
        assert self.route.handler is not None
        return self.route.handler

    @property
    def state(self) -> RequestState:
        """The request as it is there."""
        assert self.route.state is not None
        return self.route.state

    def effective(self, name: str) -> Effective:
        """The effective value of a directive there."""
        return self.place.effective(name, self.nginx.version)

    def tier(self, path: DeliveryPath) -> NginxTier:
        """Its behaviour as a tier that delivers on a path."""
        target = self.route.target
        scheme = "" if target is None else target.scheme
        return tier(self.effective, path, scheme, self.nginx.version, self.state)


class Reached(Struct, frozen=True):
    """The socket of an nginx that a connection reaches; `doubt` is as in `Hop`."""

    nginx: TierConfiguration
    socket: ListenSocket
    doubt: str = ""


# Finds the nginx that gets a connection: from one nginx, to a target, at one server of the target.
# None if that is an app.
Find = Callable[[TierConfiguration, PassTarget, PassTarget], Reached | None]


def next_hops(hop: Hop, find: Find | None = None) -> list[Hop]:
    """The hops that follow a hop: in the same nginx if it passes to itself, otherwise in others."""
    http = None if hop.nginx.is_generated else hop.nginx.http
    own = [] if http is None else self_proxied_routes(http, hop.route, hop.nginx.version)
    if own:
        return [Hop(hop.nginx, one) for one in own]
    return [] if find is None else hops_behind(hop, find)


def hops_behind(hop: Hop, find: Find) -> list[Hop]:
    """The hops of a request in other nginx, after a hop; empty if the request goes to the app."""
    handler, target = hop.route.handler, hop.route.target
    if handler is None or target is None or handler.family not in ("proxy", "grpc"):
        return []
    if hop.nginx.http is None:
        return []
    found: list[Hop] = []
    for peer in target_peers(hop.nginx.http, target):
        reached = find(hop.nginx, target, peer)
        if reached is None:
            continue
        socket, nginx = reached.socket, reached.nginx
        doubt = reached.doubt
        request = upstream_request(hop.route, target, peer, socket, hop.nginx.version)
        if request is None:
            request = upstream_request(
                hop.route, target, peer, socket, hop.nginx.version, assumed_host=""
            )
            if len(socket.servers) > 1:
                doubt = doubt or f"which server of {nginx.name} gets the request"
        if request is None:
            continue
        name = sent_server_name(hop.route, target)
        route = route_on_socket(socket, request, nginx.version, name)
        ends = (route.server, route.location)
        if ends not in [(one.route.server, one.route.location) for one in found]:
            found.append(Hop(nginx, route, doubt, socket.address))
    return found


def socket_of(nginx: TierConfiguration, peer: PassTarget) -> ListenSocket | None:
    """The socket of an nginx that gets connections to an address or name; None if there is none."""
    if nginx.http is None:
        return None
    tls = peer.scheme in ("https", "grpcs")
    if peer.host.startswith("unix:"):
        here = [
            each for each in tcp_sockets(nginx.http, nginx.version) if each.address == peer.host
        ]
        return next((each for each in here if each.tls == tls), None)
    here = sockets_with_port(nginx.http, nginx.version, peer.port)
    here = [each for each in here if not each.quic and each.tls == tls]
    host = lower(peer.host)
    names = LOOPBACKS if host == "localhost" else (shortest(host),)
    found = [each for name in names if is_address(name) for each in reached_sockets(name, here)]
    # The address of a name is unknown: probably the one that takes every address.
    every = [each for name in ("*", "[::]") for each in here if each.host == name]
    named = [each for each in here if each.host == host]
    return next(iter([*found, *named, *every, *here]), None)
