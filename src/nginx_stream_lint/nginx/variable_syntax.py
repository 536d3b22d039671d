"""Find the variables in a text of the configuration: `$name`, `${name}`, and `$1` for a capture."""

from __future__ import annotations

import re

_VARIABLE = r"(?a)\$(?:([1-9])|\{(\w+)\}|(\w+))"


def variables_in(text: str) -> list[str]:
    """The names of the variables in a text, in lower case."""
    return [name.lower() for _, name in pieces(text) if name]


def without_variables(text: str) -> str:
    """Remove the variables from a text."""
    return "".join(literal for literal, _ in pieces(text))


def pieces(text: str) -> list[tuple[str, str]]:
    """Split a text into literals, each with the name of the next variable; the last one with ``."""
    found: list[tuple[str, str]] = []
    at = 0
    for match in re.finditer(_VARIABLE, text):
        found.append((text[at : match.start()], match[1] or match[2] or match[3]))
        at = match.end()
    return [*found, (text[at:], "")]
