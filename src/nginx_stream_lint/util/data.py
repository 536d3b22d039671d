"""Files of this package itself: the tables and rules that are YAML, JSON and templates.

Whoever installed the package trusts them. All other files are those of a `files.Workspace`.

A checkout has its tables as YAML, for people; a wheel has them also as JSON, which hatch_build.py
writes when it is built and which loads many times quicker.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from msgspec import json

_T = TypeVar("_T")
_TABLES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "tables")


def table(name: str, kind: type[_T], read: Callable[[], _T]) -> _T:
    """A table of ours, from JSON where the package was built with it; else `read` from YAML."""
    try:
        built = data_bytes(os.path.join(_TABLES, f"{name}.json"))
    except FileNotFoundError:
        return read()
    return json.decode(built, type=kind)


def data_bytes(path: str) -> bytes:
    """The content of one of our files."""
    with open(path, "rb", buffering=0) as stream:
        return stream.read()


def data_text(path: str) -> str:
    """The text of one of our files."""
    return data_bytes(path).decode("utf-8")


def data_folder(module: str) -> str:
    """The folder that a module of ours really is in, whatever links lead to it."""
    return os.path.dirname(os.path.realpath(module))


def data_names(folder: str) -> list[str]:
    """The names in one of our folders, in order."""
    return sorted(os.listdir(folder))
