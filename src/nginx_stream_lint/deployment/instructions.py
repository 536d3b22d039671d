"""Parse the instructions of a Dockerfile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from msgspec import DecodeError, Struct, json

from nginx_stream_lint.deployment.model import DeployedAt
from nginx_stream_lint.deployment.shell import SHELLS
from nginx_stream_lint.files.source import Source

MAX_TEXT = 1024 * 1024
MAX_INSTRUCTIONS = 5000
_DIRECTIVE = re.compile(r"#[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t\r]*")
_INSTRUCTION = re.compile(r"[ \t]*([A-Za-z]+)(?:[ \t]+(.*))?", re.DOTALL)
_FLAG = re.compile(r"--([\w-]+)(?:=(\S*))?[ \t]*")
_HEREDOC = re.compile(r"(?<![<\w])<<(-?)(['\"]?)([A-Za-z_]\w*)\2")
_URL = re.compile(r"(?:https?|git|ssh)://|git@")


class Instruction(Struct, frozen=True):
    """An instruction: its upper-case name, flags, and text without continuation lines.

    `heredocs` are the names and texts of its heredocs. `is_trigger`: `ONBUILD` comes before it.
    """

    name: str
    flags: Mapping[str, str]
    text: str
    origin: DeployedAt
    heredocs: tuple[tuple[str, str], ...] = ()
    is_trigger: bool = False


def instructions(source: Source) -> list[Instruction]:
    """Parse the instructions of a Dockerfile, up to a limit."""
    lines = [one.rstrip("\r") for one in source.text[:MAX_TEXT].split("\n")]
    escape, at = _directives(lines)
    found: list[Instruction] = []
    while at < len(lines) and len(found) < MAX_INSTRUCTIONS:
        start = at
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        joined, at = _joined(lines, at, escape)
        match = _INSTRUCTION.fullmatch(joined)
        if match is None:
            continue
        name, text = match[1].upper(), match[2] or ""
        is_trigger = name == "ONBUILD"
        if is_trigger and (match := _INSTRUCTION.fullmatch(text)) is not None:
            name, text = match[1].upper(), match[2] or ""
        heredocs: list[tuple[str, str]] = []
        if name in ("RUN", "COPY", "ADD"):
            for dash, _, end in _HEREDOC.findall(text):
                body, at = _heredoc(lines, at, end, bool(dash))
                heredocs.append((end, body))
        flags: dict[str, str] = {}
        if name in ("RUN", "COPY", "ADD", "FROM"):
            while (flag := _FLAG.match(text)) is not None:
                flags[flag[1]] = flag[2] or ""
                text = text[flag.end() :].lstrip()
        column = len(lines[start]) - len(lines[start].lstrip()) + 1
        origin = DeployedAt(source.name, start + 1, column)
        found.append(Instruction(name, flags, text.strip(), origin, tuple(heredocs), is_trigger))
    return found


def _directives(lines: list[str]) -> tuple[str, int]:
    """The line continuation character, and the number of the first line after parser directives."""
    escape, at = "\\", 0
    while at < len(lines) and (directive := _DIRECTIVE.fullmatch(lines[at])) is not None:
        if directive[1].lower() == "escape" and directive[2] in ("`", "\\"):
            escape = directive[2]
        at += 1
    return escape, at


def _joined(lines: list[str], offset: int, escape: str) -> tuple[str, int]:
    """The text of an instruction, and the number of the line after it.

    Comments and blank lines inside do not end it.
    """
    parts: list[str] = []
    while offset < len(lines):
        line = lines[offset].rstrip()
        offset += 1
        if parts and (not line or line.lstrip().startswith("#")):
            continue
        if not line.endswith(escape):
            parts.append(line)
            break
        parts.append(line[: -len(escape)])
    return "".join(parts), offset


def _heredoc(lines: list[str], offset: int, end: str, has_tabs: bool) -> tuple[str, int]:
    """The text of a heredoc, and the number of the line after it."""
    body: list[str] = []
    while offset < len(lines):
        line = lines[offset]
        offset += 1
        if (line.lstrip("\t") if has_tabs else line) == end:
            break
        body.append(line)
    return "\n".join(body) + "\n", offset


def shell_text_of(one: Instruction) -> str | None:
    """The text of a RUN instruction that a shell runs; None if another program gets the text."""
    text = one.text
    if one.heredocs and text.startswith("<<"):
        program = _HEREDOC.sub("", text).split()
        bodies = [body for _, body in one.heredocs]
        if not all(_is_shell(body, program) for body in bodies):
            return None
        text = "\n".join(bodies)
    return " ".join(f"'{word}'" for word in command_words(text)) if text.startswith("[") else text


def _is_shell(body: str, program: list[str]) -> bool:
    """Whether a shell runs the text of a heredoc, by the program before it or by its first line."""
    first = body.split("\n", 1)[0]
    words = [*program, *first[2:].split()] if first.startswith("#!") else program
    return not words or any(posixpath.basename(word) in SHELLS for word in words)


def command_words(text: str) -> tuple[str, ...]:
    """The words of CMD or ENTRYPOINT; without brackets, they are run by a shell."""
    if text.startswith("["):
        try:
            words = json.decode(text)
        except (ValueError, DecodeError, RecursionError):
            words = None
        if isinstance(words, list) and all(isinstance(one, str) for one in words):
            return tuple(words)
    return ("/bin/sh", "-c", text)


def words_of(text: str) -> list[str]:
    """The words of FROM, COPY, ADD or ARG, in either form."""
    if text.startswith("["):
        words = command_words(text)
        if words[:2] != ("/bin/sh", "-c"):
            return list(words)
    return [
        unquoted(word)
        for word in re.findall(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", text)
    ]


def unquoted(text: str) -> str:
    """Remove quotes from a word."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace('\\"', '"') if text[0] == '"' else text[1:-1]
    return re.sub(r"=(['\"])(.*)\1$", r"=\2", text, flags=re.DOTALL)


def is_url(word: str) -> bool:
    """Whether a word of ADD is downloaded."""
    return _URL.match(word) is not None
