"""The tokenizer by itself: what is a word, what it says, and where it is."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.config import tokens
from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText, has_placeholder
from nginx_stream_lint.config.tokens import Statements, Word, words_at
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files.source import Source, decode
from nginx_stream_lint.util.problems import Problem, Unreadable

DEEP = 256

# What texts are made of that the tokenizer could take for something else.
PIECES = [
    *(
        "a",
        "bc",
        "$x",
        "${x}",
        "$",
        "if",
        "(",
        ")",
        "é",
        "\u00a0",
        "\v",
        "\x1c",
        "\x85",
        PLACEHOLDER,
    ),
    *(" ", "  ", "\t", "\r", "\n", ";", " ;", "{", " {", "}", "\n}", "{2}", "#", "# c\n", " #"),
    *('"', "'", ' "d e"', " 'f;g'", '"";', " ''", ' "h"{', "\\", "\\d", '\\"', " \\;"),
    "j_by_lua_block {",
]


class Statement(NamedTuple):
    """A statement of `Statements`, with names."""

    name: str
    args: tuple[str, ...]
    start: int
    end: int
    mark: str


def reading_of(source: Source) -> MappedText:
    return MappedText(source, source.text)


def read(text: str) -> tuple[list[Statement], Statements]:
    found = Statements(reading_of(Source("nginx.conf", text)), DEEP)
    return [Statement(*one) for one in found], found


def values(text: str) -> list[str]:
    """The words and marks of a text, in order."""
    return [
        word
        for one in read(text)[0]
        for word in ((one.name, *one.args, one.mark) if one.mark != "}" else "}")
    ]


def words(text: str) -> list[Word]:
    """The words of a text, as written."""
    reading = reading_of(Source("nginx.conf", text))
    return [
        word for one in read(text)[0] if one.mark != "}" for word in words_at(reading, one.start)
    ]


def comments(text: str) -> list[str]:
    return [text[start:end] for start, end in read(text)[1].comments]


def refused(text: str) -> Problem:
    try:
        return read(text)[1].problems[0]
    except Unreadable as stop:
        return stop.problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n", []),
        ("a;", ["a", ";"]),
        ("a b{}", ["a", "b", "{", "}"]),
        ("a;b;", ["a", ";", "b", ";"]),
        ("${a} b;", ["${a}", "b", ";"]),
        ("${a}b;", ["${a}b", ";"]),
        ("a${{{b};", ["a${{{b}", ";"]),
        ("$$a{}", ["$$a", "{", "}"]),
        ("a\\${}", ["a\\$", "{", "}"]),
        ("a}b;", ["a}b", ";"]),
        ("a} b;", ["a}", "b", ";"]),
        ("a#b;", ["a#b", ";"]),
        ("a\"b'c;", ["a\"b'c", ";"]),
        ("a\u00a0b;", ["a\u00a0b", ";"]),
        ("a\fb\vc;", ["a\fb\vc", ";"]),
        ("\u00a0a;", ["\u00a0a", ";"]),
        ("a\rb;", ["a", "b", ";"]),
        ("a\r\nb\r\n;", ["a", "b", ";"]),
        ("a \"b c\" 'd;e';", ["a", "b c", "d;e", ";"]),
        ('a "";', ["a", "", ";"]),
        ('"a"{}', ["a", "{", "}"]),
        ('if ($a = "b"){}', ["if", "($a", "=", "b", ")", "{", "}"]),
        ("a \\;b;", ["a", "\\;b", ";"]),
        ("a \\{b;", ["a", "\\{b", ";"]),
        ("a \\ b;", ["a", "\\ b", ";"]),
        ("a \\#b;", ["a", "\\#b", ";"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("\\n", "\n"),
        ("\\t", "\t"),
        ("\\r", "\r"),
        ('\\"', '"'),
        ("\\'", "'"),
        ("\\\\", "\\"),
        ("\\\\n", "\\n"),
        ("\\\\\\n", "\\\n"),
        ("\\d\\.\\$", "\\d\\.\\$"),
        ("\\x\\n", "\\x\n"),
        ("é\\té", "é\té"),
    ],
)
def test_decoding_is_the_same_quoted_or_not(written: str, expected: str) -> None:
    for text in (f"a {written};", f'a "{written}";', f"a '{written}';", f"a x{written};"):
        assert values(text)[1].removeprefix("x") == expected


def test_quotes_are_remembered() -> None:
    text = "a \"{\" '#' b {}"
    assert values(text) == ["a", "{", "#", "b", "{", "}"]
    assert [word.is_quoted for word in words(text)] == [False, True, True, False]


def test_words_have_their_quotes() -> None:
    text = "a  \"b c\"\t'd\\'e' # f\n  {\r\n}"
    assert [text[word.start : word.end] for word in words(text)] == ["a", '"b c"', "'d\\'e'"]
    assert [word.value for word in words(text)] == ["a", "b c", "d'e"]
    assert comments(text) == ["# f"]


def test_statements_have_their_places() -> None:
    text = "a b ;c{ # d\n 'e' \"f\";}\n"
    assert [(*one[:2], text[one.start : one.end], one.mark) for one in read(text)[0]] == [
        ("a", ("b",), "a b ;", ";"),
        ("c", (), "c{", "{"),
        ("e", ("f",), "'e' \"f\";", ";"),
        ("", (), "}", "}"),
    ]


def test_comments_end_with_the_line_and_stand_apart() -> None:
    text = "#1 a;\na b #2 }\n#3\rc;\n;#4\n#5 without newline"
    assert values(text) == ["a", "b", ";"]
    assert comments(text) == ["#1 a;", "#2 }", "#3\rc;", "#4", "#5 without newline"]


def test_positions_count_characters_and_only_lf_ends_a_line() -> None:
    text = "é a;\r\n# x\ry\n\tü 'b\nc' d;\n"
    source = Source("nginx.conf", text)
    places = {word.value: source.position(word.start) for word in words(text)}
    assert places["é"] == (1, 1)
    assert places["a"] == (1, 3)
    assert places["ü"] == (3, 2)
    assert places["b\nc"] == (3, 4)
    assert places["d"] == (4, 4)
    assert [source.line_span(line) for line in (1, 5)] == [(0, 5), (len(text), len(text))]


@given(st.text("ab\r\n", max_size=60), st.data())
def test_places_are_the_same_in_any_order(text: str, data: st.DataObject) -> None:
    source = Source("nginx.conf", text)
    for offset in data.draw(st.lists(st.integers(0, len(text)), max_size=50)):
        before = text[:offset]
        assert source.position(offset) == (
            before.count("\n") + 1,
            len(before) - (before.rfind("\n") + 1) + 1,
        )


LUA = [
    "",
    " ngx.say(1) ",
    " local t = {{}, {}} ",
    " -- } \n ",
    " --[[ } ]] ",
    " --[==[ } ]] } ]==] ",
    " x = [[ } ]] ",
    " x = [=[ }\n]] ]=] ",
    ' x = "}" ',
    ' x = "\\"}" ',
    " x = '{' ",
    " x = '\\'}' ",
    " a = t[1] - b --}\n",
    ' x = "#" # y; ',
]


@pytest.mark.parametrize("code", LUA)
def test_lua_is_one_opaque_word(code: str) -> None:
    text = f"access_by_lua_block {{{code}}} a;"
    assert values(text) == ["access_by_lua_block", code, ";", "a", ";"]
    _, body, _ = words(text)
    assert text[body.start : body.end] == f"{{{code}}}"
    assert body.value == code
    assert not comments(text)


def test_lua_is_known_by_its_directive_only() -> None:
    assert values("location access_by_lua_block { a; }") == [
        *("location", "access_by_lua_block", "{", "a", ";", "}")
    ]
    text = "set_by_lua_block $a { return '}' } b;"
    assert values(text) == ["set_by_lua_block", "$a", " return '}' ", ";", "b", ";"]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (";", 1, 1, 'unexpected ";"'),
        ("a;\n ;", 2, 2, 'unexpected ";"'),
        ("{}", 1, 1, 'unexpected "{"'),
        ("a;\n}", 2, 1, 'unexpected "}"'),
        ("a {}}", 1, 5, 'unexpected "}"'),
        ("a {\n b\n}", 3, 1, 'unexpected "}"'),
        ('"a"b;', 1, 4, 'unexpected "b"'),
        ("a ''}", 1, 5, 'unexpected "}"'),
        ("a", 1, 1, "unexpected end of file"),
        ("a;\nb c\n\n", 2, 1, "unexpected end of file"),
        ("a {\n b;\n", 1, 3, "unexpected end of file"),
        ("a { b { c; }\n", 1, 3, "unexpected end of file"),
        ("a;\nb 'c\n;\n", 2, 3, "unexpected end of file"),
        ('a "b\\"', 1, 3, "unexpected end of file"),
        ("a b\\", 1, 4, "unexpected end of file"),
        ("location ~ ^/a{2}$ {\n}", 1, 16, 'unknown directive "2}$"'),
        ("x_by_lua_block {\n", 1, 16, "unexpected end of file"),
        ("x_by_lua_block {\n [[ }", 2, 2, "Lua long bracket is not closed"),
        ("x_by_lua_block {\n --[=[ ]] }", 2, 2, "Lua long bracket is not closed"),
        ("x_by_lua_block {\n 'a }", 2, 2, "unfinished Lua string"),
    ],
)
def test_refusals_have_a_place_and_advice(text: str, line: int, column: int, message: str) -> None:
    problem = refused(text)
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith(message)
    assert problem.advice
    assert str(problem).startswith(f"nginx.conf:{line}:{column}: {message}")


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_plain_statements_are_read_as_all_others_are(text: str) -> None:
    statements, found = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_PLAIN", re.compile("()()()()()"))  # nothing is plain
        one_by_one, alike = read(text)
    assert statements == one_by_one
    assert (found.problems, found.comments) == (alike.problems, alike.comments)


def test_depth_is_limited() -> None:
    assert len(values("a{" * DEEP + "}" * DEEP)) == 3 * DEEP
    problem = refused("a{" * (DEEP + 1) + "}" * (DEEP + 1))
    assert problem.message == f"blocks nest deeper than {DEEP}"
    assert problem.column == 2 * (DEEP + 1)


def test_what_fits_the_buffer_is_counted_in_bytes() -> None:
    assert values("a" * 4095 + ";")
    assert values("é" * 2047 + ";")
    assert "too long parameter" in refused("é" * 2048 + ";").message
    assert "too long parameter" in refused("a;\n b '" + "c" * 5000).message
    assert "too long comment" in refused("#" * 4096 + "\n").message
    assert values("#" * 4096) == []


def test_a_long_quote_is_refused_where_it_opens() -> None:
    problem = refused('a;\nb "c;\n' + "d e;\n" * 1000)
    assert (problem.line, problem.column) == (2, 3)
    assert "missing terminating" in problem.message


def test_long_text_takes_no_time() -> None:
    # Quadratic behaviour would take minutes.
    assert len(values("a b c;" * 100_000)) == 400_000
    assert refused("a" * 3_000_000).line == 1
    assert refused("${" * 1_000_000).line == 1
    assert refused("'" + "\\'" * 1_000_000).line == 1
    assert refused("a_by_lua_block {" + "[=" * 1_000_000).line == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a;".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\0a\0;", "UTF-16"),
        (b"a;\nb \0;", "NUL"),
    ],
)
def test_other_encodings_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        decode("nginx.conf", data)


def test_bytes_that_are_no_utf8_survive() -> None:
    data = b"# caf\xe9\r\na '\xff';\n"
    source = decode("nginx.conf", data)
    assert source.text.encode("utf-8", "surrogateescape") == data
    assert values(source.text) == ["a", "\udcff", ";"]


def test_the_marks_of_placeholders_in_a_file_are_bytes_like_others() -> None:
    data = "set $a \ufdd0b\ufdd1; set \ufdd2 '\ufdd0';\n".encode()
    source = decode("nginx.conf", data)
    assert source.text.encode("utf-8", "surrogateescape") == data
    first, second = parse(MappedText(source, source.text)).directives
    assert not any(has_placeholder(arg) for arg in (*first.args, *second.args))
    assert [arg.encode("utf-8", "surrogateescape") for arg in second.args] == [
        "\ufdd2".encode(),
        "\ufdd0".encode(),
    ]
