"""Phrases for messages: named parts of sentences, and the origins of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nginx_stream_lint.config import Directive, File
from nginx_stream_lint.config.deployed import Deployed, version_words
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.rules.facts.base import Facts, holder
from nginx_stream_lint.rules.facts.delivery import (
    clients_with,
    delivery_path,
    usual_deliveries,
)
from nginx_stream_lint.rules.facts.location import usual_clients
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
from nginx_stream_lint.streams.detect import ProxiedLocation

_LONGEST_PATH = 24  # characters of a path in a message
# Replaces a directive's name if the upstream is unknown; see `doubted`.
UNKNOWN_UPSTREAM = "the upstream"


def _delivery(facts: Facts) -> str:
    """Which clients stall, or what would make them stall: `the stream stalls for …`."""
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
    always = clients_with(facts, "stalls", "identity")
    compressed = clients_with(facts, "stalls", "gzip")
    if set(always) >= set(compressed):
        return of_clients(always)
    everyone = len(compressed) == len(usual_clients(facts))
    some = "" if everyone else f"{of_clients(compressed).removesuffix(' clients')} "
    others = f"{some}clients that accept gzip"
    return f"{of_clients(always)} and for {others}" if always else others


def _held(facts: Facts) -> str:
    """How much is held and for how long: `the proxy buffer holds 4 KB, so …`."""
    words = {name: text.format(family=facts.value("family")) for name, text in HOLDS.items()}
    stalled = [one for one in usual_deliveries(facts) if one.worst == "stalls"]
    plain = [one for one in stalled if one.scenario.accept_encoding == "identity"]
    compressing = [name for name in facts.value("holds") if name in COMPRESSION]
    parts: list[str] = []
    if plain:
        holds = dict.fromkeys(
            name for one in plain for name in delivery_path(facts).holds(one.scenario)
        )
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


# The parts of a sentence that templates can name; `PHRASE_READS` has the facts that each reads.
PHRASES: dict[str, Callable[[Facts], str]] = {"delivery_words": _delivery, "held_words": _held}


def origin(
    level: Level, name: str, version: Version, word: str = "", running: Sequence[Deployed] = ()
) -> str:
    """Describe where the value of a directive in force at a level comes from.

    If there are several rows, describe the first one with `word` among its arguments. `running` are
    the nginx of the deployment, if they determine the `version`.
    """
    effective = holder(level, name).effective(name, version)
    if not effective.directives:
        return default_words(name, version, running, _end_of)
    rows = effective.directives
    directive = next((one for one in rows if word and word in map(str.lower, one.args)), rows[0])
    author = directive.file.reading.author
    if author is not None and not directive.is_written:
        assumed = ", the assumed controller" if author.assumed else ""
        return f"default of {author.name}{assumed}"
    if effective.origin == "explicit" and directive.file is _home(level):
        return "set here"
    return f"set in {_place(directive)}"


def default_words(
    name: str,
    version: Version,
    running: Sequence[Deployed],
    shown: Callable[[str], str] = str,
) -> str:
    """Describe a default of this version: `default of nginx 1.27 (compose.yaml:4)`.

    Only `default` if it is the same in all versions, or if no nginx of the deployment has it.
    `shown` shortens the path of a file.
    """
    entry = table().get(name)
    if entry is None or not entry.default_changed:
        return "default"
    having: dict[str, None] = {}
    floating: dict[str, None] = {}
    value = entry.default(version, in_stream=False)
    for one in running:
        values = {entry.default(each, in_stream=False) for each in one.versions}
        if value in values:
            (having if len(values) == 1 else floating)[version_words(one, shown)] = None
    if having:
        first, *others = having
        more = f" and {len(others)} other{'s' if len(others) > 1 else ''}" if others else ""
        return f"default of {first}{more}"
    if floating:
        side, other = ("since", "older") if version >= NEW else ("before", "newer")
        return f"default {side} {'.'.join(map(str, NEW))}; {next(iter(floating))} may be {other}"
    return "default"


def _place(directive: Directive) -> str:
    """The place of a directive, as written in messages."""
    return f"{_end_of(directive.source.name)}:{directive.line}"


def _end_of(path: str) -> str:
    """The last parts of a path, as many as a message has room for."""
    if len(path) <= _LONGEST_PATH:
        return path
    parts = path.split("/")
    end = parts.pop()
    while parts and len(end) + len(parts[-1]) < _LONGEST_PATH:
        end = f"{parts.pop()}/{end}"
    return f".../{end}" if parts else end


def _home(level: Level) -> File | None:
    """The file that contains a level's block; directives from its includes are not set there."""
    if level.directive is not None:
        return level.directive.file
    return None if level.own_handler is None else level.own_handler.directive.file


def doubted(proxied: ProxiedLocation, name: str, version: Version) -> str:
    """Explain why an error is only a warning: what may set a directive unseen."""
    directive: Directive | None = proxied.handler.directive
    if name != UNKNOWN_UPSTREAM:
        directive = holder(proxied.level, name).effective(name, version).unknown_by
    assert directive is not None
    because = "Reported as a warning because"
    if directive is proxied.handler.directive:
        return f"{because} the upstream is unknown"
    if directive.name == "include":
        return f"{because} the contents of {_end_of(directive.args[0])} are unknown"
    home = _home(proxied.level)
    is_here = home is not None and directive.source is home.source
    place = f"line {directive.line}" if is_here else _place(directive)
    if directive.unknown:
        return f"{because} the template may change the settings at {place}"
    return f"{because} the template decides the value of {directive.name} ({place})"
