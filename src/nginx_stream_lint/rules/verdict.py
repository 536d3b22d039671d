"""Verdicts of the rules on one location, valid for all with an equal cache key (`cache.py`).

A verdict has no lines of files: `judge.py` adds the places of each location.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.cache import LocationCache, behaviour
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.finding import SEVERITIES, Severity
from nginx_stream_lint.rules.messages import UNKNOWN_UPSTREAM
from nginx_stream_lint.rules.reads import reads_in_doubt, reads_of, reads_of_rule
from nginx_stream_lint.rules.rule import Rule, Step, Template
from nginx_stream_lint.rules.templates import Origin, Parts, plain, render
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import CONFIDENCES, Stream

_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Doubt(Struct, frozen=True):
    """A part of a message: the sentence that an unseen part may set this directive."""

    name: str


Message = tuple[str | Origin | Doubt, ...]


class Pointer(Struct, frozen=True):
    """A directive to point at; if `word` is set, a row with that argument.

    `name` is empty if no such directive is written. `is_blamed`: the finding points at it wherever
    it is set.
    """

    name: str
    word: str
    is_blamed: bool


class RenderedStep(Struct, frozen=True):
    """A step of a fix, with its directive and the rendered arguments.

    `plan` is the step of the rule; `key` is the argument that identifies a row of a list.
    """

    plan: Step
    name: str
    value: str
    key: str


class RenderedFix(Struct, frozen=True):
    """A rule's fix as rendered text and steps.

    `replaced` are the rows (directive, key) that it sets. `dropped` are headers of outer levels
    that are no longer inherited although the app needs them.
    """

    title: str
    snippet: str
    steps: tuple[RenderedStep, ...]
    replaced: frozenset[tuple[str, str]]
    dropped: frozenset[str]


class Verdict(Struct, frozen=True):
    """A rule's verdict on the stream with the index `stream`, for `version`.

    `severity` is already reduced if there is doubt. Some parts of `message` are filled in per
    place. `fix` is None if there is no fix. `assumes_old_nginx`: the verdict would differ with
    newer nginx, and the version is unknown. `assumes_defaults`: it depends on a default because
    outer blocks are absent.
    """

    rule: Rule
    stream: int
    severity: Severity
    at_most: Severity
    message: Message
    pointers: tuple[Pointer, ...]
    fix: RenderedFix | None
    version: Version
    assumes_old_nginx: bool
    assumes_defaults: bool


class VerdictCache:
    """The verdicts of some rules, for one version and timeout; see `cache.py`."""

    def __init__(
        self, rules: Sequence[Rule], version: Version | None, min_read_timeout_s: float
    ) -> None:
        reads = reads_of(rules)
        by_version: dict[str, bool] = {}

        def differs_by_version(rule: Rule) -> bool:
            """Whether a rule with a finding may differ by version, which is unknown."""
            if version is not None:
                return False
            if rule.name not in by_version:
                by_version[rule.name] = reads_of_rule(rule).by_version
            return by_version[rule.name]

        def work_out(proxied: ProxiedLocation) -> list[Verdict]:
            # Pointers to directives that are read are the same for equal keys.
            return verdicts(
                proxied, rules, version, min_read_timeout_s, reads.directives, differs_by_version
            )

        # Not a method: the cycle would keep all locations until a garbage collection.
        in_doubt = partial(reads_in_doubt, rules)
        self.verdicts = LocationCache(work_out, version, reads, in_doubt).get


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
            doubt = None if is_certain and proxied.handler.target else _refutable_in(rule, facts)
            rank = _RANKS[_doubtful(severity, doubt)]
            if worst is None or rank < _RANKS[_doubtful(worst[0], worst[2])]:
                worst = severity, stream, doubt
        if worst is not None:
            severity, stream, doubt = worst
            facts = facts_of[stream]
            is_old = differs_by_version(rule) and _rests_on_old_default(rule, facts, severity)
            found.append(_verdict(rule, facts, stream, severity, doubt, read, is_old))
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


def _refutable_in(rule: Rule, facts: Facts) -> str | None:
    """The directive that may already be set unseen as the rule's fix would set it.

    `UNKNOWN_UPSTREAM` if the upstream is unknown; None if everything is visible.
    """
    if not facts.proxied.handler.target:
        return UNKNOWN_UPSTREAM
    doubts: list[str | None] = []
    steps = rule.fix.steps if rule.fix is not None else ()
    cause = (rule.at or rule.blames or "").partition(" ")[0]
    # If the fix sets the directive that the rule is about, its other steps do not matter.
    for step in [one for one in steps if one.directive == cause] or steps:
        name = facts.resolve(step.directive)
        if step.action not in ("set", "reset", "set_row") or name not in table():
            continue
        if step.when is not None and step.when.holds(facts) is not True:
            continue
        effective = facts.effective(name)
        wanted = _plainly(step.args, facts).replace('"', "")
        if wanted not in (" ".join(row) for row in effective.rows):
            doubts.append(None if effective.unknown_by is None else name)
    if not doubts:
        setting = facts.resolve((rule.at or rule.blames or "").partition(" ")[0])
        is_seen = setting not in table() or facts.effective(setting).unknown_by is None
        return None if is_seen else setting
    return doubts[0] if all(doubts) else None


def _doubtful(severity: Severity, doubt: str | None) -> Severity:
    """Reduce a severity if an unseen directive may refute the finding."""
    return "warning" if severity == "error" and doubt is not None else severity


def _verdict(
    rule: Rule,
    facts: Facts,
    stream: int,
    severity: Severity,
    doubt: str | None,
    read: Collection[str],
    is_old: bool,
) -> Verdict:
    message: Message = render(rule.message, facts)
    if doubt is not None and severity == "error":
        # A message has two sentences: the fault, and the reason for doubt.
        message = (*_first_sentence(render(rule.message, facts)), ". ", Doubt(doubt))
    return Verdict(
        rule=rule,
        stream=stream,
        severity=_doubtful(severity, doubt),
        at_most="warning" if doubt is not None else "error",
        message=message,
        pointers=tuple(_pointers(rule, facts, read)),
        fix=_rendered_fix(rule, facts),
        version=facts.version,
        assumes_old_nginx=is_old,
        assumes_defaults=_assumed(rule, facts),
    )


def _first_sentence(message: Parts) -> Iterable[str | Origin]:
    """The parts of a message up to its first full stop."""
    for part in message:
        stop = re.search(r"\.\s", part) if isinstance(part, str) else None
        yield part if stop is None or not isinstance(part, str) else part[: stop.start()]
        if stop is not None:
            return


def _pointers(rule: Rule, facts: Facts, read: Collection[str]) -> Iterable[Pointer]:
    """The directives that a rule points at. The first one identifies the cause."""
    for pointer, is_blamed in ((rule.at, False), (rule.blames, True)):
        if pointer is not None:
            name, _, word = pointer.partition(" ")
            name = facts.resolve(name)
            # Directives that are read are equal for all locations with the same key.
            is_default = name in read and not facts.effective(name).directives
            is_written = name in table() and not is_default
            yield Pointer(name if is_written else "", word.lower(), is_blamed)


def _assumed(rule: Rule, facts: Facts) -> bool:
    """Whether a finding depends on a default because the blocks around a fragment are absent."""
    around = {level.kind for level in facts.proxied.level.outward() if level.directive is None}
    name = facts.resolve((rule.at or rule.blames or "").partition(" ")[0])
    if name not in table() or not table()[name].contexts & (around - {"main"}):
        return False
    return facts.effective(name).is_default


def _rests_on_old_default(rule: Rule, facts: Facts, severity: Severity) -> bool:
    """Whether the finding would differ, or not occur, with the new defaults."""
    return _severity(rule, facts.newer) != severity or (
        render(rule.message, facts.newer) != render(rule.message, facts)
    )


def _rendered_fix(rule: Rule, facts: Facts) -> RenderedFix | None:
    """Render a rule's fix for places with these facts."""
    if rule.fix is None:
        return None
    steps: list[RenderedStep] = []
    for step in rule.fix.steps:
        name = facts.resolve(step.directive)
        known = name in table() or step.action == "add_map"
        if known and (step.when is None or step.when.holds(facts) is True):
            value = _plainly(step.args, facts)
            words = value.split(maxsplit=1)
            steps.append(
                RenderedStep(step, name, value, words[0].strip('"').lower() if words else "")
            )
    restores = any(one.plan.action == "restore_rows" for one in steps)
    return RenderedFix(
        title=_plainly(rule.fix.title, facts),
        snippet="\n".join(_plainly(line, facts) for line in rule.fix.snippet),
        steps=tuple(steps),
        replaced=frozenset((one.name, one.key) for one in steps if one.plan.action == "set_row"),
        dropped=frozenset(facts.value("dropped_headers")) if restores else frozenset(),
    )


def _plainly(template: Template, facts: Facts) -> str:
    return plain(render(template, facts))
