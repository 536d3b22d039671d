"""nginx's tokenizer: the rules of `ngx_conf_read_token` with the place of every token kept.

One regular expression finds the tokens; what it cannot match is named in nginx's own words. It was
held against nginx 1.22 and 1.31 (tests/config/test_against_nginx.py). Where it differs from what
people expect, nginx is the reason:

- white space is space, tab, CR and LF, nothing else; only LF ends a line or a comment;
- a quote inside a word is an ordinary character, and so is `}`;
- `{` right after `$` belongs to the word, any other `{` ends it;
- `\\"`, `\\'`, `\\\\`, `\\t`, `\\r` and `\\n` are decoded, quoted or not; other backslashes stay;
- a token or comment longer than nginx's 4,096-byte buffer is refused.

nginx stops at the first mistake. Here it is noted, and the reading goes on as far as it is clear
what was meant: one missing semicolon must not hide what else is to be said of a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nginx_stream_lint.config.problems import Problem, Unreadable, printable
from nginx_stream_lint.config.source import ENCODING, ERRORS, FILLER, HOLE, Reading

# ngx_conf_file.c: NGX_CONF_BUFFER
_BUFFER = 4096

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
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_DECODED = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}

# What matters inside Lua: comments and strings hide braces, braces nest.
_LUA = re.compile(
    r"""--\[(?P<c>=*)\[(?:.*?\](?P=c)\])?
      | --[^\n]*
      | \[(?P<s>=*)\[(?:.*?\](?P=s)\])?
      | "(?:[^"\\]+|\\.)*"?
      | '(?:[^'\\]+|\\.)*'?
      | [{}]
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Tokens:
    """The tokens of a file, as parallel lists, and its comments.

    `values` are decoded words, or one of `;`, `{`, `}`; `spans` are (start, end) offsets into the
    source including quotes (empty for what is missing there and was put in to go on); `quotes`
    holds `"` or `'` for quoted words, `;` for punctuation, `` for bare words and `{` for the opaque
    body of a `*_by_lua_block`. Blocks are balanced. `problems` are the mistakes; without any, nginx
    accepts the text as far as its syntax goes.
    """

    values: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    quotes: list[str] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, value: str, span: tuple[int, int], quote: str) -> None:
        """Add one token."""
        self.values.append(value)
        self.spans.append(span)
        self.quotes.append(quote)

    def drop(self, count: int) -> None:
        """Take back the last tokens."""
        if count:
            del self.values[-count:], self.spans[-count:], self.quotes[-count:]


def tokenize(reading: Reading, max_depth: int) -> Tokens:  # noqa: PLR0915 - one state machine
    """The tokens of a text, read as nginx's tokenizer does.

    `max_depth` is how deep blocks may nest; nginx itself stops only when its stack is full.
    Raises `Unreadable` where they nest deeper: then nothing can be said.
    """
    text = reading.text
    tokens = Tokens()
    add_value, add_span, add_quote = (
        tokens.values.append,
        tokens.spans.append,
        tokens.quotes.append,
    )
    problems = tokens.problems
    long_tokens_possible = len(text) >= _BUFFER // 4
    words = 0  # of the statement being read
    name = ""
    depth = 0
    start = 0
    while True:
        lua_at = -1
        for match in TOKEN.finditer(text, start):
            kind = match.lastindex
            if kind == 1:
                at, end = match.span(1)
                raw = match[1]
                if long_tokens_possible and end - at >= _BUFFER // 4:
                    _check_length(reading, at, end, "", problems)
                value = _decode(raw) if "\\" in raw else raw
                if not words:
                    name = value
                words += 1
                add_value(value)
                add_span((at, end))
                add_quote("")
            elif kind == 2:
                at, end = match.span(2)
                value = match[2]
                if value == "}":
                    if words:
                        problems.append(_unexpected(reading, at, "}", 'a ";" is missing before it'))
                        tokens.add(";", (at, at), ";")
                        words = 0
                    if not depth:
                        problems.append(
                            _unexpected(reading, at, "}", "no block is open here: remove it")
                        )
                        continue
                    depth -= 1
                elif not words:
                    problems.append(
                        _unexpected(reading, at, value, "a directive's name is missing before it")
                    )
                    tokens.add(HOLE, (at, at), "")
                if value == "{":
                    if words and name.endswith("_by_lua_block"):
                        lua_at = end
                        break
                    depth += 1
                    if depth > max_depth:
                        raise Unreadable(
                            reading.problem(
                                at,
                                f"blocks nest deeper than {max_depth}",
                                "flatten the configuration; nothing in this file was checked",
                            )
                        )
                words = 0
                add_value(value)
                add_span((at, end))
                add_quote(";")
            elif kind in (3, 4):
                at, end = match.span(kind)
                raw = match[kind]
                quote = text[at - 1]
                if long_tokens_possible and end - at >= _BUFFER // 4:
                    _check_length(reading, at, end, quote, problems)
                after = text[end + 1 : end + 2]
                if after and after not in " \t\r\n;{)":
                    problems.append(
                        _unexpected(
                            reading,
                            end + 1,
                            after,
                            "nginx wants white space or ; after a closing quote",
                        )
                    )
                value = _decode(raw) if "\\" in raw else raw
                if not words:
                    name = value
                words += 1
                add_value(value)
                add_span((at - 1, end + 1))
                add_quote(quote)
            elif kind == 5:
                at, end = match.span(5)
                if long_tokens_possible and end - at >= _BUFFER // 4:
                    _check_length(reading, at, end, "#", problems)
                tokens.comments.append((at, end))
            elif kind == 6:
                problems.append(_unterminated(reading, match.start(6)))
                words = _unknown_rest(tokens, words, match.start(6))
                break
        if lua_at < 0:
            break
        end, problem = lua_end(reading, lua_at)
        if problem is not None:
            problems.append(problem)
        tokens.add(text[lua_at:end], (lua_at - 1, min(end + 1, len(text))), "{")
        tokens.add(";", (end, min(end + 1, len(text))), ";")
        words = 0
        start = end + 1
        if problem is not None:
            break
    _close(reading, tokens, words, depth)
    if HOLE in text or FILLER in text:
        _fill_holes(reading, tokens)
    if reading.pieces:
        tokens.spans = [reading.source_span(*span) for span in tokens.spans]
        tokens.comments = [reading.source_span(*span) for span in tokens.comments]
    return tokens


