"""A rule as data."""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.conditions import Condition, subjects_of
from nginx_stream_lint.rules.facts import REMARKS
from nginx_stream_lint.rules.finding import Applicability, Severity
from nginx_stream_lint.streams.stream import Kind


class RuleMistake(Exception):
    """A rule file that cannot be used; the message starts with `file:line:column`."""


class Template(Struct, frozen=True):
    """A text with placeholders; `place` is its file, line and column."""

    text: str
    place: tuple[str, int, int] = ("", 1, 1)


NO_TEXT = Template("")


class Step(Struct, frozen=True):
    """One step of a fix.

    `action` is `set` (a directive to a value), `reset` (the same; but a directive that is set here
    is removed if it inherits the value without), `set_row` (the row of a list directive that begins
    with the same argument), `remove_row` (where that is safe; else the row stays), `restore_rows`
    or `add_map` (a map before the server; `args` are its source, its variable, and pairs).
    `directive` may contain `<family>` and the like; `args` are templates of nginx text; `scope`
    says where: `location`, `server`, `origin` (the place where the value is set now) or
    `auth_request` (the location that is asked). A step may be less safe than its fix; one that is
    `optional` is left out where it cannot be done.
    """

    action: str
    directive: str
    args: Template = NO_TEXT
    scope: str = "location"
    when: Condition | None = None
    applicability: Applicability = "safe"
    optional: bool = False


class FixPlan(Struct, frozen=True):
    """How a rule's finding is mended; `snippet` has a template for each line."""

    title: Template
    applicability: Applicability
    steps: tuple[Step, ...]
    snippet: tuple[Template, ...]


class Example(Struct, frozen=True):
    """A configuration that shows the rule at work.

    `bad` gives exactly this rule and `fixed` is what its fix makes of it; or `good` is silent.
    `evidence` names how the conformance tests show the difference on a real nginx.
    """

    bad: str | None
    fixed: str | None
    good: str | None
    nginx_version: Version | None
    evidence: str | None


class Rule(Struct, frozen=True):
    """A rule as its file states it; see docs/architecture.md for the keys.

    `at` and `blames` name a directive to point at, and after a blank a word that tells the row
    where there may be several; `blames` where one setting is the cause for many locations.
    `renamed_from` are names that it, or a part of it, had before: they are still taken for it.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    levels: tuple[str, ...]
    shadowed: bool
    when: Condition | None
    severity: tuple[tuple[Severity, Condition | None], ...]
    message: Template
    at: str | None
    blames: str | None
    replaces: tuple[str, ...]
    renamed_from: tuple[str, ...]
    fix: FixPlan | None
    why: str
    evidence: str
    references: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def about(self) -> str:
        """The group of `facts.REMARKS` that it is about; empty where it is about streams."""
        asked = subjects_of(self.when)
        return next((group for group, facts in REMARKS.items() if asked & facts), "")
