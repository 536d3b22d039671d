"""Render the templates of rule texts with Jinja.

They are a small part of Jinja; `template_check.py` says which. If a template still fails, for
example because it prints a list without `listed`, the error is a mistake in the rule, with its
place.

Jinja compares Python values. `when` compares times, sizes and flags as nginx does, and knows
unknown values. So an `if` has the conditions of `when`, except for the comparisons that only
templates have: those with a filter, `~`, `origin` or a phrase.

Jinja is imported on the first rendering, because that takes 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules import jinja
from nginx_stream_lint.rules.conditions import (
    Builder,
    Condition,
    ExpressionMistake,
    Not,
    Operand,
    Subjects,
)
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.filters import FILTERS, TemplateMistake, checked
from nginx_stream_lint.rules.messages import PHRASES, origin
from nginx_stream_lint.rules.rule import Template
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes
    from jinja2.nativetypes import NativeEnvironment

# Jinja's operators that compare two values.
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "lteq": "<=", "gteq": ">="}
_MOST_CHOICES = 16
_MAX_RENDERED = 64 * 1024  # characters: a few values of directives, which are short


class Origin(Struct, frozen=True):
    """A part of a text: a placeholder for the origin of a directive's value.

    Origins differ between places, while a text is rendered once for all places with equal cache
    keys.
    """

    name: str


Parts = tuple[str | Origin, ...]


def render(template: Template, facts: Facts | Subjects) -> Parts:
    """Render a template to parts. Raises Unreadable with the place of a failing template.

    Besides facts, a template may call `value("directive")` (the effective value) and
    `origin("directive")` (where that comes from), and use the phrases of `messages.py`.
    """
    text = template.text
    if "{" not in text:
        return (text,)
    found = template.uses
    names = found.names
    values: dict[str, Any] = {name: facts.value(name) for name in names if name in FACTS}
    values["origin"] = Origin
    if isinstance(facts, Facts):
        values |= {name: said(facts) for name, said in PHRASES.items() if name in names}
        values["value"] = lambda name: facts.effective(name).text if facts.has(name) else ""
        origin_of = _words_here if found.compares_origins else _origin
        values["origin"] = lambda name: origin_of(facts, name)
    try:
        return tuple(parts(compiled(text).render(values, facts)))
    except TemplateMistake as mistake:
        message = f"this template cannot be rendered: {mistake}"
        raise Unreadable(Problem(*template.place, message, "correct the rule")) from None
    except Exception as error:  # an untrusted template may raise anything
        message, advice = "this template cannot be rendered", "simplify it, or report it"
        raise Unreadable(Problem(*template.place, message, advice)) from error


def _origin(facts: Facts, name: str) -> str | Origin:
    if not facts.has(name):
        return "nowhere"
    resolved = facts.resolve(name)
    # The words for a default that depends on the version name what states the version.
    if facts.is_written(name) or (resolved in table() and table()[resolved].default_changed):
        return Origin(resolved)
    return "default"


def _words_here(facts: Facts, name: str) -> str:
    """The origin in words at this place, for templates that compare it."""
    return origin(facts.proxied.level, facts.resolve(name), facts.version)


def plain(rendered: Parts, words: Callable[[str], str] = str) -> str:
    """Join parts to one text; `words` returns the origin of the named directive's value.

    White space is normalized to single blanks, as in the folded YAML that it comes from.
    """
    said = (part if isinstance(part, str) else words(part.name) for part in rendered)
    return " ".join("".join(said).split())


def parts(values: Iterable[object]) -> Iterable[str | Origin]:
    """Check the values that Jinja renders, up to the length limit. Raises TemplateMistake."""
    text = ""
    for value in values:
        if isinstance(value, (list, tuple)):
            raise TemplateMistake("a list is not text; use a filter such as listed")
        if isinstance(value, bool):
            raise TemplateMistake("true or false is not text; use an `if`")
        if isinstance(value, Origin):
            yield from (text, value)
            text = ""
            continue
        text += str(value)
        if len(text) > _MAX_RENDERED:
            raise TemplateMistake(f"its text is longer than {_MAX_RENDERED} characters")
    yield text


@cache
def environment() -> NativeEnvironment:
    """The Jinja environment: no access to anything, and undefined names are errors."""
    jinja.prepare()
    from jinja2.nativetypes import NativeEnvironment
    from jinja2.runtime import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment, NativeEnvironment):
        pass

    # Folding constants takes a tenth of the time to compile a template, and few have any.
    env = Environment(undefined=StrictUndefined, keep_trailing_newline=False, optimized=False)
    env.globals = {}
    env.filters = {name: checked(name) for name in FILTERS}
    env.tests = {"none": env.tests["none"]}
    return env


@lru_cache(1024)  # rules have few templates, whatever the checked files contain
def compiled(text: str) -> CompiledTemplate:
    """A template, compiled by Jinja where it is rendered."""
    return CompiledTemplate(text)


class CompiledTemplate:
    """A template that Jinja compiles in the parts that its conditions choose.

    A part takes half the time of the whole, and a lint of few locations needs one part of each
    template. After `_MOST_CHOICES` parts, the whole is compiled.
    """

    def __init__(self, text: str) -> None:
        self._parsed = environment().parse(text)
        self._conditions = extract_conditions(self._parsed)
        # By the conditions that are true; the whole template by none.
        self._compiled: dict[tuple[bool, ...], jinja2.Template] = {}

    def render(self, values: dict[str, Any], subjects: Subjects) -> Iterable[object]:
        """Render it value by value, with the values of its names and the subjects of conditions."""
        holds = tuple(one.holds(subjects) is True for one in self._conditions)
        is_known = holds in self._compiled
        choice = holds if is_known or len(self._compiled) < _MOST_CHOICES else ()
        template = self._compiled.get(choice)
        if template is None:
            template = self._compiled[choice] = self._compile(choice)
        # The whole template asks for each condition.
        context = template.new_context(values | {"condition": holds.__getitem__})
        return template.root_render_func(context)

    def _compile(self, holds: Sequence[bool]) -> jinja2.Template:
        from jinja2 import nodes

        body = _chosen(self._parsed.body, holds) if holds else self._parsed.body
        return environment().from_string(nodes.Template(body, lineno=1))


def _chosen(body: Iterable[nodes.Node], holds: Sequence[bool]) -> list[nodes.Node]:
    """The parts of a template's body whose conditions are true, and those that Jinja decides."""
    from jinja2 import nodes

    found: list[nodes.Node] = []
    for node in body:
        if isinstance(node, nodes.Output):
            found.append(nodes.Output([_branch(one, holds) for one in node.nodes]))
            continue
        assert isinstance(node, nodes.If)
        branches = [(one.test, one.body) for one in (node, *node.elif_)]
        tests = [_outcome(test, holds) for test, _ in branches]
        if None in tests:
            found.append(node)
        else:
            bodies = (inner for (_, inner), is_true in zip(branches, tests, strict=True) if is_true)
            found += _chosen(next(bodies, node.else_), holds)
    return found


