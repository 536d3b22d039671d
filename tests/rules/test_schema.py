"""The JSON schema of rule files: made from the code, and true of what the reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from tests.pages import RULE_SCHEMA, published_rule_schema
from tests.rules.test_language import RULE, WHEN

from nginx_stream_lint.rules.rule import RuleMistake
from nginx_stream_lint.rules.rule_file import load_rule
from nginx_stream_lint.rules.rule_form import RuleForm
from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.util.yamlfile import compose, construct

VALIDATOR = jsonschema.Draft202012Validator(json.loads(RULE_SCHEMA.read_text(encoding="utf-8")))
FILES = sorted(builtin_folder().glob("*.yaml"))


def _content(text: str) -> Any:
    return construct(compose(text))


def test_the_published_schema_is_that_of_the_code() -> None:
    assert RULE_SCHEMA.read_text(encoding="utf-8") == published_rule_schema(), "make docs"
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_rule_is_valid(path: Path) -> None:
    content = _content(path.read_text(encoding="utf-8"))
    VALIDATOR.validate(content)
    assert msgspec.convert(content, RuleForm).name == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_editors_find_the_schema_of_a_shipped_rule(path: Path) -> None:
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    start, name = first.split("=")
    assert start == "# yaml-language-server: $schema"
    assert (path.resolve().parent / name).resolve() == RULE_SCHEMA.resolve()


def test_conditions_as_mappings_are_valid() -> None:
    VALIDATOR.validate(_content(RULE))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("title:", "titel:"),
        ("title: A limit of ours\n", ""),
        ("title: A limit of ours", "title: [a]"),
        ("name: my-rule", "name: My Rule"),
        ("kinds: [sse]", "kinds: [see]"),
        ("kinds: [sse]", "kinds: sse"),
        ("kinds: [sse]", "levels: [http]"),
        (WHEN, "when: [kind]"),
        ("error: {kind", "fatal: {kind"),
        ("  - warning", "  - warnings"),
        ("applicability: safe", "applicability: sure"),
        ("    - set:", "    - unset:"),
        ("to: 1h", "to: 1h\n      scope: file"),
        ("to: 1h", "to: 1h\n      caution: [a]"),
        ("- good", "- god"),
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(
    before: str, after: str, tmp_path: Path
) -> None:
    text = RULE.replace(before, after, 1)
    assert text != RULE
    assert not VALIDATOR.is_valid(_content(text))
    path = tmp_path / "my-rule.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RuleMistake):
        load_rule(path)
