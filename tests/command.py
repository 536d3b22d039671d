"""Run the command: as users do, or inside the test's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from nginx_stream_lint.cli import cli


def run(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """`nginx-stream-lint ARGUMENTS`, with its output as text."""
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def run_here(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Do the same as `run` without a new process, which takes a tenth of the time.

    For tests of what the command prints and writes, not of how a process starts and ends.
    """
    words = [str(argument) for argument in arguments]
    before = os.getcwd()
    os.chdir(cwd or before)
    try:
        done = CliRunner().invoke(
            cli, words, input=stdin, catch_exceptions=False, prog_name="nginx-stream-lint"
        )
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def findings(*arguments: str | Path, status: int | None = None) -> list[dict[str, Any]]:
    """The findings of a run with `--format json`, which must end with `status` if one is given."""
    done = run_here(*arguments, "--format", "json")
    assert done.stderr == "", done.stderr
    if status is not None:
        assert done.returncode == status, done.stdout
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found
