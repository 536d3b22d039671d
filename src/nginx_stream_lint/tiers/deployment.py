"""Find the nginx of a deployment that gets the connections of another one."""

from __future__ import annotations

from nginx_stream_lint.config.configuration import Configuration
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.upstreams import upstream_block


def neighbour(
    configuration: Configuration, http: Level | None, target: PassTarget, peer: PassTarget
) -> tuple[Deployed, PassTarget] | None:
    """The nginx behind an address in a configuration, and the address as it is in its container.

    `http` is the level of the configuration, `target` the handler's, `peer` one of its servers.
    None if the deployment has no such nginx, or if that is not certain.
    """
    if configuration.deployed is not None:
        found = configuration.deployed.neighbour(lower(peer.host), peer.port)
    elif configuration.beside and http is not None:
        found = _behind_service(configuration.beside[0], http, target, peer.port)
    else:
        return None
    if found is None:
        return None
    deployed, inside = found
    return deployed, PassTarget(peer.scheme, peer.host, inside, True)


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
