"""nginx's tokenizer: the rules of `ngx_conf_read_token` with the place of every token kept.

One regular expression finds the tokens; what it cannot match is named in nginx's own words. It was
held against nginx 1.22 and 1.31 (tests/config/test_against_nginx.py). Where it differs from what
people expect, nginx is the reason:

- white space is space, tab, CR and LF, nothing else; only LF ends a line or a comment;
- a quote inside a word is an ordinary character, and so is `}`;
- `{` right after `$` belongs to the word, any other `{` ends it;
- `\\"`, `\\'`, `\\\\`, `\\t`, `\\r` and `\\n` are decoded, quoted or not; other backslashes stay;
- a token or comment longer than nginx's 4,096-byte buffer is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nginx_stream_lint.config.problems import Unreadable, printable
from nginx_stream_lint.config.source import ENCODING, ERRORS, Source

# ngx_conf_file.c: NGX_CONF_BUFFER
_BUFFER = 4096

_TOKEN = re.compile(
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

    `values` are decoded words, or one of `;`, `{`, `}`; `spans` are (start, end) offsets including
    quotes; `quotes` holds `"` or `'` for quoted words, `;` for punctuation, `` for bare words
    and `{` for the opaque body of a `*_by_lua_block`.
    """

    values: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    quotes: list[str] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)


def tokenize(source: Source, max_depth: int) -> Tokens:  # noqa: PLR0915 - one state machine
    """The tokens of a file that nginx's tokenizer accepts, with its blocks balanced.

    `max_depth` is how deep blocks may nest; nginx itself stops only when its stack is full.
    Raises `Unreadable` at the first place where nginx would stop.
    """
    text = source.text
    tokens = Tokens()
    add_value, add_span, add_quote = (
        tokens.values.append,
        tokens.spans.append,
        tokens.quotes.append,
    )
    long_tokens_possible = len(text) >= _BUFFER // 4
    words = 0  # of the statement being read
    name = ""
    depth = 0
    start = 0
    while True:
        lua_at = -1
        for match in _TOKEN.finditer(text, start):
            kind = match.lastindex
            if kind == 1:
                at, end = match.span(1)
                raw = match[1]
                if long_tokens_possible and end - at >= _BUFFER // 4:
                    _refuse_long(source, at, end, "")
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
                        raise _unexpected(source, at, "}", 'a ";" is missing before it')
                    depth -= 1
                    if depth < 0:
                        raise _unexpected(source, at, "}", "no block is open here: remove it")
                elif not words:
                    raise _unexpected(source, at, value, "a directive's name is missing before it")
                elif value == "{":
                    if name.endswith("_by_lua_block"):
                        lua_at = end
                        break
                    depth += 1
                    if depth > max_depth:
                        raise Unreadable(
                            source.problem(
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
                    _refuse_long(source, at, end, quote)
                after = text[end + 1 : end + 2]
                if after and after not in " \t\r\n;{)":
                    raise _unexpected(
                        source, end + 1, after, "nginx wants white space or ; after a closing quote"
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
                    _refuse_long(source, at, end, "#")
                tokens.comments.append((at, end))
            elif kind == 6:
                _refuse_unterminated(source, match.start(6))
        if lua_at < 0:
            break
        end = _lua_end(source, lua_at)
        for value, span, quote in (
            (text[lua_at:end], (lua_at - 1, end + 1), "{"),
            (";", (end, end + 1), ";"),
        ):
            add_value(value)
            add_span(span)
            add_quote(quote)
        words = 0
        start = end + 1
    if words or depth:
        _refuse_split_word(source, tokens)
    if words:
        raise Unreadable(
            source.problem(
                tokens.spans[-words][0],
                'unexpected end of file, expecting ";" or "}"',
                "this directive is not ended",
            )
        )
    if depth:
        raise Unreadable(
            source.problem(
                _unclosed(tokens),
                'unexpected end of file, expecting "}"',
                'the block opened here is not closed: add the missing "}"',
            )
        )
    return tokens


def _decode(raw: str) -> str:
    return _ESCAPE.sub(lambda match: _DECODED[match[1]], raw)


def _unexpected(source: Source, at: int, what: str, advice: str) -> Unreadable:
    return Unreadable(source.problem(at, f'unexpected "{what}"', advice))


def _refuse_split_word(source: Source, tokens: Tokens) -> None:
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
            raise Unreadable(
                source.problem(
                    end,
                    f'unknown directive "{printable(tokens.values[index + 1], 60)}"',
                    "a regular expression with { or } must be quoted",
                )
            )


def _refuse_long(source: Source, start: int, end: int, quote: str) -> None:
    """Refuse what does not fit nginx's buffer.

    The buffer holds a token from its first character (after an opening quote) until white space
    behind the token is passed; it may be full only if nothing has to be read after that.
    """
    text = source.text
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
        raise Unreadable(
            source.problem(
                start,
                f"too long {name}: nginx reads at most {_BUFFER} bytes in one piece",
                "break it up" if quote in ("#", "") else "break it up, or close the quote",
            )
        )


def _refuse_unterminated(source: Source, at: int) -> None:
    """Say why no token starts here: an open quote, or a backslash as the last character."""
    character = source.text[at]
    if character == "\\":
        message, advice = "unexpected end of file", "a backslash at the end escapes nothing"
    elif len(source.text[at:].encode(ENCODING, ERRORS)) > _BUFFER:
        message = f"too long parameter, probably missing terminating '{character}' character"
        advice = "close the quote"
    else:
        message = 'unexpected end of file, expecting ";" or "}"'
        advice = f"the quote ({character}) opened here is not closed"
    raise Unreadable(source.problem(at, message, advice))


def _lua_end(source: Source, start: int) -> int:
    """Offset of the brace that closes the Lua code starting at `start`."""
    depth = 1
    for match in _LUA.finditer(source.text, start):
        piece = match[0]
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
            if not depth:
                return match.start()
        elif piece[0] in "\"'" and (len(piece) < 2 or piece[-1] != piece[0]):
            raise Unreadable(
                source.problem(match.start(), "unfinished Lua string", "close the quote")
            )
        elif re.fullmatch(r"(--)?\[=*\[", piece):
            raise Unreadable(
                source.problem(
                    match.start(), "Lua long bracket is not closed", "add the closing bracket"
                )
            )
    raise Unreadable(
        source.problem(
            start - 1,
            'unexpected end of file, expecting "}"',
            "the Lua block opened here is not closed",
        )
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
