"""nginx's regular expressions (PCRE, on bytes) in Python's `re`.

What the two read differently is translated; what `re` has not is refused, and whoever asks gets
None: such a pattern decides nothing.
"""

from __future__ import annotations

import re
from functools import cache

_POSIX = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "A-Fa-f0-9",
    "word": r"\w",
    "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e",
    "graph": r"\x21-\x7e",
}

_TOKEN = re.compile(
    r"""(?P<posix>\[:(?P<not>\^?)(?P<class>\w+):\])
      | (?P<quoted>\\Q(?P<text>.*?)(?:\\E|$))
      | (?P<escape>\\.)
      | (?P<name>\(\?(?:P?<(?![=!])|')(?P<group>\w+)[>'])
      | (?P<flags>\(\?(?P<set>[a-zA-Z]*)(?:-(?P<unset>[a-zA-Z]+))?\))
      | (?P<unsupported>\(\?(?:[|R&0-9(>]|P[>=]|C)|\(\*|[*+?}]\+)
    """,
    re.VERBOSE | re.DOTALL,
)
_HORIZONTAL = r"[ \t\xa0]"


class Pattern:
    """A compiled pattern; subjects and captures are text as in `config.source`."""

    def __init__(self, compiled: re.Pattern[str]) -> None:
        self._compiled = compiled

    def search(self, subject: str) -> Match | None:
        """The first match in a subject, or None."""
        found = self._compiled.search(_bytes(subject))
        return None if found is None else Match(found)


class Match:
    """What a pattern found: `captures` by number from 1, and `named` ones, as text."""

    def __init__(self, found: re.Match[str]) -> None:
        self.start, self.end = found.span()
        self.whole = _text(found[0])
        self.captures = tuple("" if group is None else _text(group) for group in found.groups())
        self.named = {
            name: "" if value is None else _text(value) for name, value in found.groupdict().items()
        }


def _bytes(text: str) -> str:
    """Text with one character for each byte, as nginx sees it."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


@cache
def compile_pattern(pattern: str, ignore_case: bool = False) -> Pattern | None:
    """A pattern as nginx compiles it; None if Python cannot read it the same way."""
    translated = _translated(_bytes(pattern))
    if translated is None:
        return None
    flags = re.ASCII | (re.IGNORECASE if ignore_case else 0)
    try:
        return Pattern(re.compile(translated, flags))
    except (re.error, RecursionError, OverflowError, ValueError):
        return None


def _translated(pattern: str) -> str | None:  # noqa: PLR0915 - one pass, one state
    out: list[str] = []
    at = 0
    in_class = False
    scoped = 0  # groups opened for flags in mid-pattern, closed where their group ends
    closes: list[int] = [0]
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if in_class:
            if match and match["posix"] and match["class"] in _POSIX and not match["not"]:
                out.append(_POSIX[match["class"]])
                at = match.end()
                continue
            if match and match["posix"]:
                return None
            if match and match["escape"]:
                escape = match["escape"]
                out.append(" \\t\\xa0" if escape == "\\h" else escape)
                at = match.end()
                continue
            character = pattern[at]
            if character == "[":
                out.append("\\[")
            else:
                out.append(character)
            in_class = character != "]"
            at += 1
            continue
        if match is None or match["posix"]:
            character = pattern[at]
            out.append(character)
            at += 1
            if character == "[":
                in_class = True
                # A bracket right at the start is an ordinary character.
                opening = re.match(r"\^?\]?", pattern[at:])
                assert opening is not None
                out.append(opening[0].replace("]", "\\]"))
                at += opening.end()
            elif character == "(":
                closes.append(0)
            elif character == ")":
                if len(closes) < 2:
                    return None
                out.append(")" * closes.pop())
            continue
        at = match.end()
        if match["unsupported"]:
            return None
        if match["quoted"]:
            out.append(re.escape(match["text"]))
        elif match["name"]:
            out.append(f"(?P<{match['group']}>")
            closes.append(0)
        elif match["flags"]:
            on, off = match["set"], match["unset"] or ""
            if set(on + off) - set("ims"):
                return None
            # From here to the end of the group: a group of its own, unless alternatives follow.
            out.append(f"(?{on}{'-' + off if off else ''}:")
            closes[-1] += 1
            scoped += 1
        else:
            escape = _ESCAPES.get(match["escape"], match["escape"])
            if escape is None:
                return None
            out.append(escape)
    out.append(")" * closes[0])
    if in_class or len(closes) != 1:
        return None
    if scoped and "|" in pattern:
        return None  # alternatives behind a flag reach further than the group made for it
    return "".join(out)


# Escapes outside classes that Python writes otherwise; None where it has nothing like it.
_ESCAPES: dict[str, str | None] = {
    "\\z": "\\Z",
    "\\Z": "(?=\\n?\\Z)",
    "\\h": _HORIZONTAL,
    "\\e": "\\x1b",
    "\\R": None,
    "\\K": None,
    "\\X": None,
    "\\C": None,
    "\\G": None,
    "\\N": None,
    "\\H": None,
    "\\V": None,
    "\\p": None,
    "\\P": None,
    "\\g": None,
    "\\k": None,
    "\\c": None,
    "\\o": None,
    "\\E": "",
    "\\/": "/",
}
