"""Compute what rules read from the declarations of their facts.

Locations that are equal in all of this get equal verdicts; see `cache.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import RIVALS
from nginx_stream_lint.rules.conditions import Condition, subjects_of
from nginx_stream_lint.rules.facts.base import (
    FACTS,
    Headers,
    OtherInput,
    Read,
    directives_meant,
    placeholders_in,
)
from nginx_stream_lint.rules.facts.delivery import DELIVERY
from nginx_stream_lint.rules.facts.other_inputs import INPUTS, LOCATION
from nginx_stream_lint.rules.rule import STREAMS, Rule, Template
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.util.data import table as data_table

# What the phrases of `messages.py` read.
PHRASE_READS: dict[str, tuple[Read, ...]] = {
    "delivery_words": ("stalled_clients", "replayed_clients", "breaking_changes", *DELIVERY),
    "held_words": ("family", "holds", *DELIVERY),
}


class Reads(Struct, frozen=True):
    """What rules read from a location.

    `directives` are read with all arguments, `headers` only in part. Of `written`, only their
    presence is read, and whether it is visible. `elsewhere` are inputs other than the location's
    effective directives.
    """

    directives: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    elsewhere: frozenset[OtherInput] = frozenset()

    def __or__(self, other: Reads) -> Reads:
        return Reads(
            self.directives | other.directives,
            self.headers | other.headers,
            self.written | other.written,
            self.elsewhere | other.elsewhere,
        )

    @property
    def by_version(self) -> bool:
        """Whether any of it may depend on the nginx version."""
        return any(table()[name].default_changed for name in self.directives) or any(
            one.by_version for one in self.elsewhere
        )


class ReadNames(Struct, frozen=True):
    """What rules read, as names, each list sorted; see `Reads`."""

    directives: tuple[str, ...]
    headers: tuple[str, ...]
    written: tuple[str, ...]
    elsewhere: tuple[str, ...]


def reads_of(rules: Sequence[Rule]) -> Reads:
    """What rules read from locations that they judge together.

    Rules about other subjects than streams, and rules about locations that never get their streams,
    are excluded: the former read no location, and the latter judge each location by itself.
    """
    return reads_of_shipped_rules() if rules == shipped_rules() else _reads_together(rules)


@cache
def reads_of_shipped_rules() -> Reads:
    """What the shipped rules read. Computing it takes 1.5 of the 80 ms of a small lint."""
    return _as_reads(data_table("reads", ReadNames, read))


def _as_reads(names: ReadNames) -> Reads:
    return Reads(
        frozenset(names.directives),
        frozenset(names.headers),
        frozenset(names.written),
        frozenset(INPUTS[name] for name in names.elsewhere),
    )


def read() -> ReadNames:
    """Compute what the shipped rules read."""
    reads = _reads_together(shipped_rules())
    return ReadNames(
        tuple(sorted(reads.directives)),
        tuple(sorted(reads.headers)),
        tuple(sorted(reads.written)),
        tuple(sorted(one.name for one in reads.elsewhere)),
    )


def _reads_together(rules: Iterable[Rule]) -> Reads:
    return _closure(
        read
        for rule in rules
        if STREAMS in rule.about and not rule.shadowed
        for read in _reads_of_rule(rule)
    )


def reads_of_rule(rule: Rule) -> Reads:
    """Compute what a rule reads to determine its severity and message."""
    return _closure(_reads_of_finding(rule))


def reads_in_doubt(rules: Iterable[Rule]) -> Reads:
    """Compute what rules read in addition if an include or template may set directives.

    That is the presence of the directives that they report on or that their fixes set.
    """
    found: list[Read] = []
    written: set[str] = set()
    for rule in rules:
        for pointer in (rule.at, rule.blames):
            written.update(directives_meant((pointer or "").partition(" ")[0]))
        for step in () if rule.fix is None else rule.fix.steps:
            found += _reads_of_directive(step.directive)
    return _closure(found, written)


def reads_of_declared(reads: Iterable[Read]) -> Reads:
    """Expand declarations, such as the names of facts, to everything they read."""
    return _closure(reads)


def _reads_of_rule(rule: Rule) -> list[Read]:
    found = _reads_of_finding(rule)
    for pointer in (rule.at, rule.blames):
        found += placeholders_in(pointer or "")
    if rule.fix is not None:
        for template in (rule.fix.title, *rule.fix.snippet):
            found += _reads_of_template(template)
        for step in rule.fix.steps:
            found += placeholders_in(step.directive)
            found += _reads_of_condition(step.when)
            found += _reads_of_template(step.args) + _reads_of_template(step.caution)
            found += ["dropped_headers"] if step.action == "restore_rows" else []
    return found


def _reads_of_finding(rule: Rule) -> list[Read]:
    found = _reads_of_condition(rule.when)
    for _, condition in rule.severity:
        found += _reads_of_condition(condition)
    return found + _reads_of_template(rule.message)


def _reads_of_condition(condition: Condition | None) -> list[Read]:
    found: list[Read] = []
    for subject in subjects_of(condition):
        found += [subject] if subject in FACTS else _reads_of_directive(subject)
    return found


def _reads_of_template(template: Template) -> list[Read]:
    used = template.uses
    found: list[Read] = [name for name in used.names if name in FACTS]
    for name in PHRASE_READS.keys() & set(used.names):
        found += PHRASE_READS[name]
    for name in used.values:
        found += _reads_of_directive(name)
    for name in used.origins:
        found += placeholders_in(name)
        # Rows of one header list have one common origin.
        found += [
            Headers(one) if one.endswith("_header") else one for one in directives_meant(name)
        ]
    return [*found, LOCATION] if used.compares_origins else found


def _reads_of_directive(name: str) -> list[Read]:
    return [*placeholders_in(name), *directives_meant(name)]


def _closure(reads: Iterable[Read], written: Iterable[str] = ()) -> Reads:
    """Expand reads by everything that the facts among them read."""
    directives: set[str] = set()
    headers: set[str] = set()
    elsewhere: set[OtherInput] = set()
    seen: set[Read] = set()
    work = list(reads)
    while work:
        read = work.pop()
        if read in seen:
            continue
        seen.add(read)
        if isinstance(read, OtherInput):
            elsewhere.add(read)
            work += read.only_with
        elif isinstance(read, Headers):
            headers.update(directives_meant(read.directive))
        elif read in FACTS:
            work += FACTS[read].reads
        else:
            work += placeholders_in(read)
            directives.update(directives_meant(read))
    written = frozenset(written)
    # Whether list rows are merged is a setting itself, and some directives disable others.
    names = directives | headers | written
    directives |= {f"{name}_inherit" for name in names} & table().keys()
    directives |= {RIVALS[name] for name in names & RIVALS.keys()}
    return Reads(
        frozenset(directives),
        frozenset(headers - directives),
        written - directives - headers,
        frozenset(elsewhere),
    )
