"""The package's own data files: tables and rules as YAML, JSON and templates.

These files are trusted, because they were installed with the package. All other files belong to a
`files.Workspace`.

A checkout has the tables as YAML, for people. A wheel also has them as JSON, which hatch_build.py
writes at build time and which loads many times faster.

The modules that define the records of tables evaluate their annotations (they import no
`annotations` from `__future__`), because msgspec takes 0.5 ms longer to evaluate the text of each
table's annotations than to load the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from msgspec import json

_T = TypeVar("_T")
_TABLES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "tables")


def table(name: str, kind: type[_T], read: Callable[[], _T]) -> _T:
    """Load a table, from JSON if the package was built with it, otherwise with `read` from YAML."""
    try:
        built = data_bytes(os.path.join(_TABLES, f"{name}.json"))
    except FileNotFoundError:
        return read()
    return json.decode(built, type=kind)


def data_bytes(path: str) -> bytes:
    """The content of a data file, as bytes."""
    with open(path, "rb", buffering=0) as stream:
        return stream.read()


def data_text(path: str) -> str:
    """The content of a data file, as text."""
    return data_bytes(path).decode("utf-8")


def data_folder(module: str) -> str:
    """The real folder of a module, with all links resolved."""
    return os.path.dirname(os.path.realpath(module))


def data_names(folder: str) -> list[str]:
    """The names in a data folder, sorted."""
    return sorted(os.listdir(folder))
