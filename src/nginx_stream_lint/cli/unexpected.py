"""Report an internal error in one line, with status 2; imported only when needed."""

from __future__ import annotations

import io
import os
import sys
from traceback import print_exception
from types import TracebackType
from typing import NoReturn

import click

from nginx_stream_lint.cli.common import missing_package, say, unusable
from nginx_stream_lint.cli.exit_status import EXIT_UNUSABLE
from nginx_stream_lint.config import Configuration, Source
from nginx_stream_lint.util.problems import DEBUG, REPORT_IT, blamed


def refuse(mistake: click.ClickException) -> None:
    """Print a usage error; unprintable characters in it are escaped."""
    shown = io.StringIO()
    mistake.show(shown)
    for line in shown.getvalue().splitlines():
        say(line)


def give_up(error: Exception) -> NoReturn:
    """Exit with status 2 for an internal error, or for a package that is not installed."""
    if os.environ.get(DEBUG):
        print_exception(error)
        sys.exit(EXIT_UNUSABLE)
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        missing_package(error.name)
    file = _being_read(error.__traceback__)
    reading = f" while reading {file}" if file else ""
    unusable(f"nginx-stream-lint failed{reading}: {blamed(error)}; {REPORT_IT}")


def fail(error: OSError) -> NoReturn:
    """Exit with status 2 for an error of the operating system."""
    try:
        os.getcwd()
    except OSError as gone:  # every relative path depends on it, and the search for settings
        unusable(f".:1:1: the current folder is not there ({gone.strerror}); change to another one")
    where = f"{error.filename}:1:1: " if error.filename else ""
    unusable(f"{where}{error.strerror or error}")


def _being_read(traceback: TracebackType | None) -> str:
    """The file that was being processed, according to the innermost calls."""
    found = ""
    while traceback is not None:
        values = traceback.tb_frame.f_locals.values()
        for one in (value.path for value in values if isinstance(value, Configuration)):
            found = one
        for one in (value.name for value in values if isinstance(value, Source)):
            found = one
        traceback = traceback.tb_next
    return found
