"""The language of a rule's templates: a small part of Jinja, checked before Jinja compiles it.

A template is text with facts, `if`, and a few filters. It has no loops, no assignments, no
attributes and no arithmetic, so it ends, it is no longer than what it names, and it reaches nothing
but facts. Every expression has kinds of values that it may give, and every use says which it takes:
what passes here does not fail when it is rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules.facts import FACTS
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.wording import environment
from nginx_stream_lint.streams.declarations import nearest

Kinds = frozenset[str]

_MAX_TEXT = 4000  # characters
_MAX_DEPTH = 20  # Python takes no more than a hundred levels of indentation
_MAX_NUMBER = 10**15

TEXT = frozenset({"text"})
NUMBER = frozenset({"number"})
TRUTH = frozenset({"true or false"})
LIST = frozenset({"a list"})
NUMBERS = frozenset({"a list of numbers"})
NOTHING = frozenset({"nothing"})
UNKNOWN = frozenset({"unknown"})

# What is in words already.
_PHRASES = ("delivery_words", "held_words")

# What stands in a text as it is.
_SAID = TEXT | NUMBER | NOTHING | UNKNOWN

# The kinds of facts, by their annotations.
_ANNOTATIONS = {
    "str": TEXT,
    "int": NUMBER,
    "float": NUMBER,
    "bool": TRUTH,
    "list[str]": LIST,
    "None": NOTHING,
    "Unknown": UNKNOWN,
}

# What a filter takes, its arguments, and what it gives.
_FILTERS: dict[str, tuple[Kinds, tuple[Kinds, ...], Kinds]] = {
    "amount": (NUMBER | NOTHING | UNKNOWN, (), TEXT),
    "changes": (LIST, (), TEXT),
    "clients": (LIST, (), TEXT),
    "duration": (NUMBER | NOTHING | UNKNOWN, (), TEXT),
    "int": (NUMBER, (), NUMBER),
    "length": (LIST, (), NUMBER),
    "listed": (LIST, (TEXT,), TEXT),
    "max": (NUMBERS, (), NUMBER),
    "sentence": (TEXT, (), TEXT),
    "without": (LIST, (TEXT,), LIST),
}
_MAY_HAVE_NONE = {"listed"}
_CALLS = ("value", "origin")

_HAS = (
    'facts, value("directive"), origin("directive"), delivery_words, held_words, if, ==, !=, <, >,'
    f" in, and, or, not, is none, ~, and the filters {', '.join(FILTERS)}"
)
# How people call what is refused.
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
    "Getattr": "an attribute",
    "Getitem": "[...]",
    "Mod": "%",
    "Mul": "*",
    "Neg": "-",
    "Pow": "**",
    "Sub": "-",
}


class _Refused(Exception):
    """What a template may not say."""


def fact_kinds(name: str) -> Kinds:
    """What values a fact may have."""
    written = str(FACTS[name].__annotations__["return"])
    return frozenset().union(*(_ANNOTATIONS[part] for part in written.split(" | ")))


def mistake(text: str, is_directive: Callable[[str], bool]) -> str | None:
    """What is wrong with a template; None if nothing is.

    `is_directive` tells the names that `value` and `origin` take.
    """
    if len(text) > _MAX_TEXT:
        return f"a template has at most {_MAX_TEXT} characters"
    if "{" not in text:
        return None
    from jinja2 import TemplateError

    try:
        _Checker(is_directive).statements(environment().parse(text).body, 0)
    except TemplateError as error:
        return f"no template: {error.message}"
    except RecursionError:
        return f"no template: it nests deeper than {_MAX_DEPTH}"
    except (ValueError, OverflowError):
        return "no template: a number that cannot be"
    except _Refused as refused:
        return str(refused)
    return None


def names(text: str) -> frozenset[str]:
    """The names that a template uses."""
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(environment().parse(text)))


def literal_text(text: str) -> str:
    """All that a template says by itself, whatever the facts are."""
    if "{" not in text:
        return text
    from jinja2 import nodes

    parsed = environment().parse(text)
    said = [one.data for one in parsed.find_all(nodes.TemplateData)]
    said += [str(one.value) for one in parsed.find_all(nodes.Const)]
    return " ".join(said)


class _Checker:
    """Walks a template; each method of an expression gives the kinds of values it may have."""

    def __init__(self, is_directive: Callable[[str], bool]) -> None:
        self.is_directive = is_directive

    def statements(self, body: Sequence[Any], depth: int) -> None:
        for node in body:
            kind = type(node).__name__
            if kind == "Output":
                for one in node.nodes:
                    if type(one).__name__ != "TemplateData":
                        self.takes(one, _SAID, "a text", depth)
            elif kind == "If":
                self.kinds(node.test, depth + 1)
                for branch in (node.body, node.elif_, node.else_):
                    self.statements(branch, depth + 1)
            else:
                raise self.unknown(node)

    def kinds(self, node: Any, depth: int) -> Kinds:
        """What an expression may be. Raises _Refused."""
        if depth > _MAX_DEPTH:
            raise _Refused(f"no template: it nests deeper than {_MAX_DEPTH}")
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.unknown(node)
        found: Kinds = method(node, depth + 1)
        return found

    def takes(self, node: Any, wanted: Kinds, what: str, depth: int) -> Kinds:
        """What an expression may be, where only some of that can be used."""
        found = self.kinds(node, depth)
        if found - wanted:
            wrong = " or ".join(sorted(found - wanted))
            raise _Refused(f"{what} cannot be made of {_named(node)}: it may be {wrong}")
        return found

    def unknown(self, node: Any) -> _Refused:
        kind = type(node).__name__
        word = _WORDS.get(kind, kind.lower())
        if kind == "Getattr":
            word = f".{node.attr}"
        return _Refused(f'"{word}" is not in the language of templates, which has {_HAS}')

    def _const(self, node: Any, _: int) -> Kinds:
        value = node.value
        if isinstance(value, bool):
            return TRUTH
        if isinstance(value, (int, float)):
            if not abs(value) <= _MAX_NUMBER:
                raise _Refused(f"a number above {_MAX_NUMBER}")
            return NUMBER
        return NOTHING if value is None else TEXT

    def _name(self, node: Any, _: int) -> Kinds:
        if node.name in FACTS:
            return fact_kinds(node.name)
        if node.name in _PHRASES:
            return TEXT
        known = [*FACTS, *_CALLS, *_PHRASES]
        if node.name in _CALLS:
            raise _Refused(f'{node.name} wants a directive: {node.name}("proxy_buffering")')
        raise _Refused(f'unknown name "{_short(node.name)}" in a template{_near(node.name, known)}')

    def _call(self, node: Any, _: int) -> Kinds:
        name = getattr(node.node, "name", None)
        if name not in _CALLS:
            raise _Refused(f"only {' and '.join(_CALLS)} can be called in a template")
        words = [getattr(argument, "value", None) for argument in node.args]
        others = node.kwargs or node.dyn_args or node.dyn_kwargs
        if len(words) != 1 or not isinstance(words[0], str) or others:
            raise _Refused(f'{name} wants the name of one directive: {name}("proxy_buffering")')
        if not self.is_directive(words[0]):
            known = _near(words[0], sorted(table()))
            raise _Refused(f'{name}: unknown directive "{_short(words[0])}"{known}')
        return TEXT

    def _filter(self, node: Any, depth: int) -> Kinds:
        if node.name not in _FILTERS:
            raise _Refused(f'unknown filter "{_short(node.name)}"{_near(node.name, _FILTERS)}')
        if node.node is None:
            raise _Refused(f'the filter "{node.name}" wants something to its left')
        taken, wanted, given = _FILTERS[node.name]
        if node.name in _MAY_HAVE_NONE and not node.args:
            wanted = ()
        if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) != len(wanted):
            raise _Refused(f'the filter "{node.name}" wants {len(wanted) or "no"} arguments')
        for argument, kinds in zip(node.args, wanted, strict=True):
            self.takes(argument, kinds, f'"{node.name}"', depth)
        self.takes(node.node, taken, f'"{node.name}"', depth)
        return given

    def _list(self, node: Any, depth: int) -> Kinds:
        if not node.items:
            raise _Refused("an empty list")
        for item in node.items:
            self.takes(item, NUMBER, "a list of numbers", depth)
        return NUMBERS

    def _test(self, node: Any, depth: int) -> Kinds:
        if node.name != "none" or node.args:
            raise _Refused(f'unknown test "{_short(node.name)}"; one of: none')
        self.kinds(node.node, depth)
        return TRUTH

    def _compare(self, node: Any, depth: int) -> Kinds:
        if len(node.ops) != 1:
            raise _Refused("a comparison is of two values; join several with and")
        (operand,) = node.ops
        if operand.op in ("eq", "ne"):
            self.kinds(node.expr, depth)
            self.kinds(operand.expr, depth)
        elif operand.op in ("in", "notin"):
            self.takes(node.expr, TEXT, '"in"', depth)
            if self.takes(operand.expr, LIST | TEXT, '"in"', depth) not in (LIST, TEXT):
                raise _Refused('"in" wants a list, or a text')
        else:
            self.takes(node.expr, NUMBER, "an order", depth)
            self.takes(operand.expr, NUMBER, "an order", depth)
        return TRUTH

    def _and(self, node: Any, depth: int) -> Kinds:
        return self.kinds(node.left, depth) | self.kinds(node.right, depth)

    _or = _and

    def _not(self, node: Any, depth: int) -> Kinds:
        self.kinds(node.node, depth)
        return TRUTH

    def _condexpr(self, node: Any, depth: int) -> Kinds:
        self.kinds(node.test, depth)
        # Without `else` there is no text.
        other = TEXT if node.expr2 is None else self.kinds(node.expr2, depth)
        return self.kinds(node.expr1, depth) | other

    def _concat(self, node: Any, depth: int) -> Kinds:
        for one in node.nodes:
            self.takes(one, _SAID, "a text", depth)
        return TEXT


def _named(node: Any) -> str:
    """How to speak of an expression."""
    name = getattr(node, "name", None)
    return f'"{_short(name)}"' if isinstance(name, str) else "this"


def _short(word: str) -> str:
    return word if len(word) < 60 else f"{word[:57]}..."


def _near(word: str, words: Sequence[str] | dict[str, Any]) -> str:
    return nearest(_short(word), list(words))
