"""Check templates when rules are read: what they contain, and whether they can be rendered.

A template is text with facts, `if`, and a few filters. It has no loops, no assignments, no
attributes and no arithmetic. So it terminates, its result is not much longer than the values it
names, and it can read only facts. The tests of an `if` are those of `when`, checked by the same
code, and a few that only templates have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nginx_stream_lint.rules.conditions import (
    UNKNOWN,
    Builder,
    ExpressionMistake,
    comparisons_of,
)
from nginx_stream_lint.rules.facts import FACTS
from nginx_stream_lint.rules.filters import FILTERS, TemplateMistake
from nginx_stream_lint.rules.messages import PHRASES
from nginx_stream_lint.rules.rule import Template
from nginx_stream_lint.rules.templates import (
    Origin,
    compiled,
    condition_of,
    environment,
    extract_conditions,
    parts,
)
from nginx_stream_lint.util.problems import nearest_words, short_word

if TYPE_CHECKING:
    from jinja2 import nodes

_MAX_TEXT = 4000  # characters
_MAX_DEPTH = 20  # Python allows no more than a hundred levels of indentation
_MAX_NUMBER = 10**15

_CALLS = ("value", "origin")
_NODES = {
    "Call",
    "Concat",
    "CondExpr",
    "Const",
    "Filter",
    "If",
    "List",
    "Name",
    "Output",
    "Template",
    "TemplateData",
}
# What only the test of an `if` may be.
_TESTS = {"And": '"and"', "Compare": "a comparison", "Not": '"not"', "Or": '"or"', "Test": '"is"'}
_ORDERS = {"lt", "gt", "lteq", "gteq"}
_NUMBER_FILTERS = ("int", "length", "max")
_HAS = (
    'facts, value("directive"), origin("directive"), delivery_words, held_words, if with the'
    f" conditions of `when`, ~, and the filters {', '.join(FILTERS)}"
)
# Names for refused constructs.
_WORDS = {
    "Add": "+",
    "Assign": "set",
    "AssignBlock": "set",
    "CallBlock": "call",
    "Dict": "{...}",
    "Div": "/",
    "FilterBlock": "filter",
    "FloorDiv": "//",
    "FromImport": "from",
    "Getitem": "[...]",
    "Mod": "%",
    "Mul": "*",
    "Neg": "-",
    "Pow": "**",
    "Sub": "-",
}


class _Refused(Exception):
    """A template uses something that is not allowed."""


def mistake(template: Template, builder: Builder) -> str | None:
    """Return the mistake in a template, or None; `builder` checks conditions and directives."""
    text = template.text
    if len(text) > _MAX_TEXT:
        return f"a template must have at most {_MAX_TEXT} characters"
    if "{" not in text:
        return None
    from jinja2.exceptions import TemplateError

    try:
        _Checker(builder).check(environment().parse(text), 0)
        _compare_names(template)
        _try_out(template)
    except TemplateError as error:
        return f"not a valid template: {error.message}"
    except RecursionError:
        return f"not a valid template: it is nested deeper than {_MAX_DEPTH} levels"
    except _Refused as refused:
        return str(refused)
    except TemplateMistake as wrong:
        return f"not a valid template: {wrong}"
    except Exception:  # an untrusted template may raise anything
        return "not a valid template: it cannot be rendered; simplify it, or report it"
    return None


def number_of_conditions(text: str) -> int:
    """The number of comparisons in a template."""
    if "{" not in text:
        return 0
    conditions = extract_conditions(environment().parse(text))
    return sum(len(comparisons_of(one)) for one in conditions)


def _compare_names(template: Template) -> None:
    """Refuse a template with more names than `template_names` finds. Raises _Refused."""
    from jinja2 import nodes

    found = template.uses
    parsed = environment().parse(template.text)
    used: dict[str, set[str]] = {name: set() for name in _CALLS}
    said = {
        id(one)
        for output in parsed.find_all(nodes.Output)
        for one in _printed_expressions(output.nodes)
    }
    compares_origins = False
    for call in parsed.find_all(nodes.Call):
        name = call.node.name  # type: ignore[attr-defined]
        if name not in used:
            continue
        used[name].add(call.args[0].value)  # type: ignore[attr-defined]
        compares_origins = compares_origins or (name == "origin" and id(call) not in said)
    if (
        not names(template.text).issubset(found.names)
        or not used["value"].issubset(found.values)
        or not used["origin"].issubset(found.origins)
        or (compares_origins and not found.compares_origins)
    ):
        raise _Refused("write names and directives without braces, escapes or comments in them")


def _printed_expressions(expressions: Iterable[Any]) -> Iterable[Any]:
    """The expressions that are printed unchanged."""
    for one in expressions:
        if type(one).__name__ == "CondExpr":
            yield from _printed_expressions(filter(None, (one.expr1, one.expr2)))
        else:
            yield one


def names(text: str) -> frozenset[str]:
    """The names that a template uses."""
    from jinja2 import nodes

    # A template assigns nothing, so none of the names are its own.
    found = environment().parse(text).find_all(nodes.Name)
    return frozenset(one.name for one in found) - {"matches"}


def literal_text(text: str) -> str:
    """The literal text of a template, independent of the facts."""
    if "{" not in text:
        return text
    from jinja2 import nodes

    parsed = environment().parse(text)
    said = [one.data for one in parsed.find_all(nodes.TemplateData)]
    said += [str(one.value) for one in parsed.find_all(nodes.Const)]
    return " ".join(said)


class _Checker:
    """Refuses everything outside the template language. All methods raise _Refused."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def check(self, node: nodes.Node, depth: int) -> None:
        """Check a part of a template that is not the test of an `if`."""
        kind = type(node).__name__
        if kind in _TESTS:
            raise _Refused(
                f"{_TESTS[kind]} is not allowed outside the condition of an `if`; write"
                ' {{ "one" if kind == "sse" else "other" }}'
            )
        if kind not in _NODES:
            attribute = f".{getattr(node, 'attr', '')}"
            word = attribute if kind == "Getattr" else _WORDS.get(kind, kind.lower())
            raise _Refused(f'"{word}" is not allowed in templates, which support {_HAS}')
        _check_depth(depth)
        if kind == "Call":
            self._check_call(node)
            return
        if kind in _CHECKS:
            _CHECKS[kind](node)
        for child in node.iter_child_nodes(exclude=("test",)):
            self.check(child, depth + 1)
        if kind in ("If", "CondExpr"):
            self._check_test(node.test, depth + 1)  # type: ignore[attr-defined]

    def _check_test(self, test: Any, depth: int) -> None:
        """Check the test of an `if`, or a part of it."""
        kind = type(test).__name__
        _check_depth(depth)
        if kind in ("And", "Or", "Not"):
            for child in test.iter_child_nodes():
                self._check_test(child, depth + 1)
            return
        if kind == "Compare":
            for side in _sides(test):
                self.check(side, depth + 1)
        elif kind == "Test":
            _check_is_none(test)
            self.check(test.node, depth + 1)
        elif kind == "Call" and getattr(test.node, "name", None) == "matches":
            self._check_matches(test, depth)
        else:
            self.check(test, depth + 1)
        try:
            condition = condition_of(test, self._builder)
        except ExpressionMistake as mistake:
            raise _Refused(f"in a condition of this template: {mistake.message}") from None
        if condition is None and kind == "Compare":
            _check_template_comparison(test)

    def _check_matches(self, call: Any, depth: int) -> None:
        if len(call.args) != 2 or call.kwargs or call.dyn_args or call.dyn_kwargs:
            raise _Refused('matches needs a name and a pattern: matches(target, "^https:")')
        for argument in call.args:
            self.check(argument, depth + 1)

    def _check_call(self, node: Any) -> None:
        name = getattr(node.node, "name", None)
        if name == "matches":
            raise _Refused("matches(…) is not allowed outside the condition of an `if`")
        if name not in _CALLS:
            raise _Refused(f"a template can call only {' and '.join(_CALLS)}")
        words = [getattr(argument, "value", None) for argument in node.args]
        others = node.kwargs or node.dyn_args or node.dyn_kwargs
        if len(words) != 1 or not isinstance(words[0], str) or others:
            raise _Refused(f'{name} needs the name of one directive: {name}("proxy_buffering")')
        message = self._builder.check_directive(words[0])
        if message is not None:
            raise _Refused(f"{name}: {message}")


