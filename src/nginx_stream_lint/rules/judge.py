"""Rules over facts: the findings of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.finding import (
    SEVERITIES,
    Finding,
    LocationInfo,
    Place,
    Related,
    Severity,
    in_order,
)
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.wording import render
from nginx_stream_lint.streams.find import Served
from nginx_stream_lint.streams.stream import CONFIDENCES, Stream


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding with what it was made from, for those who mend it."""

    finding: Finding
    rule: Rule
    facts: Facts


def judge(
    found: Iterable[Served],
    rules: Sequence[Rule],
    version: Version | None,
    min_read_timeout_s: float,
) -> list[Judged]:
    """What the rules say about every stream, worst first where one place has several.

    One cause gives one finding: a rule that `replaces` another silences it in its location,
    nameless blocks do not repeat their location's findings, and what several servers share is said
    once.
    """
    judged: list[Judged] = []
    by_level: dict[Level, set[str]] = {}
    for served in found:
        here = _judge_one(served, rules, version, min_read_timeout_s)
        by_level[served.level] = {one.rule.name for one in here}
        if served.level.own_handler is None and served.level.parent is not None:
            repeated = by_level.get(served.level.parent, set())
            here = [one for one in here if one.rule.name not in repeated]
        judged += here
    return _merged(_grouped(judged))


def _judge_one(
    served: Served, rules: Sequence[Rule], version: Version | None, min_read_timeout_s: float
) -> list[Judged]:
    facts_of: dict[Stream, Facts] = {}
    here: list[Judged] = []
    for rule in rules:
        if served.level.kind not in rule.levels:
            continue
        if rule.shadowed != (served.shadowed_by is not None):
            continue
        worst: tuple[Severity, Facts, Directive | None] | None = None
        for stream in _strongest(served.streams, rule.kinds):
            facts = facts_of.get(stream)
            if facts is None:
                facts = facts_of[stream] = Facts(served, stream, version, min_read_timeout_s)
            severity = _severity(rule, facts)
            if severity is None:
                continue
            doubt = _refutable_by(rule, facts)
            weight = SEVERITIES.index(_doubtful(severity, doubt))
            if worst is None or weight < SEVERITIES.index(_doubtful(worst[0], worst[2])):
                worst = severity, facts, doubt
        if worst is not None:
            severity, facts, doubt = worst
            here.append(Judged(_finding(rule, facts, severity, doubt), rule, facts))
    replaced = {
        (name, severity)
        for one in here
        for name in one.rule.replaces
        for severity in SEVERITIES[SEVERITIES.index(one.finding.severity) :]
    }
    return [one for one in here if (one.rule.name, one.finding.severity) not in replaced]


def _strongest(streams: Sequence[Stream], kinds: Sequence[str]) -> list[Stream]:
    """The streams of these kinds that are most certain, one of each that behaves alike."""
    fitting = [stream for stream in streams if stream.kind in kinds]
    if len(fitting) < 2:
        return fitting
    best = max(CONFIDENCES.index(stream.confidence) for stream in fitting)
    found: dict[Stream, Stream] = {}
    for stream in fitting:
        if CONFIDENCES.index(stream.confidence) == best:
            found.setdefault(replace(stream, because=""), stream)
    return list(found.values())


def _severity(rule: Rule, facts: Facts) -> Severity | None:
    if rule.when is not None and rule.when.holds(facts) is not True:
        return None
    for severity, condition in rule.severity:
        if condition is None or condition.holds(facts) is True:
            if facts.stream.confidence != "possible":
                return severity
            # Nobody knows that it streams: say what would be an error if it did, and no more.
            return "warning" if severity == "error" else None
    return None


