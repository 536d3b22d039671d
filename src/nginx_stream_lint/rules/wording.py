"""Words for people: the Jinja environment of rule texts.

Jinja is imported for rules that are not shipped: the texts of those are compiled ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from nginx_stream_lint.rules.conditions import Subjects
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.filters import FILTERS, HOLDS, listed, of_changes, of_clients

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment


@cache
def environment() -> ImmutableSandboxedEnvironment:
    """Where rule texts are rendered: nothing outside to reach, undefined names are errors."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
    env.globals = {}
    env.filters = dict(FILTERS)
    env.tests = {"none": env.tests["none"]}
    return env


@lru_cache(1024)  # by the rules, not by what is checked
def _template(text: str) -> tuple[Collection[str], Callable[[dict[str, Any]], str]]:
    """The names that a template uses, and what renders it with their values.

    Those of the shipped rules are Python already; Jinja reads all others.
    """
    from nginx_stream_lint.rules.templates_compiled import TEMPLATES

    made = TEMPLATES.get(text)
    if made is not None:
        return made
    from jinja2 import meta

    env = environment()
    return meta.find_undeclared_variables(env.parse(text)), env.from_string(text).render


def _delivery(facts: Facts) -> str:
    stalled = facts.value("stalled_clients")
    if stalled:
        holds = [HOLDS[hold].format(family=facts.value("family")) for hold in facts.value("holds")]
        verb = "holds" if len(holds) == 1 else "hold"
        return f"the stream stalls for {of_clients(stalled)}: {listed(holds)} {verb} it back"
    if facts.value("replayed_clients"):
        return "what is buffered is recorded"
    changes = facts.value("breaking_changes")
    if changes:
        return f"the stream gets through today, and stalls as soon as {of_changes(changes)}"
    return "nothing holds the stream back today"


def render(text: str, facts: Facts | Subjects, origin: Callable[[str], str]) -> str:
    """A rule's template with the facts it names.

    Besides facts a template may call `value("directive")` (what is in force) and
    `origin("directive")` (where that comes from), and use `delivery_words`: for whom the stream
    stalls, held by what, or what would make it stall. `templates.mistake` knows what else they may
    say; what it lets pass does not fail here.
    """
    if "{" not in text:
        return " ".join(text.split())
    names, rendered = _template(text)
    values: dict[str, Any] = {name: facts.value(name) for name in names if name in FACTS}
    values["origin"] = origin
    if isinstance(facts, Facts):
        values["value"] = lambda name: facts.effective(name).text if facts.has(name) else ""
        values["origin"] = lambda name: origin(name) if facts.has(name) else "nowhere"
        if "delivery_words" in names:
            values["delivery_words"] = _delivery(facts)
    return " ".join(rendered(values).split())
