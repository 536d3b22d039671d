"""Link the streams of all configurations that one run checks, where one nginx passes to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.passed_on import TierLocations, link_streams
from nginx_stream_lint.tiers.finder import TierFinder
from nginx_stream_lint.tiers.hops import TierConfiguration

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
    by_key: dict[str, list[TierConfiguration]] = {}
    by_deployed: dict[Deployed, TierConfiguration] = {}
    for nginx in (one.nginx for one in tiers):
        by_key.setdefault(workspace.key(nginx.name), []).append(nginx)
        if nginx.configuration.deployed is not None:
            by_deployed.setdefault(nginx.configuration.deployed, nginx)
    chain = [nginx for path in named for nginx in by_key.get(workspace.key(path), ())]
    if len(chain) > 1 or by_deployed:
        link_streams(tiers, TierFinder(chain, by_deployed.get).find)


def _tier(options: Options, detected: Detected) -> TierLocations:
    """One nginx as a tier, with its proxied locations."""
    configuration = detected.configuration
    version = options.policy.nginx_version(configuration.path, options.nginx_version) or OLD
    nginx = TierConfiguration(configuration, detected.root.first("http"), version)
    return TierLocations(nginx, detected.proxied)
