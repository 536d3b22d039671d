"""What nginx refuses for reasons beyond syntax, as far as the directives that matter go.

Values that are no times, sizes or flags; one-value directives written twice; locations that cannot
be where they are. Message texts follow nginx's, so that people recognize them.
"""

from __future__ import annotations

from nginx_stream_lint.config import Directive, Problem
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.values import seconds, size

_ADVICE = "nginx refuses this configuration"


def refusals(root: Level) -> list[Problem]:
    """Everything nginx would refuse at any level, in the order of the file."""
    found: list[Problem] = []
    seen: set[int] = set()  # a file included twice is wrong once

    def say(directive: Directive, message: str) -> None:
        if id(directive) not in seen:
            seen.add(id(directive))
            found.append(directive.source.problem(directive.start, message, _ADVICE))

    entries = table()
    for level in root.walk():
        for name, rows in level.rows.items():
            entry = entries.get(name)
            if entry is None:
                continue
            if len(rows) > 1 and entry.merge == "nearest" and not entry.joins:
                say(rows[1], f'"{name}" directive is duplicate')
            for row in rows:
                reason = _bad_value(name, row.args, entry.value)
                if reason:
                    say(row, reason)
        _locations(level, say)
    return found


def _bad_value(name: str, args: tuple[str, ...], kind: str) -> str | None:
    if not args or "$" in args[0]:
        return None
    value = args[0]
    if kind == "flag":
        if value.lower() not in ("on", "off"):
            return f'invalid value "{value}" in "{name}" directive, it must be "on" or "off"'
    elif (
        (kind == "time" and seconds(value) is None)
        or (kind == "size" and size(value) is None)
        or (kind == "number" and not value.isdigit())
    ):
        return f'"{name}" directive invalid value "{value}"'
    return None


def _locations(level: Level, say: object) -> None:
    assert callable(say)
    names: set[tuple[bool, str]] = set()
    outer = match_of(level) if level.kind == "location" and level.directive is not None else None
    for child in level.children:
        if child.kind != "location" or child.directive is None:
            continue
        match = match_of(child)
        args = child.directive.args
        if len(args) > 1 and match.modifier not in ("=", "^~", "~", "~*"):
            say(child.directive, f'invalid location modifier "{args[0]}"')
            continue
        if outer is not None and level.directive is not None:
            inside = level.directive.args[-1]
            if outer.modifier == "=":
                message = f'location "{match.pattern}" cannot be inside the exact location'
                say(child.directive, f'{message} "{inside}"')
            elif outer.modifier == "@":
                message = f'location "{match.pattern}" cannot be inside the named location'
                say(child.directive, f'{message} "{inside}"')
            elif match.modifier == "@":
                message = f'named location "@{match.pattern}" can be on the server level only'
                say(child.directive, message)
            elif not match.is_regex and not match.pattern.startswith(outer.pattern):
                message = f'location "{match.pattern}" is outside location "{outer.pattern}"'
                say(child.directive, message)
        if not match.is_regex:
            # `=` and prefix locations of one name live side by side.
            key = (match.modifier == "=", f"{match.modifier == '@'}{match.pattern}")
            if key in names:
                say(child.directive, f'duplicate location "{match.pattern}"')
            names.add(key)