def _refutable_by(rule: Rule, facts: Facts) -> Directive | None:
    """What nobody can see here and may already do all that the rule's fix would do."""
    if not facts.served.handler.target:
        return facts.served.handler.directive
    doubts: list[Directive | None] = []
    for step in rule.fix.steps if rule.fix is not None else ():
        name = facts.resolve(step.directive)
        if step.action not in ("set", "set_row") or name not in table():
            continue
        if step.when is not None and step.when.holds(facts) is not True:
            continue
        effective = facts.effective(name)
        wanted = render(step.args, facts, lambda other: other).replace('"', "")
        if wanted not in (" ".join(row) for row in effective.rows):
            doubts.append(effective.unknown_by)
    if not doubts:
        setting = facts.resolve((rule.at or rule.blames or "").partition(" ")[0])
        return facts.effective(setting).unknown_by if setting in table() else None
    return doubts[0] if all(doubts) else None


def _doubtful(severity: Severity, doubt: Directive | None) -> Severity:
    """What is left of a severity where something nobody can see may refute it."""
    return "warning" if severity == "error" and doubt is not None else severity


def _doubted(directive: Directive, facts: Facts) -> str:
    """Why an error is a warning only."""
    place = f"{directive.source.name}:{directive.line}"
    if directive is facts.served.handler.directive:
        return ". A warning only: who answers is not written here"
    if directive.name == "include":
        return f". A warning only: nobody knows what include {directive.args[0]} ({place}) sets"
    if directive.unknown:
        return f". A warning only: nobody knows what stands in {place}"
    return f". A warning only: what {directive.name} is in {place} depends on the template"


def _finding(rule: Rule, facts: Facts, severity: Severity, doubt: Directive | None) -> Finding:
    served = facts.served
    location = _location(served.level)
    place = location.place
    related: list[Related] = []
    shadow = served.shadowed_by
    if shadow is not None and shadow.directive is not None:
        related.append(Related(_place(shadow.directive), f"{shadow.label} handles the stream"))
    for pointer, always in ((rule.at, False), (rule.blames, True)):
        setting = _setting(facts, pointer)
        if setting is None or not (always or setting[1].is_written):
            continue
        name, directive, is_here = setting
        # What several places include is nobody's own: each location that uses it has a finding.
        if always or (is_here and not directive.file.shared):
            related.append(Related(place, f"{location.label} handles the stream"))
            place = _place(directive)
        else:
            related.append(Related(_place(directive), f"{name} comes from here"))
    servers = tuple(arg for row in served.server.rows.get("server_name", []) for arg in row.args)
    message = render(rule.message, facts, lambda name: _origin(facts, name))
    old = not facts.version_is_known and _rests_on_old_default(rule, facts, message)
    if doubt is not None and severity == "error":
        message += _doubted(doubt, facts)
    if _assumed(rule, facts):
        message += ". Around this file nginx's defaults are assumed"
    if old:
        message += (
            ". So it is with the defaults before nginx 1.29.7: say yours with --nginx-version"
        )
    return Finding(
        rule=rule.name,
        severity=_doubtful(severity, doubt),
        message=message,
        place=place,
        location=replace(location, servers=servers),
        stream=facts.stream,
        related=tuple(related),
        at_most="warning"
        if doubt is not None or facts.stream.confidence == "possible"
        else "error",
    )


def _setting(facts: Facts, pointer: str | None) -> tuple[str, Directive, bool] | None:
    """What a rule points at: its name, the directive, and whether it stands at the stream's level.

    None where nothing is written: a default, or no row with the word asked for.
    """
    if pointer is None:
        return None
    name, _, word = pointer.partition(" ")
    name = facts.resolve(name)
    if name not in table():
        return None
    effective = facts.effective(name)
    for directive in effective.directives:
        if not word or word.lower() in {arg.lower() for arg in directive.args}:
            return name, directive, effective.origin == "explicit"
    return None


