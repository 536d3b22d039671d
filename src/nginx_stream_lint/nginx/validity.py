"""Configurations that nginx refuses for reasons other than syntax, for relevant directives.

Invalid times, sizes and flags; forbidden repetitions; locations, conditions and targets that are
invalid or misplaced. Messages follow nginx's, so that users recognize them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nginx_stream_lint.config import Directive, Problem, has_placeholder
from nginx_stream_lint.nginx.buffer_sizes import MismatchedBuffers
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.duplicate_listen import duplicate_listens
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.undefined_names import report_undefined
from nginx_stream_lint.nginx.values import MOST_STATUS
from nginx_stream_lint.nginx.version_support import is_of_another_family, unsupported_in
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

_ADVICE = "correct it, because nginx rejects this configuration"

# Directives that apply to their own level only, and may occur once there.
_ONCE = frozenset(
    {"keepalive", "try_files", "worker_connections", "worker_processes", "worker_shutdown_timeout"}
)
_BLOCKS_ONCE = ("events", "http", "stream")

# ngx_parse_time, for directives that count milliseconds (all times of the table do): no years, no
# months. Units must decrease; a number without one, or with a space after it, is seconds and must
# be the last; an empty number counts as 0.
_TIME = (
    r"(?=.*[0-9])(?:[0-9]*w *)?(?:[0-9]*d *)?(?:[0-9]*h *)?(?:[0-9]*m(?!s) *)?"
    r"(?:[0-9]*s *(?:[0-9]*ms *)?|[0-9]*ms *|[0-9]* +)?[0-9]*"
)
_SIZE = r"[0-9]+[kKmM]?"
_OFFSET = r"[0-9]+[kKmMgG]?"
_NUMBER = r"[0-9]+"
_URL = re.compile(r"https?://(.*)", re.DOTALL | re.IGNORECASE)
# The rest after http:// if it has more than a host or a socket.
_URI = r"(?s)unix:[^:]*:.+|(?!unix:)[^/?]*[/?].*"
_OVERFLOW = r"[1-9][0-9]{19}"
_UNITS = {"time": "wdhms", "size": "kKmM", "offset": "kKmMgG", "number": ""}
_MOST_DIGITS = 20  # with more, a number may be too large
_PATTERNS = {"time": _TIME, "size": _SIZE, "offset": _OFFSET, "number": _NUMBER}
_KINDS = {"flag", *_PATTERNS}

# nginx stops at the first problem. Further ones are mostly repetitions.
_MAX_REFUSALS = 100

_Say = Callable[[Directive, str], None]


def refusals(root: Level, version: Version | None = None) -> list[Problem]:
    """Everything that nginx would refuse at any level, in file order.

    Problems of only some versions are included if the version is known.
    """
    found: list[Problem] = []
    seen: set[int] = set()  # a file included twice is wrong once

    def say(directive: Directive, message: str) -> None:
        if id(directive) not in seen:
            seen.add(id(directive))
            found.append(directive.source.problem(directive.start, message, _ADVICE))

    entries = table()
    lacking = unsupported_in(version)
    mismatched = MismatchedBuffers()
    right: set[tuple[str, str]] = set()  # values that were already checked
    for level in root.walk():
        if len(found) >= _MAX_REFUSALS:
            break
        for name, rows in level.rows.items():
            entry = entries.get(name)
            if entry is None:
                if "_" in name and is_of_another_family(name):
                    say(rows[0], f'unknown directive "{name}"')
                continue
            if len(rows) > 1 and (
                name in _ONCE or (entry.merge in ("nearest", "handler") and not entry.joins)
            ):
                # Only one branch of a template exists at a time.
                sure = [row for row in rows if row not in level.unknowns]
                if len(sure) > 1:
                    say(sure[1], f'"{name}" directive is duplicate')
            if entry.value not in _KINDS:
                continue
            for row in rows:
                if not row.args or (name, row.args[0]) in right:
                    continue
                reason = _bad_value(name, row.args[0], entry.value)
                if reason:
                    say(row, reason)
                else:
                    right.add((name, row.args[0]))
        if level.kind == "main":
            _blocks(level, say)
        if level.children:
            _locations(level, say)
        _condition(level, say)
        _target(level, say)
        _status(level, say)
        lacking.say_which(level, say)
        mismatched.look_at(level, say)
    duplicate_listens(root, say)
    report_undefined(root, say)
    return found[:_MAX_REFUSALS]


def _bad_value(name: str, value: str, kind: str) -> str | None:
    if "$" in value or has_placeholder(value):
        return None
    if kind == "flag":
        if value.lower() not in ("on", "off"):
            return f'invalid value "{value}" in "{name}" directive, it must be "on" or "off"'
    elif _is_usual(value, kind):
        return None
    elif not re.fullmatch(_PATTERNS[kind], value) or re.search(_OVERFLOW, value):
        return f'"{name}" directive invalid value "{value}"'
    return None


def _is_usual(value: str, kind: str) -> bool:
    """Whether a value is a number with at most one unit, as nearly all are."""
    digits = value[:-1] if value[-1:] in _UNITS[kind] else value
    return digits.isascii() and digits.isdecimal() and len(digits) < _MOST_DIGITS


def _blocks(level: Level, say: _Say) -> None:
    for kind in _BLOCKS_ONCE:
        twice = [child.directive for child in level.children if child.kind == kind][1:]
        for directive in twice:
            if directive is not None:
                say(directive, f'"{kind}" directive is duplicate')


def _status(level: Level, say: _Say) -> None:
    for row in level.rows.get("return", ()):
        if row.args and (whole_number(row.args[0]) or 0) > MOST_STATUS:
            say(row, f'invalid return code "{row.args[0]}"')


def _target(level: Level, say: _Say) -> None:
    """Check a target. Source: `ngx_http_proxy_pass`.

    If no prefix matched, a URI cannot replace anything.
    """
    rows = level.rows.get("proxy_pass")
    if not rows or level.kind not in ("location", "if-in-location", "limit_except"):
        return
    no_prefix = level.kind != "location" or match_of(level).modifier in ("~", "~*", "@")
    for row in rows:
        if not row.args or "$" in row.args[0] or has_placeholder(row.args[0]):
            continue
        url = _URL.match(row.args[0])
        if url is None:
            say(
                row,
                f'invalid URL prefix in "proxy_pass {row.args[0]}", it must be http:// or https://',
            )
        elif no_prefix and re.fullmatch(_URI, url[1]):
            say(
                row,
                '"proxy_pass" cannot have URI part in location given by regular expression, or'
                ' inside named location, or inside "if" statement, or inside "limit_except" block',
            )


def _condition(level: Level, say: _Say) -> None:
    directive = level.directive
    if directive is not None and directive.name == "if":
        error = condition_error(directive.words)
        if error is not None:
            say(directive, error)


def condition_error(words: Sequence[str]) -> str | None:
    """What nginx says about the words of an `if` that are no condition; None if they may be one.

    Regular expressions are not checked. Source: `ngx_http_rewrite_if_condition`.
    """
    if not words or any(has_placeholder(word) for word in words):
        return None  # a wrong number of arguments is reported elsewhere
    if not words[0].startswith("("):
        return f'invalid condition "{words[0]}"'
    if not words[-1].endswith(")"):
        return f'invalid condition "{words[-1]}"'
    inner = [words[0][1:], *words[1:]]
    inner[-1] = inner[-1][:-1]
    inner = inner[len(inner) > 1 and not inner[0] :]
    inner = inner[: len(inner) - (len(inner) > 1 and not inner[-1])]
    first = inner[0]
    if first.startswith("$") and len(first) > 1:
        fits = len(inner) in (1, 3)
        if len(inner) == 3 and inner[1] not in ("=", "!=", "~", "~*", "!~", "!~*"):
            return f'unexpected "{inner[1]}" in condition'
    else:
        fits = len(inner) == 2 and re.fullmatch(r"!?-[fdex]", first) is not None
    return None if fits else f'invalid condition "{first}"'


def _locations(level: Level, say: _Say) -> None:
    names: set[tuple[bool, str]] = set()
    outer = match_of(level) if level.kind == "location" and level.directive is not None else None
    if outer is not None and has_placeholder(outer.pattern):
        outer = None
    for child in level.children:
        if child.kind != "location" or child.directive is None:
            continue
        if any(has_placeholder(arg) for arg in child.directive.args):
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
        if not match.is_regex and match.modifier != "@":
            # `=` and prefix locations of one name may coexist, and so may named ones.
            key = (match.modifier == "=", match.pattern)
            if child.directive.is_conditional:
                continue
            if key in names:
                say(child.directive, f'duplicate location "{match.pattern}"')
            names.add(key)
