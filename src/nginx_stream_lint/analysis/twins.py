"""Compare what several controllers make of one path: a migration must not break its streams.

Twins are locations with the same host, path and backend that different controllers generate, such
as those of an Ingress and of the HTTPRoute that replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

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
# Host and path.
_Key = tuple[str, str]


def flips(
    every: Sequence[Detected], options: Options, caches: VerdictCaches
) -> Iterator[tuple[FindingWithContext, FindingWithContext]]:
    """The findings about locations whose twin streams: as they are, and as `controller-default`."""
    if not any(rule.name == RULE for rule in options.rules):
        return
    groups: dict[_Key, dict[str, ProxiedLocation]] = {}
    places: list[tuple[_Key, str, ProxiedLocation]] = []
    for detected in every:
        for served in detected.served:
            name = _controller(served)
            if name is None or served.shadowed_by is not None:
                continue
            for key in _keys(served):
                known = groups.setdefault(key, {})
                if name not in known or (served.is_stream and not known[name].is_stream):
                    known[name] = served
                places.append((key, name, served))
    for key, name, served in places:
        for other, twin in groups[key].items():
            if other != name and _same_backend(served, twin):
                yield from _compared(served, twin, options, caches)


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
            finding = _flip(one.finding, new, old)
            yield one, FindingWithContext(finding, one.verdict, one.served)


def _matters(one: FindingWithContext) -> bool:
    return one.finding.severity == "error" or one.finding.rule in _CUTS


def _flip(finding: Finding, new: ProxiedLocation, old: ProxiedLocation) -> Finding:
    """A finding as one about a controller that breaks what the other one lets through."""
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


def _controller(served: ProxiedLocation) -> str | None:
    author = served.handler.directive.file.reading.author
    return None if author is None else author.name


def _keys(served: ProxiedLocation) -> Iterable[_Key]:
    """The hosts and the path of a location, as controllers write them."""
    location = served.level.nearest("location")
    if location is None:
        return
    pattern = match_of(location)
    if pattern.modifier in ("~", "~*"):
        path = "~" + pattern.pattern.removeprefix("(?i)").removeprefix("^").removesuffix("$")
    else:
        path = pattern.pattern.rstrip("/")
    rows = served.server.rows.get("server_name", ())
    for host in dict.fromkeys(arg for row in rows for arg in row.args):
        yield ("" if host in _ANY_HOST else host.lower(), path)


def _same_backend(one: ProxiedLocation, other: ProxiedLocation) -> bool:
    """Whether two targets name one service; some upstreams have the port or an own name, too."""
    names = [re.sub(r"^\w+://|[/:].*", "", served.handler.target) for served in (one, other)]
    short, long = sorted(names, key=len)
    return short == long or long.startswith(f"{short}-") or long.endswith(f"-{short}")
