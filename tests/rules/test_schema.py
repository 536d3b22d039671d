"""The JSON schema of rule files: made from the code, and true of what the reader takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from tests.pages import RULE_SCHEMA, published_rule_schema
from tests.rules.test_language import RULE, WHEN

from nginx_stream_lint.rules.rule import RuleMistake
from nginx_stream_lint.rules.rule_file import load_rule
from nginx_stream_lint.rules.rule_form import Action, RuleForm
from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.util.yamlfile import compose, construct

SCHEMA: dict[str, Any] = json.loads(RULE_SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILES = sorted(builtin_folder().glob("*.yaml"))


def _content(text: str) -> Any:
    return construct(compose(text))


def test_the_published_schema_is_that_of_the_code() -> None:
    assert RULE_SCHEMA.read_text(encoding="utf-8") == published_rule_schema(), "make docs"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


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


def test_editors_show_what_every_key_means() -> None:
    keys = {
        f"{form}.{key}": content
        for form, one in SCHEMA["$defs"].items()
        for key, content in one["properties"].items()
    }
    assert len(keys) > 30
    assert [name for name, content in keys.items() if not content.get("description")] == []


def _subsets(values: dict[str, str]) -> Iterator[dict[str, str]]:
    for number in range(len(values) + 1):
        for chosen in combinations(values.items(), number):
            yield dict(chosen)


@pytest.mark.parametrize("key", ["steps", "examples"])
def test_the_schema_and_the_reader_take_the_same_keys_together(key: str, tmp_path: Path) -> None:
    path = tmp_path / "my-rule.yaml"
    content = _content(RULE)
    actions = dict.fromkeys(get_args(Action), "proxy_set_header")
    keys = actions | {"to": "a"} if key == "steps" else dict.fromkeys(["bad", "fixed", "good"], "a")
    accepted = 0
    for item in _subsets(keys):
        (content["fix"] if key == "steps" else content)[key] = [item]
        path.write_text(json.dumps(content), encoding="utf-8")
        try:
            load_rule(path)
        except RuleMistake:
            assert not VALIDATOR.is_valid(content), item
        else:
            accepted += 1
            VALIDATOR.validate(content)
    assert accepted == (len(actions) if key == "steps" else 2)


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
        (WHEN, "when: {}"),
        (WHEN, "when: {kind: {is: sse}, method: {is: GET}}"),
        ("error: {kind", "note: kind\n    error: {kind"),
        ("  - error: {kind: {is: sse}}", "  - {}"),
        # A step needs one action, and `to` with all actions but one.
        ("    - set: <family>_read_timeout\n      to", "    - to"),
        ("    - set: <family>_read_timeout\n      to: 1h", "    - optional: true"),
        ("    - set: <f", "    - reset: <family>_send_timeout\n      set: <f"),
        ("    - set: <f", "    - restore_rows: proxy_set_header\n      set: <f"),
        ("    - set: <family>_read_timeout", "    - restore_rows: proxy_set_header"),
        *(
            ("    - set: <family>_read_timeout\n      to: 1h", f"    - {action}: proxy_set_header")
            for action in ("set", "reset", "set_row", "remove_row", "add_map")
        ),
        ("to: 1h", "to: 1h\n      caution: It is slow.\n      applicability: safe"),
        # An example is `bad` with `fixed`, or `good`.
        ("- good: server {}", "- evidence: accepted"),
        ("- good: server {}", '- nginx_version: "1.29.7"'),
        ("- good: server {}", "- bad: server {}"),
        ("- good: server {}", "- fixed: server {}"),
        ("- good: server {}", "- bad: server {}\n    good: server {}"),
        ("- good: server {}", "- good: server {}\n    fixed: server {}"),
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
