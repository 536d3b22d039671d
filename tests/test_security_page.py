"""docs/security.md names a test for each promise: here is whether those tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "security.md"
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_ROW = re.compile(r"^\| (?!promise|---|trusted)(.+?) \| (.+) \|$", re.MULTILINE)


def _promises() -> list[tuple[str, str]]:
    """The rows of all tables of promises: what is promised, and the cell with its tests."""
    text = PAGE.read_text(encoding="utf-8").partition("## Promises")[2]
    return _ROW.findall(text)


def test_each_promise_has_a_test() -> None:
    promises = _promises()
    assert len(promises) > 30
    assert [promise for promise, tests in promises if not _TEST.search(tests)] == []


def test_each_test_exists() -> None:
    missing = []
    for file, name in _TEST.findall(PAGE.read_text(encoding="utf-8")):
        path = TESTS / file
        body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if name not in {node.name for node in body if isinstance(node, functions)}:
            missing.append(f"{file}::{name}")
    assert missing == []
