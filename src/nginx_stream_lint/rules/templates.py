"""Render the templates of rule texts with Jinja.

They are a small part of Jinja; `template_check.py` says which. If a template still fails, for
example because it prints a list without `listed`, the error is a mistake in the rule, with its
place.

Jinja is imported on the first rendering, because that takes 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.rules import jinja
from nginx_stream_lint.rules.conditions import Subjects
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.messages import PHRASES, origin
from nginx_stream_lint.rules.rule import Template
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    from jinja2.nativetypes import NativeEnvironment

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
        return tuple(parts(compiled(text)(values)))
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


def plain(rendered: Parts, words: Callable[[str], str] = str) -> str:
    """Join parts to one text; `words` returns the origin of the named directive's value.

    White space is normalized to single blanks, as in the folded YAML that it comes from.
    """
    said = (part if isinstance(part, str) else words(part.name) for part in rendered)
    return " ".join("".join(said).split())


def parts(values: Iterable[object]) -> Iterable[str | Origin]:
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
    env.filters = dict(FILTERS)
    env.tests = {"none": env.tests["none"]}
    return env


@lru_cache(1024)  # rules have few templates, whatever the checked files contain
def compiled(text: str) -> Callable[[dict[str, Any]], Iterable[object]]:
    """A template compiled by Jinja: it yields its text value by value."""
    compiled = environment().from_string(text)
    return lambda values: compiled.root_render_func(compiled.new_context(values))
