"""Formats: one module each with one pure function, a run in, text out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nginx_stream_lint.report.run import Run

# What `--format` takes. The module and its function have the format's name.
FORMATS = ("text", "concise", "json", "sarif", "github", "gitlab", "junit", "rdjson", "html")
# Those that show fixes.
WITH_FIXES = frozenset({"text", "json", "sarif", "github", "junit", "rdjson", "html"})
# Those that show how a stream reaches its location; the others need only findings and counts.
WITH_LOCATIONS = frozenset({"html", "junit"})


def render(name: str, run: Run) -> str:
    """A run in one of the FORMATS; only that format's module is loaded."""
    text: str = getattr(import_module(f"{__name__}.{name}"), name)(run)
    return text
