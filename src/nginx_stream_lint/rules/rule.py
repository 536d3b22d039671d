"""A rule: one YAML file, read and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml

from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.rules.conditions import OPERATORS, All, AnyOf, Condition, Not, Test, number
from nginx_stream_lint.rules.facts import FACTS, PLACEHOLDERS
from nginx_stream_lint.rules.finding import SEVERITIES, Applicability, Severity
from nginx_stream_lint.streams.declarations import nearest
from nginx_stream_lint.streams.stream import KINDS, Kind
from nginx_stream_lint.yamlfile import YamlMistake, compose, construct, place

_LEVELS = ("location", "if-in-location", "limit_except", "stream-server")
_SCOPES = ("location", "server", "origin", "auth_request")
_AMBIGUOUS = {"on", "off", "yes", "no", "y", "n"}


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


def builtin_folder() -> Path:
    """The folder of the shipped rules: inside the wheel, or `rules/` of the checkout."""
    packaged = Path(str(files("nginx_stream_lint"))) / "rules"
    if any(packaged.glob("*.yaml")):
        return packaged
    return Path(__file__).resolve().parents[3] / "rules"


def load_rules(*folders: Path) -> tuple[Rule, ...]:
    """All rules of some folders, by folder and name.

    Raises RuleMistake, also for a name that is there twice and for `replaces` without such a rule.
    """
    found: dict[str, tuple[Rule, Path]] = {}
    for folder in folders:
        for rule in load_folder(folder):
            path = folder / f"{rule.name}.yaml"
            if rule.name in found:
                message = f'there is a rule "{rule.name}" already, in {found[rule.name][1]}'
                raise RuleMistake(f"{path}:1:1: {message}")
            found[rule.name] = (rule, path)
    for rule, path in found.values():
        for other in rule.replaces:
            if other not in found:
                message = f'replaces unknown rule "{other}"{nearest(other, sorted(found))}'
                raise RuleMistake(f"{path}:1:1: {message}")
    return tuple(rule for rule, _ in found.values())


@cache
def load_folder(folder: Path) -> tuple[Rule, ...]:
    """The rules of one folder, by name; `load_rules` checks what they say of one another.

    Raises RuleMistake.
    """
    foreign = folder != builtin_folder()  # the shipped texts are checked by their tests
    rules = tuple(load_rule(path, foreign) for path in sorted(folder.glob("*.yaml")))
    if not rules:
        raise RuleMistake(f"{folder}:1:1: no rules (*.yaml) in this folder")
    return rules


def load_rule(path: Path, check_texts: bool = True) -> Rule:
    """The rule of one file. `check_texts`: whether to parse its templates, which takes a moment.

    Raises RuleMistake with the place of what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleMistake(f"{path}:1:1: cannot be read ({error})") from None
    try:
        reader = _Reader(str(path), check_texts)
        rule = reader.rule(compose(text))
    except YamlMistake as mistake:
        message = f"{path}:{mistake.line}:{mistake.column}: {mistake.message}"
        raise RuleMistake(message) from None
    if rule.name != path.stem:
        raise RuleMistake(f'{path}:1:1: the file of rule "{rule.name}" must have its name')
    return rule


