"""Words for people: the Jinja environment of rule texts.

Jinja is imported for rules that are not shipped: the texts of those are compiled ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from nginx_stream_lint.rules.conditions import Subjects
from nginx_stream_lint.rules.facts import FACTS, Facts
from nginx_stream_lint.rules.filters import (
    COMPRESSION,
    FILTERS,
    HOLDS,
    amount,
    duration,
    first_upper,
    listed,
    of_changes,
    of_clients,
)

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
    """For whom a stream stalls, or what would make it stall: `the stream stalls for …`."""
    if facts.value("stalled_clients"):
        return f"the stream stalls for {_affected(facts)}"
    if facts.value("replayed_clients"):
        return "nginx records what it buffers"
    changes = facts.value("breaking_changes")
    if changes:
        return f"the stream will stall {of_changes(changes)}"
    return "nothing holds the stream back today"


def _affected(facts: Facts) -> str:
    """The clients for which a stream stalls, in words."""
    always = facts.clients_with("stalls", "identity")
    compressed = facts.clients_with("stalls", "gzip")
    if set(always) >= set(compressed):
        return of_clients(always)
    everyone = len(compressed) == len(facts.usual_clients)
    some = "" if everyone else f"{of_clients(compressed).removesuffix(' clients')} "
    others = f"{some}clients that accept gzip"
    return f"{of_clients(always)} and for {others}" if always else others


def _held(facts: Facts) -> str:
    """How much is held, and how long the first text takes: `the proxy buffer holds 4 KB, so …`."""
    words = {name: text.format(family=facts.value("family")) for name, text in HOLDS.items()}
    stalled = [one for one in facts.usual if one.worst == "stalls"]
    plain = [one for one in stalled if one.scenario.accept_encoding == "identity"]
    compressing = [name for name in facts.value("holds") if name in COMPRESSION]
    parts: list[str] = []
    if plain:
        holds = dict.fromkeys(name for one in plain for name in facts.path.holds(one.scenario))
        worst = max(plain, key=lambda one: one.held_bytes or 0)
        parts.append(
            f"{listed([words[name] for name in holds])} {'hold' if len(holds) > 1 else 'holds'}"
            f" {amount(worst.held_bytes)}, so the first text arrives after about"
            f" {duration(worst.first_text_s)}"
        )
    if compressing:
        verb = "hold" if len(compressing) > 1 else "holds"
        parts.append(f"{listed(compressing)} {verb} the whole response until it ends")
    return "; ".join(parts)


def render(text: str, facts: Facts | Subjects, origin: Callable[[str], str]) -> str:
    """A rule's template with the facts it names.

    Besides facts a template may call `value("directive")` (what is in force) and
    `origin("directive")` (where that comes from), and use `delivery_words`: for whom the stream
    stalls, or what would make it stall, and `held_words`: a sentence about how much is held by
    what, empty where nothing is. `templates.mistake` knows what else they may say; what it lets
    pass does not fail here.
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
        if "held_words" in names:
            values["held_words"] = first_upper(_held(facts))
    return " ".join(rendered(values).split())
