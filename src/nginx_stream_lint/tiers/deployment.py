"""Which nginx of a deployment a connection of another one reaches."""

from __future__ import annotations

import os

from nginx_stream_lint.config.configuration import Configuration
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.pass_target import PassTarget


def neighbour(
    configuration: Configuration, target: PassTarget, peer: PassTarget
) -> tuple[Deployed, PassTarget] | None:
    """The nginx behind an address in a configuration, and the address as it is in its container.

    `target` is the handler's, `peer` one of its servers. None if the deployment has no such nginx,
    or if that is not certain.
    """
    host, port = lower(peer.host), peer.port
    if configuration.deployed is not None:
        found = configuration.deployed.neighbour(host, port)
    elif configuration.beside:
        # A controller's upstream is named after the Service, with the port if it has several.
        project = os.path.dirname(configuration.path)
        names = (lower(target.host), lower(target.host).removesuffix(f"-{port}"))
        every = (configuration.beside[0].neighbour(name, port, project) for name in names)
        found = next((one for one in every if one is not None), None)
    else:
        return None
    if found is None:
        return None
    deployed, inside = found
    return deployed, PassTarget(peer.scheme, peer.host, inside, True)
