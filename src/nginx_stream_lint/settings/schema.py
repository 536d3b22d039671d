"""The JSON schema of the settings, for editors and other validators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nginx_stream_lint.settings.keys import SETTINGS
from nginx_stream_lint.settings.types import AllRules, json_schema


def schema(rules: Sequence[str]) -> dict[str, Any]:
    """The JSON schema (draft 7, which editors support best).

    `rules` are the names of the shipped rules, old ones included. Other names are mistakes unless
    the settings name a folder with own rules.
    """
    lax = json_schema(SETTINGS.hint(rules))
    strict = json_schema(SETTINGS.hint(AllRules(rules)))["properties"]
    differing = {name: one for name, one in strict.items() if one != lax["properties"][name]}
    return lax | {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of nginx-stream-lint",
        "description": "A .nginx-stream-lint.yaml, or [tool.nginx-stream-lint] in pyproject.toml.",
        "if": {"not": {"required": ["rules"]}},
        "then": {"properties": differing},
    }
