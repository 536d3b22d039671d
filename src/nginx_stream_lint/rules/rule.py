"""What a rule is, and which there are."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from nginx_stream_lint.compiled import compiled
from nginx_stream_lint.lazily import dataclass
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.conditions import Condition, subjects_of
from nginx_stream_lint.rules.facts import OF_COMMENTS
from nginx_stream_lint.rules.finding import Applicability, Severity
from nginx_stream_lint.streams.stream import Kind

if TYPE_CHECKING:
    from pathlib import Path


class RuleMistake(Exception):
    """A rule file that cannot be used; the message starts with `file:line:column`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a fix.

    `action` is `set` (a directive to a value), `set_row` (the row of a list directive that begins
    with the same argument), `remove_row` (where that is safe; else the row stays) or
    `restore_rows`. `directive` may contain `<family>` and the like; `args` are templates of nginx
    text; `scope` says where: `location`, `server`, `origin` (the place where the value is set now)
    or `auth_request` (the location that is asked). A step may be less safe than its fix.
    """

    action: str
    directive: str
    args: str = ""
    scope: str = "location"
    when: Condition | None = None
    applicability: Applicability = "safe"


@dataclass(frozen=True, slots=True)
class FixPlan:
    """How a rule's finding is mended."""

    title: str
    applicability: Applicability
    steps: tuple[Step, ...]
    snippet: str


@dataclass(frozen=True, slots=True)
class Example:
    """A configuration that shows the rule at work.

    `bad` gives exactly this rule and `fixed` is what its fix makes of it; or `good` is silent.
    `evidence` names how the conformance tests show the difference on a real nginx.
    """

    bad: str | None
    fixed: str | None
    good: str | None
    nginx_version: Version | None
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as its file states it; see docs/architecture.md for the keys.

    `at` and `blames` name a directive to point at, and after a blank a word that tells the row
    where there may be several; `blames` where one setting is the cause for many locations.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    levels: tuple[str, ...]
    shadowed: bool
    when: Condition | None
    severity: tuple[tuple[Severity, Condition | None], ...]
    message: str
    at: str | None
    blames: str | None
    replaces: tuple[str, ...]
    fix: FixPlan | None
    why: str
    evidence: str
    references: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def is_about_comments(self) -> bool:
        """Whether it judges comments that ignore findings, and no streams."""
        return bool(subjects_of(self.when) & OF_COMMENTS)


def builtin_folder() -> Path:
    """The folder of the shipped rules: inside the wheel, or `rules/` of the checkout."""
    from pathlib import Path

    return Path(_folder())


@cache
def _folder() -> str:
    here = os.path.dirname(__file__)
    if any(name.endswith(".yaml") for name in os.listdir(here)):
        return here
    return os.path.abspath(os.path.join(os.path.realpath(here), "../../../rules"))


def load_rules(*paths: Path, check_shipped: bool = False) -> tuple[Rule, ...]:
    """All rules of some folders or files, in this order and by name.

    The shipped rules, where they come first, are read from their YAML only where that has changed,
    or with `check_shipped`, which also checks their templates; otherwise their tests do.
    Raises RuleMistake, also for a name that is there twice and for `replaces` without such a rule.
    """
    shipped: tuple[Rule, ...] = ()
    if paths and paths[0] == builtin_folder() and not check_shipped:
        shipped = _compiled()
    others = paths[1:] if shipped else paths
    if not others:
        return shipped
    from nginx_stream_lint.rules.rule_file import read_rules

    return read_rules(others, shipped, check_shipped)


def shipped_rules() -> tuple[Rule, ...]:
    """The shipped rules, by name."""
    return _compiled() or load_rules(builtin_folder())


@cache
def _compiled() -> tuple[Rule, ...]:
    """The shipped rules as they were compiled; none where that is not what they are today."""
    ready = compiled("nginx_stream_lint.rules.rules_compiled", shipped_files())
    return () if ready is None else ready.RULES


def shipped_files() -> list[str]:
    """The files of the shipped rules, by name."""
    folder = _folder()
    return [
        os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".yaml")
    ]
