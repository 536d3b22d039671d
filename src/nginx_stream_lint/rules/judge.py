"""Judge all locations: turn the rules' verdicts into findings with places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Directive
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.cache import LocationCache
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.facts.base import holder
from nginx_stream_lint.rules.facts.delivery import usual_deliveries
from nginx_stream_lint.rules.finding import (
    MOST_SERVERS,
    SEVERITIES,
    Finding,
    LocationInfo,
    Place,
    Related,
    StreamOutcome,
    Unchecked,
    in_order,
)
from nginx_stream_lint.rules.reads import reads_of_declared
from nginx_stream_lint.rules.verdict_cache import VerdictCache
from nginx_stream_lint.streams.detect import ProxiedLocation

if TYPE_CHECKING:
    from nginx_stream_lint.rules.templates import Origin
    from nginx_stream_lint.rules.verdict import Doubt, Pointer, Verdict

_FROM_WORST: tuple[StreamOutcome, ...] = ("replays", "stalls")


class FindingWithContext(Struct, frozen=True):
    """A finding with the data that a fix needs; `running` is each nginx that has it."""

    finding: Finding
    verdict: Verdict
    proxied: ProxiedLocation
    running: tuple[Deployed, ...] = ()


def judge(locations: Iterable[ProxiedLocation], cache: VerdictCache) -> list[FindingWithContext]:
    """Return the findings for every stream, worst first at each place.

    Locations without evidence of a stream give no findings; see `unchecked`.

    One cause gives one finding: a rule that `replaces` another silences it in its location,
    nameless blocks do not repeat their location's findings, and a directive that several servers
    share is reported once. Locations with equal cache keys are judged once.
    """
    by_level: dict[Level, list[Verdict]] = {}
    servers: dict[Level, tuple[str, ...]] = {}
    judged: list[FindingWithContext] = []
    for proxied in locations:
        if not proxied.is_stream:
            continue
        said = cache.verdicts(proxied)
        level = proxied.level
        by_level[level] = said
        if level.own_handler is None and level.parent in by_level:
            repeated = {one.rule.name for one in by_level[level.parent]}
            said = [one for one in said if one.rule.name not in repeated]
        if not said:
            continue
        names = servers.get(proxied.server)
        if names is None:
            names = servers[proxied.server] = server_names(proxied.server)
        location = location_info(level, names)
        judged += (
            FindingWithContext(_finding(one, proxied, location), one, proxied) for one in said
        )
    return _merged(judged)


def unchecked(locations: Iterable[ProxiedLocation], version: Version | None) -> list[Unchecked]:
    """List the locations without evidence of a stream, and what would happen to one there.

    A location that several servers share is listed once, with the worst verdict.
    """
    without_evidence = [one for one in locations if not one.is_stream and one.shadowed_by is None]
    if not without_evidence:
        return []
    places: dict[tuple[int, int], Unchecked] = {}
    outcomes = LocationCache(
        lambda proxied: _outcome(proxied, version), version, reads_of_declared(["stalled_clients"])
    )
    for proxied in without_evidence:
        location = location_info(proxied.level, ())
        spot = id(location.place.source), location.place.start
        known = places.get(spot)
        if known is None or known.verdict == "streams":
            places[spot] = Unchecked(location, outcomes.get(proxied), proxied.streams[0])
    return list(places.values())


def _outcome(proxied: ProxiedLocation, version: Version | None) -> StreamOutcome:
    """The outcome of a stream for the worst of the usual clients."""
    facts = Facts(proxied, proxied.streams[0], version, 0)
    verdicts = {one.worst for one in usual_deliveries(facts)}
    return next((one for one in _FROM_WORST if one in verdicts), "streams")


def _finding(verdict: Verdict, proxied: ProxiedLocation, location: LocationInfo) -> Finding:
    place = location.place
    related: list[Related] = []
    shadow = proxied.shadowed_by
    if shadow is not None and shadow.directive is not None:
        related.append(Related(place_of(shadow.directive), f"{shadow.label} handles the stream"))
    related += (
        Related(place_of(level.directive), f"the stream also passes {level.label}")
        for level in proxied.other_tiers
        if level.directive is not None
    )
    for pointer in verdict.pointers:
        setting = _setting(pointer, proxied.level, verdict.version)
        if setting is None or not (pointer.is_blamed or setting[0].is_written):
            continue
        directive, is_here = setting
        # A directive in a shared include belongs to no location: each location that uses it gets a
        # finding.
        if pointer.is_blamed or (is_here and not directive.file.shared):
            related.append(Related(place, f"{location.label} handles the stream"))
            place = place_of(directive)
        else:
            related.append(Related(place_of(directive), f"{pointer.name} comes from here"))
    return Finding(
        rule=verdict.rule.name,
        severity=verdict.severity,
        message=message(verdict, proxied),
        place=place,
        location=location,
        stream=proxied.streams[verdict.stream],
        related=tuple(related),
        at_most=verdict.at_most,
        assumes_old_nginx=verdict.assumes_old_nginx,
        assumes_defaults=verdict.assumes_defaults,
    )


def message(verdict: Verdict, proxied: ProxiedLocation, running: Sequence[Deployed] = ()) -> str:
    """Render the message of a verdict, with the origin of each value; see `messages.origin`."""
    from nginx_stream_lint.rules.messages import doubted, origin
    from nginx_stream_lint.rules.verdict import Doubt

    # If there are several rows, use the one that the finding points at.
    words = {pointer.name: pointer.word for pointer in verdict.pointers}

    def said(part: str | Origin | Doubt) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Doubt):
            return doubted(proxied, part.name, verdict.version)
        word = words.get(part.name, "")
        return origin(proxied.level, part.name, verdict.version, word, running)

    return " ".join("".join(map(said, verdict.message)).split())


def _setting(
    pointer: Pointer | None, level: Level, version: Version
) -> tuple[Directive, bool] | None:
    """Find the directive that a rule points at, and whether it is at the stream's own level.

    None if it is not written: a default, or no row has the required word.
    """
    if pointer is None or not pointer.name:
        return None
    effective = holder(level, pointer.name).effective(pointer.name, version)
    for directive in effective.directives:
        if not pointer.word or pointer.word in {arg.lower() for arg in directive.args}:
            return directive, effective.origin == "explicit"
    return None


def server_names(server: Level) -> tuple[str, ...]:
    """The first names of a server, as many as a finding lists."""
    rows = server.rows.get("server_name", ())
    return tuple(islice((arg for row in rows for arg in row.args), MOST_SERVERS))


def location_info(level: Level, servers: tuple[str, ...]) -> LocationInfo:
    """Describe a level as a finding's location, in servers with these names."""
    directive = level.directive
    if directive is None:
        # The level of a fragment is implicit, so use the handler's place.
        assert level.own_handler is not None
        directive = level.own_handler.directive
    return LocationInfo(level.label, place_of(directive), directive.whole_end, servers)


