"""Check whether streamed responses get through an nginx configuration, and what holds them.

    >>> from nginx_stream_lint import Workspace, lint
    >>> text = "location /events { proxy_pass http://127.0.0.1:8000; }"
    >>> result = lint(Workspace.in_memory({"app.conf": text}))
    >>> result.count("error")
    1
    >>> result.findings[0].rule, result.findings[0].place.source.name
    ('response-buffering', 'app.conf')

This is the interface for other programs: it prints nothing, writes nothing, starts no process, and
keeps no state except in the workspace. The command uses it, too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.complete import lint
    from nginx_stream_lint.analysis.explain import explain
    from nginx_stream_lint.analysis.explainer import Explanation
    from nginx_stream_lint.analysis.lint import Options, Result
    from nginx_stream_lint.files.workspace import Workspace
    from nginx_stream_lint.rules.finding import Finding, Fix
    from nginx_stream_lint.util.budget import Limits

__version__ = "0.2.0"

__all__ = [
    "Explanation",
    "Finding",
    "Fix",
    "Limits",
    "Options",
    "Result",
    "Workspace",
    "explain",
    "lint",
]

# The module of each name. Modules are imported on first access: the command needs few of them.
_FROM = {
    "Explanation": "analysis.explainer",
    "Finding": "rules.finding",
    "Fix": "rules.finding",
    "Limits": "util.budget",
    "Options": "analysis.lint",
    "Result": "analysis.lint",
    "Workspace": "files.workspace",
    "explain": "analysis.explain",
    "lint": "analysis.complete",
}


def __getattr__(name: str) -> object:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    globals()[name] = found
    return found
