"""The real command, as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


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


def findings(*arguments: str | Path, status: int | None = None) -> list[dict[str, Any]]:
    """The findings of a run with `--format json`, which must end with `status` if one is given."""
    done = run(*arguments, "--format", "json")
    assert done.stderr == "", done.stderr
    if status is not None:
        assert done.returncode == status, done.stdout
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found
