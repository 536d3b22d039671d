"""nginx's tokenizer: the rules of `ngx_conf_read_token`, statement by statement, with positions.

One regular expression finds the tokens; anything that it cannot match is reported in nginx's words.
Another one finds plain statements as a whole, which are nearly all and take a third of the time.
Both were compared with nginx 1.22 and 1.31 (tests/config/test_against_nginx.py). These rules may be
unexpected, but are nginx's:

- white space is only space, tab, CR and LF; only LF ends a line or a comment;
- a quote inside a word is an ordinary character, and so is `}`;
- `{` right after `$` belongs to the word, any other `{` ends it;
- `\\"`, `\\'`, `\\\\`, `\\t`, `\\r` and `\\n` are decoded, quoted or not; other backslashes stay;
- a token or comment longer than nginx's 4,096-byte buffer is refused.

nginx stops at the first mistake. This module records it and continues as long as the intention is
clear: one missing semicolon must not hide the findings in the rest of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText
from nginx_stream_lint.files.source import ENCODING, ERRORS, FILLER
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.problems import Problem, Unreadable
from nginx_stream_lint.util.remembering import forgotten

# ngx_conf_file.c: NGX_CONF_BUFFER
_BUFFER = 4096
# Any text of this many characters fits, because a character has at most four bytes.
_SHORT = _BUFFER // 4

TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        ((?:[^ \t\r\n;{}\#"'\\$]|\\.|\$\{*)(?:[^ \t\r\n;{\\$]+|\\.|\$\{*)*)   # 1 word
      | ([;{}])                                                                # 2 punctuation
      | "([^"\\]*(?:\\.[^"\\]*)*)"                                             # 3 in double quotes
      | '([^'\\]*(?:\\.[^'\\]*)*)'                                             # 4 in single quotes
      | (\#[^\n]*)                                                             # 5 comment
      | ([^ \t\r\n])                                                           # 6 unterminated
      | \Z
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = r"""\\(["'\\trn])"""
_DECODED = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}

# A statement of bare and plainly quoted words, and the space between statements. It excludes braces
# and comments inside, meaningful backslashes, and characters that only `str.split` treats as white
# space.
_PLAIN = re.compile(
    r"""[ \t\r\n]*(?:
        ([^ \t\r\n;{}"'\\\#\v\f\x1c-\x1f][^;{}"'\\\#\v\f\x1c-\x1f]*                 # 1 words
         (?:(?: \\[^ \t\r\n;{}"'\\\#\v\f\x1c-\x1ftrn]
              | (?<=[ \t\r\n])(?:"[^"\\]*"|'[^'\\]*')(?=[ \t\r\n;{]))
            [^;{}"'\\\#\v\f\x1c-\x1f]*)*)
        (;|(?<!\$)\{)                                                          # 2 how they end
      | (\})                                                                   # 3 end of a block
      | (\#[^\n]*)                                                             # 4 comment
      | ()                                                                     # 5 anything else
    )""",
    re.VERBOSE,
)
# Names and arguments of plain statements by their text: many occur often.
_known: dict[str, tuple[str, tuple[str, ...]]] = {}
forgotten(_known.clear)
# Each problem is a line of output, and each character of a text may cause one.
_MOST_PROBLEMS = 100

_PLAIN_WORD = re.compile(r"""[^ \t\r\n"']+|"[^"]*"|'[^']*'""")

# Structure inside Lua: comments and strings hide braces, braces nest.
_LUA = r"""(?xs)
      --\[(?P<c>=*)\[(?:.*?\](?P=c)\])?
      | --[^\n]*
      | \[(?P<s>=*)\[(?:.*?\](?P=s)\])?
      | "(?:[^"\\]+|\\.)*"?
      | '(?:[^'\\]+|\\.)*'?
      | [{}]
    """


class Word(Struct, frozen=True):
    """A word of a statement: its decoded `value`, and its span including quotes."""

    value: str
    start: int
    end: int
    is_quoted: bool


# A statement, or the end of a block: its name and its arguments, decoded; then its start and its
# end (after its mark), as offsets into the text of the reading; then its mark. That is its last
# character: `;`, `{`, or `}` for the end of a block, which has no name. A character that is missing
# in the text and was inserted has an empty span.
Statement: TypeAlias = tuple[str, tuple[str, ...], int, int, str]


class Statements:
    """The statements of a text, in order; iterable once.

    Blocks are balanced. `comments` (their offsets into the text) and `problems` (the mistakes) are
    complete after the iteration; without problems, nginx accepts the syntax. The code of a
    `*_by_lua_block` is the last argument of its directive.
    """

    def __init__(self, reading: MappedText, max_depth: int) -> None:
        """`max_depth` limits nested blocks; nginx itself is only limited by its stack.

        Iterating raises `Unreadable` for deeper blocks.
        """
        self.comments: list[tuple[int, int]] = []
        self.problems: list[Problem] = []
        self._reading = reading
        self._max_depth = max_depth
        self._opened: list[int] = []  # the braces of the enclosing blocks
        self._split: Word | None = None  # possibly the rest of a word that contains a brace
        self._is_over = False

    def __iter__(self) -> Iterator[Statement]:
        text, opened = self._reading.text, self._opened
        has_unseen = not text.isascii() and _has_unseen(text)
        known = _known
        at = 0
        while not self._is_over:
            for match in _PLAIN.finditer(text, at):
                kind = match.lastindex
                if kind == 2:
                    raw, mark = match.group(1, 2)
                    start, at = match.start(1), match.end()
                    words = known.get(raw)
                    if words is None:
                        if len(raw) >= _SHORT or (has_unseen and _has_unseen(raw)):
                            at = start
                            break
                        known[raw] = words = _plain(raw)
                    if mark == "{":
                        if words[0].endswith("_by_lua_block"):
                            at = start
                            break
                        self._open(at - 1)
                    yield *words, start, at, mark
                elif kind == 3 and opened:
                    at = match.end()
                    opened.pop()
                    yield "", (), at - 1, at, "}"
                elif kind == 4:
                    self._comment(*match.span(4))
                else:
                    at = match.start(kind or 0)
                    break
            statement, at = self._read(at)
            if statement is not None:
                yield statement
            if len(self.problems) > _MOST_PROBLEMS:
                self._give_up(at)
        end = len(text)
        if opened:
            # The remaining contents of these blocks are unknown.
            yield PLACEHOLDER, (), end, end, ";"
        for _ in opened:
            yield "", (), end, end, "}"

    def _give_up(self, offset: int) -> None:
        """Stop at an offset, because a text with more mistakes is hardly an nginx configuration."""
        if not self._is_over:
            message = f"more than {_MOST_PROBLEMS} errors"
            advice = "correct the errors above; the rest was not checked"
            self.problems[_MOST_PROBLEMS:] = [self._reading.problem(offset, message, advice)]
        self._is_over = True

    def _open(self, brace: int) -> None:
        text = self._reading.text
        if self._split is None and _is_glued(text, brace):
            match = TOKEN.match(text, brace + 1)
            if match is not None and match.lastindex == 1 and "}" in match[1]:
                self._split = _word(self._reading, match)
        self._opened.append(brace)
        if len(self._opened) > self._max_depth:
            raise Unreadable(
                self._reading.problem(
                    brace,
                    f"blocks nest deeper than {self._max_depth}",
                    "reduce the nesting; nothing in this file was checked",
                )
            )

    def _comment(self, start: int, end: int) -> None:
        if end - start >= _SHORT:
            _check_length(self._reading, start, end, "#", self.problems)
        self.comments.append((start, end))

    def _read(self, offset: int) -> tuple[Statement | None, int]:
        """Read one statement token by token, or None if there is none; and the next offset."""
        text = self._reading.text
        words: list[Word] = []
        for match in TOKEN.finditer(text, offset):
            kind = match.lastindex
            if kind == 2:
                return self._end_of_statement(words, match.start(2))
            if kind == 5:
                if not words or words[-1].end < match.start(5):  # no mistake after a quote
                    self._comment(*match.span(5))
            elif kind == 6:
                # It is unknown how much this hides, so an unknown statement replaces it.
                offset = match.start(6)
                self.problems.append(_unterminated(self._reading, offset))
                self._is_over = True
                return (PLACEHOLDER, (), offset, offset, ";"), offset
            elif kind is not None:
                word = _word(self._reading, match)
                if word.end - word.start >= _SHORT:
                    cut = 1 if word.is_quoted else 0
                    quote = text[word.start] if word.is_quoted else ""
                    _check_length(
                        self._reading, word.start + cut, word.end - cut, quote, self.problems
                    )
                after = text[word.end : word.end + 1]
                if word.is_quoted and after and after not in " \t\r\n;{)":
                    advice = "add white space or ; after the closing quote"
                    self._unexpected(word.end, after, advice)
                words.append(word)
        self._is_over = True
        return self._end_of_text(words), len(text)

    def _end_of_statement(self, words: list[Word], offset: int) -> tuple[Statement | None, int]:
        """The statement of `words` and the `;`, `{` or `}` at an offset, and the next offset."""
        mark = self._reading.text[offset]
        if mark == "}":
            if words:
                self._unexpected(offset, mark, 'add ";" before it')
                return _statement(words, offset, ";"), offset
            if self._opened:
                self._opened.pop()
                return ("", (), offset, offset + 1, mark), offset + 1
            self._unexpected(offset, mark, "remove it: no block is open here")
            return None, offset + 1
        if not words:
            self._unexpected(offset, mark, "add the name of a directive before it")
            words = [Word(PLACEHOLDER, offset, offset, False)]
        elif mark == "{" and words[0].value.endswith("_by_lua_block"):
            code, problem = _lua(self._reading, offset)
            if problem is not None:
                self.problems.append(problem)
                self._is_over = True
            return _statement([*words, code], code.end, ";"), code.end
        if mark == "{":
            self._open(offset)
        return _statement(words, offset + 1, mark), offset + 1

    def _end_of_text(self, words: list[Word]) -> Statement | None:
        """The last, unterminated statement, and the problems of blocks that are not closed."""
        end = len(self._reading.text)
        problem = None
        # Report a file that cannot be read to its end only once.
        if (words or self._opened) and self._split is not None and not self.problems:
            problem = self._reading.problem(
                self._split.start,
                f'unknown directive "{printable(self._split.value, 60)}"',
                "a regular expression with { or } must be quoted",
            )
        elif words:
            problem = self._reading.problem(
                words[0].start,
                'unexpected end of file, expecting ";" or "}"',
                "end this directive with ;",
            )
        elif self._opened and not self.problems:
            problem = self._reading.problem(
                self._opened[-1],
                'unexpected end of file, expecting "}"',
                'add "}" to close the block that is opened here',
            )
        if problem is not None:
            self.problems.append(problem)
        return _statement(words, end, ";") if words else None

    def _unexpected(self, offset: int, what: str, advice: str) -> None:
        self.problems.append(self._reading.problem(offset, f'unexpected "{what}"', advice))


def words_at(reading: MappedText, start: int) -> list[Word]:
    """The words of the statement that starts at an offset of a reading's text, as written."""
    words: list[Word] = []
    for match in TOKEN.finditer(reading.text, start):
        kind = match.lastindex
        if kind in (1, 3, 4):
            words.append(_word(reading, match))
        elif kind != 5:
            if match[2] == "{" and words and words[0].value.endswith("_by_lua_block"):
                words.append(_lua(reading, match.start(2))[0])
            break
    return words


def _plain(raw: str) -> tuple[str, tuple[str, ...]]:
    """The name and the arguments of a plain statement."""
    if '"' in raw or "'" in raw or not raw.isascii():
        found = _PLAIN_WORD.findall(raw)
        name, *args = [word[1:-1] if word[0] in "\"'" else word for word in found]
    else:
        name, *args = raw.split()
    return name, tuple(args)


def _statement(words: list[Word], end: int, mark: str) -> Statement:
    name, *args = words
    return name.value, tuple(word.value for word in args), name.start, end, mark


def _has_unseen(text: str) -> bool:
    """Whether a text has a placeholder, or characters that were filled in."""
    return PLACEHOLDER in text or FILLER in text


def _word(reading: MappedText, match: re.Match[str]) -> Word:
    kind = match.lastindex
    assert kind is not None
    start, end = match.span(kind)
    raw = match[kind]
    if _has_unseen(raw):
        value = reading.filled(start, end)
    elif "\\" in raw:
        value = re.sub(_ESCAPE, lambda escape: _DECODED[escape[1]], raw)
    else:
        value = raw
    return Word(value, start, end, False) if kind == 1 else Word(value, start - 1, end + 1, True)


def _lua(reading: MappedText, brace: int) -> tuple[Word, Problem | None]:
    """The Lua code after a brace, and a problem if its end is missing."""
    end, problem = lua_end(reading, brace + 1)
    value = reading.filled(brace + 1, end)
    return Word(value, brace, min(end + 1, len(reading.text)), True), problem


def _is_glued(text: str, brace: int) -> bool:
    """Whether a `{` has no white space around it and no quote before it, as in `^/a{2}$`."""
    return text[brace + 1 : brace + 2] not in ("", " ", "\t", "\r", "\n") and text[
        brace - 1 : brace
    ] not in ("", " ", "\t", "\r", "\n", '"', "'", "}", ";", "{")


def _check_length(
    reading: MappedText, start: int, end: int, quote: str, problems: list[Problem]
) -> None:
    """Report a statement that does not fit nginx's buffer.

    The buffer holds a token from its first character (after an opening quote) to the white space
    after the token; it may be full only if nothing else has to be read.
    """
    text = reading.text
    size = len(text[start:end].encode(ENCODING, ERRORS))
    if quote == "#":
        fits = size < _BUFFER or (size == _BUFFER and end == len(text))
    else:
        size += 1 if quote else 0  # the closing quote
        after = text[end + (1 if quote else 0) :][:1]
        # A ; or { ends the statement at once, and ) after a quote starts the next word; white space
        # is read into the same buffer.
        fits = size < _BUFFER if after in (";{)" if quote else ";{") else size < _BUFFER - 1
    if not fits:
        name = "comment" if quote == "#" else "parameter"
        problems.append(
            reading.problem(
                start,
                f"too long {name}: nginx reads at most {_BUFFER} bytes in one piece",
                "break it up" if quote in ("#", "") else "break it up, or close the quote",
            )
        )


def _unterminated(reading: MappedText, offset: int) -> Problem:
    """Explain why no token starts here: an open quote, or a backslash as the last character."""
    character = reading.text[offset]
    if character == "\\":
        message, advice = "unexpected end of file", "remove the backslash at the end of the file"
    elif len(reading.text[offset:].encode(ENCODING, ERRORS)) > _BUFFER:
        message = f"too long parameter, probably missing terminating '{character}' character"
        advice = "close the quote"
    else:
        message = 'unexpected end of file, expecting ";" or "}"'
        advice = f"close the quote ({character}) that is opened here"
    return reading.problem(offset, message, advice)


def lua_end(reading: MappedText, start: int) -> tuple[int, Problem | None]:
    """Offset of the brace that closes the Lua code starting at `start`, or why there is none."""
    depth = 1
    end = len(reading.text)
    for match in re.compile(_LUA).finditer(reading.text, start):
        piece = match[0]
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
            if not depth:
                return match.start(), None
        elif piece[0] in "\"'" and (len(piece) < 2 or piece[-1] != piece[0]):
            return end, reading.problem(match.start(), "unfinished Lua string", "close the quote")
        elif re.fullmatch(r"(--)?\[=*\[", piece):
            return end, reading.problem(
                match.start(), "Lua long bracket is not closed", "add the closing bracket"
            )
    return end, reading.problem(
        start - 1,
        'unexpected end of file, expecting "}"',
        "close the Lua block that is opened here",
    )
