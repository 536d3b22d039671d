"""How the command ends: quickly, with all that is written, and the right status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "fixtures" / "demo" / "nginx.conf"

# Tells on standard error what Python does when it ends.
WATCHED = """
import atexit, sys
from nginx_stream_lint.__main__ import main

atexit.register(print, "at exit", file=sys.stderr)
{more}
main()
"""


def _run(*arguments: str | Path, more: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCHED.format(more=more), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param([DEMO], 1, " proxied locations", id="findings"),
        pytest.param([DEMO, "--exit-zero"], 0, " proxied locations", id="exit-zero"),
        pytest.param(["--help"], 0, "Commands:", id="help"),
        pytest.param(["rules"], 0, "response-buffering", id="another-command"),
        pytest.param(["/nowhere.conf"], 2, "/nowhere.conf:1:1:", id="unreadable"),
        pytest.param(["--format", "none", DEMO], 2, 'unknown format "none"', id="usage"),
    ],
)
def test_it_leaves_with_its_status_and_all_that_it_said(
    arguments: list[str | Path], status: int, said: str
) -> None:
    done = _run(*arguments)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "at exit" in done.stderr


def test_threads_that_still_work_are_waited_for() -> None:
    more = (
        "import threading, time\n"
        "def work():\n    time.sleep(1)\n    print('worked', file=sys.stderr)\n"
        "threading.Thread(target=work).start()"
    )
    done = _run(DEMO, more=more)
    assert done.returncode == 1
    assert "worked" in done.stderr


def test_a_reader_that_has_left_changes_no_status(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", WATCHED.format(more=""), DEMO],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
        )
    finally:
        os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_nothing_is_taken_apart_at_the_end() -> None:
    done = _run(
        DEMO,
        more="import gc\natexit.register(lambda: print(gc.isenabled()))\n"
        "class Kept:\n    def __del__(self): print('taken apart')\n"
        "kept = Kept()",
    )
    assert done.stdout.endswith("False\n")
