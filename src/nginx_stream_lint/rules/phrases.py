"""What several rules say of a stream, in words: phrases that templates can name."""

from __future__ import annotations

from collections.abc import Callable

from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.filters import (
    COMPRESSION,
    HOLDS,
    amount,
    duration,
    first_upper,
    listed,
    of_changes,
    of_clients,
)


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
    return first_upper("; ".join(parts))


PHRASES: dict[str, Callable[[Facts], str]] = {"delivery_words": _delivery, "held_words": _held}
