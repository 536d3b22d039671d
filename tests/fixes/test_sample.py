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
    found, checks = _checked({"a.conf": text}, ["a.conf"], rules, monkeypatch, sampled)
    return found, [one.locations for one in checks]


def _checked(
    texts: dict[str, str],
    paths: list[str],
    rules: tuple[Rule, ...],
    monkeypatch: pytest.MonkeyPatch,
    sampled: bool,
) -> tuple[list[object], list[Result]]:
    """All findings with their fixes; and the result of each check."""
    checks: list[Result] = []
    lint = one_round.lint

    def counted(workspace: Workspace, paths: list[str], options: Options) -> Result:
        result: Result = lint(workspace, paths, options)
        checks.append(result)
        return result

    workspace = Workspace.in_memory(texts)
    with monkeypatch.context() as patch:
        patch.setattr(one_round, "lint", counted)
        if not sampled:
            patch.setattr(complete, "sample", lambda *_: ({}, set()))
        result = complete.lint(workspace, paths, Options(rules=rules))
    assert not result.problems
    return [(one.rule, one.message, _shown(one.fix)) for one in result.findings], checks


def _shown(fix: Fix | None) -> object:
    if fix is None:
        return None
    edits = [(one.start, one.end, one.text) for one in fix.edits]
    said = fix.title, fix.cautions, fix.safe_parts, fix.applied_parts
    return said, fix.applicability, fix.snippet, edits


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
    assert checked[1:] == [3]


def test_what_fixes_uncover_is_found_in_all_locations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _text(["proxy_buffering on;"] * MANY, "gzip on;")
    rules = _rules(tmp_path)
    found, checked = _fixes(text, rules, monkeypatch, sampled=True)
    whole, _ = _fixes(text, rules, monkeypatch, sampled=False)
    assert found == whole
    assert checked[1] == 3
    assert MANY in checked[2:]
    assert str(found).count("gzip off") >= MANY


# How nginx.conf includes files, and what the user names.
INCLUDES = {
    "each": ("".join(f"include l/{number}.conf;\n" for number in range(MANY)), ["nginx.conf"]),
    "a pattern": ("include l/*.conf;", ["nginx.conf"]),
    "a folder": ("include l/*.conf;", ["."]),
    "missing": ("include /etc/nginx/l/*.conf;", ["."]),
}


@pytest.mark.parametrize(("includes", "paths"), INCLUDES.values(), ids=INCLUDES)
def test_files_with_nothing_else_are_not_read_again(
    includes: str, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"nginx.conf": f"events {{}}\nhttp {{\nserver {{\n{includes}\n}}\n}}\n"}
    for number in range(MANY):
        texts[f"l/{number}.conf"] = (
            f"# The chat of team {number}.\n"
            f"location /{number}/v1/chat/completions {{\n"
            f"    proxy_pass http://127.0.0.1:{8000 + number};\n"
            "}\n"
        )
    rules = load_rules(builtin_folder())
    found, checks = _checked(texts, paths, rules, monkeypatch, sampled=True)
    whole, all_checks = _checked(texts, paths, rules, monkeypatch, sampled=False)
    assert found == whole
    assert [len(one.files) for one in all_checks] == [MANY + 1, MANY + 1]
    assert [len(one.files) for one in checks] == [MANY + 1, 3 + 1]
    assert [one.locations for one in checks] == [MANY, 3]


def test_named_files_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its own, a file with comments only is accepted, and an empty one is refused."""
    comment = "# It talks.\n"
    location = "location /v1/chat/completions {{ proxy_pass http://127.0.0.1:{}; }}\n"
    texts = {f"{number}.conf": comment + location.format(number) for number in range(1, MANY + 1)}
    rules = load_rules(builtin_folder())
    found, checks = _checked(texts, list(texts), rules, monkeypatch, sampled=True)
    whole, _ = _checked(texts, list(texts), rules, monkeypatch, sampled=False)
    assert found == whole
    assert [len(one.files) for one in checks] == [MANY, MANY]
    assert [one.locations for one in checks] == [MANY, 3]


def test_one_location_among_many_may_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its findings and its fixes are those of the others, but they lead to something else."""
    (tmp_path / "no-gzip-beside.yaml").write_text(NEXT, encoding="utf-8")
    rules = load_rules(builtin_folder(), tmp_path)
    text = _text([*[""] * MANY, "gzip on;"])
    found, _ = _fixes(text, rules, monkeypatch, sampled=True)
    whole, _ = _fixes(text, rules, monkeypatch, sampled=False)
    assert found == whole
    assert "gzip off;" in str(found)


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
