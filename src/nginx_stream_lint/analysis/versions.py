"""The nginx that run a configuration: their names and versions, and findings that not all have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.target_sockets import may_be_self_proxied
from nginx_stream_lint.nginx.versions import LAST_OLD, Version
from nginx_stream_lint.rules.finding import SEVERITIES, Finding, Identity, Severity
from nginx_stream_lint.rules.judge import FindingWithContext, message
from nginx_stream_lint.streams.detect import ProxiedLocation

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Options

_RANK = SEVERITIES.index  # 0 is the worst
# The worst severity of a finding that not all versions have.
_DOUBTED: Severity = "warning"
# Rule, file and offset of the finding, file and offset of its location.
_Place = tuple[str, str, int, str, int]


def by_version(configuration: Configuration, options: Options) -> list[Options]:
    """The options for each version of nginx that may run a configuration.

    The user's version takes precedence over that of the deployment. A floating tag, such as
    `nginx:alpine`, may be on either side of a change of defaults: then there are two options,
    which differ only in the version.
    """
    deployed = configuration.deployed
    if options.nginx_version is not None or deployed is None or not deployed.versions:
        return [options]
    return [replace(options, nginx_version=one) for one in deployed.versions]


def passes_to_itself(
    root: Level, proxied: Iterable[ProxiedLocation], version: Version = LAST_OLD
) -> bool:
    """Whether a location may pass requests to a server of the same configuration.

    Only such streams depend on the defaults of nginx: the response of the other server depends on
    the HTTP version between the two.
    """
    http = root.first("http")
    handlers = {(one.handler.family, one.handler.target): one.handler for one in proxied}
    return http is not None and any(
        may_be_self_proxied(http, one, version) for one in handlers.values()
    )


def name_instances(
    findings: dict[Identity, Finding],
    judged: dict[Identity, FindingWithContext],
    running: Mapping[Identity, Sequence[Deployed]],
    options: Options,
) -> list[Deployed]:
    """Name the nginx instances, and what states their versions, in each finding.

    Returns the instances with a finding.
    """
    found: list[Deployed] = []
    for identity, several in running.items():
        if identity not in findings:
            continue
        instance = ", ".join(dict.fromkeys(one.name for one in several))
        finding, one = replace(findings[identity], instance=instance), judged.get(identity)
        if one is not None:
            file = (one.proxied.level.directive or one.proxied.handler.directive).source.name
            before = message(one.verdict, one.proxied)
            is_given = options.policy.nginx_version(file, options.nginx_version) is not None
            if not is_given and finding.message.startswith(before):
                # A measurement may have added a sentence.
                words = message(one.verdict, one.proxied, several)
                finding = replace(finding, message=words + finding.message[len(before) :])
            judged[identity] = FindingWithContext(finding, one.verdict, one.proxied, tuple(several))
        findings[identity] = finding
        found += (one for one in several if one not in found)
    return found


def of_all_versions(found: Sequence[list[FindingWithContext]]) -> list[FindingWithContext]:
    """Combine the findings of several versions: one that some versions lack is no error.

    Of equal findings the first is kept, with the mildest severity.
    """
    if len(found) == 1:
        return found[0]
    # A snippet that several servers include has several findings at one place.
    by_place: dict[_Place, list[list[FindingWithContext]]] = {}
    for judged in found:
        own: dict[_Place, list[FindingWithContext]] = {}
        for one in judged:
            own.setdefault(_place(one.finding), []).append(one)
        for place, several in own.items():
            by_place.setdefault(place, []).append(several)
    merged: list[FindingWithContext] = []
    for versions in by_place.values():
        worst = [min((one.finding.severity for one in each), key=_RANK) for each in versions]
        limit = max(worst if len(versions) == len(found) else (*worst, _DOUBTED), key=_RANK)
        merged += (_at_most(limit, one) for one in versions[0])
    return merged


def _at_most(limit: Severity, one: FindingWithContext) -> FindingWithContext:
    if _RANK(one.finding.severity) >= _RANK(limit):
        return one
    finding = replace(one.finding, severity=limit, at_most=limit)
    return FindingWithContext(finding, one.verdict, one.proxied)


def _place(finding: Finding) -> _Place:
    place, location = finding.place, finding.location.place
    return finding.rule, place.source.name, place.start, location.source.name, location.start
