"""Lint texts in memory and print the JSON report; CPython and Pyodide both run this."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from nginx_stream_lint import Workspace, lint
from nginx_stream_lint.report import render
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.shipped import shipped_rules


def report(texts: Mapping[str, str]) -> str:
    """The JSON report on texts by name; reads no file."""
    result = lint(Workspace.in_memory(texts))
    return render("json", Run(result, shipped_rules(), None, seconds=0.0, base="/"))


if __name__ == "__main__":
    given, written = map(Path, sys.argv[1:])
    written.write_text(report(json.loads(given.read_text("utf-8"))), "utf-8", newline="")
