"""The published JSON schema: as the code says, valid itself, and true of what is read."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.report import FORMATS
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.settings import SettingsMistake, load
from nginx_stream_lint.settings.keys import KEYS, OVERRIDE_KEYS, STREAM_KEYS
from nginx_stream_lint.settings.load import Settings
from nginx_stream_lint.settings.page import examples
from nginx_stream_lint.settings.types import Key, json_schema
from tests.pages import SCHEMA, settings_schema
from tests.settings.test_load import YAML

RULES = sorted(rule.name for rule in load_rules(builtin_folder()))
PUBLISHED: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(PUBLISHED)


def test_the_published_schema_is_that_of_the_code() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == settings_schema(), "make docs"


def test_it_is_a_schema_with_words_for_every_key() -> None:
    jsonschema.Draft7Validator.check_schema(PUBLISHED)
    for key in KEYS:
        told = PUBLISHED["properties"][key.name]
        assert told["description"]
        assert told["examples"]
    # Editors complete the names of rules.
    assert set(PUBLISHED["properties"]["severity"]["properties"]) == set(RULES)


@pytest.mark.parametrize(
    "text",
    [
        "severity: {response-buffering: off}",
        "severity: {response-buffering: warning}\nselect: [response-buffering]",
        "streams: [{path: /a, x_accel_buffering: no}, {path: /b, x_accel_buffering: yes}]",
        "overrides: [{paths: a, severity: {response-buffering: off}}]",
        "rules: own\nignore: [our-rule]\nseverity: {our-rule: off}",
    ],
)
def test_editors_take_what_is_right(text: str, tmp_path: Path) -> None:
    """Also those that read YAML 1.1, where `off`, `no` and `yes` without quotes are no words."""
    import yaml

    assert accepted(text, tmp_path, "our-rule")
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "ignore: [respons-buffering]",
        "select: respons-buffering",
        "severity: {respons-buffering: off}",
        "severity: {response-buffering: on}",
        "overrides: [{paths: a, severity: {respons-buffering: off}}]",
    ],
)
def test_editors_know_the_rules(text: str, tmp_path: Path) -> None:
    import yaml

    assert not accepted(text, tmp_path)
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


def test_every_example_is_valid() -> None:
    VALIDATOR.validate(examples())
    for keys in (KEYS, OVERRIDE_KEYS, STREAM_KEYS):
        for key in keys:
            jsonschema.Draft7Validator(json_schema(key.hint(RULES))).validate(key.example)


def test_every_key_has_a_field_and_a_default_that_is_true() -> None:
    fields = Settings.__struct_fields__
    for key in KEYS:
        assert (key.field or key.name) in fields
        assert (key.default is None) == bool(key.unset), key.name
    assert Settings().min_read_timeout_s == 300
    assert not Settings().markdown
    assert Settings().fail_on == "error"


def accepted(text: str, folder: Path, *own: str) -> bool:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load(path).check_rules([*RULES, *own])
    except SettingsMistake:
        return False
    return True


def _mistakes() -> list[Any]:
    """The mistakes of the tests of reading, as far as JSON can say them."""
    import yaml

    found: list[Any] = []
    for text, says in YAML:
        if any(
            word in says
            for word in ("twice", "tag", "levels", "unknown rule", "document", *LENIENT)
        ):
            continue
        try:
            found.append(json.loads(json.dumps(yaml.safe_load(text))))
        except (yaml.YAMLError, TypeError, ValueError, RecursionError):
            continue
    return found


# What is no JSON schema's business: how patterns are written, characters that nobody sees. And what
# the reader of this test makes something valid of.
LENIENT = ("is not a path pattern", "invisible character", 'not "yes"', '"<<"')


@pytest.mark.parametrize("value", _mistakes(), ids=str)
def test_editors_see_the_same_mistakes(value: Any) -> None:
    assert not VALIDATOR.is_valid(value)


WORDS = st.sampled_from(
    (*RULES[:3], *FORMATS[:3], "error", "off", "/a", "a/*.conf", "1.26", "300s", "h2", "sse", "")
) | st.text(string.ascii_letters + "/.*! 0123456789", max_size=6)
NAMES = st.sampled_from([key.name for key in (*KEYS, *OVERRIDE_KEYS, *STREAM_KEYS)] + RULES[:2])
ANY: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.integers(0, 400) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def _some_of(keys: tuple[Key, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with one to three of some keys, whose values are often right."""
    pairs = st.sampled_from(keys).flatmap(
        lambda key: st.tuples(st.just(key.name), st.just(key.example) | ANY)
    )
    return st.lists(pairs, min_size=1, max_size=3).map(dict)


def _override(value: dict[str, Any]) -> dict[str, Any]:
    return {"overrides": [{"paths": "a"} | value]}


@given(_some_of(KEYS) | _some_of(OVERRIDE_KEYS).map(_override))
def test_what_is_read_is_valid(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    if accepted(json.dumps(value), folder):
        VALIDATOR.validate(value)
