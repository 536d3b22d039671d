"""The YAML of this package as Python modules, which load many times quicker.

The YAML is the source: people edit that, and `make docs` writes the modules anew. A module says
which files it was made from (`CHECKSUM`), and as long as they are others than now it is not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from zlib import crc32

from nginx_stream_lint.util.data import data_bytes


def checksum(paths: Iterable[str]) -> int:
    """A number for some files, in this order: their names and what is in them."""
    number = 0
    for path in paths:
        number = crc32(data_bytes(path), crc32(os.path.basename(path).encode(), number))
    return number


def compiled(name: str, paths: Iterable[str]) -> ModuleType | None:
    """The module that was made from some files; None where that would be another one today."""
    module = import_module(name)
    return module if checksum(paths) == module.CHECKSUM else None
