"""Translate the syntax of nginx's regular expressions (PCRE, on bytes) to that of Python's `re`.

An expression is parsed by PCRE's rules and rewritten in syntax that both treat equally: classes
become sets of bytes, inline flags are resolved, atomic groups and possessive quantifiers become a
look-ahead and a reference to it. Features that `re` lacks (recursion, conditions, UTF-8) are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NoReturn

from nginx_stream_lint.util.numbers import whole_number

_EVERY = frozenset(range(256))
_DIGITS = frozenset(b"0123456789")
_LOWER = frozenset(range(ord("a"), ord("z") + 1))
_UPPER = frozenset(range(ord("A"), ord("Z") + 1))
_ALPHA = _LOWER | _UPPER
_WORD = _ALPHA | _DIGITS | {ord("_")}
_SPACE = frozenset(b" \t\n\v\f\r")
_GRAPH = frozenset(range(0x21, 0x7F))

_POSIX = {
    "alpha": _ALPHA,
    "lower": _LOWER,
    "upper": _UPPER,
    "digit": _DIGITS,
    "alnum": _ALPHA | _DIGITS,
    "word": _WORD,
    "space": _SPACE,
    "blank": frozenset(b" \t"),
    "cntrl": frozenset(range(0x20)) | {0x7F},
    "print": _GRAPH | {0x20},
    "graph": _GRAPH,
    "punct": _GRAPH - _ALPHA - _DIGITS,
    "xdigit": frozenset(b"0123456789abcdefABCDEF"),
    "ascii": frozenset(range(128)),
}
_TYPES = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "h": frozenset(b" \t\xa0"),
    "v": frozenset(b"\n\v\f\r\x85"),
}
_TYPES |= {letter.upper(): _EVERY - members for letter, members in _TYPES.items()}
_CHARACTERS = {"n": 10, "t": 9, "r": 13, "f": 12, "e": 27, "a": 7}
_ASSERTIONS = {
    "A": r"\A",
    "G": r"\A",
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "b": r"\b",
    "B": r"(?!\b)",  # Python's \B does not match in an empty text
    "K": "",  # only moves the start of the reported match
}
_OTHERS = {"R": r"(?:\r\n|[\n\v\f\r\x85])", "N": r"[^\n]", "C": r"(?s:.)"}


class UnreadableError(Exception):
    """The pattern is invalid, or has a feature that Python lacks."""


_QUANTIFIER = r"([*+?]|\{\d+(?:,\d*)?\})([?+]?)"
_NAMED = r"(?a)\?(?:P?<(?P<a>\w+)>|'(?P<b>\w+)')"
_FLAGS = r"\?(?P<on>[imsx]*)(?:-(?P<off>[imsx]*))?(?P<end>[:)])"
_REFERENCE = r"\((\?)P=(\w+)\)|\\(?:k(?:<(\w+)>|\{(\w+)\}|'(\w+)')|g(?:\{(-?\d+)\}|(\d+)))"
_POSIX_CLASS = r"\[:(\^?)(\w+):\]"
_HEXADECIMAL = r"x(?:\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{0,2}))"
_PROPERTY = r"([pP])(?:\{(\^?)(\w+&?)\}|()([A-Z]))"
_LOOKS = ("?=", "?!", "?<=", "?<!")


class RegexTranslator:
    """Translates a pattern to Python's syntax."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups = 0
        self.names: dict[str, int] = {}
        self._atomic = 0
        self._verbatim = False  # between \Q and \E

    def everything(self, ignore_case: bool) -> str:
        """Translate the whole pattern."""
        found = self._alternatives({"i"} if ignore_case else set())
        if self.at < len(self.pattern):
            self._refuse()  # a bracket too many
        return "|".join(found)

    def _refuse(self) -> NoReturn:
        raise UnreadableError

    def _take(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _next(self) -> str:
        if self.at == len(self.pattern):
            self._refuse()
        self.at += 1
        return self.pattern[self.at - 1]

    def _match(self, expression: str) -> re.Match[str] | None:
        found = re.compile(expression).match(self.pattern, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _alternatives(self, flags: set[str]) -> list[str]:
        """Translate up to the end of a group; flags set in it apply to the rest of it."""
        found = [""]
        while self.at < len(self.pattern):
            if not self._verbatim:
                if self.pattern[self.at] == ")":
                    break
                if self._take("|"):
                    found.append("")
                    continue
            found[-1] += self._piece(flags)
        return found

    def _piece(self, flags: set[str]) -> str:
        """Translate one atom with its quantifier; empty for a comment."""
        atom = self._atom(flags)
        if self._verbatim:
            return atom
        quantifier = self._match(_QUANTIFIER)
        if quantifier is not None and not atom:
            self._refuse()  # it may belong to the atom before the comment or flag
        if quantifier is None:
            if self.pattern.startswith("{,", self.at):
                self._refuse()  # PCRE 10.43 and Python treat this as a counter, older PCRE does not
            return atom
        repeated = f"(?:{atom}){quantifier[1]}"
        if quantifier[2] == "+":
            return self._as_atomic(repeated)
        return repeated + quantifier[2]

    def _as_atomic(self, text: str) -> str:
        self._atomic += 1
        return f"(?=(?P<_a{self._atomic}>{text}))(?P=_a{self._atomic})"

    def _atom(self, flags: set[str]) -> str:
        if self._take("\\E"):
            self._verbatim = False
            return ""
        if self._verbatim:
            return _literal(ord(self._next()), flags)
        reference = self._match(_REFERENCE)
        if reference is not None:
            return self._reference([one for one in reference.groups() if one][-1], flags)
        character = self._next()
        if "x" in flags and (character in " \t\n\v\f\r" or character == "#"):
            if character == "#":
                end = self.pattern.find("\n", self.at)
                self.at = len(self.pattern) if end < 0 else end
            return ""
        if character == "(":
            return self._group(flags)
        if character == "[":
            return _one_of(self._class(flags))
        if character == "\\":
            return self._escape(flags)
        if character == ".":
            return r"(?s:.)" if "s" in flags else r"[^\n]"
        if character == "^":
            return r"(?:\A|(?<=\n)(?!\Z))" if "m" in flags else r"\A"
        if character == "$":
            return r"(?=\n|\Z)" if "m" in flags else r"(?=\n?\Z)"
        if character in "*+?":
            self._refuse()
        return _literal(ord(character), flags)

    def _group(self, flags: set[str]) -> str:
        if self._take("*") or self._take("?|"):
            self._refuse()
        if self._take("?#"):
            end = self.pattern.find(")", self.at)
            self.at = len(self.pattern) if end < 0 else end
            return self._closed("")
        for look in _LOOKS:
            if self._take(look):
                return self._look(look, flags)
        if self._take("?>"):
            return self._as_atomic(self._closed("|".join(self._alternatives(set(flags)))))
        named = self._match(_NAMED)
        if named is not None or not self.pattern.startswith("?", self.at):
            self.groups += 1
            number = self.groups
            if named is not None:
                self.names[named["a"] or named["b"]] = number
            inner = "|".join(self._alternatives(set(flags)))
            return self._closed(f"(?P<_{number}>{inner})")
        changed = self._match(_FLAGS)
        if changed is None:
            self._refuse()
        inside = flags if changed["end"] == ")" else set(flags)
        inside |= set(changed["on"])
        inside -= set(changed["off"] or "")
        if changed["end"] == ")":
            return ""
        return self._closed(f"(?:{'|'.join(self._alternatives(inside))})")

    def _closed(self, text: str) -> str:
        if self._verbatim or not self._take(")"):
            self._refuse()
        return text

    def _look(self, look: str, flags: set[str]) -> str:
        inner = self._alternatives(set(flags))
        if look == "?<=":  # Python requires one length for all alternatives
            text = f"(?:{'|'.join(f'(?<={one})' for one in inner)})"
        elif look == "?<!":
            text = "".join(f"(?<!{one})" for one in inner)
        else:
            text = f"({look}{'|'.join(inner)})"
        return self._closed(text)

    def _reference(self, to: str, flags: set[str]) -> str:
        number = whole_number(to.removeprefix("-"))
        if number is None:
            number = self.names.get(to, 0)
        elif to.startswith("-"):
            number = self.groups + 1 - number
        text = f"(?P=_{number})"
        return f"(?i:{text})" if "i" in flags else text

    def _escape(self, flags: set[str]) -> str:
        if self.pattern[self.at : self.at + 1] in "123456789":
            digits = re.compile("[0-9]+").match(self.pattern, self.at)
            number = None if digits is None else whole_number(digits[0])
            if digits is None or number is None or (number > 9 and number > self.groups):
                self._refuse()  # nothing, or an octal number
            self.at = digits.end()
            return self._reference(digits[0], flags)
        if self._take("Q"):
            self._verbatim = True
            return ""
        letter = self.pattern[self.at : self.at + 1]
        for table in (_ASSERTIONS, _OTHERS):
            if letter in table:
                self.at += 1
                return table[letter]
        members = self._type(flags)
        return _literal(self._character(), flags) if members is None else _one_of(members)

    def _type(self, flags: set[str]) -> frozenset[int] | None:
        """The bytes that an escape like `\\d` or `\\p{L}` matches; None if it is another one."""
        unicode = self._match(_PROPERTY)
        if unicode is not None:
            negated = (unicode[1] == "P") != (unicode[2] == "^")
            name = unicode[3] or unicode[5]
            found = _property(name)
            if not found or ("i" in flags and name in ("Lu", "Ll", "Lt")):
                self._refuse()  # with case ignored, versions of PCRE differ
            return _EVERY - found if negated else found
        letter = self.pattern[self.at : self.at + 1]
        if letter not in _TYPES:
            return None
        self.at += 1
        return _TYPES[letter]

    def _character(self) -> int:
        """The character that an escape matches, inside a class or not."""
        hexadecimal = self._match(_HEXADECIMAL)
        if hexadecimal is not None:
            return int(hexadecimal[1] or hexadecimal[2] or "0", 16)
        letter = self._next()
        if letter in _CHARACTERS:
            return _CHARACTERS[letter]
        if letter == "0":
            octal = self._match("[0-7]{0,2}")
            return int((octal and octal[0]) or "0", 8)
        if letter == "c":
            return ord(self._next().upper()) ^ 0x40
        if letter.isascii() and letter.isalnum():
            self._refuse()
        return ord(letter)

    def _class(self, flags: set[str]) -> frozenset[int]:
        """The bytes that a class in brackets matches."""
        negated = self._take("^")
        members: set[int] = set()
        first = True
        while first or not self._take("]"):
            first = False
            start = self._member(flags)
            if not isinstance(start, int):
                members |= start
                continue
            dash = self.pattern.startswith("-", self.at)
            if not dash or self.pattern.startswith("]", self.at + 1):
                members.add(start)
                continue
            self.at += 1
            end = self._member(flags)
            if isinstance(end, int):
                if end < start:
                    self._refuse()
                members.update(range(start, end + 1))
            else:
                members |= {start, ord("-"), *end}
        if "i" in flags:
            members |= {code ^ 0x20 for code in members if code in _ALPHA}
        return _EVERY - members if negated else frozenset(members)

    def _member(self, flags: set[str]) -> int | frozenset[int]:
        """A character of a class, or a class in it."""
        posix = self._match(_POSIX_CLASS)
        if posix is not None:
            name = posix[2]
            if name not in _POSIX:
                self._refuse()
            found = _ALPHA if "i" in flags and name in ("lower", "upper") else _POSIX[name]
            return _EVERY - found if posix[1] else found
        character = self._next()
        if character == "[" and self.pattern[self.at : self.at + 1] in (".", "="):
            self._refuse()
        if character != "\\":
            return ord(character)
        members = self._type(flags)
        if members is not None:
            return members
        if self._take("b"):
            return 8
        letter = self.pattern[self.at : self.at + 1]
        if letter in ("Q", "E", "") or letter in "123456789":
            self._refuse()
        return self._character()


@lru_cache(64)  # there are few categories, and the same ones in every run
def _property(name: str) -> frozenset[int]:
    """The bytes of a Unicode category, read as Latin-1 like PCRE does; none for a script."""
    from unicodedata import category

    names = ("Lu", "Ll", "Lt") if name == "L&" else (name,)
    return frozenset(code for code in _EVERY if category(chr(code)).startswith(names))


def _literal(code: int, flags: set[str]) -> str:
    if "i" in flags and code in _ALPHA:
        return _one_of((code, code ^ 0x20))
    return re.escape(chr(code))


def _one_of(members: Iterable[int]) -> str:
    """A class in brackets; every byte is written as a number, so none is special."""
    codes = sorted(members)
    if not codes:
        return "(?!)"
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    text = "".join(
        f"\\x{first:02x}" if first == last else f"\\x{first:02x}-\\x{last:02x}"
        for first, last in ranges
    )
    return f"[{text}]"
