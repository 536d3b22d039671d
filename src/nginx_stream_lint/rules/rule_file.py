"""Read and check a rule file.

Rule files are untrusted input: a pull request may bring one. Reading one takes bounded time, allows
nothing outside the rule language, and opens no other file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from msgspec import Struct

from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.versions import parse_version
from nginx_stream_lint.rules.conditions import (
    OPERATORS,
    ORDERS,
    All,
    AnyOf,
    Builder,
    Comparison,
    Condition,
    ExpressionMistake,
    Not,
    alternatives,
    comparisons_of,
    number,
    subjects_of,
)
from nginx_stream_lint.rules.expressions import parse
from nginx_stream_lint.rules.facts import FACTS, PLACEHOLDERS, REMARKS
from nginx_stream_lint.rules.facts.base import directives_meant
from nginx_stream_lint.rules.finding import SEVERITIES, Applicability, Severity
from nginx_stream_lint.rules.patterns import mistake as pattern_mistake
from nginx_stream_lint.rules.rule import (
    NO_TEXT,
    STREAMS,
    Example,
    FixPlan,
    Rule,
    RuleMistake,
    Step,
    Template,
    group_of,
)
from nginx_stream_lint.rules.rule_form import (
    Action,
    ExampleForm,
    FixForm,
    LevelKind,
    RuleForm,
    Scope,
    SeverityForm,
    StepForm,
    keys_of,
)
from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.rules.template_names import template as template_of
from nginx_stream_lint.streams.stream import KINDS
from nginx_stream_lint.util.problems import Unreadable, nearest_words, short_word
from nginx_stream_lint.util.yamlfile import YamlMistake, compose, construct, place, refuse_bombs

_LEVELS: tuple[LevelKind, ...] = get_args(LevelKind)
_AMBIGUOUS = {"on", "off", "yes", "no", "y", "n"}
# Types of values without a tag.
_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")
}
_REFERENCE = re.compile(r"https?://[^\s<>\"'()]+|ngx_\w+_module#\w+")

_MAX_BYTES = 256 * 1024
_MAX_FILES = 200
_MAX_DEPTH = 40
_MAX_CONDITIONS = 200


class _LoadedRule(Struct, frozen=True):
    """A rule with its file, and the places of names that are checked later."""

    rule: Rule
    path: Path
    places: dict[str, str]

    def mistake(self, word: str, message: str) -> RuleMistake:
        return RuleMistake(f"{self.places[word]}: {message}")


def read_rules(
    paths: Sequence[Path],
    shipped: Iterable[Rule] = (),
    check_shipped: bool = False,
    workspace: Workspace | None = None,
) -> tuple[Rule, ...]:
    """Read all rules of folders or files, after the `shipped` ones. Raises RuleMistake.

    See `shipped.load_rules`.
    """
    folder = builtin_folder()
    workspace = workspace or Workspace.on_disk(*map(str, paths))
    ours = Workspace.on_disk(str(folder))
    found = {rule.name: _LoadedRule(rule, folder / f"{rule.name}.yaml", {}) for rule in shipped}
    new: list[_LoadedRule] = []
    for path in paths:
        is_ours = path == folder
        for one in _load(ours if is_ours else workspace, path, check_shipped or not is_ours):
            name = one.rule.name
            if name in found:
                raise one.mistake(
                    name,
                    f'there already is a rule "{name}" in {found[name].path}; choose another name'
                    f" (`replaces: [{name}]` silences that rule where this one reports)",
                )
            found[name] = one
            new.append(one)
    for one in new:
        for other in one.rule.replaces:
            if other not in found:
                known = nearest_words(other, sorted(found))
                raise one.mistake(other, f'replaces unknown rule "{other}"{known}')
    return tuple(one.rule for one in found.values())


def load_folder(folder: Path) -> tuple[Rule, ...]:
    """Read the rules of one folder, sorted by name. Raises RuleMistake.

    References between rules are checked by `read_rules`.
    """
    workspace = Workspace.on_disk(str(folder))
    return tuple(one.rule for one in _load(workspace, folder, folder != builtin_folder()))


def load_rule(path: Path) -> Rule:
    """Read the rule in one file. Raises RuleMistake with the place of the mistake."""
    return _load_file(Workspace.on_disk(str(path)), path).rule


def _load(workspace: Workspace, path: Path, check_texts: bool) -> tuple[_LoadedRule, ...]:
    """Read the rules of a folder, sorted by name, or of a file. Raises RuleMistake.

    `check_texts`: whether to parse the templates, which takes some time.
    """
    is_folder = workspace.is_folder(str(path))
    paths = _files(workspace, path) if is_folder else [path]
    return tuple(_load_file(workspace, one, check_texts) for one in paths)


def _files(workspace: Workspace, folder: Path) -> list[Path]:
    """List the rule files of an untrusted folder. Raises RuleMistake."""
    names = sorted(name for name, _ in workspace.entries(str(folder)))
    for name in names:
        if name.endswith(".yml"):
            raise RuleMistake(f"{folder / name}:1:1: the name of a rule file must end in .yaml")
    found = [folder / name for name in names if name.endswith(".yaml")]
    if not found:
        raise RuleMistake(f"{folder}:1:1: no rules (*.yaml) in this folder")
    if len(found) > _MAX_FILES:
        raise RuleMistake(f"{folder}:1:1: more than {_MAX_FILES} rules in this folder")
    inside = os.path.join(workspace.key(str(folder)), "")
    for path in found:
        if not workspace.key(str(path)).startswith(inside):
            raise RuleMistake(
                f"{path}:1:1: is a link that leads out of the folder; copy the file into it"
            )
    return found


def _load_file(workspace: Workspace, path: Path, check_texts: bool = True) -> _LoadedRule:
    reader = _Reader(str(path), check_texts)
    try:
        node = compose(_text(workspace, path))
        refuse_bombs(node)
        rule = reader.rule(node)
    except YamlMistake as mistake:
        message = f"{path}:{mistake.line}:{mistake.column}: {mistake.message}"
        raise RuleMistake(message) from None
    read = _LoadedRule(rule, path, reader.places)
    if rule.name != path.stem:
        raise read.mistake(
            rule.name, f'the file of rule "{rule.name}" must be named {rule.name}.yaml'
        )
    return read


def _text(workspace: Workspace, path: Path) -> str:
    """Read the text of a rule file. Raises RuleMistake."""
    try:
        return workspace.text(str(path), _MAX_BYTES)
    except Unreadable as stop:
        raise RuleMistake(str(stop)) from None


class _Reader:
    """Build a rule from YAML nodes. Every mistake is raised with its place."""

    def __init__(self, name: str, check_texts: bool) -> None:
        self.name = name
        self.check_texts = check_texts
        self.places: dict[str, str] = {}
        self.conditions = 0

    def fail(self, node: yaml.Node | None, message: str) -> RuleMistake:
        return RuleMistake(f"{self.place(node)}: {message}")

    def place(self, node: yaml.Node | None) -> str:
        line, column = place(node) if node is not None else (1, 1)
        return f"{self.name}:{line}:{column}"

    def rule(self, node: yaml.Node | None) -> Rule:
        self.refuse_special(node)
        raw = self.mapping(node, *keys_of(RuleForm))
        at, blames = (self.pointer(raw.get(key)) for key in ("at", "blames"))
        rule = Rule(
            name=self.rule_name(raw["name"]),
            title=" ".join(self.text(raw["title"]).split()),
            kinds=tuple(self.choices(raw.get("kinds"), KINDS)),
            levels=tuple(
                self.choices(raw.get("levels"), get_args(LevelKind), get_args(LevelKind)[:3])
            ),
            shadowed="shadowed" in raw and construct(raw["shadowed"]) is True,
            when=self.condition(raw["when"]) if "when" in raw else None,
            severity=self.severities(raw["severity"]),
            message=self.template(raw["message"]),
            at=at,
            blames=blames,
            replaces=tuple(self.rule_name(item) for item in self.sequence(raw.get("replaces"))),
            renamed_from=tuple(
                self.rule_name(item) for item in self.sequence(raw.get("renamed_from"))
            ),
            fix=self.fix(raw["fix"]) if "fix" in raw else None,
            why=self.text(raw["why"]),
            evidence=self.text(raw["evidence"]),
            references=tuple(self.reference(item) for item in self.sequence(raw.get("references"))),
            examples=tuple(self.example(item) for item in self.sequence(raw["examples"])),
        )
        if rule.about != [STREAMS] and self.check_texts:
            self.only_about(raw, rule)
        return rule

    def only_about(self, raw: Mapping[str, yaml.Node], rule: Rule) -> None:
        """Refuse stream facts in a rule that is not about streams, such as one about comments.

        A rule about both may use both, but not in one alternative of its condition.
        """
        from nginx_stream_lint.rules.template_check import names

        about = rule.about
        asked = [
            ("when", [group], subjects_of(one))
            for one in alternatives(rule.when)
            if (group := group_of(one)) != STREAMS
        ]
        if STREAMS not in about:
            texts = [] if rule.fix is None else [rule.fix.title, *rule.fix.snippet]
            asked += [("severity", about, subjects_of(one)) for _, one in rule.severity]
            asked += [("message", about, names(rule.message.text))]
            asked += [("fix", about, names(one.text)) for one in texts]
        for key, groups, found in asked:
            allowed = frozenset().union(*(REMARKS[group] for group in groups))
            if found - allowed:
                words, known = " and ".join(groups), " and ".join(sorted(allowed))
                raise self.fail(raw[key], f"a rule about {words} can only use {known}")

    def rule_name(self, node: yaml.Node) -> str:
        name = self.text(node)
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,59}", name):
            message = (
                f'"{short_word(name)}" is not a rule name; use lower-case letters, digits and'
                " hyphens, a letter first, and at most 60 characters"
            )
            raise self.fail(node, message)
        self.places.setdefault(name, self.place(node))
        return name

    def reference(self, node: yaml.Node) -> str:
        text = self.text(node)
        if not _REFERENCE.fullmatch(text):
            raise self.fail(
                node, "a reference must be a link, or module#directive of nginx's documentation"
            )
        return text

    def severities(self, node: yaml.Node) -> tuple[tuple[Severity, Condition | None], ...]:
        items = self.sequence(node)
        if not items:
            raise self.fail(node, f"expected a list of severities: {', '.join(SEVERITIES)}")
        return tuple(self.severity(item) for item in items)

    def severity(self, node: yaml.Node) -> tuple[Severity, Condition | None]:
        if isinstance(node, yaml.ScalarNode):
            return self.choice(node, SEVERITIES), None
        raw = self.mapping(node, *keys_of(SeverityForm))
        if len(raw) != 1:
            raise self.fail(node, "a severity must be one word, or one word with a condition")
        ((name, condition),) = raw.items()
        return next(word for word in SEVERITIES if word == name), self.condition(condition)

    def fix(self, node: yaml.Node) -> FixPlan:
        raw = self.mapping(node, *keys_of(FixForm))
        return FixPlan(
            title=self.template(raw["title"]),
            applicability=self.choice(raw["applicability"], get_args(Applicability)),
            steps=tuple(self.step(item) for item in self.sequence(raw.get("steps"))),
            snippet=self.lines(raw["snippet"]) if "snippet" in raw else (),
        )

    def step(self, node: yaml.Node) -> Step:
        actions = get_args(Action)
        raw = self.mapping(node, *keys_of(StepForm))
        named = [action for action in actions if action in raw]
        if len(named) != 1:
            raise self.fail(node, f"a step must have one of: {', '.join(actions)}")
        if ("to" in raw) != (named[0] != "restore_rows"):
            raise self.fail(node, "restore_rows must not have `to`; every other step needs it")
        args = self.arguments(raw["to"]) if "to" in raw else NO_TEXT
        if named[0] == "add_map":
            names = self.arguments(raw["add_map"])
            directive, args = "map", template_of(f"{names.text} {args.text}", names.place)
        else:
            directive = self.directive(raw[named[0]])
        applicability: Applicability = "unsafe" if "caution" in raw else "safe"
        if "applicability" in raw:
            applicability = self.choice(raw["applicability"], get_args(Applicability))
        if "caution" in raw and applicability == "safe":
            raise self.fail(raw["applicability"], "a step with a caution must not be safe")
        return Step(
            action=named[0],
            directive=directive,
            args=args,
            scope=self.choice(raw["scope"], get_args(Scope)) if "scope" in raw else "location",
            when=self.condition(raw["when"]) if "when" in raw else None,
            applicability=applicability,
            caution=self.template(raw["caution"]) if "caution" in raw else NO_TEXT,
            optional="optional" in raw and construct(raw["optional"]) is True,
        )

    def example(self, node: yaml.Node) -> Example:
        raw = self.mapping(node, *keys_of(ExampleForm))
        if ("bad" in raw) == ("good" in raw) or ("bad" in raw) != ("fixed" in raw):
            raise self.fail(node, "an example needs `bad` and `fixed`, or `good`")

        def optional(key: str) -> str | None:
            return self.text(raw[key]) if key in raw else None

        try:
            version = parse_version(short_word(optional("nginx_version") or "0.0"))
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
        """Parse a condition: an expression, or a mapping with one key."""
        if isinstance(node, yaml.ScalarNode):
            return self.expression(node)
        raw = self.mapping(node, (), None)
        if len(raw) != 1:
            raise self.fail(
                node, "a condition must have one key; combine several with `all` or `any`"
            )
        ((key, value),) = raw.items()
        if key in ("all", "any"):
            parts = tuple(self.condition(item) for item in self.sequence(value))
            return All(parts) if key == "all" else AnyOf(parts)
        self.count(1, node)
        if key == "not":
            return Not(self.condition(value))
        self.refuse(node, _subject_mistake(key))
        tests = self.mapping(value, (), tuple(OPERATORS))
        if len(tests) != 1:
            raise self.fail(value, f"expected one operator of: {', '.join(OPERATORS)}")
        ((operator, operand),) = tests.items()
        return Comparison(key, operator, self.operand(key, operator, operand))

    def expression(self, node: yaml.ScalarNode) -> Condition:
        """Parse a condition written as an expression."""
        try:
            found = parse(self.text(node), EXPRESSION_CHECKS)
        except ExpressionMistake as mistake:
            # In a multi-line or quoted text, an offset does not give the column.
            is_plain = not node.style and node.start_mark.line == node.end_mark.line
            line, column = place(node)
            column += mistake.offset if is_plain else 0
            raise RuleMistake(f"{self.name}:{line}:{column}: {mistake.message}") from None
        self.count(len(comparisons_of(found)), node)
        return found

    def count(self, number: int, node: yaml.Node) -> None:
        """Refuse more conditions than a rule may have."""
        self.conditions += number
        if self.conditions > _MAX_CONDITIONS:
            raise self.fail(node, f"a rule must have at most {_MAX_CONDITIONS} conditions")

    def operand(self, subject: str, operator: str, node: yaml.Node) -> Any:
        """The operand of a comparison in a mapping: a constant or, for an order, a subject."""
        value = construct(node)
        if operator in ORDERS and isinstance(value, str) and number(value) is None:
            self.refuse(node, _subject_mistake(value))
        else:
            self.refuse(node, _operand_mistake(subject, operator, value, str(node.value)))
        return value

    def refuse(self, node: yaml.Node, message: str | None) -> None:
        """Raise a mistake at a node if there is a message."""
        if message is not None:
            raise self.fail(node, message)

    def pointer(self, node: yaml.Node | None) -> str | None:
        """Parse a directive to point at, optionally with a word among its arguments."""
        return None if node is None else self.directive(node, self.text(node).partition(" ")[0])

    def directive(self, node: yaml.Node, name: str | None = None) -> str:
        """Return the text of a node that is (or begins with) the name of a known directive."""
        text = self.text(node)
        self.refuse(node, _directive_mistake(name or text))
        return text

    # Nodes

    def mapping(
        self, node: yaml.Node | None, required: Iterable[str], optional: Sequence[str] | None
    ) -> Mapping[str, yaml.Node]:
        """The values of a mapping by key; `optional=None` allows any key."""
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, "expected a mapping")
        found: dict[str, yaml.Node] = {}
        allowed = None if optional is None else [*required, *optional]
        for key, value in node.value:
            name = self.text(key)
            if allowed is not None and name not in allowed:
                raise self.fail(key, f"unknown key {_unknown(name, allowed)}")
            if name in found:
                raise self.fail(key, f'"{short_word(name)}" is set twice')
            found[name] = value
        for name in required:
            if name not in found:
                raise self.fail(node, f'"{name}" is missing')
        return found

    def sequence(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, "expected a list")
        items: list[yaml.Node] = node.value
        return items

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.fail(node, "expected text")
        return str(node.value)

    def template(self, node: yaml.Node) -> Template:
        """Parse a text with placeholders."""
        return self.checked(self.text(node), node)

    def lines(self, node: yaml.Node) -> tuple[Template, ...]:
        """Parse a text into one template per line."""
        return tuple(self.checked(text, node) for text in self.text(node).splitlines())

    def checked(self, text: str, node: yaml.Node) -> Template:
        made = template_of(text, (self.name, *place(node)))
        if self.check_texts:
            from nginx_stream_lint.rules.template_check import mistake, number_of_conditions

            self.refuse(node, mistake(made, EXPRESSION_CHECKS))
            self.count(number_of_conditions(text), node)
        return made

    def arguments(self, node: yaml.Node) -> Template:
        """Parse a template of arguments, which must not end the directive."""
        template = self.template(node)
        if self.check_texts:
            from nginx_stream_lint.rules.template_check import literal_text

            if re.search(r"[;{}#]", literal_text(template.text)):
                raise self.fail(node, "the arguments of a directive must not contain ; { } or #")
        return template

    def choice(self, node: yaml.Node, words: Sequence[Any]) -> Any:
        value = self.text(node)
        if value not in words:
            raise self.fail(node, f"unknown word {_unknown(value, words)}")
        return value

    def choices(
        self, node: yaml.Node | None, words: Sequence[Any], default: Sequence[Any] | None = None
    ) -> list[Any]:
        if node is None:
            return list(words if default is None else default)
        return [self.choice(item, words) for item in self.sequence(node)]

    def refuse_special(self, node: yaml.Node | None) -> None:
        """Refuse YAML that rule files never need: tags, control characters, endless structures.

        `on`, `off`, `yes` and `no` must be quoted, because most YAML readers treat them as
        booleans.
        """
        work = [(node, 0)] if node is not None else []
        seen: set[int] = set()
        while work:
            node, depth = work.pop()
            if id(node) in seen:
                continue  # an alias
            seen.add(id(node))
            if node.tag not in _TAGS:
                raise self.fail(
                    node, f"tags such as {short_word(node.tag)} are not allowed in a rule file"
                )
            if depth > _MAX_DEPTH:
                raise self.fail(node, f"a rule must not be nested deeper than {_MAX_DEPTH} levels")
            if isinstance(node, yaml.MappingNode):
                work += [(item, depth + 1) for pair in node.value for item in pair]
            elif isinstance(node, yaml.SequenceNode):
                work += [(item, depth + 1) for item in node.value]
            elif not getattr(node, "style", None) and str(node.value).lower() in _AMBIGUOUS:
                raise self.fail(node, f'{node.value} must be quoted: "{node.value}"')
            elif any(not one.isprintable() and one not in "\n\t" for one in node.value):
                raise self.fail(node, "a text must not contain control characters")


def _unknown(word: str, words: Sequence[str]) -> str:
    """Describe an unknown word, with the nearest known one."""
    return f'"{short_word(word)}"{nearest_words(word, words)}'


def _known_directive(name: str) -> bool:
    if "<family>_" in name:
        return any(name.replace("<family>", family) in table() for family in FAMILIES)
    return name in table() or (name[:1] + name[-1:] == "<>" and name[1:-1] in PLACEHOLDERS)


def _directive_mistake(name: str) -> str | None:
    """Return what is wrong with a directive's name; None if nothing is."""
    return (
        None if _known_directive(name) else f"unknown directive {_unknown(name, sorted(table()))}"
    )


