"""Compare what several controllers generate for one path: a migration must not break its streams.

Twins are locations with the same host, path and backend that different controllers generate, such
as those of an Ingress and of the HTTPRoute that replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.rules.finding import Finding, Related
from nginx_stream_lint.rules.judge import FindingWithContext, place_of
from nginx_stream_lint.streams.detect import ProxiedLocation

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Detected, Options, VerdictCaches

RULE = "controller-default"
# Findings of these rules matter at any severity if the other controller has none.
_CUTS = frozenset({"short-read-timeout"})
_ANY_HOST = frozenset({"", "_", "~^"})


class _ControllerServer(Struct, eq=False):
    """A server that a controller generates: its hosts, and its locations by path."""

    controller: str
    hosts: list[str]
    locations: dict[str, list[ProxiedLocation]]


def controller_differences(
    every: Sequence[Detected], options: Options, caches: VerdictCaches
) -> Iterator[tuple[FindingWithContext, FindingWithContext]]:
    """Findings about locations whose twin lets the stream through.

    Each comes with the finding of `controller-default` that replaces it.
    """
    if not any(rule.name == RULE for rule in options.rules):
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
                yield from _compared(proxied, twin, options, caches)


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
    new: ProxiedLocation, old: ProxiedLocation, options: Options, caches: VerdictCaches
) -> Iterator[tuple[FindingWithContext, FindingWithContext]]:
    from nginx_stream_lint.analysis.lint import judge_places

    streams = new.streams if new.is_stream else old.streams
    if not (new.is_stream or old.is_stream):
        return
    here = judge_places([replace(new, streams=streams)], options, caches)
    if not any(map(_matters, here)):
        return
    there = judge_places([replace(old, streams=streams)], options, caches)
    breaks = {one.finding.rule for one in there if _matters(one)}
    for one in here:
        if _matters(one) and one.finding.rule not in breaks:
            finding = _difference(one.finding, new, old)
            yield one, FindingWithContext(finding, one.verdict, one.proxied)


def _matters(one: FindingWithContext) -> bool:
    return one.finding.severity == "error" or one.finding.rule in _CUTS


def _difference(finding: Finding, new: ProxiedLocation, old: ProxiedLocation) -> Finding:
    """Convert a finding for `controller-default`: `old` lets the stream through, `new` does not."""
    directive = old.level.directive or old.handler.directive
    reason = re.split(r"\.\s", finding.message, maxsplit=1)[0]
    where = f"{directive.source.name}:{directive.line}"
    related = Related(place_of(directive), f"{_controller(old)} lets the stream through")
    return replace(
        finding,
        rule=RULE,
        severity="error",
        message=f"{_controller(old)} lets this stream through ({where}), {_controller(new)} does"
        f" not: {reason}",
        related=(related, *finding.related),
    )


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
