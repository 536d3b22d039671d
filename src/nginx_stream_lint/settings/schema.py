"""The settings as JSON schema, for editors and for whoever wants to check them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nginx_stream_lint.settings.keys import SETTINGS
from nginx_stream_lint.settings.types import AllRules, json_schema


def schema(rules: Sequence[str]) -> dict[str, Any]:
    """The JSON schema (draft 7, which editors know best).

    `rules` are the names of the shipped rules, old ones included. Others are mistakes where the
    settings name no folder with rules of one's own.
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