def _branch(node: nodes.Expr, holds: Sequence[bool]) -> nodes.Expr:
    """The branch of `x if y else z` whose condition is true, if Jinja does not decide it."""
    from jinja2 import nodes

    while isinstance(node, nodes.CondExpr):
        is_true = _outcome(node.test, holds)
        if is_true is None or node.expr2 is None:
            break
        node = node.expr1 if is_true else node.expr2
    return node


def _outcome(test: nodes.Node, holds: Sequence[bool]) -> bool | None:
    """Whether a test that `extract_conditions` replaced is true; None if Jinja decides that."""
    from jinja2 import nodes

    if isinstance(test, (nodes.And, nodes.Or)):
        sides = {_outcome(test.left, holds), _outcome(test.right, holds)}
        decides = isinstance(test, nodes.Or)
        return decides if decides in sides else None if None in sides else not decides
    if isinstance(test, nodes.Call) and _name_of(test.node) == "condition":
        return holds[test.args[0].value]  # type: ignore[attr-defined]
    return None


def extract_conditions(template: nodes.Template) -> list[Condition]:
    """Replace the conditions in a parsed template by `condition(0)`, `condition(1)` …, in place.

    The tests that only templates have stay. `not` moves to the single tests, because neither an
    unknown condition nor its opposite is true. So a combination with `and` and `or` is true exactly
    if it would be true in `when`.
    """
    from jinja2 import nodes

    found: list[Condition] = []

    def replaced(test: nodes.Expr, is_negated: bool) -> nodes.Expr:
        if isinstance(test, nodes.Not):
            return replaced(test.node, not is_negated)
        if isinstance(test, (nodes.And, nodes.Or)):
            join = nodes.And if isinstance(test, nodes.And) is not is_negated else nodes.Or
            return join(replaced(test.left, is_negated), replaced(test.right, is_negated))
        condition = condition_of(test, Builder())
        if condition is None:
            return nodes.Not(test) if is_negated else test
        found.append(Not(condition) if is_negated else condition)
        number = nodes.Const(len(found) - 1)
        return nodes.Call(nodes.Name("condition", "load"), [number], [], None, None)

    for one in template.find_all((nodes.If, nodes.CondExpr)):
        one.test = replaced(one.test, False)  # type: ignore[attr-defined]
    return found


