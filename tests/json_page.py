"""Make docs/json.md from the published schemas: one table for each kind of object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nginx_stream_lint.report.blocks import Block, Heading, Paragraph, Table

FOLDER = Path(__file__).resolve().parents[1] / "schema"
NAMES = ("lint", "explain", "probe", "trace", "baseline")


def json_page() -> Iterator[Block]:
    """The page, schema by schema."""
    yield Heading("JSON", 1)
    yield Paragraph(
        "With `--format json` a command prints one JSON document. This page lists its keys. The"
        " JSON schemas in `schema/` of this repository, which are also in the package"
        " (`nginx_stream_lint/schema/`), say the same to programs. A document has exactly these"
        " keys; tests compare the output of the commands with the schemas."
    )
    yield Paragraph(
        "Every document has `schema_version`. A later version of the linter may add keys, and words"
        " to the lists below, without a new number. So ignore keys and words that you do not know,"
        " and validate a document with the schema of the version that printed it. CONTRIBUTING.md"
        " has the whole policy."
    )
    for name in NAMES:
        yield from _document(name)


def _document(name: str) -> Iterator[Block]:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    yield Heading(name)
    yield Paragraph(f"{schema['description']} Schema: `schema/{name}.schema.json`.")
    if "properties" in schema:
        yield _table("document", schema)
    for part, definition in schema["definitions"].items():
        yield Paragraph(f"**{part}**: {definition['description']}")
        yield _table(part, definition)


def _table(part: str, schema: dict[str, Any]) -> Table:
    return Table((f"key of {part}", "value", "meaning"), tuple(_rows(schema, "")))


def _rows(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, one in schema["properties"].items():
        yield f"`{prefix}{key}`", _value(one), one["description"]
        if "properties" in one:
            yield from _rows(one, f"{prefix}{key}.")


def _value(schema: dict[str, Any]) -> str:
    """The kind of a value in words."""
    if "anyOf" in schema:
        return " or ".join(_value(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join("null" if one is None else f"`{one}`" for one in schema["enum"])
    kinds = schema["type"]
    words = [kinds] if isinstance(kinds, str) else list(kinds)
    if "items" in schema:
        return f"list of {_value(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        words[0] = f"object of {_value(schema['additionalProperties'])}"
    return " or ".join(words)
