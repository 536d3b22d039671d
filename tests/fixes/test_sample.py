"""With many locations alike, a sample tells what the fixes lead to; the result is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint import Workspace
from nginx_stream_lint.analysis import complete
from nginx_stream_lint.analysis import lint as one_round
from nginx_stream_lint.analysis.lint import Options, Result
from nginx_stream_lint.rules.finding import Fix
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

MANY = 60
# Each fix of response-buffering makes this rule find something more.
NEXT = """\
name: no-gzip-beside
title: Compression beside an unbuffered stream
kinds: [sse]
severity:
  - warning: value("proxy_buffering") == "off" and value("gzip") == "on"
at: gzip
message: This location compresses a stream that is not buffered
fix:
  title: Switch compression off
  applicability: safe
  steps:
    - set: gzip
      to: "off"
why: It is a rule of this test. It only exists here.
evidence: this test
references: [https://wiki.example.com/streams]
examples:
  - good: |
      server { location /a { proxy_pass http://127.0.0.1:8000; } }
"""
SETTINGS = ("", "proxy_buffering off;", "proxy_read_timeout 1h;", "gzip on;", "proxy_buffering on;")


def _text(settings: list[str], head: str = "") -> str:
    places = "".join(
        f"location /{number}/v1/chat/completions {{\n"
        f"    proxy_pass http://127.0.0.1:{8000 + number};\n"
        f"    {one}\n"
        "}\n"
        for number, one in enumerate(settings)
    )
    return f"server {{\n{head}\n{places}}}\n"


def _fixes(
    text: str, rules: tuple[Rule, ...], monkeypatch: pytest.MonkeyPatch, sampled: bool
) -> tuple[list[object], list[int]]:
    """All findings with their fixes; and how many locations each check had."""
    checked: list[int] = []
    lint = one_round.lint

    def counted(workspace: Workspace, paths: list[str], options: Options) -> Result:
        result: Result = lint(workspace, paths, options)
        checked.append(result.locations)
        return result

    workspace = Workspace.in_memory({"a.conf": text})
    with monkeypatch.context() as patch:
        patch.setattr(one_round, "lint", counted)
        if not sampled:
            patch.setattr(complete, "sample", lambda _: {})
        result = complete.lint(workspace, ["a.conf"], Options(rules=rules))
    assert not result.problems
    return [(one.rule, one.message, _shown(one.fix)) for one in result.findings], checked


def _shown(fix: Fix | None) -> object:
    if fix is None:
        return None
    edits = [(one.start, one.end, one.text) for one in fix.edits]
    return fix.title, fix.applicability, fix.snippet, edits


def _rules(folder: Path) -> tuple[Rule, ...]:
    (folder / "no-gzip-beside.yaml").write_text(NEXT)
    return load_rules(builtin_folder(), folder)


@pytest.mark.parametrize("setting", ["", "proxy_buffering off;"])
def test_only_some_locations_are_checked_again(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _text([setting] * MANY)
    rules = load_rules(builtin_folder())
    found, checked = _fixes(text, rules, monkeypatch, sampled=True)
    whole, twice = _fixes(text, rules, monkeypatch, sampled=False)
    assert found == whole
    assert twice == [MANY, MANY]
    assert checked[0] == MANY
    assert checked[1:] == [10]


def test_what_fixes_uncover_is_found_in_all_locations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _text(["proxy_buffering on;"] * MANY, "gzip on;")
    rules = _rules(tmp_path)
    found, checked = _fixes(text, rules, monkeypatch, sampled=True)
    whole, _ = _fixes(text, rules, monkeypatch, sampled=False)
    assert found == whole
    assert checked[1] == 10
    assert MANY in checked[2:]
    assert str(found).count("gzip off") >= MANY


@settings(max_examples=10)
@given(
    each=st.lists(st.sampled_from(SETTINGS), min_size=1, max_size=4),
    head=st.sampled_from(["", "gzip on;", "proxy_read_timeout 1h;"]),
)
def test_a_sample_changes_no_result(each: list[str], head: str) -> None:
    text = _text(each * 25, head)
    rules = load_rules(builtin_folder())
    with pytest.MonkeyPatch.context() as patch:
        found, _ = _fixes(text, rules, patch, sampled=True)
        whole, _ = _fixes(text, rules, patch, sampled=False)
    assert found == whole
