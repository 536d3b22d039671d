"""Escape untrusted text for each output: terminal, log, JSON, HTML, XML.

File names, location names and quoted lines are untrusted. Each output has one function, called when
the text is written: afterwards no character can move a cursor, reorder a line or start a command of
the program that shows the text.
"""

from __future__ import annotations

import re

# Marks around a placeholder in a word. They are noncharacters, which Unicode reserves for internal
# use, so no file has them. `mapped_text.without_marks` removes them from output.
MARKS = "\ufdd0\ufdd1"

# The colours and the bold type of our own reports.
_BEHIND_ESCAPE = r"\[(?:[01]|22|[39][0-7])m"
_STYLE = rf"\x1b{_BEHIND_ESCAPE}"
_STYLES = rf"(?:{_STYLE})*"
_ODD = rf"[^\n\t\x1b -~]|\x1b(?!{_BEHIND_ESCAPE})"
_PLAIN = bytes([*b"\t\n", *range(ord(" "), ord("~") + 1)])
_PART = 1024 * 1024  # characters
_NEVER_SHOWN = r"[^\n -~]"
# Its name would make Python load the names of all characters when it compiles this module.
_REPLACEMENT = "\ufffd"
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# GitHub's runner looks for `::` at the start of a line, and GitHub's and Azure's for `##[` and
# `##vso[` anywhere. A later program may remove colours.
_COMMAND = rf"(?m)^((?:{_STYLE}|[^\x21-\x7e\n])*):(?={_STYLES}:)"
_OLD_COMMAND = rf"#(?={_STYLES}#{_STYLES}(?:v{_STYLES}s{_STYLES}o{_STYLES})?\[)"
_IN_COMMAND = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_OLD_COMMAND_JSON = r"#(?=#(?:vso)?\[)"


def printable(text: str, limit: int | None = None) -> str:
    """Escape invisible characters as Python does, including line ends and tabs."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 3] + "..."
    return text if text.isprintable() else "".join(map(_shown, text))


def shown_line(line: str) -> str:
    """Escape a line of a file for display; tabs stay."""
    return line if line.isprintable() else "\t".join(map(printable, line.split("\t")))


def terminal(text: str, commands: bool = False) -> str:
    """Escape lines for a terminal or a job's log; tabs and our own colours stay.

    `commands`: the lines are workflow commands, made of escaped parts.
    """
    if not _is_plain(without_styles(text)):
        text = re.sub(_ODD, lambda one: _shown(one[0]), text)
    return text if commands else without_commands(text)


def _is_plain(text: str) -> bool:
    """Whether a text has only printable ASCII, tabs and line ends.

    Deleting these bytes is five times as quick as looking at characters, and ten times as quick as
    a regular expression: 1 ms for 1,300 findings as JSON. The text is checked in parts, so that no
    large text is copied as a whole.
    """
    parts = (text[at : at + _PART] for at in range(0, len(text), _PART))
    return text.isascii() and not any(part.encode().translate(None, _PLAIN) for part in parts)


def without_styles(text: str) -> str:
    """A text without our colours and bold type."""
    return re.sub(_STYLE, "", text) if "\x1b" in text else text


def without_commands(text: str) -> str:
    """Change lines so that no CI runner finds a command in them."""
    bare = without_styles(text)
    if "::" in bare:
        text = re.sub(_COMMAND, r"\1\\x3a", text)
    return re.sub(_OLD_COMMAND, r"\\x23", text) if "#" in bare and "##" in bare else text


def has_commands(text: str) -> bool:
    """Whether a CI runner may find a command in a text."""
    return re.search(_COMMAND, text) is not None or re.search(_OLD_COMMAND, text) is not None


def workflow_data(text: str) -> str:
    """Escape the message of a GitHub workflow command; it may have several lines."""
    return "".join(_IN_COMMAND.get(one) or _shown(one) for one in text)


def workflow_property(text: str) -> str:
    """Escape a property of a workflow command."""
    return workflow_data(text).replace(":", "%3A").replace(",", "%2C")


def in_json(text: str) -> str:
    """Escape invisible characters in a finished JSON document without changing its value."""
    # A search for two characters takes fifty times as long as one for a single one.
    has_command = "#" in text and "##" in text
    if not text.isascii() or has_command or "\x7f" in text:
        text = re.sub(_NEVER_SHOWN, _in_json, text)
        text = re.sub(_OLD_COMMAND_JSON, r"\\u0023", text)
    return text


def _in_json(one: re.Match[str]) -> str:
    character = one[0]
    if character.isprintable() or character in MARKS:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def in_html(text: str) -> str:
    """Escape a text for HTML, with invisible characters as `printable` shows them."""
    from html import escape

    return escape(printable(text))


def in_xml(text: str) -> str:
    """Escape invisible characters in a finished XML document without changing its value.

    It leaves `&`, `<` and quotes alone: whatever writes the document, such as ElementTree, escapes
    them before. Invisible characters that XML 1.0 cannot hold become replacement characters, so
    that the document is valid.
    """
    return re.sub(_NEVER_SHOWN, _in_xml, text)


def _in_xml(one: re.Match[str]) -> str:
    character = one[0]
    if character.isprintable() or character in MARKS:
        return character
    return _REPLACEMENT if re.match(_NOT_XML, character) else f"&#{ord(character)};"


def _shown(character: str) -> str:
    if character.isprintable() or character in MARKS:
        return character
    return ascii(character)[1:-1]
