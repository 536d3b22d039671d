"""Rules as data."""

from msgspec import Struct

from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.conditions import AnyOf, Condition, alternatives, subjects_of
from nginx_stream_lint.rules.facts import REMARKS
from nginx_stream_lint.rules.finding import SEVERITIES, Applicability, Severity
from nginx_stream_lint.streams.stream import Kind


class RuleMistake(Exception):
    """An unusable rule file; the message starts with `file:line:column`."""


class NamesInTemplate(Struct, frozen=True, omit_defaults=True):
    """The names in a template, each list sorted, so that equal rules make equal tables.

    `names` may be facts or phrases. `values` and `origins` are the directives that `value` and
    `origin` are called with. `compares_origins`: the template does more with an origin than print
    it.
    """

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    compares_origins: bool = False


_NO_NAMES = NamesInTemplate()


class Template(Struct, frozen=True, omit_defaults=True):
    """A text with placeholders; `place` is its file, line and column.

    `uses` are the names in it, as `template_names.template` finds them.
    """

    text: str
    place: tuple[str, int, int] = ("", 1, 1)
    uses: NamesInTemplate = _NO_NAMES


NO_TEXT = Template("")


class Step(Struct, frozen=True, omit_defaults=True):
    """One step of a fix.

    `action` is `set` (set a directive to a value), `reset` (like `set`, but remove the directive
    from this level if it then inherits the value), `set_row` (set the row of a list directive that
    begins with the same argument), `remove_row` (remove it if that is safe; otherwise keep it),
    `restore_rows` or `add_map` (add a map before the server; `args` are its source, its variable,
    and pairs). `directive` may contain `<family>` and the like; `args` are templates of nginx text;
    `scope` is the place: `location`, `server`, `origin` (the place that sets the value now) or
    `auth_request` (the location of the subrequest). A step may be less safe than its fix: a
    `caution` says what else it changes. An `optional` step is skipped if it is impossible.
    """

    action: str
    directive: str
    args: Template = NO_TEXT
    scope: str = "location"
    when: Condition | None = None
    applicability: Applicability = "safe"
    caution: Template = NO_TEXT
    optional: bool = False


class FixPlan(Struct, frozen=True):
    """The suggested fix of a rule; `snippet` has one template per line."""

    title: Template
    applicability: Applicability
    steps: tuple[Step, ...]
    snippet: tuple[Template, ...]


class Example(Struct, frozen=True):
    """A configuration that demonstrates a rule.

    `bad` gives exactly one finding of this rule, and `fixed` is the result of its fix; or `good`
    gives no finding. `evidence` names how the conformance tests show the difference on a real
    nginx.
    """

    bad: str | None
    fixed: str | None
    good: str | None
    nginx_version: Version | None
    evidence: str | None


class Rule(Struct, frozen=True):
    """A rule as its file defines it; see docs/architecture.md for the keys.

    `at` and `blames` name a directive to point at; if it may have several rows, a word after a
    blank selects one. `blames` is for a single setting that affects many locations. `renamed_from`
    are earlier names of the rule, or of a part of it; they are still accepted.
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
    def highest_severity(self) -> Severity:
        """The highest severity that its findings may have."""
        return min((severity for severity, _ in self.severity), key=SEVERITIES.index)

    @property
    def about(self) -> list[str]:
        """What the rule is about: `streams`, or groups of `facts.REMARKS`, without repeats."""
        return list(dict.fromkeys(map(group_of, alternatives(self.when))))

    def when_about(self, group: str) -> Condition:
        """The alternatives of `when` that are about `STREAMS`, or a group of `facts.REMARKS`."""
        return AnyOf(tuple(one for one in alternatives(self.when) if group_of(one) == group))


# What a condition is about that uses no facts of `facts.REMARKS`.
STREAMS = "streams"


def group_of(condition: Condition) -> str:
    """The group of `facts.REMARKS` whose facts a condition uses, or `STREAMS`."""
    asked = subjects_of(condition)
    return next((group for group, facts in REMARKS.items() if asked & facts), STREAMS)
