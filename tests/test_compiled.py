"""What is loaded in place of YAML is what the YAML says, and only as long as it says that."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.util.compiled import checksum, compiled
from nginx_stream_lint.nginx import directives
from nginx_stream_lint.analysis.rule_examples import lint_text
from nginx_stream_lint.rules import templates_compiled, wording
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.streams import catalogue
from tests.compiled import PACKAGE, modules, parts

ROOT = PACKAGE.parents[1]


@pytest.mark.parametrize(("path", "text"), list(modules()), ids=lambda one: one[:40])
def test_the_modules_are_what_the_yaml_says(path: str, text: str) -> None:
    assert (PACKAGE / path).read_text(encoding="utf-8") == text, "make docs"


def test_the_tables_are_the_compiled_ones() -> None:
    from nginx_stream_lint.nginx.directives_compiled import TABLE
    from nginx_stream_lint.rules.rules_compiled import RULES
    from nginx_stream_lint.streams.catalogue_compiled import APPS, WORDS

    assert directives.table() is TABLE
    assert catalogue.apps() is APPS
    assert catalogue.words() is WORDS
    assert load_rules(builtin_folder()) is RULES


def test_a_file_that_is_added_renamed_or_edited_is_seen(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("word: one\n")
    both = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    seen = {checksum(both), checksum(both[:1]), checksum(both[::-1])}
    (tmp_path / "b.yaml").write_text("word: two\n")
    seen.add(checksum(both))
    (tmp_path / "b.yaml").rename(tmp_path / "c.yaml")
    seen.add(checksum([both[0], str(tmp_path / "c.yaml")]))
    assert len(seen) == 5


def test_a_module_of_other_files_is_not_used(tmp_path: Path) -> None:
    edited = tmp_path / "directives.yaml"
    shutil.copy(directives.FILE, edited)
    name = "nginx_stream_lint.nginx.directives_compiled"
    assert compiled(name, [str(edited)]) is not None
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# a word\n", encoding="utf-8")
    assert compiled(name, [str(edited)]) is None


# Some letters that are no ASCII match ASCII ones where case is ignored: texts with them are searched.
@pytest.mark.parametrize(
    "word", [one for rows in catalogue.read()[1].values() for one in rows], ids=lambda one: one.words
)
@settings(deadline=None)
@given(data=st.data())
def test_what_an_expression_finds_has_one_of_its_parts(word: catalogue.Word, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(word.words, re.IGNORECASE | re.ASCII)))
    found = parts(word.words)
    assert not text.isascii() or any(one in text.lower() for one in found), text
    expression = re.compile(rf"(?<![a-z])(?:{word.words})(?![a-z])", re.IGNORECASE)
    once = dataclasses.replace(word, parts=found).pattern
    theirs = [match.span() for match in expression.finditer(text)]
    assert [match.span() for match in once.finditer(text)] == theirs


@settings(deadline=None)
@given(text=st.text("abcdefghijklmnopqrstuvwxyz-/ .0KſS"))
def test_a_finder_finds_what_its_expression_finds(text: str) -> None:
    for rows in catalogue.words().values():
        for word in rows:
            finder = catalogue.Finder(word.words, re.IGNORECASE, word.parts)
            expression = re.compile(word.words, re.IGNORECASE)
            for method in ("search", "fullmatch"):
                ours, theirs = getattr(finder, method)(text), getattr(expression, method)(text)
                assert (ours and ours.span()) == (theirs and theirs.span())


EDITS = {
    "rules/nagle-delay.yaml": ("title: ", "title: Edited. ", "title='Edited. "),
    "src/nginx_stream_lint/nginx/directives.yaml": ('"4k"', '"9k"', "('9k',)"),
    "src/nginx_stream_lint/streams/catalogue.yaml": ("app: OpenAI", "app: Edited", "['Edited"),
    "src/nginx_stream_lint/streams/evidence.yaml": ("sse|", "edited|", "words='edited|"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_checkout_with_an_edited_file_says_what_the_file_says(name: str, tmp_path: Path) -> None:
    for folder in ("rules", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    path = tmp_path / name
    before, after, shown = EDITS[name]
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    code = (
        "from nginx_stream_lint.nginx.directives import table\n"
        "from nginx_stream_lint.rules.shipped import builtin_folder, load_rules\n"
        "from nginx_stream_lint.streams.catalogue import apps, words\n"
        "print(table(), load_rules(builtin_folder()), [one.name for one in apps()], words())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": str(tmp_path / "src")},
    )
    assert shown in done.stdout


@pytest.mark.parametrize("rule", load_rules(builtin_folder()), ids=lambda one: one.name)
def test_compiled_templates_say_what_jinja_says(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[object]:
        wording._template.cache_clear()
        reports = [
            lint_text(text, load_rules(builtin_folder()), one.nginx_version)
            for one in rule.examples
            for text in (one.bad, one.good)
            if text is not None
        ]
        return [
            (found.message, found.fix and (found.fix.title, found.fix.snippet, len(found.fix.edits)))
            for report in reports
            for found in report.findings
        ]

    python = said()
    assert python
    monkeypatch.setattr(templates_compiled, "TEMPLATES", {})
    assert said() == python
    wording._template.cache_clear()


def test_a_file_without_comments_is_read_with_an_edited_catalogue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.streams.looking import likely

    monkeypatch.setattr(catalogue, "_tables", lambda: (*catalogue.read(), None))
    assert likely(tmp_path, "location /sse { proxy_pass http://a; }") == {"/sse": "sse"}
