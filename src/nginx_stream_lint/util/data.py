"""Files of this package itself: the tables and rules that are YAML, JSON and templates.

Whoever installed the package trusts them. All other files are those of a `files.Workspace`.
"""

from __future__ import annotations

import os


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
