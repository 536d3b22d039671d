"""Variables in compose files and in environment files (`.env`, `env_file`).

Compose also inserts the shell's variables, which no file contains: a variable without a value is
unknown, and becomes a `PLACEHOLDER`. If the text has a default, that is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nginx_stream_lint.config.mapped_text import PLACEHOLDER

_MAX_DEPTH = 16  # nested defaults
# A value of more characters is unknown: each of 60 variables may be twice the one before.
MAX_VALUE = 16_384
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*(?:[=:][ \t]*|(?=\r?$))")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "'": "'"}

Values = Mapping[str, str | None]


def interpolated(text: str, values: Values, missing: set[str] | None = None) -> str:
    """The text with variables put in, `PLACEHOLDER` for unknown ones; their names go to `missing`.

    >>> interpolated("nginx:${TAG:-1.27}-$$x", {})
    'nginx:1.27-$x'
    """
    if "$" not in text:
        return text
    return _interpolated(text, values, set() if missing is None else missing, 0, "$")


def substituted(text: str, values: Values) -> str:
    """A word of a Dockerfile with variables inserted, `PLACEHOLDER` for unknown ones."""
    return _interpolated(text, values, set(), 0, "\\") if "$" in text else text


def _interpolated(text: str, values: Values, missing: set[str], depth: int, escape: str) -> str:
    parts: list[str] = []
    at = length = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0 or depth > _MAX_DEPTH:
            parts.append(text[at:] if depth <= _MAX_DEPTH else PLACEHOLDER)
            return "".join(parts)
        before = text[at:dollar]
        if escape == "$" and text.startswith("$$", dollar):
            parts.append(f"{before}$")
            at = dollar + 2
            continue
        if escape == "\\" and before.endswith("\\"):
            parts.append(f"{before[:-1]}$")
            at = dollar + 1
            continue
        parts.append(before)
        length += len(parts[-1]) + (len(parts[-2]) if len(parts) > 1 else 0)
        if length > len(text) + MAX_VALUE:
            return PLACEHOLDER
        if text.startswith("${", dollar):
            end = _closing(text, dollar + 2)
            if end < 0:
                parts.append(PLACEHOLDER)
                return "".join(parts)
            parts.append(_value(text[dollar + 2 : end], values, missing, depth, escape))
            at = end + 1
            continue
        name = _NAME.match(text, dollar + 1)
        if name is None:
            parts.append("$")
            at = dollar + 1
        else:
            parts.append(_plain(name[0], values, missing))
            at = name.end()


def _closing(text: str, offset: int) -> int:
    """The offset of the brace that closes one opened before `offset`; -1 if there is none."""
    depth = 1
    for brace in re.finditer(r"\$\{|\}", text[offset:]):
        depth += 1 if brace[0] == "${" else -1
        if depth == 0:
            return offset + brace.start()
    return -1


def _plain(name: str, values: Values, missing: set[str]) -> str:
    value = values.get(name)
    if value is None:
        missing.add(name)
        return PLACEHOLDER
    return value


def _value(inside: str, values: Values, missing: set[str], depth: int, escape: str) -> str:
    """The value of `${inside}`."""
    name = _NAME.match(inside)
    if name is None:
        return PLACEHOLDER
    rest = inside[name.end() :]
    if not rest:
        return _plain(name[0], values, missing)
    operator = next((one for one in _OPERATORS if rest.startswith(one)), None)
    if operator is None:  # such as the shell's ${NAME%suffix}
        missing.add(name[0])
        return PLACEHOLDER
    word = rest[len(operator) :]
    is_known = name[0] in values
    value = values.get(name[0])
    if is_known and value is None:
        missing.add(name[0])
        return PLACEHOLDER
    is_set = value is not None and (value != "" or operator[0] != ":")
    if operator.endswith("-"):
        if is_set:
            return value or ""
        return _interpolated(word, values, missing, depth + 1, escape)
    if operator.endswith("?"):
        if is_set:
            return value or ""
        missing.add(name[0])
        return PLACEHOLDER
    if value is None:
        missing.add(name[0])
        return PLACEHOLDER
    return _interpolated(word, values, missing, depth + 1, escape) if is_set else ""


def read_variables(
    text: str,
    values: Values | None = None,
    raw: bool = False,
    lines_of: dict[str, int] | None = None,
) -> dict[str, str | None]:
    """The variables of a file of variables; None for an unknown value.

    `values` are variables that others may refer to; `raw` leaves values as they are written. The
    value of a name without `=` comes from the shell, and is unknown. `lines_of` gets the line of
    each.

    >>> read_variables("A=1 # one\\nexport B='$A'\\nC=\\"${A}2\\"")
    {'A': '1', 'B': '$A', 'C': '12'}
    """
    found: dict[str, str | None] = {}
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].rstrip("\r")
        at += 1
        match = _LINE.match(line)
        if line.lstrip().startswith("#") or match is None:
            continue
        name, rest = match[1], line[match.end() :]
        if lines_of is not None:
            lines_of[name] = at
        if match[0].rstrip()[-1:] not in ("=", ":"):
            found[name] = None
            continue
        if raw:
            found[name] = rest
            continue
        if rest[:1] in ("'", '"'):
            quote, body = rest[0], rest[1:]
            while (end := _end_of_quote(body, quote)) < 0 and at < len(lines):
                body += "\n" + lines[at].rstrip("\r")
                at += 1
            body = body if end < 0 else body[:end]
            if quote == "'":
                found[name] = body
                continue
            rest = re.sub(r"\\(.)", lambda one: _escape(one[1]), body)
        else:
            rest = re.sub(r"(?:^|[ \t]+)#.*", "", rest).strip()
        value = _interpolated(rest, {**(values or {}), **found}, set(), 0, "\\")
        found[name] = None if PLACEHOLDER in value or len(value) > MAX_VALUE else value
    return found


def _escape(character: str) -> str:
    return "\\$" if character == "$" else _ESCAPES.get(character, f"\\{character}")


def _end_of_quote(text: str, quote: str) -> int:
    for match in re.finditer(r"\\.|['\"]", text):
        if match[0] == quote:
            return match.start()
    return -1
