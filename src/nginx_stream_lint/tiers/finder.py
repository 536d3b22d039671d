"""Find the nginx that a connection reaches: of a named chain, or otherwise of the deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.servers import ListenSocket, tcp_sockets
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.tiers.hops import Reached, TierConfiguration, socket_of


class TierFinder:
    """Finds the nginx behind an address.

    `chain` are the nginx that the user names, nearest the app first. `tier_of` returns another one
    of the deployment; None if its configuration is unknown.
    """

    def __init__(
        self,
        chain: Sequence[TierConfiguration],
        tier_of: Callable[[Deployed], TierConfiguration | None],
    ) -> None:
        self._chain = chain
        self._tier_of = tier_of

    def find(
        self, front: TierConfiguration, target: PassTarget, peer: PassTarget
    ) -> Reached | None:
        """The nginx that a connection from another one reaches; see `hops.Find`."""
        return self._in_chain(front, peer) or self._in_deployment(front, target, peer)

    def _in_chain(self, front: TierConfiguration, peer: PassTarget) -> Reached | None:
        """The nearest nginx behind another one that listens on the port of an address.

        If none does, the next one, because ports may be mapped.
        """
        at = next((n for n, one in enumerate(self._chain) if one is front), 0)
        for one in reversed(self._chain[:at]):
            socket = socket_of(one, peer)
            if socket is not None:
                return Reached(one, socket)
        socket = _only_socket(self._chain[at - 1], peer) if at else None
        if socket is None:
            return None
        behind = self._chain[at - 1]
        where = f"{peer.scheme}://{peer.host}:{peer.port}"
        return Reached(
            behind, socket, f"whether {where} leads to {behind.name}, which listens on other ports"
        )

    def _in_deployment(
        self, front: TierConfiguration, target: PassTarget, peer: PassTarget
    ) -> Reached | None:
        found = _neighbour(front, target, peer)
        if found is None:
            return None
        deployed, port = found
        nginx = self._tier_of(deployed)
        inside = PassTarget(peer.scheme, peer.host, port, True)
        socket = None if nginx is None else socket_of(nginx, inside)
        return None if nginx is None or socket is None else Reached(nginx, socket)


def _only_socket(nginx: TierConfiguration, peer: PassTarget) -> ListenSocket | None:
    """The socket that accepts connections with or without TLS; None if there are several ports."""
    if nginx.http is None:
        return None
    tls = peer.scheme in ("https", "grpcs")
    every = [one for one in tcp_sockets(nginx.http, nginx.version) if one.tls == tls]
    ports = {one.address.rpartition(":")[2] for one in every}
    return every[0] if len(ports) == 1 else None


def _neighbour(
    front: TierConfiguration, target: PassTarget, peer: PassTarget
) -> tuple[Deployed, int] | None:
    """The nginx of the deployment behind an address, and the port in its container.

    None if the deployment has no such nginx, or if that is not certain.
    """
    configuration = front.configuration
    if configuration.deployed is not None:
        return configuration.deployed.neighbour(lower(peer.host), peer.port)
    if configuration.beside and front.http is not None:
        return _behind_service(configuration.beside[0], front.http, target, peer.port)
    return None


def _behind_service(
    beside: Deployed, http: Level, target: PassTarget, port: int
) -> tuple[Deployed, int] | None:
    """The nginx behind the Service for which a controller generated an upstream."""
    upstream = upstream_block(http, target.host)
    row = None if upstream is None else upstream.directive
    author = None if row is None else row.file.reading.author
    if row is None or author is None:
        return None
    service = author.service_at(row.start)
    return None if service is None else beside.behind_service(*service, port, row.source.name)
