"""Output is data: what strangers write moves no cursor and starts no command, wherever it goes."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from nginx_stream_lint.report import FORMATS
from nginx_stream_lint.util import escaping
from tests.command import run

EVIL = (
    "a\n::error file=x::y\r##[error]z\x1b[2J\x9b2J\x07\x85\u202e\u2066\u200b\u2028\ufeff\udce9"
    "##vso[task.setvariable]x%0A::stop-commands::t<script>|`*[x](y)&lt;]]>"
)
# What a runner of GitHub's jobs takes for a command; Azure's looks for ##vso[ anywhere.
COMMAND = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)
TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("::##[]vso\n\r\t \x1b\x9b\u202e\xad\ufe0f\udcff"))
)


def is_harmless(text: str) -> bool:
    """Whether no character of a text does anything but to be shown."""
    return all(character.isprintable() or character in "\n\t" for character in text)


@given(TEXTS)
@example("\x1b[1m::error::x")
@example("#\x1b[31m#[error]")
@example("\ufe0f ::error::x")
@example(":::error::x")
def test_a_terminal_gets_lines_that_do_nothing(text: str) -> None:
    shown = escaping.terminal(text)
    for one in (shown, click.unstyle(shown)):
        assert COMMAND.search(one) is None
    assert is_harmless(re.sub("\x1b\\[[0-9]+m", "", shown))
    shown.encode()
    assert escaping.terminal(shown) == shown
    if is_harmless(text) and ":" not in text and "#" not in text:
        assert shown == text


@given(TEXTS)
def test_colours_of_our_own_stay(text: str) -> None:
    line = click.style(escaping.printable(text), fg="red", bold=True)
    assert escaping.terminal(f"x{line}").count("\x1b[") == 3


@given(TEXTS)
def test_json_stays_the_same_document(text: str) -> None:
    document = escaping.in_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert json.loads(document) == {text: [text]}
    assert is_harmless(document)
    document.encode()
    assert escaping.terminal(document) == document


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff")))
def test_xml_stays_the_same_document(text: str) -> None:
    text = "".join(one for one in text if one >= " ")
    element = etree.Element("a", b=text)
    element.text = text
    document = escaping.in_xml(etree.tostring(element, encoding="unicode"))
    assert is_harmless(document)
    read = etree.fromstring(document)
    assert (read.get("b"), read.text or "") == (text, text)


@given(TEXTS)
def test_xml_is_valid_for_any_text(text: str) -> None:
    document = escaping.in_xml(f"<a b={quoteattr(text)}>{escape(text)}</a>")
    assert is_harmless(document)
    etree.fromstring(document)


@given(TEXTS)
def test_a_workflow_command_holds_its_text(text: str) -> None:
    data, value = escaping.workflow_data(text), escaping.workflow_property(text)
    assert is_harmless(data + value)
    assert not set("\n\r") & set(data + value)
    assert not set(":,") & set(value)


def hostile(folder: Path) -> Path:
    """A folder with files whose names and texts attack whatever shows them."""
    inner = folder / "x"
    inner.mkdir()
    name = "".join(one for one in EVIL if one != "/")[:80].encode("utf-8", "surrogateescape")
    location = EVIL.replace("\\", "").replace('"', "")
    text = (
        f'server {{ server_name "{location}";\n'
        f'location "/v1/chat/completions{location}" {{\n'
        f'set $a "\n ::stop-commands::x\n##[add-mask]y\n";proxy_pass http://a; }}\n'
        f'proxy_buffering "{location}"; }}\n'
    )
    (inner / os.fsdecode(name + b".conf")).write_bytes(text.encode("utf-8", "surrogateescape"))
    (inner / os.fsdecode(b"bad" + name + b".conf")).write_text('"\n::error::x\n{ } gzip; }')
    return inner


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(["--format", name], id=name) for name in FORMATS),
        ["--color"],
        ["--show-settings"],
        ["--baseline", "none\n::error::x"],
        ["--fix"],
    ],
)
def test_files_of_strangers_in_every_format(options: list[str], tmp_path: Path) -> None:
    folder = hostile(tmp_path)
    done = run(".", *options, cwd=folder)
    assert done.returncode in (0, 1, 2)
    assert done.stdout + done.stderr
    for text in (done.stdout, done.stderr):
        plain = re.sub("\x1b\\[[0-9]+m", "", text)
        assert is_harmless(plain)
        lines = plain.splitlines()
        if "github" in options and text is done.stdout:
            assert all(re.match("::(error|warning|notice) file=", line) for line in lines)
        else:
            assert COMMAND.search(plain) is None
    if "--format" not in options or options[1] in ("html", "junit"):
        assert "<script>" not in done.stdout or options[:1] != ["--format"]


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "--format", "json"]])
def test_explain(arguments: list[str], tmp_path: Path) -> None:
    folder = hostile(tmp_path)
    for path in sorted(folder.iterdir()):
        url = f"/v1/chat/completions{EVIL}".replace("\n", "%0a")
        done = run(*arguments, path.name, url, "http://a\x1b[2J/::error::", cwd=folder)
        assert done.returncode in (0, 2)
        for text in (done.stdout, done.stderr):
            assert is_harmless(text)
            assert COMMAND.search(text) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", EVIL],
        ["--select", EVIL],
        [f"--{EVIL}"],
        ["--config", EVIL],
        ["--stream", EVIL],
        [EVIL],
        ["rules", EVIL],
        ["rules", "--test", EVIL],
        ["completion", EVIL],
        ["explain", EVIL, EVIL],
        ["probe", EVIL],
        ["trace", EVIL],
        ["trace", "http://127.0.0.1:9/", "--config", EVIL],
    ],
)
def test_the_words_of_a_command_line(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    for text in (done.stdout, done.stderr):
        assert is_harmless(text)
        assert COMMAND.search(text) is None


def test_the_summary_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile(tmp_path)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    run(".", "--format", "github", cwd=folder)
    text = summary.read_text(encoding="utf-8")
    assert is_harmless(text)
    outside = re.sub("(`+) ?.*?\\1", "", text)
    assert re.search(r"(?<!\\)[<\[]", outside) is None
    assert all(unicodedata.category(one) not in ("Cc", "Cf") for one in text if one != "\n")
