"""Escape untrusted text for each place it is written to: terminal, log, JSON, XML.

File names, location names and what is quoted from files come from strangers. Each place has one
function, called where the text leaves: after it no character moves a cursor, reorders a line or
starts a command of the program that shows the text.
"""

from __future__ import annotations

import re

# What stands around a placeholder in a word. These are noncharacters, kept by Unicode for such use
# inside a program; no file has them. They go where text leaves (`source.without_marks`).
MARKS = "\ufdd0\ufdd1"

# The colours and the bold type of our own reports.
_BEHIND_ESCAPE = r"\[(?:[01]|22|[39][0-7])m"
_STYLE = rf"\x1b{_BEHIND_ESCAPE}"
_STYLES = rf"(?:{_STYLE})*"
_ODD = re.compile(rf"[^\n\t\x1b -~]|\x1b(?!{_BEHIND_ESCAPE})")
_NEVER_SHOWN = re.compile(r"[^\n -~]")
# GitHub's runner looks for `::` where a line begins, and GitHub's and Azure's for `##[` and
# `##vso[` anywhere. Colours may be taken out behind us.
_COMMAND = rf"(?m)^((?:{_STYLE}|[^\x21-\x7e\n])*):(?={_STYLES}:)"
_OLD_COMMAND = rf"#(?={_STYLES}#{_STYLES}(?:v{_STYLES}s{_STYLES}o{_STYLES})?\[)"
_IN_COMMAND = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_OLD_COMMAND_JSON = r"#(?=#(?:vso)?\[)"


def printable(text: str, limit: int | None = None) -> str:
    """Text in which what nobody can see is escaped as in Python, line ends and tabs included."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 3] + "..."
    return text if text.isprintable() else "".join(map(_shown, text))


def shown_line(line: str) -> str:
    """A line of a file, in which tabs stay."""
    return line if line.isprintable() else "\t".join(map(printable, line.split("\t")))


def terminal(text: str, commands: bool = False) -> str:
    """Lines for a terminal or for the log of a job; tabs and our own colours stay.

    `commands`: the lines are workflow commands, made of escaped parts.
    """
    # A regular expression alone takes 0.25 s for the 26,000 findings of a large configuration.
    is_plain = text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()
    if not is_plain:
        text = _ODD.sub(lambda one: _shown(one[0]), text)
    return text if commands else without_commands(text)


def without_commands(text: str) -> str:
    """Lines in which no runner of jobs finds a command."""
    if "::" in text or "\x1b" in text:
        text = re.sub(_COMMAND, r"\1\\x3a", text)
    return re.sub(_OLD_COMMAND, r"\\x23", text) if "#" in text else text


def has_commands(text: str) -> bool:
    """Whether a runner of jobs may find a command in the lines of a text."""
    return re.search(_COMMAND, text) is not None or re.search(_OLD_COMMAND, text) is not None


def workflow_data(text: str) -> str:
    """The message of a workflow command of GitHub; lines stay lines."""
    return "".join(_IN_COMMAND.get(one) or _shown(one) for one in text)


def workflow_property(text: str) -> str:
    """The value of a property of a workflow command."""
    return workflow_data(text).replace(":", "%3A").replace(",", "%2C")


def in_json(text: str) -> str:
    """A JSON document in which what nobody can see is escaped in JSON's way: the same document."""
    if not (text.isascii() and "##" not in text and "\x7f" not in text):
        text = _NEVER_SHOWN.sub(_in_json, text)
        text = re.sub(_OLD_COMMAND_JSON, r"\\u0023", text)
    return text


def _in_json(one: re.Match[str]) -> str:
    character = one[0]
    if character.isprintable() or character in MARKS:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def in_xml(text: str) -> str:
    """An XML document in which what nobody can see is a reference: the same document."""
    return _NEVER_SHOWN.sub(
        lambda one: one[0] if one[0].isprintable() or one[0] in MARKS else f"&#{ord(one[0])};",
        text,
    )


def _shown(character: str) -> str:
    if character.isprintable() or character in MARKS:
        return character
    return ascii(character)[1:-1]