def condition_of(test: nodes.Expr, builder: Builder) -> Condition | None:
    """The condition that one test of an `if` is; None for a test that only templates have.

    Raises ExpressionMistake.
    """
    from jinja2 import nodes

    if isinstance(test, nodes.Test):
        return builder.is_none(_operand(test.node, builder))
    if isinstance(test, nodes.Call) and _name_of(test.node) == "matches":
        left, pattern = test.args
        return builder.matches(_operand(left, builder), _operand(pattern, builder))
    if isinstance(test, nodes.Compare) and len(test.ops) > 1:
        raise ExpressionMistake("combine several comparisons with `and`", 0)
    if has_template_parts(test):
        return None
    if not isinstance(test, nodes.Compare):
        return builder.is_set(_operand(test, builder))
    (operation,) = test.ops
    if operation.op in _SIGNS:
        right = _operand(operation.expr, builder)
        return builder.compare(_operand(test.expr, builder), _SIGNS[operation.op], right)
    one = _operand(test.expr, builder)
    if isinstance(operation.expr, nodes.List):
        words = [_operand(word, builder) for word in operation.expr.items]
        condition = builder.is_one_of(one, words)
    else:
        condition = builder.contains(one, _operand(operation.expr, builder))
    return Not(condition) if operation.op == "notin" else condition


def has_template_parts(test: nodes.Node) -> bool:
    """Whether a test has a part that only templates have, not conditions."""
    from jinja2 import nodes

    if isinstance(test, (nodes.Filter, nodes.Concat, nodes.CondExpr)):
        return True
    return _name_of(test) in {"origin", *PHRASES} or any(
        map(has_template_parts, test.iter_child_nodes())
    )


def _operand(node: nodes.Expr, builder: Builder) -> Operand:
    from jinja2 import nodes

    if isinstance(node, nodes.Const) and node.value is not None:
        return Operand(node.value, False, str(node.value), 0)
    if isinstance(node, nodes.Name):
        return builder.fact(node.name)
    if isinstance(node, nodes.Call) and _name_of(node.node) == "value":
        return builder.directive(_operand(node.args[0], builder))
    raise ExpressionMistake("a comparison needs names, numbers or quoted text", 0)


def _name_of(node: nodes.Node) -> str:
    """The name that a node is; empty if it is anything else."""
    from jinja2 import nodes

    return node.name if isinstance(node, nodes.Name) else ""
