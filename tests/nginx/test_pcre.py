"""Regular expressions: what Python makes of them, against the PCRE of real nginx."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.conformance.random_routes import quoted
from tests.conformance.routes_on_nginx import Ask, ask

from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern
from nginx_stream_lint.probe import Nginx, NginxBinary, free_ports

# Patterns, each with texts that match, just fail to, or are read in two ways.
PATTERNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^a$", ("a", "a\n", "a\n\n", "\na")),
    (r"^a\z", ("a", "a\n")),
    (r"^a\Z", ("a", "a\n", "a\nb")),
    (r"(?m)^b$", ("a\nb", "a\nb\nc", "b\n")),
    (r"(?m)^$", ("\n", "a\n", "")),
    (r"a.b", ("axb", "a\nb", "aéb")),
    (r"(?s)a.b", ("a\nb",)),
    (r"^.$", ("é", "a")),
    (r"^..$", ("é",)),
    (r"^[é]+$", ("é", "\udcc3")),
    (r"^\w+$", ("a_1", "é", "a-1")),
    (r"(?i)É", ("É", "é")),
    (r"(?i)[a-z]k", ("KK", "\u212ak")),
    (r"^\h\v\H\V$", (" \nab",)),
    (r"^\N\R$", ("a\r\n", "a\n", "\nb")),
    (r"^[a-c-e]+$", ("b-e", "d")),
    (r"^[]a]+$", ("]a", "b")),
    (r"^[^]a]+$", ("b", "]")),
    (r"^[a[b]+$", ("[", "b", "]")),
    (r"^[a||b]+$", ("a|b",)),
    (r"^[a&&b]+$", ("a&b",)),
    (r"^[[:^digit:]x]$", ("1", "x", "é")),
    (r"^(?i)[[:upper:]]$", ("a", "A")),
    (r"^[[:punct:][:space:]]+$", ("!/ ~", "a")),
    (r"^[\d\D]$", ("1", "\n")),
    (r"^[\b]$", ("\x08", "b")),
    (r"^[^\W_]$", ("a", "_")),
    (r"^\x41\x2e\x{42}\x9$", ("A.B\t",)),
    (r"^\07\cA\e$", ("\x07\x01\x1b",)),
    (r"^\Qa.b\E.$", ("a.bc", "axbc")),
    (r"^\Q[", ("[", "x")),
    (r"^a{2}$", ("aa", "a")),
    (r"^a{b}c{$", ("a{b}c{",)),
    (r"^a{1,2}?(a*)$", ("aaa",)),
    (r"^(a+?)(a*)$", ("aaa",)),
    (r"^(a|ab)(c|bcd)(d*)$", ("abcd",)),
    (r"^a++b$", ("aab",)),
    (r"^a++ab$", ("aab",)),
    (r"^(?>a|ab)c$", ("abc", "ac")),
    (r"^(?>(a+))(b)$", ("aab",)),
    (r"^(\w)(\w)\2\1$", ("abba", "abab")),
    (r"^(?<n>a)\k<n>\g{-1}\g1(?P=n)$", ("aaaaa", "aaaa")),
    (r"^(?'n'a)|(b)$", ("a", "b")),
    (r"^(a)?b\1$", ("aba", "b")),
    (r"(?:(a)|(b))+", ("ab", "ba")),
    (r"^(?i)a(?-i)b|c$", ("Ab", "AB", "C", "c")),
    (r"^(?:a|(?i)b|c)$", ("A", "B", "C")),
    (r"^(?i:a)b$", ("Ab", "AB")),
    (r"(?x) ^ a [ ] b # all\n $", ("a b", "ab")),
    (r"^a(?#b)c$", ("ac",)),
    (r"^a(?=b)", ("ab", "ac")),
    (r"^a(?!b|c)", ("ab", "ad")),
    (r"(?<=a|bc)d$", ("ad", "bcd", "cd")),
    (r"(?<!a|bc)d$", ("ad", "bcd", "cd")),
    (r"(?<!^)a", ("a", "ba")),
    (r"\Ba\B", ("a", "bab", "")),
    (r"\B", ("", "a", "ab")),
    (r"^\p{L}\P{L}\pN$", ("a-1", "éa1")),
    (r"^[\p{Lu}\p{Nd}]+$", ("A1", "a")),
    (r"^a\Kb(c)$", ("abc",)),
    (r"(a*)*$", ("b", "aa")),
    (r"(a|b*)*c", ("abc", "c")),
    (r"", ("", "a")),
    (r"a||b", ("b",)),
)

# What Python has not: nothing is decided by these.
BEYOND = (
    r"^(a(?1)?b)$",
    r"^(?|(a)|(b))$",
    r"^(?(?=a)a|b)$",
    r"(*UTF8)^.$",
    r"^a(*COMMIT)b$",
    r"^a{,2}$",
    r"^(?i)\p{Lu}$",
    r"\p{Greek}",
    r"a(?#b)*",
    r"a)",
    r"(a",
    r"[a",
    r"*a",
    r"a**",
    r"[z-a]",
    "a\\",
)


def ours(pattern: str, text: str) -> str:
    """What the location below answers in its `At` header."""
    compiled = compile_pattern(pattern)
    match = compiled.search(text)
    if match is None:
        return "no"
    captures = [*match.captures, "", "", ""][:3]
    return f"yes {'|'.join(captures)}"


async def disagreements(binary: NginxBinary, folder: Path) -> list[str]:
    """Where nginx reads a pattern in another way."""
    port = free_ports(1)[0]
    rows = [
        f"""location ~ ^/{number}/ {{
            if ($text ~ {quoted(pattern)}) {{ add_header At "yes $1|$2|$3" always; return 200; }}
            add_header At no always;
            return 200;
        }}"""
        for number, (pattern, _) in enumerate(PATTERNS)
    ]
    text = "\n".join(rows)
    text = f"""events {{}} http {{
        map $uri $text {{ "~(?s)^/[0-9]+/(?<all>.*)\\z" $all; }}
        server {{ listen 127.0.0.1:{port}; merge_slashes off; {text} }}
    }}"""
    cases = [(n, pattern, t) for n, (pattern, texts) in enumerate(PATTERNS) for t in texts]
    asks = [
        Ask(
            port,
            "h",
            f"/{n}/" + "".join(f"%{code:02X}" for code in t.encode("utf-8", "surrogateescape")),
        )
        for n, _, t in cases
    ]
    async with Nginx(binary, text, folder):
        answers = ask(asks)
    said = [f"{answer.mark} {answer.args}".strip() for answer in answers]
    return [
        f"{pattern!r} in {t!r}: nginx {theirs!r}, we {ours(pattern, t)!r}"
        for (_, pattern, t), theirs in zip(cases, said, strict=True)
        if theirs != ours(pattern, t)
    ]


def test_patterns_on_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    assert asyncio.run(asyncio.wait_for(disagreements(binary, tmp_path), 30)) == []


@pytest.mark.parametrize("pattern", BEYOND)
def test_what_python_has_not(pattern: str) -> None:
    with pytest.raises(Undecided):
        compile_pattern(pattern).search("ab")


def test_case_is_ignored_on_demand() -> None:
    for pattern in ("^/ab$", "^/[a-b]+$", r"^/(?<n>a)[^c]$"):
        compiled = compile_pattern(pattern, ignore_case=True)
        assert compiled.search("/AB") is not None


def test_a_dash_behind_a_class_is_a_dash() -> None:
    for pattern in (r"^[\w-.]+$", r"^[[:alpha:]-.]+$"):  # PCRE2 refuses them
        compiled = compile_pattern(pattern)
        assert compiled.search("a-b.c") is not None


def test_names_have_no_case() -> None:
    compiled = compile_pattern("(?<Name>a)(b)?")
    assert compiled.captures
    match = compiled.search("a")
    assert match is not None
    assert (match.named, match.captures) == ({"name": "a"}, ("a", ""))
