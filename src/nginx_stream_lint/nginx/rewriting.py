"""The rewrite module: `rewrite`, `if`, `set`, `return` and `break`, in the order of the file.

Source: nginx's src/http/modules/ngx_http_rewrite_module.c and src/http/ngx_http_script.c.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NoReturn

from msgspec import Struct, field

from nginx_stream_lint.config import Directive, is_complete, statements
from nginx_stream_lint.nginx.levels import Level, cached_on_level, stands_always
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern
from nginx_stream_lint.nginx.uri import unescape_redirect
from nginx_stream_lint.nginx.variables import RequestState
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

_NAMES = frozenset(("rewrite", "return", "set", "break", "if"))
_SHOWN = 300  # characters of a URI in a step: there may be thousands of steps
_ABSOLUTE = ("http://", "https://", "$scheme")
REDIRECTS = (301, 302, 303, 307, 308)
# In older versions, a rewrite's argument escapes also affect later captures, and overrun buffers.
_ESCAPES_RESET: Version = (1, 31, 0)


class RewriteOutcome(Struct):
    """Result of the rewrite directives of a level.

    `entered` are the `if` blocks of a location that matched; the request is now in the last one.
    `status` is set if they responded: with `text` (or a redirect to it), otherwise with an error
    page. `changed`: a new location has to be found. `steps` are the directives that moved the
    request, `unknown` a condition that could not be evaluated.
    """

    entered: list[Level] = field(default_factory=list)
    status: int | None = None
    text: str | None = None
    changed: bool = False
    steps: list[tuple[str, Directive]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def _shortened(uri: str) -> str:
    return uri if len(uri) <= _SHOWN else f"{uri[:_SHOWN]}…"


class _Stop(Exception):
    """Stop running directives."""


def rewrite(level: Level, state: RequestState, version: Version) -> RewriteOutcome:
    """Run the rewrite directives of a server or location; changes `state`."""
    run = _Rewriter(state, version)
    if _program(level):
        with suppress(_Stop):
            run.level(level)
    return run.outcome


def _is_one_branch(directive: Directive, level: Level) -> bool:
    """Whether a template responds in one branch, and proxies in another."""
    hands_on = level.own_handler is not None or bool(level.children)
    return hands_on and not stands_always(directive, level)


@cached_on_level
def _program(level: Level) -> list[tuple[Directive, Level | None]]:
    """The rewrite directives of a level in order, and the level that an `if` opens."""
    conditional = {one.directive: one for one in level.children if one.kind.startswith("if")}
    if not conditional and _NAMES.isdisjoint(level.rows):
        return []
    return [
        (directive, conditional.get(directive))
        for directive in statements(level.block)
        if directive.name in _NAMES
        and is_complete(directive)
        and not (directive.name == "return" and _is_one_branch(directive, level))
    ]


class _Rewriter:
    """Runs the rewrite directives of one level."""

    def __init__(self, state: RequestState, version: Version) -> None:
        self.state = state
        self.version = version
        self.outcome = RewriteOutcome()
        # Captures get escapes until a first `rewrite` has matched,
        self.escape = True
        # and in old versions after one with arguments.
        self.spread = False

    def level(self, level: Level) -> None:
        """Run the directives of a level."""
        for directive, inner in _program(level):
            name = directive.name
            if name == "rewrite":
                self._rewrite(directive)
            elif name == "return":
                self._return(directive)
            elif name == "set" and len(directive.args) == 2:
                self._set(*directive.args)
            elif name == "break":
                self.outcome.changed = False
                raise _Stop
            elif inner is not None:
                self._if(directive, inner)

    def _stop(self, unknown: str) -> NoReturn:
        self.outcome.unknown.append(unknown)
        raise _Stop

    def _set(self, name: str, text: str) -> None:
        value = self._value(text)
        name = name.lstrip("$").lower()
        if name != "args":
            self.state.assign(name, text, value)
        elif value is None:
            self.outcome.unknown.append(f'the value of "{text}"')
        else:
            self.state.args = value

    def _value(self, text: str) -> str | None:
        """The value of a text in `set` or `if`; None if it is unknown."""
        plain = self.state.expand(text, self.escape)
        if self.spread and plain != self.state.expand(text, True):
            return None
        return plain

    def _if(self, directive: Directive, inner: Level) -> None:
        held = self._holds(directive)
        if held is None:
            self.outcome.unknown.append(
                f"whether if ({' '.join(directive.args)}) in"
                f" {directive.source.name}:{directive.line} is true; assumed false"
            )
        if held:
            if inner.kind == "if-in-location":
                self.outcome.entered.append(inner)
            self.level(inner)

    def _holds(self, directive: Directive) -> bool | None:
        """Whether the condition of an `if` is true; None if unknown."""
        state = self.state
        args = directive.args
        if len(args) == 2 and re.fullmatch(r"!?-[fdex]", args[0]):
            path = self._value(args[1])
            known = state.files is not None and path is not None
            if not known:
                self.outcome.unknown.append(
                    f"whether {args[1]} in {directive.source.name}:{directive.line} exists;"
                    " assumed missing"
                )
            there = (
                path is not None and state.files is not None and state.files.has(path, args[0][-1])
            )
            return there != args[0].startswith("!")
        value = state.value(args[0][1:]) if args and args[0].startswith("$") else None
        if value is None:
            return None
        if len(args) == 1:
            return value not in ("", "0")
        if len(args) != 3:
            return None
        operator, operand = args[1], args[2]
        if operator in ("=", "!="):
            wanted = self._value(operand)
            return None if wanted is None else (value == wanted) == (operator == "=")
        try:
            match = compile_pattern(operand, operator.endswith("*")).search(value)
        except Undecided:
            return None
        if match is None:
            state.captures = ()
        else:
            state.matched(match)
        return (match is not None) != operator.startswith("!")

    def _rewrite(self, directive: Directive) -> None:
        state = self.state
        source, replacement, *flags = directive.args
        try:
            match = compile_pattern(source).search(state.uri)
        except Undecided:
            self.outcome.unknown.append(f'whether "{source}" matches; assumed not to match')
            return
        if match is None:
            state.captures = ()
            return
        state.matched(match)
        state.internal = True
        flag = flags[0] if flags else ""
        keep_args = not replacement.endswith("?")
        replacement = replacement if keep_args else replacement[:-1]
        if replacement.startswith(_ABSOLUTE) or flag in ("redirect", "permanent"):
            self._redirect(directive, replacement, 301 if flag == "permanent" else 302, keep_args)
        path, question, query = replacement.partition("?")
        filled = state.fill((path, False), (query, True))
        if filled is None:
            self._stop(f'the value of "{replacement}"')
        if self.spread and state.quoted and filled != state.fill((path, True), (query, True)):
            self._stop(f'the value of "{replacement}": nginx writes past the end of a buffer')
        self.escape = False
        self.spread |= bool(question) and self.version < _ESCAPES_RESET
        state.uri, args = filled
        if question:
            state.args = f"{args}&{state.args}" if keep_args and state.args else args
        elif not keep_args:
            state.args = ""
        self.outcome.changed = flag != "break"
        self.outcome.steps.append((f"rewrite to {_shortened(state.uri)}", directive))
        if not state.uri:
            self.outcome.status = 500
            raise _Stop
        if flag in ("last", "break"):
            raise _Stop

    def _redirect(
        self, directive: Directive, replacement: str, status: int, keep_args: bool
    ) -> NoReturn:
        target = self.state.expand(replacement, True)
        if target is not None:
            target = unescape_redirect(target)
            if keep_args and self.state.args:
                target += ("&" if "?" in replacement else "?") + self.state.args
        self.outcome.status = status
        self.outcome.text = target or ""
        self.outcome.steps.append((f"rewrite returns {status}", directive))
        raise _Stop

    def _return(self, directive: Directive) -> None:
        first, *rest = directive.args
        outcome = self.outcome
        status = whole_number(first)
        outcome.status = 302 if status is None else status
        text = rest[0] if rest else (first if status is None else "")
        if text or outcome.status < 400:
            outcome.text = self.state.expand(text) or ""
        raise _Stop
