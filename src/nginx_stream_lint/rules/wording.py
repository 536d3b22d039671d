"""Words for people: the Jinja environment of rule texts, and its filters.

Jinja is imported for rules that are not shipped: the texts of those are compiled ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from nginx_stream_lint.rules.conditions import Subjects, Unknown
from nginx_stream_lint.rules.facts import FACTS, Facts

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

CLIENTS = {"h1": "plain HTTP/1.1", "h1-tls": "HTTP/1.1-over-TLS", "h2": "HTTP/2"}
HOLDS = {
    "upstream-buffer": "the {family} buffer",
    "gzip": "gzip (for clients that accept it)",
    "brotli": "brotli (for clients that accept it)",
    "body-filter": "the Lua or njs body filter",
    "tls-buffer": "the TLS write buffer (ssl_buffer_size)",
}
CHANGES = {
    "close": "the app ends its answer by closing instead of chunking",
    "gzip": "a client accepts compression",
    "h1-tls": "TLS is added for HTTP/1.1 clients",
}


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(words)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def of_clients(clients: Sequence[str]) -> str:
    """`plain HTTP/1.1 and HTTP/2 clients`."""
    if set(clients) == set(CLIENTS):
        return "every client"
    return f"{listed([CLIENTS.get(client, client) for client in clients])} clients"


def of_changes(names: Sequence[str]) -> str:
    """What would have to happen: `the app ends its answer by closing … or …`."""
    return listed([CHANGES.get(name, name) for name in names], "or")


def without(words: Sequence[str], word: str) -> list[str]:
    """The words but this one."""
    return [one for one in words if one != word]


def duration(number: float | Unknown | None) -> str:
    """Seconds as a person writes them: `0.6 s`, `90 s`, `5 min`, `2 h`."""
    if number is None:
        return "the end of the answer"
    if isinstance(number, Unknown):
        return str(number)
    for unit, name in ((3600, "h"), (60, "min")):
        if number >= 2 * unit and number % unit == 0:
            return f"{number / unit:g} {name}"
    return f"{number:g} s"


def amount(number: float | Unknown | None) -> str:
    """Bytes as a person writes them: `4 KB`, `900 bytes`."""
    if number is None:
        return "the whole answer"
    if isinstance(number, Unknown):
        return str(number)
    if number >= 1024 and number % 1024 == 0:
        return f"{number // 1024} KB"
    return f"{number} bytes"


def whole(number: float) -> float:
    """A number without its fraction; infinity as it is."""
    return int(number) if isfinite(number) else number


# What a template can do with a value; `templates.py` says with which.
FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount,
    "changes": of_changes,
    "clients": of_clients,
    "duration": duration,
    "int": whole,
    "length": len,
    "listed": listed,
    "max": max,
    "without": without,
}


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


@cache
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