def _unknown_rest(tokens: Tokens, words: int, at: int) -> int:
    """Put an unknown statement in the place of one that cannot be read; gives the open words."""
    tokens.drop(words)
    tokens.add(HOLE, (at, at), "")
    tokens.add(";", (at, at), ";")
    return 0


def _close(reading: Reading, tokens: Tokens, words: int, depth: int) -> None:
    """End what is still open at the end of the text."""
    end = len(reading.text)
    if not words and not depth:
        return
    # A file that cannot be read to its end is said once.
    problem = None if tokens.problems else _split_word(reading, tokens)
    if problem is None and words:
        problem = reading.problem(
            tokens.spans[-words][0],
            'unexpected end of file, expecting ";" or "}"',
            "this directive is not ended",
        )
    elif problem is None and not tokens.problems:
        problem = reading.problem(
            _unclosed(tokens),
            'unexpected end of file, expecting "}"',
            'the block opened here is not closed: add the missing "}"',
        )
    if problem is not None:
        tokens.problems.append(problem)
    if words:
        tokens.add(";", (end, end), ";")
    if depth:
        # What else would have stood in these blocks, nobody knows.
        _unknown_rest(tokens, 0, end)
    for _ in range(depth):
        tokens.add("}", (end, end), ";")


def _fill_holes(reading: Reading, tokens: Tokens) -> None:
    """Give words with placeholders their text, marked (`source.has_hole`)."""
    for index, value in enumerate(tokens.values):
        if HOLE in value or FILLER in value:
            start, end = tokens.spans[index]
            if start == end:
                continue
            cut = 1 if tokens.quotes[index] in ("'", '"', "{") else 0
            tokens.values[index] = reading.filled(start + cut, end - cut)


def _decode(raw: str) -> str:
    return _ESCAPE.sub(lambda match: _DECODED[match[1]], raw)


def _unexpected(reading: Reading, at: int, what: str, advice: str) -> Problem:
    return reading.problem(at, f'unexpected "{what}"', advice)


def _split_word(reading: Reading, tokens: Tokens) -> Problem | None:
    """Say where a `{` inside a word, as in `location ~ ^/a{2}$ {`, opened a block by mistake."""
    for index in range(1, len(tokens.values) - 1):
        start, end = tokens.spans[index]
        is_split = (
            tokens.values[index] == "{"
            and tokens.quotes[index] == ";"
            and tokens.quotes[index - 1] == tokens.quotes[index + 1] == ""
            and tokens.spans[index - 1][1] == start
            and tokens.spans[index + 1][0] == end
            and "}" in tokens.values[index + 1]
        )
        if is_split:
            return reading.problem(
                end,
                f'unknown directive "{printable(tokens.values[index + 1], 60)}"',
                "a regular expression with { or } must be quoted",
            )
    return None


def _check_length(
    reading: Reading, start: int, end: int, quote: str, problems: list[Problem]
) -> None:
    """Note what does not fit nginx's buffer.

    The buffer holds a token from its first character (after an opening quote) until white space
    behind the token is passed; it may be full only if nothing has to be read after that.
    """
    text = reading.text
    size = len(text[start:end].encode(ENCODING, ERRORS))
    if quote == "#":
        fits = size < _BUFFER or (size == _BUFFER and end == len(text))
    else:
        size += 1 if quote else 0  # the closing quote
        after = text[end + (1 if quote else 0) :][:1]
        # A ; or { ends the statement at once, and ) behind a quote starts the next word; white
        # space is read into the same buffer.
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


def _unterminated(reading: Reading, at: int) -> Problem:
    """Say why no token starts here: an open quote, or a backslash as the last character."""
    character = reading.text[at]
    if character == "\\":
        message, advice = "unexpected end of file", "a backslash at the end escapes nothing"
    elif len(reading.text[at:].encode(ENCODING, ERRORS)) > _BUFFER:
        message = f"too long parameter, probably missing terminating '{character}' character"
        advice = "close the quote"
    else:
        message = 'unexpected end of file, expecting ";" or "}"'
        advice = f"the quote ({character}) opened here is not closed"
    return reading.problem(at, message, advice)


def lua_end(reading: Reading, start: int) -> tuple[int, Problem | None]:
    """Offset of the brace that closes the Lua code starting at `start`, or why there is none."""
    depth = 1
    end = len(reading.text)
    for match in _LUA.finditer(reading.text, start):
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
        "the Lua block opened here is not closed",
    )


def _unclosed(tokens: Tokens) -> int:
    """Offset of the innermost block that is still open at the end."""
    opened: list[int] = []
    for value, span, quote in zip(tokens.values, tokens.spans, tokens.quotes, strict=True):
        if quote == ";":
            if value == "{":
                opened.append(span[0])
            elif value == "}":
                opened.pop()
    return opened[-1]
