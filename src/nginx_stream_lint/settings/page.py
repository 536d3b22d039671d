"""The documentation page for the settings, generated from their description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nginx_stream_lint.report.blocks import Block, Code, Heading, Items, Paragraph, Table
from nginx_stream_lint.settings.keys import KEYS, OVERRIDE_KEYS, STREAM_KEYS
from nginx_stream_lint.settings.load import FILE_NAME, PYPROJECT, TABLE
from nginx_stream_lint.settings.show import as_yaml
from nginx_stream_lint.settings.types import Key


def settings_page() -> Iterator[Block]:
    """Every key with its meaning, its default and an example."""
    yield Heading("Settings", 1)
    yield Paragraph(
        f"Settings are in `{FILE_NAME}`, or in the table `[tool.{TABLE}]` of `{PYPROJECT}`. The"
        " file is"
        " searched for in the folder of the first path and in the folders above it, up to the root"
        " of the repository. (Outside a repository, only the first folder is searched.) Only the"
        " nearest file is used. `--config FILE` names another one, command-line options override"
        " settings, and `--show-settings` prints all settings in effect and where each comes from."
    )
    yield Table(
        ("key", "value", "default", "option"),
        tuple(
            (f"[`{key.name}`](#{key.name})", key.type.words, _default(key), _option(key))
            for key in KEYS
        ),
    )
    yield Items(
        (
            "Paths are relative to the folder of the settings file and must be inside it.",
            'Quote versions: `"1.30"`, because `1.30` is the number 1.3.',
            "An unknown or repeated key, a value of the wrong type or an unknown rule ends the run"
            " with status 2. The error names `file:line:column` and the nearest valid word.",
            "Editors can complete and check the file with `schema/settings.schema.json` of this"
            " repository, which is also in the package"
            " (`nginx_stream_lint/schema/settings.schema.json`).",
        )
    )
    yield Code(f"# yaml-language-server: $schema=…/settings.schema.json\n{_first_lines()}", "yaml")
    for key in KEYS:
        yield from _key(key)
    yield Heading("In pyproject.toml")
    yield Paragraph("The keys are the same. All examples of this page in TOML:")
    yield Code(as_toml(examples()), "toml")


def examples() -> dict[str, Any]:
    """Settings with every key, set to its example."""
    return {key.name: key.example for key in KEYS}


def _first_lines() -> str:
    return as_yaml({"nginx_version": examples()["nginx_version"]})


def _default(key: Key) -> str:
    return key.unset if key.default is None else f"`{as_json(key.default)}`"


def _option(key: Key) -> str:
    return f"`{key.option}`" if key.option else ""


def _key(key: Key) -> Iterator[Block]:
    yield Heading(key.name)
    yield Paragraph(key.doc)
    if key.name == "streams":
        yield _keys_of(STREAM_KEYS)
    if key.name == "overrides":
        yield _keys_of(OVERRIDE_KEYS)
    yield Code(as_yaml({key.name: key.example}), "yaml")


def _keys_of(keys: Iterable[Key]) -> Table:
    """A table of the keys of a mapping."""
    known = {key.name for key in KEYS}
    rows: Sequence[tuple[str, str, str]] = [
        (
            f"[`{key.name}`](#{key.name})" if key.name in known else f"`{key.name}`",
            key.type.words,
            "as above" if key.name in known else key.doc,
        )
        for key in keys
    ]
    return Table(("key", "value", "meaning"), tuple(rows))


def as_json(value: object) -> str:
    """Format a short value as in the docs."""
    return value if isinstance(value, str) else json.dumps(value)


def as_toml(settings: dict[str, Any]) -> str:
    """Format settings as the table of a pyproject.toml."""
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    return "\n".join([f"[tool.{TABLE}]", *lines]) + "\n"


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
