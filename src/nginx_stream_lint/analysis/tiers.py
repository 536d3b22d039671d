"""Link the streams of all configurations that one run checks, where one nginx passes to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.passed_on import TierLocations, link_streams
from nginx_stream_lint.tiers.deployment import neighbour
from nginx_stream_lint.tiers.hops import NamedChain, Reached, TierConfiguration, socket_of

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Detected, Options


def link_tiers(
    every: Sequence[tuple[Options, Detected]], named: Sequence[str], workspace: Workspace
) -> None:
    """Link streams across configurations: those of the deployment, and those `named` in a chain.

    `every` has each configuration once for each version that may run it. Their locations are
    changed.
    """
    tiers = list({id(one): _tier(options, one) for options, one in reversed(every)}.values())
    found = _TierFinder(tiers, named, workspace)
    if found.may_link:
        link_streams(tiers, found.find)


def _tier(options: Options, detected: Detected) -> TierLocations:
    """One nginx as a tier, with its proxied locations."""
    configuration = detected.configuration
    version = options.policy.nginx_version(configuration.path, options.nginx_version) or OLD
    generated = configuration.author is not None
    nginx = TierConfiguration(configuration.path, detected.root.first("http"), version, generated)
    return TierLocations(configuration, nginx, detected.proxied)


class _TierFinder:
    """The nginx of a run, and which of them reaches which."""

    def __init__(
        self, tiers: Sequence[TierLocations], named: Sequence[str], workspace: Workspace
    ) -> None:
        self._configurations = {one.nginx: one.configuration for one in tiers}
        keys = {id(one): workspace.key(one.configuration.path) for one in tiers}
        chain = [
            one.nginx for path in named for one in tiers if keys[id(one)] == workspace.key(path)
        ]
        self._named = NamedChain(chain)
        self._in_chain = set(chain)
        self._by_deployed: dict[object, TierConfiguration] = {}
        for one in tiers:
            deployed = one.configuration.deployed
            if deployed is not None:
                self._by_deployed.setdefault(deployed, one.nginx)

    @property
    def may_link(self) -> bool:
        """Whether one nginx may pass to another."""
        return len(self._in_chain) > 1 or bool(self._by_deployed)

    def find(
        self, front: TierConfiguration, target: PassTarget, peer: PassTarget
    ) -> Reached | None:
        """The nginx behind an address; see `tiers.hops.Find`."""
        if front in self._in_chain:
            named = self._named.find(front, target, peer)
            if named is not None:
                return named
        configuration: Configuration = self._configurations[front]
        found = neighbour(configuration, front.http, target, peer)
        other = None if found is None else self._by_deployed.get(found[0])
        if found is None or other is None or other is front:
            return None
        socket = socket_of(other, found[1])
        return None if socket is None else Reached(other, socket)
