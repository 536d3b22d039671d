"""Compare what several controllers generate for one path: a migration must not break its streams.

Twins are locations with the same host, path and backend that different controllers generate, such
as those of an Ingress and of the HTTPRoute that replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.rules.finding import SEVERITIES, Finding, Related, Severity
from nginx_stream_lint.rules.judge import FindingWithContext, place_of
from nginx_stream_lint.rules.remarks import Remark, remarks
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.detect import ProxiedLocation

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Detected, Options, VerdictCaches

_ANY_HOST = frozenset({"", "_", "~^"})


class _ControllerServer(Struct, eq=False):
    """A server that a controller generates: its hosts, and its locations by path."""

    controller: str
    hosts: list[str]
    locations: dict[str, list[ProxiedLocation]]


def controller_differences(
    every: Sequence[Detected], options: Options, caches: VerdictCaches
) -> Iterator[tuple[FindingWithContext, FindingWithContext]]:
    """Findings about locations whose twin has no such finding, or a milder one.

    Each comes with the finding of a rule about twins that replaces it.
    """
    rules = [rule for rule in options.rules if "twins" in rule.about]
    if not rules:
        return
    servers = _servers(every)
    by_host: dict[str, dict[str, list[_ControllerServer]]] = {}  # by controller
    for server in servers:
        for host in server.hosts:
            by_host.setdefault(server.controller, {}).setdefault(host, []).append(server)
    # Each is compared with the first server of each other controller.
    others: dict[int, dict[int, _ControllerServer]] = {id(server): {} for server in servers}
    for server in servers:
        for host in server.hosts:
            is_first = by_host[server.controller][host][0] is server
            for name, known in by_host.items():
                names = _covering(host) if name != server.controller else ()
                covering = next((known[one] for one in names if one in known), [])
                for other in covering[:1]:
                    others[id(server)][id(other)] = other
                for other in covering if is_first else ():
                    others[id(other)][id(server)] = server
    for server in servers:
        for other in others[id(server)].values():
            for proxied, twin in _pairs(server, other):
                yield from _compared(proxied, twin, rules, options, caches)


def _covering(host: str) -> Iterator[str]:
    """The names of servers that get the requests for a host, in the order of nginx.

    That is the name itself, then wildcards from the longest on, then the server for any host.
    """
    yield host
    rest = host.removeprefix("*.")
    while "." in rest:
        rest = rest.partition(".")[2]
        yield f"*.{rest}"
    yield ""


def _servers(every: Sequence[Detected]) -> list[_ControllerServer]:
    found: dict[int, _ControllerServer] = {}
    for detected in every:
        for proxied in detected.proxied:
            name = _controller(proxied)
            path = _path(proxied)
            if name is None or path is None or proxied.shadowed_by is not None:
                continue
            server = found.get(id(proxied.server))
            if server is None:
                server = found[id(proxied.server)] = _ControllerServer(name, _hosts(proxied), {})
            server.locations.setdefault(path, []).append(proxied)
    return list(found.values())


def _pairs(
    server: _ControllerServer, other: _ControllerServer
) -> Iterator[tuple[ProxiedLocation, ProxiedLocation]]:
    """The locations of a server with their twins in another one."""
    few, many = sorted((server.locations, other.locations), key=len)
    for path in few:
        for proxied in server.locations[path] if path in many else ():
            twin = max(other.locations[path], key=lambda one: one.is_stream)
            if _same_backend(proxied, twin):
                yield proxied, twin


def _compared(
    new: ProxiedLocation,
    old: ProxiedLocation,
    rules: Sequence[Rule],
    options: Options,
    caches: VerdictCaches,
) -> Iterator[tuple[FindingWithContext, FindingWithContext]]:
    from nginx_stream_lint.analysis.lint import judge_places

    streams = new.streams if new.is_stream else old.streams
    if not (new.is_stream or old.is_stream):
        return
    here = judge_places([replace(new, streams=streams)], options, caches)
    if not here:
        return
    there = {
        one.finding.rule: one.finding.severity
        for one in judge_places([replace(old, streams=streams)], options, caches)
    }
    for one in here:
        better = there.get(one.finding.rule)
        if better is None or SEVERITIES.index(one.finding.severity) < SEVERITIES.index(better):
            for remark in remarks(rules, _values(one.finding, better, new, old)):
                finding = _replaced(one.finding, remark, old)
                yield one, FindingWithContext(finding, one.verdict, one.proxied)


def _values(
    finding: Finding, better: Severity | None, new: ProxiedLocation, old: ProxiedLocation
) -> dict[str, Any]:
    """The facts about a finding of `new`, whose rule reports less for `old`."""
    directive = _directive(old)
    return {
        "worse_controller": _controller(new),
        "worse_rule": finding.rule,
        "worse_severity": finding.severity,
        "worse_reason": re.split(r"\.\s", finding.message, maxsplit=1)[0],
        "better_controller": _controller(old),
        "better_place": f"{directive.source.name}:{directive.line}",
        "better_severity": better,
    }


def _replaced(finding: Finding, remark: Remark, old: ProxiedLocation) -> Finding:
    """A finding as a rule about twins reports it; its place and its fix stay."""
    related = Related(place_of(_directive(old)), f"{_controller(old)} configures the same path")
    return replace(
        finding,
        rule=remark.rule.name,
        severity=remark.severity,
        message=remark.message,
        related=(related, *finding.related),
    )


def _directive(proxied: ProxiedLocation) -> Directive:
    return proxied.level.directive or proxied.handler.directive


def _controller(proxied: ProxiedLocation) -> str | None:
    author = proxied.handler.directive.file.reading.author
    return None if author is None else author.name


def _path(proxied: ProxiedLocation) -> str | None:
    """The path of a location, as the user gave it to a controller."""
    location = proxied.level.nearest("location")
    if location is None:
        return None
    pattern = match_of(location)
    if pattern.modifier in ("~", "~*"):
        return "~" + pattern.pattern.removeprefix("(?i)").removeprefix("^").removesuffix("$")
    return pattern.pattern.rstrip("/")


def _hosts(proxied: ProxiedLocation) -> list[str]:
    rows = proxied.server.rows.get("server_name", ())
    names = dict.fromkeys(arg for row in rows for arg in row.args)
    return ["" if name in _ANY_HOST else name.lower() for name in names]


def _same_backend(one: ProxiedLocation, other: ProxiedLocation) -> bool:
    """Whether two targets name one service; one name may also have the port or a prefix."""
    names = [re.sub(r"^\w+://|[/:].*", "", proxied.handler.target) for proxied in (one, other)]
    short, long = sorted(names, key=len)
    return short == long or long.startswith(f"{short}-") or long.endswith(f"-{short}")
