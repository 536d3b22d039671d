"""Templates of rule texts: a small part of Jinja, checked on reading and rendered by Jinja.

A template is text with facts, `if`, and a few filters. It has no loops, no assignments, no
attributes and no arithmetic. So it terminates, its result is not much longer than the values it
names, and it can read only facts. If it still fails, for example because it prints a list without
`listed`, the error is a mistake in the rule, with its place.

Jinja is imported on the first rendering, because that takes 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules import jinja
from nginx_stream_lint.rules.conditions import UNKNOWN, Subjects
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.messages import PHRASES, origin
from nginx_stream_lint.rules.rule import Template
from nginx_stream_lint.streams.declarations import nearest_words
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.nativetypes import NativeEnvironment

_MAX_TEXT = 4000  # characters
_MAX_RENDERED = 64 * 1024  # characters: a few values of directives, which are short
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
        values |= {name: one.text(facts) for name, one in PHRASES.items() if name in names}
        values["value"] = lambda name: facts.effective(name).text if facts.has(name) else ""
        origin_of = _words_here if found.compares_origins else _origin
        values["origin"] = lambda name: origin_of(facts, name)
    try:
        return tuple(_parts(_compiled(text)(values)))
    except Exception as error:  # an untrusted template may raise anything
        message = f"this template cannot be rendered: {error}"
        raise Unreadable(Problem(*template.place, message, "correct the rule")) from None


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


def plain(parts: Parts, words: Callable[[str], str] = str) -> str:
    """Join parts to one text; `words` returns the origin of the named directive's value.

    White space is normalized to single blanks, as in the folded YAML that it comes from.
    """
    said = (part if isinstance(part, str) else words(part.name) for part in parts)
    return " ".join("".join(said).split())


def _parts(values: Iterable[object]) -> Iterable[str | Origin]:
    """Check the values that Jinja renders, up to the length limit. Raises ValueError."""
    text = ""
    for value in values:
        if isinstance(value, (bool, list, tuple)):
            raise ValueError(f"{value} is not text; use a filter such as listed, or an if")
        if isinstance(value, Origin):
            yield from (text, value)
            text = ""
            continue
        text += str(value)
        if len(text) > _MAX_RENDERED:
            raise ValueError(f"it is longer than {_MAX_RENDERED} characters")
    yield text


@cache
def _environment() -> NativeEnvironment:
    """The Jinja environment: no access to anything, and undefined names are errors."""
    jinja.prepare()
    from jinja2.nativetypes import NativeEnvironment
    from jinja2.runtime import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment, NativeEnvironment):
        pass

    env = Environment(undefined=StrictUndefined, keep_trailing_newline=False)
    env.globals = {}
    env.filters = dict(FILTERS)
    env.tests = {"none": env.tests["none"]}
    return env


@lru_cache(1024)  # rules have few templates, whatever the checked files contain
def _compiled(text: str) -> Callable[[dict[str, Any]], Iterable[object]]:
    """A template compiled by Jinja: it yields its text value by value."""
    compiled = _environment().from_string(text)
    return lambda values: compiled.root_render_func(compiled.new_context(values))


# What a template may say


class _Refused(Exception):
    """A template uses something that is not allowed."""


def mistake(template: Template, is_directive: Callable[[str], bool]) -> str | None:
    """Return what is wrong with a template; None if nothing is.

    `is_directive` returns whether `value` and `origin` accept a name.
    """
    text = template.text
    if len(text) > _MAX_TEXT:
        return f"a template must have at most {_MAX_TEXT} characters"
    if "{" not in text:
        return None
    from jinja2.exceptions import TemplateError

    try:
        _check(_environment().parse(text), is_directive, 0)
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
    parsed = _environment().parse(template.text)
    used: dict[str, set[str]] = {name: set() for name in _CALLS}
    said = {id(one) for output in parsed.find_all(nodes.Output) for one in _said(output.nodes)}
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


def _said(expressions: Iterable[Any]) -> Iterable[Any]:
    """The expressions that are printed unchanged."""
    for one in expressions:
        if type(one).__name__ == "CondExpr":
            yield from _said(filter(None, (one.expr1, one.expr2)))
        else:
            yield one


def names(text: str) -> frozenset[str]:
    """The names that a template uses."""
    from jinja2 import nodes

    # A template assigns nothing, so none of the names are its own.
    return frozenset(one.name for one in _environment().parse(text).find_all(nodes.Name))


def literal_text(text: str) -> str:
    """The literal text of a template, independent of the facts."""
    if "{" not in text:
        return text
    from jinja2 import nodes

    parsed = _environment().parse(text)
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
        near = _near(words[0], sorted(table()))
        raise _Refused(f'{name}: unknown directive "{_short(words[0])}"{near}')


def _check_name(node: Any) -> None:
    if node.name in _CALLS:
        raise _Refused(f'{node.name} needs a directive: {node.name}("proxy_buffering")')
    known = [*FACTS, *PHRASES]
    if node.name not in known:
        near = _near(node.name, [*known, *_CALLS])
        raise _Refused(f'unknown name "{_short(node.name)}" in a template{near}')


def _check_filter(node: Any) -> None:
    if node.name not in FILTERS:
        raise _Refused(f'unknown filter "{_short(node.name)}"{_near(node.name, list(FILTERS))}')


def _check_test(node: Any) -> None:
    if node.name != "none":
        raise _Refused(f'unknown test "{_short(node.name)}"; one of: none')


def _check_const(node: Any) -> None:
    if isinstance(node.value, (int, float)) and not abs(node.value) <= _MAX_NUMBER:
        raise _Refused(f"a number must be at most {_MAX_NUMBER}")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "Name": _check_name,
    "Filter": _check_filter,
    "Test": _check_test,
    "Const": _check_const,
}


def _short(word: str) -> str:
    return word if len(word) < 60 else f"{word[:57]}..."


def _near(word: str, words: Sequence[str]) -> str:
    return nearest_words(_short(word), list(words))


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
        tuple(_parts(_compiled(template.text)(said | tried)))
