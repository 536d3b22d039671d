"""The rewrite module: `rewrite`, `if`, `set`, `return` and `break`, in the order of the file.

Source: nginx's src/http/modules/ngx_http_rewrite_module.c and src/http/ngx_http_script.c.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pcre import compile_pattern
from nginx_stream_lint.nginx.variables import State

_ABSOLUTE = ("http://", "https://", "$scheme")


@dataclass(slots=True)
class Outcome:
    """What the rewrite directives of a level did.

    `level` is where the request is now: the level itself, or the last `if` in it that held.
    `status` is set where they answered: with `text` (or a redirect to it), else with an error page.
    `changed` tells that a new location has to be found. `steps` are the directives that moved the
    request, `unknown` what could not be decided.
    """

    level: Level
    status: int | None = None
    text: str | None = None
    changed: bool = False
    steps: list[tuple[str, Directive]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class _Stop(Exception):
    """No further directive is carried out."""


def rewrite(level: Level, state: State) -> Outcome:
    """Carry out the rewrite directives of a server or location; `state` is changed."""
    outcome = Outcome(level)
    with suppress(_Stop):
        _run(level.block, level, state, outcome)
    return outcome


def _run(block: list[Directive], level: Level, state: State, outcome: Outcome) -> None:
    for directive in statements(block):
        name = directive.name
        if name == "rewrite":
            _rewrite(directive, state, outcome)
        elif name == "return":
            _return(directive, state, outcome)
        elif name == "set" and len(directive.args) == 2:
            value = state.expand(directive.args[1])
            state.variables[directive.args[0].lstrip("$")] = value
        elif name == "break":
            outcome.changed = False
            raise _Stop
        elif name == "if" and directive.block is not None:
            inner = next((one for one in level.children if one.directive is directive), None)
            held = _holds(directive, state)
            if held is None:
                outcome.unknown.append(
                    f"whether if ({' '.join(directive.args)}) holds, in"
                    f" {directive.source.name}:{directive.line}; it is taken not to"
                )
            if held and inner is not None:
                if inner.kind == "if-in-location":
                    outcome.level = inner
                _run(directive.block, inner, state, outcome)


def _rewrite(directive: Directive, state: State, outcome: Outcome) -> None:
    source, replacement, *flags = directive.args
    pattern = compile_pattern(source)
    if pattern is None:
        outcome.unknown.append(f'what the regular expression "{source}" matches')
        return
    match = pattern.search(state.uri)
    if match is None:
        state.captures = ()
        return
    state.captures = match.captures
    state.variables |= match.named
    flag = flags[0] if flags else ""
    keep_args = not replacement.endswith("?")
    replacement = replacement if keep_args else replacement[:-1]
    if replacement.startswith(_ABSOLUTE) or flag in ("redirect", "permanent"):
        target = state.expand(replacement, _quote)
        if target is not None and keep_args and state.args:
            target += ("&" if "?" in replacement else "?") + state.args
        outcome.status = 301 if flag == "permanent" else 302
        outcome.text = target
        outcome.steps.append((f"rewrite answers {outcome.status}", directive))
        raise _Stop
    path, question, query = replacement.partition("?")
    uri, args = state.expand(path), state.expand(query)
    if uri is None or args is None:
        outcome.unknown.append(f'the replacement "{replacement}"')
        raise _Stop
    state.uri = uri
    if question:
        state.args = f"{args}&{state.args}" if keep_args and state.args else args
    elif not keep_args:
        state.args = ""
    state.internal = True
    outcome.changed = flag != "break"
    outcome.steps.append((f"rewrite to {uri}", directive))
    if not uri:
        outcome.status = 500
        raise _Stop
    if flag in ("last", "break"):
        raise _Stop


def _return(directive: Directive, state: State, outcome: Outcome) -> None:
    first, *rest = directive.args
    if first.isdigit():
        outcome.status = int(first)
        outcome.text = state.expand(rest[0]) if rest else None
        if outcome.text is None and (rest or outcome.status < 400):
            outcome.text = ""
    else:
        outcome.status = 302
        outcome.text = state.expand(first) or ""
    raise _Stop


def _quote(text: str) -> str:
    """A capture in a redirect, its special bytes encoded."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="/!$&'()*+,;=:@~-._")


def _holds(directive: Directive, state: State) -> bool | None:
    """Whether the condition of an `if` holds; None if nobody knows."""
    args = list(directive.args)
    if len(args) == 2 and re.fullmatch(r"!?-[fdex]", args[0]):
        return None  # files
    if not args or not args[0].startswith("$"):
        return None
    value = state.value(args[0][1:].strip("{}"))
    if value is None:
        return None
    if len(args) == 1:
        return value not in ("", "0")
    if len(args) != 3:
        return None
    operator, operand = args[1], args[2]
    if operator in ("=", "!="):
        wanted = state.expand(operand)
        return None if wanted is None else (value == wanted) == (operator == "=")
    pattern = compile_pattern(operand, operator.endswith("*"))
    if pattern is None:
        return None
    match = pattern.search(value)
    if match is None:
        state.captures = ()
    else:
        state.captures = match.captures
        state.variables |= match.named
    return (match is not None) != operator.startswith("!")
