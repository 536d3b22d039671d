"""Find a repository's root and its ignored paths without running git.

git is never started, because in an untrusted folder it would run commands from `.git/config`.

Patterns are untrusted, too. A pattern with many asterisks (`*a*a*a*a*b`) would make a regular
expression backtrack for a very long time, so none is used: a pattern is a sequence of tests, and a
walk through a path keeps the set of sequences that may still match as the bits of one number. Paths
and patterns are compared byte by byte, as in git: a text here has one character for each byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

# git has no limits. These are far above real files.
MAX_PATTERNS = 10_000
MAX_LENGTH = 1_000

_SPECIAL = frozenset("*?[\\")
_CLASSES = {
    "alnum": lambda one: one < "\x80" and one.isalnum(),
    "alpha": lambda one: one < "\x80" and one.isalpha(),
    "blank": lambda one: one in " \t",
    "cntrl": lambda one: one < " " or one == "\x7f",
    "digit": lambda one: "0" <= one <= "9",
    "graph": lambda one: "!" <= one <= "~",
    "lower": lambda one: "a" <= one <= "z",
    "print": lambda one: " " <= one <= "~",
    "punct": lambda one: "!" <= one <= "~" and not one.isalnum(),
    "space": lambda one: one in " \t\n\r\v\f",
    "upper": lambda one: "A" <= one <= "Z",
    "xdigit": lambda one: one in "0123456789abcdefABCDEF",
}

_Test = Callable[[str], bool]
_Last = tuple[dict[str, int], dict[str, int]]


class Steps:
    """The work that may still be done; a step takes about a third of a microsecond.

    `patterns` is how many more patterns may be read, `left` how many steps are left. `exceeded` is
    true if either limit was reached.
    """

    def __init__(self, left: int, patterns: int = MAX_PATTERNS) -> None:
        self.left = left
        self.patterns = patterns
        self.exceeded = False

    def take(self, steps: int) -> bool:
        """Spend some steps. Returns whether enough were left."""
        if self.left < steps:
            self.exceeded = True
            return False
        self.left -= steps
        return True


def as_bytes(text: str) -> str:
    """Convert a file name to one character for each byte."""
    return text if text.isascii() else os.fsencode(text).decode("latin-1")


def repository_root(folder: str) -> str | None:
    """The nearest folder with a `.git`, from `folder` upwards; None if there is none."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def is_below(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether a path, with all links followed, is a folder or something inside it."""
    real, top = os.path.realpath(path), os.path.realpath(folder)
    return real == top or real.startswith(os.path.join(top, ""))


