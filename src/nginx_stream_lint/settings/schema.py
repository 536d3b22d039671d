"""The settings as JSON schema, for editors and for whoever wants to check them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nginx_stream_lint.settings.keys import SETTINGS


def schema(rules: Sequence[str]) -> dict[str, Any]:
    """The JSON schema (draft 7, which editors know best), with the names of known rules."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of nginx-stream-lint",
        "description": "A .nginx-stream-lint.yaml, or [tool.nginx-stream-lint] in pyproject.toml.",
    } | SETTINGS.schema(rules)
