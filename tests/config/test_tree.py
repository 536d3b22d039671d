"""The seam with crossplane: its parser builds our tree from our tokens.

A release of crossplane that moves the seam fails here, and only tree.py has to follow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import crossplane
import crossplane.analyzer
import crossplane.lexer
import crossplane.parser
import pytest

from nginx_stream_lint.config import tree
from nginx_stream_lint.config.source import Source
from nginx_stream_lint.config.tree import Directive, File, enter, fits, has_commands, misuse, parse

TEXT = """\
# a comment { that; opens nothing
user  www-data ;
http {
\tmap $a $b { default "x;y" ; '' z; } # behind
  server {
    listen 80; listen [::]:80;
    if ($host = "a b") { return 200 '{"a": "#"}'; }
    if ( $x ) { }
    location ~ "^/a{2,3}$" { proxy_pass http://u; }
    content_by_lua_block { ngx.say("}") }
  }
  server { }
}
# the end"""


def file_of(text: str) -> File:
    return parse(Source("nginx.conf", text))


def walk(directives: list[Directive]) -> Iterator[Directive]:
    for directive in directives:
        yield directive
        yield from walk(directive.block or [])


def test_crossplanes_parser_still_takes_its_tokens_from_a_module_global() -> None:
    assert crossplane.parser.lex is crossplane.lexer.lex
    assert "lex" in crossplane.parser.parse.__code__.co_names
    assert "analyze" in crossplane.parser.parse.__globals__
    given = inspect.signature(crossplane.parser.parse).parameters
    assert {"catch_errors", "single", "check_ctx", "check_args"} <= set(given)


def test_tokens_of_crossplane_are_triples_with_quoted_last(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text('a\n"{" ;', encoding="utf-8")
    assert list(crossplane.lexer.lex(str(path))) == [
        ("a", 1, False),
        ("{", 2, True),
        (";", 2, False),
    ]


def test_the_public_crossplane_is_left_alone(tmp_path: Path) -> None:
    lex, table = crossplane.parser.lex, dict(crossplane.analyzer.DIRECTIVES)
    file_of(TEXT)
    assert crossplane.parser.lex is lex is crossplane.lexer.lex
    assert table == crossplane.analyzer.DIRECTIVES
    assert "http2" not in crossplane.analyzer.DIRECTIVES
    assert "js_content" in crossplane.analyzer.DIRECTIVES
    assert misuse(file_of("http2 on;").directives[0], ("http", "server")) is None
    path = tmp_path / "nginx.conf"
    path.write_text("user x;", encoding="utf-8")
    assert crossplane.parse(str(path))["config"][0]["parsed"][0]["line"] == 1


def test_only_one_module_touches_crossplane() -> None:
    assert tree._parser is not crossplane.parser
    assert tree._analyzer is not crossplane.analyzer


def test_every_statement_leads_back_to_its_place() -> None:
    file = file_of(TEXT)
    for directive in walk(file.directives):
        assert TEXT.startswith(directive.name, directive.start)
        assert directive.file is file
        assert TEXT[directive.end - 1] == ("{" if directive.block is not None else ";") or (
            directive.name.endswith("_by_lua_block")
        )
        if directive.block is not None:
            assert TEXT[directive.block_end] == "}"
        assert directive.line == TEXT.count("\n", 0, directive.start) + 1
        before = TEXT[: directive.start].rpartition("\n")[2]
        assert directive.column == len(before) + 1


def test_statements_and_arguments_round_trip() -> None:
    file = file_of(TEXT)
    seen = [(one.name, *one.args) for one in walk(file.directives)]
    assert seen == [
        ("user", "www-data"),
        ("http",),
        ("map", "$a", "$b"),
        ("default", "x;y"),
        ("", "z"),
        ("server",),
        ("listen", "80"),
        ("listen", "[::]:80"),
        ("if", "$host", "=", "a b"),
        ("return", "200", '{"a": "#"}'),
        ("if", "$x"),
        ("location", "~", "^/a{2,3}$"),
        ("proxy_pass", "http://u"),
        ("content_by_lua_block", ' ngx.say("}") '),
        ("server",),
    ]
    written = [
        [TEXT[start:end] for start, end in one.arg_spans]
        for one in walk(file.directives)
        if one.name in ("if", "location", "return")
    ]
    assert written == [
        ["($host", "=", '"a b"', ")"],
        ["200", '\'{"a": "#"}\''],
        ["(", "$x", ")"],
        ["~", '"^/a{2,3}$"'],
    ]
    assert [one.block for one in walk(file.directives) if one.name == "server"][-1] == []


def test_every_token_belongs_to_one_statement() -> None:
    file = file_of(TEXT)
    words = sum(1 + len(one.arg_spans) for one in walk(file.directives))
    ends = sum(quote == ";" for quote in file.tokens.quotes)
    assert words + ends == len(file.tokens.values)


@pytest.mark.parametrize("name", ["if", "#", "include", "{", "}", ";", "a}b", "''", '"#"', "$a"])
def test_quoted_names_are_statements_like_any_other(name: str) -> None:
    word = name.strip("'\"")
    file = file_of(f"'{word}' x;\na 'b' \"{word}\" {{ '{word}' \"{{\"; }}")
    assert [(one.name, one.args) for one in file.directives] == [
        (word, ("x",)),
        ("a", ("b", word)),
    ]
    block = file.directives[1].block
    assert block is not None
    assert [(one.name, one.args) for one in block] == [(word, ("{",))]


def test_contexts_are_crossplanes() -> None:
    file = file_of(TEXT)
    http = file.directives[1]
    assert enter(http, ()) == ("http",)
    location = next(one for one in walk(file.directives) if one.name == "location")
    assert enter(location, ("http", "server")) == ("http", "location")
    assert enter(location, ("http", "location")) == ("http", "location")
    assert has_commands(("http", "location"))
    assert not has_commands(("http", "map"))
    assert fits("proxy_pass", ("http", "location"))
    assert not fits("proxy_pass", ("http", "server"))
    assert fits("nobody_knows_this", ("http", "server"))


def test_misuse_speaks_like_nginx() -> None:
    def said(text: str, *context: str) -> str | None:
        return misuse(file_of(text).directives[0], context)

    assert said("proxy_pass x;", "http", "location") is None
    assert said("proxy_pass x;", "http") == '"proxy_pass" directive is not allowed here'
    assert said("gzip;", "http") == 'invalid number of arguments in "gzip" directive'
    assert said("gzip a;", "http") == (
        'invalid value "a" in "gzip" directive, it must be "on" or "off"'
    )
    assert said("gzip on {}", "http") == 'directive "gzip" is not terminated by ";"'
    assert said("server;", "http") == 'directive "server" has no opening "{"'
    assert said("nobody_knows_this a b c;", "http") is None