def _check_depth(depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _Refused(f"not a valid template: it is nested deeper than {_MAX_DEPTH} levels")


def _sides(comparison: Any) -> list[Any]:
    return [comparison.expr, *(one.expr for one in comparison.ops)]


def _check_template_comparison(comparison: Any) -> None:
    """Refuse those comparisons with which Jinja would fail, or compare texts by their letters."""
    (operation,) = comparison.ops
    left, right = comparison.expr, operation.expr
    if operation.op in _ORDERS and not (_is_number(left) and _is_number(right)):
        raise _Refused(
            "<, >, <= and >= with a filter or ~ are only for numbers: facts that are always a"
            " number, and the filters length, max and int"
        )
    if operation.op not in ("in", "notin") or type(right).__name__ == "List":
        return
    is_list = type(right).__name__ == "Filter" and right.name == "without"
    if not _is_text(left) or not (is_list or _is_text(right)):
        raise _Refused(
            "`in` with a filter, ~ or origin is only for text:"
            ' "default" in origin("proxy_buffering"), "h2" in clients | without("h3")'
        )


def _is_number(node: Any) -> bool:
    kind = type(node).__name__
    if kind == "Name":
        return node.name in FACTS and set(FACTS[node.name].kinds) <= {"int", "float"}
    if kind == "Const":
        return isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    return kind == "Filter" and node.name in _NUMBER_FILTERS


def _is_text(node: Any) -> bool:
    kind = type(node).__name__
    if kind == "Filter":
        return node.name not in (*_NUMBER_FILTERS, "without")
    if kind == "Const":
        return isinstance(node.value, str)
    return kind in ("Call", "Concat") or (kind == "Name" and node.name in PHRASES)


def _check_is_none(node: Any) -> None:
    if node.name != "none" or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise _Refused(f'unknown test "{short_word(node.name)}"; only `is none` is supported')


def _check_name(node: Any) -> None:
    if node.name == "matches":
        raise _Refused('matches needs a name and a pattern: matches(target, "^https:")')
    if node.name in _CALLS:
        raise _Refused(f'{node.name} needs a directive: {node.name}("proxy_buffering")')
    known = [*FACTS, *PHRASES]
    if node.name not in known:
        near = nearest_words(node.name, [*known, *_CALLS])
        raise _Refused(f'unknown name "{short_word(node.name)}" in a template{near}')


def _check_filter(node: Any) -> None:
    if node.name not in FILTERS:
        near = nearest_words(node.name, list(FILTERS))
        raise _Refused(f'unknown filter "{short_word(node.name)}"{near}')
    fewest, most = FILTERS[node.name].arguments
    texts = [isinstance(getattr(one, "value", None), str) for one in node.args]
    others = node.kwargs or node.dyn_args or node.dyn_kwargs
    if not fewest <= len(texts) <= most or not all(texts) or others:
        takes = (
            "one text in parentheses" if fewest else "at most one text" if most else "no argument"
        )
        raise _Refused(f"the filter {node.name} takes {takes}")


def _check_conditional(node: Any) -> None:
    if node.expr2 is None:
        raise _Refused('`x if …` needs an `else`: {{ "one" if kind == "sse" else "" }}')


def _check_const(node: Any) -> None:
    if isinstance(node.value, (int, float)) and not abs(node.value) <= _MAX_NUMBER:
        raise _Refused(f"a number must be at most {_MAX_NUMBER}")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "Name": _check_name,
    "Filter": _check_filter,
    "CondExpr": _check_conditional,
    "Const": _check_const,
}


# A sample value for each type of fact, by annotation.
_SAMPLES: dict[str, object] = {
    "str": "text",
    "int": 1,
    "float": 1.5,
    "bool": True,
    "list[str]": ["text"],
    "None": None,
    "Unknown": UNKNOWN,
}


def samples(name: str) -> list[object]:
    """Sample values of a fact, one for each of its types."""
    return [_SAMPLES[kind] for kind in FACTS[name].kinds]


class _Samples(Struct, frozen=True):
    """Subjects with sample values; every directive has the same text."""

    values: dict[str, object]

    def value(self, subject: str) -> object:
        """The sample value of a fact or a directive."""
        return self.values.get(subject, "text")


def _try_out(template: Template) -> None:
    """Render a template once for each type of the facts it names. Raises any error of that."""
    found = template.uses
    values = {name: samples(name) for name in found.names if name in FACTS}
    said: dict[str, Any] = dict.fromkeys(PHRASES, "text")
    said |= {"value": str, "origin": str if found.compares_origins else Origin}
    for number in range(max(map(len, values.values()), default=1)):
        tried = {name: every[number % len(every)] for name, every in values.items()}
        tuple(parts(compiled(template.text).render(said | tried, _Samples(tried))))
