"""Write the output of commands that the documentation shows: `python -m tests.shown`.

A shown command stands between `<!-- shown -->` and `<!-- end of shown -->`: one console block with
the command in its first line. tests/test_shown.py fails if a block is not what the command prints.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

from tests.checkout import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = re.compile(
    r"(?<=<!-- shown -->\n```console\n\$ )([^\n]*)\n.*?(?=```\n<!-- end of shown -->)", re.DOTALL
)
SECONDS = re.compile(r"\(\d+\.\d+ s\)$", re.MULTILINE)


def output(command: str) -> str:
    """Run a command of ours in the project's directory; gives its standard output."""
    program, *arguments = shlex.split(command)
    assert program == "nginx-stream-lint", command
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip() + "\n"


def rewritten(text: str) -> str:
    """A page with today's output of the commands it shows.

    The duration stays as it was: it differs from run to run.
    """

    def shown(match: re.Match[str]) -> str:
        before = SECONDS.findall(match[0])
        now = f"{match[1]}\n{output(match[1])}"
        return SECONDS.sub(before[-1], now) if before else now

    return SHOWN.sub(shown, text)


def main() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
