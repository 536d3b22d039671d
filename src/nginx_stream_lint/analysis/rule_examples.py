"""Run the examples of rules, and check the findings against the rule file.

Examples are checked with all rules, as in a real run. They are complete: an `include` in one finds
no file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_checked
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.rule import Example, Rule

# The versions to check an example with if it names none. None: unknown.
VERSIONS: tuple[Version | None, ...] = (None, OLD, (1, 26, 2), NEW)


class Case(Struct, frozen=True):
    """An example with the rule it belongs to; `number` counts the rule's examples from 1."""

    rule: Rule
    number: int
    example: Example

    @property
    def kind(self) -> str:
        """`bad` or `good`."""
        return "bad" if self.example.good is None else "good"


def cases(rules: Iterable[Rule]) -> list[Case]:
    """Every example of some rules."""
    return [
        Case(rule, number, example)
        for rule in rules
        for number, example in enumerate(rule.examples, 1)
    ]


def lint_text(text: str, rules: Sequence[Rule], version: Version | None) -> Result:
    """Lint a text with some rules: nginx configuration, or a Kubernetes manifest."""
    name = "example.yaml" if text.startswith("apiVersion:") else "example.conf"
    options = Options(rules=tuple(rules), nginx_version=version)
    return lint(Workspace.in_memory({name: text}), [name], options)


def failures(case: Case, rules: Sequence[Rule]) -> list[str]:
    """Return the failures of an example with these rules, in words; empty if it is right.

    An example that names no nginx version has to be right for all of VERSIONS.

    `bad` gives findings of its rule and of no other; `fixed` is the result of their fixes (unless
    they are manual) and gives none; `good` contains a stream and gives none.
    """
    example = case.example
    version = example.nginx_version
    for one in VERSIONS if version is None else (version,):
        found = list(_failures(case, rules, one))
        if found:
            return found  # the other versions would mostly fail in the same way
    return []


def _failures(case: Case, rules: Sequence[Rule], version: Version | None) -> Iterator[str]:
    example = case.example
    if example.good is not None:
        report = lint_text(example.good, rules, version)
        yield from _said("good", report, None, version)
        if not report.streams:
            yield "good has no findings, but nothing in it seems to stream; declare a stream in it"
    if example.bad is not None and example.fixed is not None:
        report = lint_text(example.bad, rules, version)
        yield from _said("bad", report, case.rule.name, version)
        wrong = _difference(example.bad, example.fixed, rules, version)
        if wrong:
            yield f"the fix does not turn bad into fixed:\n{wrong}"
        yield from _said("fixed", lint_text(example.fixed, rules, version), None, version)


def _said(text: str, report: Result, wanted: str | None, version: Version | None) -> Iterator[str]:
    """Describe unexpected and missing findings of a text."""
    when = "" if version is None else f" with nginx {'.'.join(map(str, version))}"
    for problem in report.problems:
        yield f"{text}, line {problem.line}: {problem.message}; {problem.advice}"
    for finding in report.findings:
        if finding.rule != wanted:
            line = finding.place.source.position(finding.place.start)[0]
            yield f"{text}, line {line}{when}: unexpected {finding.rule}: {finding.message}"
    if wanted is not None and all(finding.rule != wanted for finding in report.findings):
        yield f"{wanted} reports nothing in {text}{when}"


def fixed_text(text: str, rules: Sequence[Rule], version: Version | None) -> str | None:
    """Return a text with all fixes applied; None if all are manual."""

    def again(texts: Mapping[str, str]) -> Result:
        return lint_text(next(iter(texts.values()), text), rules, version)

    changed = fix_checked(again, unsafe=True).changed
    return next((after.text for _, after in changed.values()), None)


def _difference(bad: str, fixed: str, rules: Sequence[Rule], version: Version | None) -> str:
    """The diff between `fixed` and the result of the fixes on `bad`; empty if they agree."""
    made = fixed_text(bad, rules, version)
    if made is None:
        return ""  # a manual fix has no edits to compare with
    lines = difflib.unified_diff(
        fixed.splitlines(), made.splitlines(), "fixed", "bad after the fix", lineterm=""
    )
    return "\n".join(lines)
