"""Check templates when rules are read: what they contain, and whether they can be rendered.

A template is text with facts, `if`, and a few filters. It has no loops, no assignments, no
attributes and no arithmetic. So it terminates, its result is not much longer than the values it
names, and it can read only facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules.conditions import UNKNOWN
from nginx_stream_lint.rules.facts import FACTS
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.messages import PHRASES
from nginx_stream_lint.rules.rule import Template
from nginx_stream_lint.rules.templates import Origin, compiled, environment, parts
from nginx_stream_lint.util.problems import nearest_words, short_word

if TYPE_CHECKING:
    from jinja2 import nodes

_MAX_TEXT = 4000  # characters
_MAX_DEPTH = 20  # Python allows no more than a hundred levels of indentation
_MAX_NUMBER = 10**15

_CALLS = ("value", "origin")
_NODES = {
    "And",
    "Call",
    "Compare",
    "Concat",
    "CondExpr",
    "Const",
    "Filter",
    "If",
    "List",
    "Name",
    "Not",
    "Operand",
    "Or",
    "Output",
    "Template",
    "TemplateData",
    "Test",
}
_HAS = (
    'facts, value("directive"), origin("directive"), delivery_words, held_words, if, ==, !=, <, >,'
    f" in, and, or, not, is none, ~, and the filters {', '.join(FILTERS)}"
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


def mistake(template: Template, is_directive: Callable[[str], bool]) -> str | None:
    """Return the mistake in a template, or None.

    `is_directive` returns whether `value` and `origin` accept a name.
    """
    text = template.text
    if len(text) > _MAX_TEXT:
        return f"a template must have at most {_MAX_TEXT} characters"
    if "{" not in text:
        return None
    from jinja2.exceptions import TemplateError

    try:
        _check(environment().parse(text), is_directive, 0)
        _compare_names(template)
        _try_out(template)
    except TemplateError as error:
        return f"not a valid template: {error.message}"
    except RecursionError:
        return f"not a valid template: it is nested deeper than {_MAX_DEPTH} levels"
    except _Refused as refused:
        return str(refused)
    except Exception as error:  # an untrusted template may raise anything
        return f"not a valid template: {error}"
    return None


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
    return frozenset(one.name for one in environment().parse(text).find_all(nodes.Name))


def literal_text(text: str) -> str:
    """The literal text of a template, independent of the facts."""
    if "{" not in text:
        return text
    from jinja2 import nodes

    parsed = environment().parse(text)
    said = [one.data for one in parsed.find_all(nodes.TemplateData)]
    said += [str(one.value) for one in parsed.find_all(nodes.Const)]
    return " ".join(said)


def _check(node: nodes.Node, is_directive: Callable[[str], bool], depth: int) -> None:
    """Refuse constructs outside the template language. Raises _Refused."""
    kind = type(node).__name__
    if kind not in _NODES:
        word = (
            f".{getattr(node, 'attr', '')}" if kind == "Getattr" else _WORDS.get(kind, kind.lower())
        )
        raise _Refused(f'"{word}" is not allowed in templates, which support {_HAS}')
    if depth > _MAX_DEPTH:
        raise _Refused(f"not a valid template: it is nested deeper than {_MAX_DEPTH} levels")
    if kind == "Call":
        _check_call(node, is_directive)
        return
    if kind in _CHECKS:
        _CHECKS[kind](node)
    for child in node.iter_child_nodes():
        _check(child, is_directive, depth + 1)


def _check_call(node: Any, is_directive: Callable[[str], bool]) -> None:
    name = getattr(node.node, "name", None)
    if name not in _CALLS:
        raise _Refused(f"a template can call only {' and '.join(_CALLS)}")
    words = [getattr(argument, "value", None) for argument in node.args]
    others = node.kwargs or node.dyn_args or node.dyn_kwargs
    if len(words) != 1 or not isinstance(words[0], str) or others:
        raise _Refused(f'{name} needs the name of one directive: {name}("proxy_buffering")')
    if not is_directive(words[0]):
        near = nearest_words(words[0], sorted(table()))
        raise _Refused(f'{name}: unknown directive "{short_word(words[0])}"{near}')


def _check_name(node: Any) -> None:
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


def _check_test(node: Any) -> None:
    if node.name != "none":
        raise _Refused(f'unknown test "{short_word(node.name)}"; only `is none` is supported')


def _check_const(node: Any) -> None:
    if isinstance(node.value, (int, float)) and not abs(node.value) <= _MAX_NUMBER:
        raise _Refused(f"a number must be at most {_MAX_NUMBER}")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "Name": _check_name,
    "Filter": _check_filter,
    "Test": _check_test,
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


def _try_out(template: Template) -> None:
    """Render a template once for each type of the facts it names. Raises any error of that."""
    found = template.uses
    values = {name: samples(name) for name in found.names if name in FACTS}
    said: dict[str, Any] = dict.fromkeys(PHRASES, "text")
    said |= {"value": str, "origin": str if found.compares_origins else Origin}
    for number in range(max(map(len, values.values()), default=1)):
        tried = {name: every[number % len(every)] for name, every in values.items()}
        tuple(parts(compiled(template.text)(said | tried)))
