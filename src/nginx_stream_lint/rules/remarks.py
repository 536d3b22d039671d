"""Findings about comments, blocks and declarations instead of streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from nginx_stream_lint.rules.facts import REMARKS
from nginx_stream_lint.rules.finding import Fix, Severity
from nginx_stream_lint.rules.rule import STREAMS, Rule, Template


class Remark(Struct, frozen=True):
    """What a rule reports about something other than a stream; `fix` is manual."""

    rule: Rule
    severity: Severity
    message: str
    fix: Fix | None


class _Subjects:
    """The subjects of rules that are not about streams: a few facts."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def value(self, subject: str) -> Any:
        """The value of a subject; None for subjects that belong to streams."""
        return self._values.get(subject)


def remarks(rules: Sequence[Rule], values: Mapping[str, Any]) -> Iterator[Remark]:
    """Apply rules to the facts `values`, which belong to one group of `facts.REMARKS`."""
    subjects = _Subjects(values)
    group = next(name for name, facts in REMARKS.items() if values.keys() <= facts)

    def rendered(template: Template) -> str:
        from nginx_stream_lint.rules.templates import plain, render

        return plain(render(template, subjects))

    for rule in rules:
        if rule.when_about(group).holds(subjects) is True:
            # The fix of a rule that is also about streams is for these.
            plan = None if STREAMS in rule.about else rule.fix
            fix = None
            if plan is not None:
                lines = [one for one in map(rendered, plan.snippet) if one]
                fix = Fix(rendered(plan.title), "manual", "\n".join(lines))
            severity = next(
                (word for word, only in rule.severity if only is None or only.holds(subjects)), None
            )
            if severity is not None:
                yield Remark(rule, severity, rendered(rule.message), fix)