def _subject_mistake(name: str) -> str | None:
    """Return what is wrong with a mapping's subject, which is a fact or a directive."""
    if name in FACTS or _known_directive(name):
        return None
    return f"unknown subject {_unknown(name, sorted({*FACTS, *table()}))}"


def _name_mistake(name: str) -> str | None:
    """Return what is wrong with a name in an expression, which is a fact."""
    if name in FACTS:
        return None
    if _known_directive(name):
        return f'{name} is a directive; write value("{name}")'
    return f"unknown name {_unknown(name, [*FACTS, 'value', 'matches'])}"


def _operand_mistake(subject: str, operator: str, value: Any, written: str) -> str | None:
    """Return what is wrong with a constant operand; None if nothing is."""
    is_number = isinstance(value, (bool, int, float))
    if operator in ("is", "is_not") and subject not in FACTS and is_number:
        return f'the value of a directive is text: "{short_word(written)}"'
    is_right, expected = _OPERANDS.get(operator, _ANY)
    if not is_right(value):
        return f"{operator} needs {expected}"
    return pattern_mistake(value) if operator == "matches" else None


def _comparison_mistake(subject: str, operator: str, value: Any, written: str) -> str | None:
    """Return what is wrong with a constant in an expression; None if nothing is.

    A list never equals a text, and a text contains no words.
    """
    lists = set(_are_lists(subject))
    name = subject if subject in FACTS else f'value("{subject}")'
    word = short_word(written)
    if operator == "contains_any" and lists == {False}:
        return f'{name} is not a list; write {name} == "{word}", or matches({name}, "{word}")'
    if operator in ("is", "is_not") and isinstance(value, str) and lists == {True}:
        return f'{name} is a list; write "{word}" in {name}'
    return _operand_mistake(subject, operator, value, written)


def _are_lists(subject: str) -> Iterable[bool]:
    """For each type of a subject's values, or each directive it may be: whether it is a list."""
    if subject in FACTS:
        return ("list" in kind for kind in FACTS[subject].kinds if kind != "None")
    return (table()[name].value in ("strings", "row") for name in directives_meant(subject))


# The checks of expressions, in conditions and in templates.
EXPRESSION_CHECKS = Builder(_name_mistake, _directive_mistake, _comparison_mistake)


def _is_ordered(value: Any) -> bool:
    if isinstance(value, str):
        return number(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# The types of operand that each operator accepts, and in words.
_ORDERED = (_is_ordered, "a number, a time, a size or a fact")
_ANY: tuple[Callable[[Any], bool], str] = (lambda value: not isinstance(value, dict), "a value")
_OPERANDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "is_set": (lambda value: isinstance(value, bool), "true or false"),
    "contains_any": (lambda value: isinstance(value, list) and bool(value), "a list"),
    "matches": (lambda value: isinstance(value, str), "a regular expression"),
    **dict.fromkeys(ORDERS, _ORDERED),
}
