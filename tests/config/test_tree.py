"""The tree, held against crossplane's own, and the seam with crossplane's analyzer.

A release of crossplane that moves the seam fails here, and only tree.py has to follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crossplane
import crossplane.analyzer
import pytest
from msgspec.structs import replace

from nginx_stream_lint.config import tree
from nginx_stream_lint.config.source import Reading
from nginx_stream_lint.config.tree import Directive, File, enter, fits, has_commands, misuse, parse
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.source import Source

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

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "demo").glob("**/*.conf"))


def file_of(text: str) -> File:
    return parse(Source("nginx.conf", text))


def walk(directives: list[Directive]) -> Iterator[Directive]:
    for directive in directives:
        yield directive
        yield from walk(directive.block or [])


@pytest.mark.parametrize("name", [path.name for path in FIXTURES] + ["text.conf"])
def test_crossplane_gives_the_same_tree(name: str, tmp_path: Path) -> None:
    """For what both read alike: crossplane decodes no escapes and has Lua in pieces."""
    plain_file = next((path for path in FIXTURES if path.name == name), tmp_path / name)
    if not plain_file.exists():
        plain_file.write_text(re.sub(r"content_by_lua_block.*", "", TEXT), encoding="utf-8")
    payload = crossplane.parse(
        str(plain_file), single=True, check_ctx=False, check_args=False, catch_errors=False
    )

    def theirs(block: list[dict[str, Any]]) -> list[object]:
        return [
            (one["directive"], one["args"], one["line"], theirs(one.get("block", [])))
            for one in block
        ]

    def ours(block: list[Directive]) -> list[object]:
        return [(one.name, list(one.args), one.line, ours(one.block or [])) for one in block]

    assert ours(
        parse(Workspace.on_disk(str(plain_file)).source(str(plain_file))).directives
    ) == theirs(payload["config"][0]["parsed"])


def test_the_public_crossplane_is_left_alone(tmp_path: Path) -> None:
    table = dict(crossplane.analyzer.DIRECTIVES)
    file_of(TEXT)
    assert table == crossplane.analyzer.DIRECTIVES
    assert "http2" not in crossplane.analyzer.DIRECTIVES
    assert "js_content" in crossplane.analyzer.DIRECTIVES
    assert misuse(file_of("http2 on;").directives[0], ("http", "server")) is None
    path = tmp_path / "nginx.conf"
    path.write_text("user x;", encoding="utf-8")
    assert crossplane.parse(str(path))["config"][0]["parsed"][0]["line"] == 1


def test_only_one_module_touches_crossplane() -> None:
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


def test_the_condition_around_an_offset_is_the_innermost() -> None:
    reading = Reading(
        Source("a.conf", "x" * 60), "x" * 60, conditional=((10, 40), (10, 20), (25, 30))
    )
    expected = {9: None, 10: (10, 20), 19: (10, 20), 20: (10, 40), 25: (25, 30), 39: (10, 40)}
    assert {at: reading.condition(at) for at in expected} == expected
    assert reading.condition(40) is None
    # Another reading of the same text has conditions of its own.
    other = replace(reading, conditional=((30, 50),))
    assert [other.condition(at) for at in (15, 30, 50)] == [None, (30, 50), None]