def _assumed(rule: Rule, facts: Facts) -> bool:
    """Whether a finding rests on a default where levels around a fragment are not there to see."""
    name = facts.resolve((rule.at or rule.blames or "").partition(" ")[0])
    if name not in table() or not facts.effective(name).is_default:
        return False
    around = [level for level in facts.served.level.outward() if level.directive is None]
    return any(level.kind in table()[name].contexts for level in around if level.kind != "main")


def _rests_on_old_default(rule: Rule, facts: Facts, message: str) -> bool:
    """Whether the new defaults would make a finding another one, or none."""
    newer = Facts(facts.served, facts.stream, NEW, facts.minimum_s)
    if _severity(rule, newer) != _severity(rule, facts):
        return True
    return render(rule.message, newer, lambda name: _origin(newer, name)) != message


def _location(level: Level) -> LocationInfo:
    directive = level.directive
    if directive is None:
        # A fragment's own level is not there to see; its handler is.
        assert level.own_handler is not None
        directive = level.own_handler.directive
    block_end = directive.end if directive.block is None else directive.block_end + 1
    return LocationInfo(level.label, _place(directive), block_end, ())


def _place(directive: Directive) -> Place:
    end = directive.head_end
    if not directive.is_written:
        # A controller's own doing: the line that says what it works on.
        line, column = directive.source.position(directive.start)
        end = directive.start + len(directive.source.line_text(line)) - column + 1
    return Place(directive.source, directive.start, end)


def _origin(facts: Facts, name: str) -> str:
    """Where a value comes from, in words."""
    effective = facts.effective(name)
    if not effective.directives:
        return "by default"
    directive = effective.directives[0]
    author = directive.file.reading.author
    if author is not None and not directive.is_written:
        assumed = ", which is taken for its controller" if author.assumed else ""
        return f"by default in {author.name}{assumed}"
    if effective.origin == "explicit":
        return "set here"
    return f"set in {directive.source.name}:{directive.line}"


def _grouped(judged: list[Judged]) -> list[Judged]:
    """Locations of which nobody says that they stream, one finding for each cause."""
    groups: dict[tuple[object, ...], list[Judged]] = {}
    result: list[Judged] = []
    for one in judged:
        if not one.finding.is_grouped:
            result.append(one)
            continue
        setting = _setting(one.facts, one.rule.at or one.rule.blames)
        key = (one.rule.name, one.facts.value("family"), setting and setting[1])
        groups.setdefault(key, []).append(one)
    for group in groups.values():
        first = group[0]
        places = {(one.finding.location.place): one for one in group}
        others = [one for one in places.values() if one is not first]
        message = first.finding.message
        if others:
            message += f"; the same holds for {len(others)} more location"
            message += "s" if len(others) > 1 else ""
        message += (
            ". Nobody says whether this streams: --stream PATH declares one,"
            " --all-streams checks all"
        )
        related = [
            Related(one.finding.location.place, f"{one.finding.location.label}: the same")
            for one in others
        ]
        finding = replace(
            first.finding, message=message, related=(*first.finding.related, *related)
        )
        result.append(Judged(finding, first.rule, first.facts))
    return result


def _merged(judged: list[Judged]) -> list[Judged]:
    """What is said of one place several times, said once: the worst, for all the servers."""
    kept: dict[tuple[str, int, int], Judged] = {}
    for one in judged:
        finding = one.finding
        key = (finding.rule, id(finding.place.source), finding.place.start)
        other = kept.get(key)
        if other is None:
            kept[key] = one
            continue
        worse, milder = sorted(
            (other, one), key=lambda item: SEVERITIES.index(item.finding.severity)
        )
        servers = dict.fromkeys((*other.finding.location.servers, *finding.location.servers))
        related = dict.fromkeys((*worse.finding.related, *milder.finding.related))
        kept[key] = Judged(
            replace(
                worse.finding,
                location=replace(worse.finding.location, servers=tuple(servers)),
                related=tuple(related),
            ),
            worse.rule,
            worse.facts,
        )
    return sorted(kept.values(), key=lambda one: in_order(one.finding))
