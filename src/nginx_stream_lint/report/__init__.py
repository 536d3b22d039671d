"""Report formats: one module each with one pure function from a run to text, or to parts of it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from nginx_stream_lint.util.problems import nearest_words

if TYPE_CHECKING:
    from nginx_stream_lint.report.run import Run

# The names that `--format` accepts. The module and its function have the format's name.
FORMATS = ("text", "concise", "json", "sarif", "github", "gitlab", "junit", "rdjson", "html")
# Formats that show fixes.
WITH_FIXES = frozenset({"text", "json", "sarif", "github", "junit", "rdjson", "html"})
# Formats that show how a stream reaches its clients; the others only use findings and counts.
WITH_LOCATIONS = frozenset({"html", "junit"})


def format_of(target: str) -> str:
    """The format in a target such as `sarif` or `sarif=out.sarif`. Raises ValueError."""
    name = target.partition("=")[0]
    if name not in FORMATS:
        raise ValueError(f'unknown format "{name}"{nearest_words(name, FORMATS)}')
    return name


def render(name: str, run: Run) -> str:
    """Render a run in one of the FORMATS."""
    return "".join(parts(name, run))


def parts(name: str, run: Run) -> Iterable[str]:
    """Render a run in one of the FORMATS, in parts that end with a line.

    Only that format's module is imported. A large JSON report is encoded part by part.
    """
    made: str | Iterable[str] = getattr(import_module(f"{__name__}.{name}"), name)(run)
    return [made] if isinstance(made, str) else made