class Patterns:
    """The patterns of one file. Paths are relative to its folder and have slashes.

    Names without wildcards, and suffixes such as `*.log`, are looked up. The other patterns are
    tried one by one, the last one first, and each try takes steps. When no steps are left, nothing
    matches any more.
    """

    def __init__(self, lines: Iterable[str], steps: Steps) -> None:
        self._steps = steps
        self._rows: list[_Pattern] = []
        # The number of the last pattern of each kind: for all paths, and for folders only.
        self._names: _Last = ({}, {})
        self._ends: _Last = ({}, {})
        self._paths: _Last = ({}, {})
        self._wild: list[int] = []
        for line in lines:
            pattern = _parsed(line)
            if pattern is None:
                continue
            if len(line) > MAX_LENGTH or steps.patterns <= 0:
                steps.exceeded = True
                continue
            steps.patterns -= 1
            number = len(self._rows)
            if pattern.end is not None and not pattern.start:
                self._ends[pattern.folders_only][pattern.end] = number
            elif pattern.rest:
                self._wild.append(number)
            else:
                known = self._names if pattern.by_name else self._paths
                known[pattern.folders_only][pattern.start] = number
            self._rows.append(pattern)
        self._wild.reverse()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether a path is ignored (True), is not (False), or matches no pattern (None).

        The caller checks the folders above it: everything in an ignored folder is ignored.
        """
        name = path.rpartition("/")[2]
        if not self._steps.take(1 + len(name) // 8):
            return None
        last = -1
        for only in (False, True) if is_folder else (False,):
            names, ends, paths = self._names[only], self._ends[only], self._paths[only]
            last = max(last, names.get(name, -1), paths.get(path, -1))
            if ends:
                last = max(last, *(ends.get(name[at:], -1) for at in range(len(name) + 1)))
        for number in self._wild:
            if number < last or not self._steps.take(1):
                break
            pattern = self._rows[number]
            if (is_folder or not pattern.folders_only) and pattern.matches(
                name if pattern.by_name else path, self._steps
            ):
                last = number
                break
        return None if last < 0 else not self._rows[last].negated

    def covers(self, path: str) -> bool:
        """Whether a file is ignored, by its own path or by a folder above it."""
        parts = path.split("/")
        return any(
            self.verdict("/".join(parts[:count]), count < len(parts))
            for count in range(1, len(parts) + 1)
        )


def lines(data: bytes) -> list[str]:
    """The lines of a `.gitignore` file, with one character for each byte."""
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")


def _parsed(line: str) -> _Pattern | None:
    """Parse a line into a pattern; None for a comment, or a pattern that matches nothing."""
    line = _trimmed(line.removesuffix("\r").partition("\0")[0])
    if line.startswith("#"):
        return None
    text = line.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    by_name = "/" not in text
    text = text.removeprefix("/")
    return _Pattern(text, line.startswith("!"), folders_only, by_name) if text else None


def _trimmed(line: str) -> str:
    """Strip trailing spaces from a line, up to one after a backslash."""
    at = end = 0
    while at < len(line):
        length = 2 if line[at] == "\\" else 1
        if line[at] != " ":
            end = at + length
        at += length
    return line[:end]


class _Pattern:
    """A pattern: a literal prefix, and tests of the rest."""

    def __init__(self, text: str, negated: bool, folders_only: bool, by_name: bool) -> None:
        self.negated = negated
        self.folders_only = folders_only
        self.by_name = by_name
        length = next((at for at, one in enumerate(text) if one in _SPECIAL), len(text))
        self.start = text[:length]
        self.rest = text[length:]
        # The part after the only asterisk: most patterns with wildcards are like `*.log`.
        self.end = self.rest[1:] if by_name and not _SPECIAL & set(self.rest[1:]) else None
        if not self.rest.startswith("*"):
            self.end = None
        self._row: _Row | None = None

    def matches(self, subject: str, steps: Steps) -> bool:
        """Whether a path or name matches."""
        start, end = self.start, self.end
        if not subject.startswith(start):
            return False
        if end is not None:
            return len(subject) >= len(start) + len(end) and subject.endswith(end)
        if self._row is None:
            self._row = _Row(self.rest, self.by_name)
        return self._row.matches(subject[len(start) :], steps)


class _Row:
    """Single-character tests with stars between them: bit `n` is set after `n` tests have passed.

    Stars may be skipped, or stay in place: `_stars` stay on any character but a slash, `_deep` on
    any character. At `_skips`, a star and the slash after it may be skipped, as in `**/`.
    """

    def __init__(self, text: str, by_name: bool) -> None:
        self._tests: list[_Test | None] = []
        self._stars = self._deep = self._skips = 0
        self._never = not self._read(text, by_name)
        self._moves: dict[str, int] = {}
        self._end = 1 << len(self._tests)

    def _read(self, text: str, by_name: bool) -> bool:
        at = 0
        while at < len(text):
            one = text[at]
            at += 1
            if one == "*":
                first = at - 1
                while text[at : at + 1] == "*":
                    at += 1
                bit = 1 << len(self._tests)
                after = text[at:]
                if by_name or (
                    at - first > 1
                    and (first == 0 or text[first - 1] == "/")
                    and (not after or after[0] == "/" or after[:2] == "\\/")
                ):
                    self._deep |= bit
                    if not by_name and after.startswith("/"):
                        self._skips |= bit
                else:
                    self._stars |= bit
                self._tests.append(None)
            elif one == "?":
                self._tests.append(_not_slash)
            elif one == "[":
                test, at = _bracket(text, at)
                if test is None:
                    return False
                self._tests.append(test)
            else:
                if one == "\\":
                    if at == len(text):
                        return False
                    one = text[at]
                    at += 1
                self._tests.append(one.__eq__)
        return True

    def matches(self, subject: str, steps: Steps) -> bool:
        if self._never or not steps.take(len(subject)):
            return False
        states = self._on(1, 0)
        for one in subject:
            moves = self._moves.get(one)
            if moves is None:
                if not steps.take(1 + len(self._tests)):
                    return False
                moves = sum(
                    1 << at for at, test in enumerate(self._tests) if test is not None and test(one)
                )
                self._moves[one] = moves
            stays = self._deep if one == "/" else self._deep | self._stars
            states = self._on((states & moves) << 1, states & stays)
            if not states:
                return False
        return bool(states & self._end)

    def _on(self, moved: int, stayed: int) -> int:
        """The states after a character, including those reached without one by skipping stars."""
        skipped = moved & self._skips
        while skipped:
            moved |= skipped << 2
            skipped = (skipped << 2) & self._skips
        states = moved | stayed
        return states | (states & (self._stars | self._deep)) << 1


def _not_slash(one: str) -> bool:
    return one != "/"


def _bracket(text: str, offset: int) -> tuple[_Test | None, int]:
    """Parse a bracket whose inside starts at `offset`: its test, and the offset after it.

    The test is None if nothing can match. A slash never matches.
    """
    negated = text[offset : offset + 1] in ("!", "^")
    offset += negated
    tests: list[_Test] = []
    before = ""  # the possible start of a range
    first = True
    while first or text[offset : offset + 1] != "]":
        first = False
        if offset >= len(text):
            return None, offset
        one = text[offset]
        if one == "-" and before and text[offset + 1 : offset + 2] not in ("", "]"):
            offset += 1
            if text[offset] == "\\":
                offset += 1
            if offset >= len(text):
                return None, offset
            tests.append(_between(before, text[offset]))
            before = ""
        elif text.startswith("[:", offset):
            end = text.find("]", offset + 2)
            if end < 0:
                return None, offset
            if end - offset < 3 or text[end - 1] != ":":
                tests.append("[".__eq__)
                before = "["
            else:
                test = _CLASSES.get(text[offset + 2 : end - 1])
                if test is None:
                    return None, offset
                tests.append(test)
                before = ""
                offset = end
        else:
            if one == "\\":
                offset += 1
                if offset >= len(text):
                    return None, offset
            before = text[offset]
            tests.append(before.__eq__)
        offset += 1
    return (
        lambda one: one != "/" and any(test(one) for test in tests) != negated,
        offset + 1,
    )


def _between(first: str, last: str) -> _Test:
    return lambda one: first <= one <= last
