"""The tree compared with crossplane's own, and the seam with crossplane's parser and analyzer.

A release of crossplane that changes the seam fails here. Then only tree.py has to follow.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import crossplane
import crossplane.analyzer
import crossplane.lexer
import crossplane.parser
import pytest
from msgspec.structs import replace

from nginx_stream_lint.config import tree
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.tree import (
    MAX_DEPTH,
    Directive,
    File,
    enter,
    fits,
    has_commands,
    misuse,
    parse,
)
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Unreadable

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


def test_crossplane_is_a_private_instance() -> None:
    assert tree._analyzer is not crossplane.analyzer
    assert tree._parser is not crossplane.parser
    assert crossplane.parser.lex is crossplane.lexer.lex
    assert tree._parser.lex is iter


def outline(directives: list[Directive]) -> list[object]:
    """All that a tree says of its directives."""
    return [
        (one.name, one.args, one.start, one.end, one.block_end, outline(one.block or []))
        for one in directives
    ]


OLD_FINDER = """
import sys
class Old:
    def find_module(self, name, path=None): return None
sys.meta_path.insert(0, Old())
"""
NOT_INSTALLED = """
import sys
class WithoutCrossplane:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, *more):
        return None if name == "crossplane" else self.finder.find_spec(name, *more)
sys.meta_path[:] = map(WithoutCrossplane, sys.meta_path)
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [(OLD_FINDER, ""), (NOT_INSTALLED, "ModuleNotFoundError: No module named 'crossplane'")],
)
def test_crossplane_is_found_as_python_finds_it(before: str, said: str) -> None:
    code = f"{before}\nimport nginx_stream_lint.config.tree"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip().endswith(said)
    assert bool(done.returncode) == bool(said)


def test_threads_share_nothing() -> None:
    """Many threads parse texts of their own at once, and each gets the tree of its own text."""
    texts = [TEXT.replace("server", f"server{number}") for number in range(8)]
    alone = [outline(file_of(text).directives) for text in texts]
    begin = threading.Barrier(len(texts))

    def many(text: str) -> list[list[object]]:
        begin.wait()
        return [outline(file_of(text).directives) for _ in range(30)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(texts)) as threads:
            found = list(threads.map(many, texts))
    finally:
        sys.setswitchinterval(interval)
    assert found == [[tree] * 30 for tree in alone]


def test_the_parser_opens_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the file whose text it gets nor what that includes."""
    main, other = tmp_path / "nginx.conf", tmp_path / "other.conf"
    main.write_text("user nobody;", encoding="utf-8")
    other.write_text("user nobody;", encoding="utf-8")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it asks the file system")

    for name in ("builtins.open", "io.open", "os.open", "glob.glob", "os.scandir", "os.stat"):
        monkeypatch.setattr(name, refuse)
    file = parse(Source(str(main), f"include {other}; include {tmp_path}/*.conf;"))
    monkeypatch.undo()
    assert [one.name for one in file.directives] == ["include", "include"]
    assert not file.problems


def test_an_error_in_our_tokens_is_raised() -> None:
    """crossplane's parser would keep it in its result, with a part of the tree."""
    with pytest.raises(Unreadable, match="nest deeper"):
        file_of("a { b; " * (MAX_DEPTH + 1))
    assert len(list(walk(file_of("a { b; " * MAX_DEPTH).directives))) > MAX_DEPTH


@pytest.mark.parametrize("word", ["100%", "%s", "%(x)s", "%%", "{}", "#", ";", "\\#", "include"])
def test_words_mean_nothing_to_the_parser(word: str) -> None:
    file = file_of(f"a '{word}' b; '{word}' c; if '{word}' {{ '{word}'; }} a;")
    assert [(one.name, one.args) for one in walk(file.directives)] == [
        ("a", (word, "b")),
        (word, ("c",)),
        ("if", (word,)),
        (word, ()),
        ("a", ()),
    ]
    assert not file.problems


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
    reading = MappedText(
        Source("a.conf", "x" * 60), "x" * 60, conditional=((10, 40), (10, 20), (25, 30))
    )
    expected = {9: None, 10: (10, 20), 19: (10, 20), 20: (10, 40), 25: (25, 30), 39: (10, 40)}
    assert {at: reading.condition(at) for at in expected} == expected
    assert reading.condition(40) is None
    # Another reading of the same text has conditions of its own.
    other = replace(reading, conditional=((30, 50),))
    assert [other.condition(at) for at in (15, 30, 50)] == [None, (30, 50), None]