class _Reader:
    """Reads YAML nodes into a rule; every mistake is raised with its place."""

    def __init__(self, name: str, check_texts: bool) -> None:
        self.name = name
        self.check_texts = check_texts

    def fail(self, node: yaml.Node | None, message: str) -> RuleMistake:
        line, column = place(node) if node is not None else (1, 1)
        return RuleMistake(f"{self.name}:{line}:{column}: {message}")

    def rule(self, node: yaml.Node | None) -> Rule:
        self.quoted_words(node)
        optional = (
            "kinds",
            "levels",
            "shadowed",
            "when",
            "at",
            "blames",
            "replaces",
            "fix",
            "references",
        )
        keys = ("name", "title", "severity", "message", "why", "evidence", "examples")
        raw = self.mapping(node, keys, optional)
        at, blames = (self.pointer(raw.get(key)) for key in ("at", "blames"))
        return Rule(
            name=self.text(raw["name"], re.compile(r"[a-z][a-z0-9-]*")),
            title=self.text(raw["title"]),
            kinds=tuple(self.choices(raw.get("kinds"), KINDS)),
            levels=tuple(self.choices(raw.get("levels"), _LEVELS, _LEVELS[:3])),
            shadowed="shadowed" in raw and construct(raw["shadowed"]) is True,
            when=self.condition(raw["when"]) if "when" in raw else None,
            severity=tuple(self.severity(item) for item in self.sequence(raw["severity"])),
            message=self.template(raw["message"]),
            at=at,
            blames=blames,
            replaces=tuple(self.text(item) for item in self.sequence(raw.get("replaces"))),
            fix=self.fix(raw["fix"]) if "fix" in raw else None,
            why=self.text(raw["why"]),
            evidence=self.text(raw["evidence"]),
            references=tuple(self.text(item) for item in self.sequence(raw.get("references"))),
            examples=tuple(self.example(item) for item in self.sequence(raw["examples"])),
        )

    def severity(self, node: yaml.Node) -> tuple[Severity, Condition | None]:
        if isinstance(node, yaml.ScalarNode):
            return self.choice(node, SEVERITIES), None
        raw = self.mapping(node, (), SEVERITIES)
        if len(raw) != 1:
            raise self.fail(node, "a severity is one word, or one word with a condition")
        ((name, condition),) = raw.items()
        return next(word for word in SEVERITIES if word == name), self.condition(condition)

    def fix(self, node: yaml.Node) -> FixPlan:
        raw = self.mapping(node, ("title", "applicability"), ("steps", "snippet"))
        return FixPlan(
            title=self.template(raw["title"]),
            applicability=self.choice(raw["applicability"], get_args(Applicability)),
            steps=tuple(self.step(item) for item in self.sequence(raw.get("steps"))),
            snippet=self.template(raw["snippet"]) if "snippet" in raw else "",
        )

    def step(self, node: yaml.Node) -> Step:
        actions = ("set", "set_row", "remove_row", "restore_rows")
        raw = self.mapping(node, (), (*actions, "to", "scope", "when", "applicability"))
        named = [action for action in actions if action in raw]
        if len(named) != 1:
            raise self.fail(node, f"a step does one of: {', '.join(actions)}")
        directive = self.directive(raw[named[0]])
        return Step(
            action=named[0],
            directive=directive,
            args=self.template(raw["to"]) if "to" in raw else "",
            scope=self.choice(raw["scope"], _SCOPES) if "scope" in raw else "location",
            when=self.condition(raw["when"]) if "when" in raw else None,
            applicability=self.choice(raw["applicability"], get_args(Applicability))
            if "applicability" in raw
            else "safe",
        )

    def example(self, node: yaml.Node) -> Example:
        raw = self.mapping(node, (), ("bad", "fixed", "good", "nginx_version", "evidence"))
        if ("bad" in raw) == ("good" in raw) or ("bad" in raw) != ("fixed" in raw):
            raise self.fail(node, "an example is `bad` and `fixed`, or `good`")

        def optional(key: str) -> str | None:
            return self.text(raw[key]) if key in raw else None

        try:
            version = parse_version(optional("nginx_version") or "0.0")
        except ValueError as error:
            raise self.fail(raw["nginx_version"], str(error)) from None
        return Example(
            bad=optional("bad"),
            fixed=optional("fixed"),
            good=optional("good"),
            nginx_version=version if "nginx_version" in raw else None,
            evidence=optional("evidence"),
        )

    def condition(self, node: yaml.Node) -> Condition:
        raw = self.mapping(node, (), None)
        if len(raw) != 1:
            raise self.fail(node, "a condition has one key; join several with `all` or `any`")
        ((key, value),) = raw.items()
        if key in ("all", "any"):
            parts = tuple(self.condition(item) for item in self.sequence(value))
            return All(parts) if key == "all" else AnyOf(parts)
        if key == "not":
            return Not(self.condition(value))
        self.subject(key, node)
        tests = self.mapping(value, (), tuple(OPERATORS))
        if len(tests) != 1:
            raise self.fail(value, f"one operator, of: {', '.join(OPERATORS)}")
        ((operator, operand),) = tests.items()
        return Test(key, operator, self.operand(key, operator, operand))

    def operand(self, subject: str, operator: str, node: yaml.Node) -> Any:
        value = construct(node)
        is_number = isinstance(value, (bool, int, float))
        if operator in ("is", "is_not") and subject not in FACTS and is_number:
            raise self.fail(node, f'what a directive is set to is text: "{_source(node)}"')
        checks: dict[str, tuple[Callable[[Any], bool], str]] = {
            "is_set": (lambda v: isinstance(v, bool), "true or false"),
            "contains_any": (lambda v: isinstance(v, list) and bool(v), "a list"),
            "matches": (lambda v: isinstance(v, str), "a regular expression"),
            "less_than": (lambda v: not isinstance(v, (bool, list, dict)), "a number or a fact"),
            "greater_than": (lambda v: not isinstance(v, (bool, list, dict)), "a number or a fact"),
        }
        check, wanted = checks.get(operator, (lambda v: not isinstance(v, dict), "a value"))
        if not check(value):
            raise self.fail(node, f"{operator} wants {wanted}")
        if operator == "matches":
            try:
                re.compile(value)
            except re.error as error:
                raise self.fail(node, f"no regular expression: {error}") from None
        is_order = operator in ("less_than", "greater_than")
        if is_order and isinstance(value, str) and number(value) is None:
            self.subject(value, node)
        return value

    def subject(self, name: str, node: yaml.Node) -> None:
        """Check that a subject is a fact, or a directive of the table."""
        if name in FACTS or _known_directive(name):
            return
        known = sorted({*FACTS, *table()})
        raise self.fail(node, f'unknown subject "{name}"{nearest(name, known)}')

    def pointer(self, node: yaml.Node | None) -> str | None:
        """A directive to point at, and perhaps a word that is among the arguments."""
        return None if node is None else self.directive(node, self.text(node).partition(" ")[0])

    def directive(self, node: yaml.Node, name: str | None = None) -> str:
        """The text of a node that is (or begins with) the name of a known directive."""
        text = self.text(node)
        name = name or text
        if _known_directive(name):
            return text
        raise self.fail(node, f'unknown directive "{name}"{nearest(name, sorted(table()))}')

    # Nodes

    def mapping(
        self, node: yaml.Node | None, required: Iterable[str], optional: Sequence[str] | None
    ) -> Mapping[str, yaml.Node]:
        """The values of a mapping by key; `optional` None allows any key."""
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, "a mapping is wanted here")
        found: dict[str, yaml.Node] = {}
        allowed = None if optional is None else [*required, *optional]
        for key, value in node.value:
            name = str(key.value)
            if allowed is not None and name not in allowed:
                raise self.fail(key, f'unknown key "{name}"{nearest(name, allowed)}')
            if name in found:
                raise self.fail(key, f'"{name}" is there twice')
            found[name] = value
        for name in required:
            if name not in found:
                raise self.fail(node, f'"{name}" is missing')
        return found

    def sequence(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, "a list is wanted here")
        items: list[yaml.Node] = node.value
        return items

    def text(self, node: yaml.Node, pattern: re.Pattern[str] | None = None) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.fail(node, "text is wanted here")
        value = str(node.value)
        if pattern is not None and not pattern.fullmatch(value):
            raise self.fail(node, f'"{value}" does not look like {pattern.pattern}')
        return value

    def template(self, node: yaml.Node) -> str:
        """A text with placeholders, checked as far as that is possible without a configuration."""
        text = self.text(node)
        if self.check_texts:
            from nginx_stream_lint.rules.wording import mistake

            message = mistake(text)
            if message is not None:
                raise self.fail(node, message)
        return text

    def choice(self, node: yaml.Node, words: Sequence[Any]) -> Any:
        value = self.text(node)
        if value not in words:
            raise self.fail(node, f'unknown word "{value}"{nearest(value, words)}')
        return value

    def choices(
        self, node: yaml.Node | None, words: Sequence[Any], default: Sequence[Any] | None = None
    ) -> list[Any]:
        if node is None:
            return list(words if default is None else default)
        return [self.choice(item, words) for item in self.sequence(node)]

    def quoted_words(self, node: yaml.Node | None) -> None:
        """Refuse `on`, `off`, `yes`, `no` without quotes: booleans to most YAML readers."""
        work = [node] if node is not None else []
        seen: set[int] = set()
        while work:
            node = work.pop()
            if id(node) in seen:
                continue  # an alias; it may lead back to what it stands in
            seen.add(id(node))
            if isinstance(node, yaml.ScalarNode):
                if not node.style and str(node.value).lower() in _AMBIGUOUS:
                    raise self.fail(node, f'{node.value} must be quoted: "{node.value}"')
            elif isinstance(node, yaml.MappingNode):
                work += [item for pair in node.value for item in pair]
            elif isinstance(node, yaml.SequenceNode):
                work += node.value


def _source(node: yaml.Node) -> str:
    """A scalar as it is written."""
    return str(node.value)


def _known_directive(name: str) -> bool:
    if "<family>_" in name:
        return any(name.replace("<family>", family) in table() for family in FAMILIES)
    return name in table() or (name[:1] + name[-1:] == "<>" and name[1:-1] in PLACEHOLDERS)
