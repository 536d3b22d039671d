"""The verdicts of all rules on one location, computed once for equal cache keys (`cache.py`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.cache import LocationCache, behaviour
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.finding import SEVERITIES, Severity
from nginx_stream_lint.rules.reads import reads_in_doubt, reads_of, reads_of_rule
from nginx_stream_lint.rules.rule import STREAMS, Rule
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import CONFIDENCES, Stream

if TYPE_CHECKING:
    from nginx_stream_lint.rules.verdict import Verdict

_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class VerdictCache:
    """The verdicts of some rules, for one version and timeout; see `cache.py`."""

    def __init__(
        self, rules: Sequence[Rule], version: Version | None, min_read_timeout_s: float
    ) -> None:
        reads = reads_of(rules)
        about_streams = list(_about_streams(rules))
        by_version: dict[str, bool] = {}

        def differs_by_version(rule: Rule) -> bool:
            """Whether a rule with a finding may differ by version, which is unknown."""
            if version is not None:
                return False
            if rule.name not in by_version:
                by_version[rule.name] = reads_of_rule(rule).by_version
            return by_version[rule.name]

        def compute(proxied: ProxiedLocation) -> list[Verdict]:
            # Pointers to directives that are read are the same for equal keys.
            return verdicts(
                proxied,
                about_streams,
                version,
                min_read_timeout_s,
                reads.directives,
                differs_by_version,
            )

        # Not a method: the cycle would keep all locations until a garbage collection.
        in_doubt = partial(reads_in_doubt, rules)
        self.verdicts = LocationCache(compute, version, reads, in_doubt).get


def _about_streams(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The rules about streams, without the alternatives of their conditions about other things."""
    for rule in rules:
        about = rule.about
        if about == [STREAMS]:
            yield rule
        elif STREAMS in about:
            yield replace(rule, when=rule.when_about(STREAMS))


def verdicts(
    proxied: ProxiedLocation,
    rules: Iterable[Rule],
    version: Version | None,
    min_read_timeout_s: float,
    read: Collection[str],
    differs_by_version: Callable[[Rule], bool],
) -> list[Verdict]:
    """Return the verdicts on a location.

    A rule that `replaces` another silences it, unless it is silenced itself. `read` are the
    directives that the rules read; `differs_by_version` returns whether a rule may differ with the
    version if that is unknown.
    """
    first = Facts(proxied, proxied.streams[0], version, min_read_timeout_s)
    facts_of: dict[int, Facts] = {0: first}
    strongest: dict[tuple[str, ...], list[int]] = {}
    is_certain = _is_certain(proxied.level)
    found: list[Verdict] = []
    for rule in rules:
        if proxied.level.kind not in rule.levels:
            continue
        if rule.shadowed != (proxied.shadowed_by is not None):
            continue
        streams = strongest.get(rule.kinds)
        if streams is None:
            streams = strongest[rule.kinds] = _strongest(proxied.streams, rule.kinds)
        worst: tuple[Severity, int, str | None] | None = None
        for stream in streams:
            facts = facts_of.get(stream)
            if facts is None:
                facts = facts_of[stream] = first.about(proxied.streams[stream])
            severity = _severity(rule, facts)
            if severity is None:
                continue
            # Imported here, because a lint without findings needs no words for them.
            from nginx_stream_lint.rules.verdict import doubtful, refutable_in

            doubt = None if is_certain and proxied.handler.target else refutable_in(rule, facts)
            rank = _RANKS[doubtful(severity, doubt)]
            if worst is None or rank < _RANKS[doubtful(worst[0], worst[2])]:
                worst = severity, stream, doubt
        if worst is not None:
            from nginx_stream_lint.rules.verdict import message_differs, verdict_of

            severity, stream, doubt = worst
            facts = facts_of[stream]
            is_old = differs_by_version(rule) and (
                _severity(rule, facts.newer) != severity
                or message_differs(rule, facts, facts.newer)
            )
            found.append(verdict_of(rule, facts, stream, severity, doubt, read, is_old))
    return _without_replaced(found)


def _without_replaced(found: list[Verdict]) -> list[Verdict]:
    """Drop the verdicts that another one replaces; see `verdicts`."""
    by_name = {one.rule.name: one for one in found}
    if not any(name in by_name for one in found for name in one.rule.replaces):
        return found

    def replaces(verdict: Verdict, other: Verdict) -> bool:
        return other.rule.name in verdict.rule.replaces and (
            _RANKS[other.severity] >= _RANKS[verdict.severity]
        )

    kept: dict[str, bool] = {}

    def is_kept(verdict: Verdict) -> bool:
        name = verdict.rule.name
        if name not in kept:
            kept[name] = True  # of two that replace each other, keep one
            kept[name] = not any(replaces(one, verdict) and is_kept(one) for one in found)
        return kept[name]

    return [one for one in found if is_kept(one)]


def _strongest(streams: Sequence[Stream], kinds: Sequence[str]) -> list[int]:
    """The most certain streams of these kinds, one for each behaviour."""
    fitting = [at for at, stream in enumerate(streams) if stream.kind in kinds]
    if len(fitting) < 2:
        return fitting
    best = max(CONFIDENCES.index(streams[at].confidence) for at in fitting)
    found: dict[object, int] = {}
    for at in fitting:
        if CONFIDENCES.index(streams[at].confidence) == best:
            found.setdefault(behaviour(streams[at]), at)
    return list(found.values())


def _is_certain(level: Level) -> bool:
    """Whether every directive in force at a level certainly has its visible value."""
    root = level
    while root.parent is not None:
        root = root.parent
    events = root.first("events")
    return not (level.uncertain or (events is not None and events.uncertain))


def _severity(rule: Rule, facts: Facts) -> Severity | None:
    if rule.when is not None and rule.when.holds(facts) is not True:
        return None
    for severity, condition in rule.severity:
        if condition is None or condition.holds(facts) is True:
            return severity
    return None
