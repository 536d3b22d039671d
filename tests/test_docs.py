"""docs/architecture.md against the code: folders, rule keys, operators."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint.config.tree import MAX_DEPTH
from nginx_stream_lint.rules.conditions import OPERATORS
from nginx_stream_lint.rules.filters import FILTERS
from nginx_stream_lint.rules.rule import Example, FixPlan, Rule, Step
from tests.test_architecture import ORDER

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nginx_stream_lint"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`\n]+)`", TEXT))


def _section(heading: str) -> str:
    """The text from a heading to the next one."""
    start = TEXT.index(f"\n{heading}\n")
    end = TEXT.find("\n#", start + len(heading) + 2)
    return TEXT[start : end if end > 0 else len(TEXT)]


def _first_column(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_parts_are_in_the_order_of_imports() -> None:
    folders = re.findall(r"^\| \*\*`([a-z]+)/`\*\*", _section("## The parts"), re.MULTILINE)
    assert folders == [*(part for part in ORDER if part != "__main__"), "probe", "trace"]


def test_rule_keys_are_those_of_the_code() -> None:
    keys = _first_column(_section("## A rule file"))
    assert keys == list(Rule.__struct_fields__)


@pytest.mark.parametrize("kind", [FixPlan, Step, Example])
def test_keys_inside_a_rule_are_mentioned(kind: Any) -> None:
    # Keys of a step are named otherwise than its fields; `actions` are the steps themselves.
    otherwise = {"args": "to", "action": "set", "directive": "set"}
    for field in kind.__struct_fields__:
        assert otherwise.get(field, field) in WORDS, field


def test_steps_and_operators_are_mentioned() -> None:
    assert {"set", "set_row", "remove_row", "restore_rows"} <= WORDS
    assert {*OPERATORS, "all", "any", "not"} <= WORDS
    assert f"nest {MAX_DEPTH} deep" in TEXT


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_filters_are_in_the_table_of_templates(name: str) -> None:
    # A cell ends at a bar that no backslash escapes.
    cells = re.findall(r"^\| (.*?) (?<!\\)\|", _section("### Templates"), re.MULTILINE)
    assert name in {word for cell in cells for word in re.findall(r"\w+", cell)}


def test_names_that_templates_may_use_are_mentioned() -> None:
    source = (PACKAGE / "rules" / "templates.py").read_text(encoding="utf-8")
    names = re.findall(r'values\["(\w+)"\]', source)
    assert names
    for name in names:
        assert re.search(rf"`{name}\b", TEXT), name


def test_the_places_for_newcomers_exist() -> None:
    section = _section("## Where to find things")
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    paths = [path for row in rows for path in re.findall(r"`([a-z_]+/[^`]+)`", row)]
    assert len(paths) >= 10
    for path in paths:
        folder = ROOT if path.startswith("rules/") else PACKAGE
        assert list(folder.glob(path.replace("NAME", "*"))), path