def place_of(directive: Directive) -> Place:
    """The place of a directive's head."""
    end = directive.head_end
    if not directive.is_written:
        # Generated by a controller: use the line of the manifest that causes it.
        source = directive.source
        end = source.line_end(directive.start)
        end -= source.text[end - 1 : end] == "\r"
    return Place(directive.source, directive.start, end)


def _merged(judged: list[FindingWithContext]) -> list[FindingWithContext]:
    """Merge equal findings at one place: keep the worst, for all servers."""
    alike: dict[tuple[str, int, int], list[FindingWithContext]] = {}
    for one in judged:
        place = one.finding.place
        alike.setdefault((one.finding.rule, id(place.source), place.start), []).append(one)
    kept = [_worst(group) if len(group) > 1 else group[0] for group in alike.values()]
    return sorted(kept, key=lambda one: in_order(one.finding))


def _worst(group: list[FindingWithContext]) -> FindingWithContext:
    worst = group[0]
    servers: dict[str, None] = {}
    related: dict[Related, None] = {}
    for one in group:
        finding = one.finding
        if len(servers) < MOST_SERVERS:
            servers |= dict.fromkeys(finding.location.servers)
        if SEVERITIES.index(finding.severity) < SEVERITIES.index(worst.finding.severity):
            worst = one
            related = dict.fromkeys(finding.related) | related
        else:
            related |= dict.fromkeys(finding.related)
    finding = worst.finding
    location = replace(finding.location, servers=tuple(islice(servers, MOST_SERVERS)))
    merged = replace(finding, location=location, related=tuple(related))
    return FindingWithContext(merged, worst.verdict, worst.proxied)
