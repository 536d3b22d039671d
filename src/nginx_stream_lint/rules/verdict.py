"""The verdict of a rule on one location: its message, its pointers and its fix, rendered.

A verdict has no lines of files: `judge.py` adds the places of each location.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.finding import Severity
from nginx_stream_lint.rules.messages import UNKNOWN_UPSTREAM
from nginx_stream_lint.rules.rule import Rule, Step, Template
from nginx_stream_lint.rules.templates import Origin, Parts, plain, render


class Doubt(Struct, frozen=True):
    """A part of a message: a placeholder for the reason why this directive is unknown."""

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

    `plan` is the step of the rule; `key` is the argument that identifies a row of a list;
    `caution` is empty if the rule has none.
    """

    plan: Step
    name: str
    value: str
    key: str
    caution: str


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


def verdict_of(
    rule: Rule,
    facts: Facts,
    stream: int,
    severity: Severity,
    doubt: str | None,
    read: Collection[str],
    is_old: bool,
) -> Verdict:
    """Render the verdict of a rule that has a finding at a place with these facts."""
    message: Message = render(rule.message, facts)
    if doubt is not None and severity == "error":
        # A message has two sentences: the fault, and the reason for doubt.
        message = (*_first_sentence(render(rule.message, facts)), ". ", Doubt(doubt))
    return Verdict(
        rule=rule,
        stream=stream,
        severity=doubtful(severity, doubt),
        at_most="warning" if doubt is not None else "error",
        message=message,
        pointers=tuple(_pointers(rule, facts, read)),
        fix=_rendered_fix(rule, facts),
        version=facts.version,
        assumes_old_nginx=is_old,
        assumes_defaults=_assumed(rule, facts),
    )


def refutable_in(rule: Rule, facts: Facts) -> str | None:
    """The directive that an include or template may already set to the value of the fix.

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


def doubtful(severity: Severity, doubt: str | None) -> Severity:
    """Reduce a severity if unknown contents may refute the finding."""
    return "warning" if severity == "error" and doubt is not None else severity


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


def message_differs(rule: Rule, facts: Facts, others: Facts) -> bool:
    """Whether a rule's message differs between two places."""
    return render(rule.message, others) != render(rule.message, facts)


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
            key = words[0].strip('"').lower() if words else ""
            steps.append(RenderedStep(step, name, value, key, _plainly(step.caution, facts)))
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
