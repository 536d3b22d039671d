"""Write the parts of the README and the documentation that are copied from elsewhere.

`python -m tests.shown` runs each command between `<!-- shown -->` and `<!-- end of shown -->`: one
console block with the command in its first line. The table of speed in the README has figures of
docs/benchmarks.md. tests/test_reference.py fails if either is out of date.
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
    """Run one of our commands in the project's folder. Returns its standard output."""
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
    """A page with the current output of its commands, and current figures.

    The duration stays unchanged, because it differs between runs.
    """

    def shown(match: re.Match[str]) -> str:
        before = SECONDS.findall(match[0])
        now = f"{match[1]}\n{output(match[1])}"
        return SECONDS.sub(before[-1], now) if before else now

    text = SHOWN.sub(shown, text)
    if SPEED.search(text):
        table = speed((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))
        text = SPEED.sub(lambda _: table, text)
    return text


SPEED = re.compile(r"(?<=<!-- speed -->\n).*?(?=<!-- end of speed -->)", re.DOTALL)
_PEERS = ("crossplane.parse", "gixy-ng", "gixy-next")


def speed(benchmarks: str) -> str:
    """The table of other programs, from the page of all benchmarks: a row for each task."""
    times: dict[str, dict[str, str]] = {}
    for line in benchmarks.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 6 or cells[0].startswith("peak memory"):
            continue
        work, beside, _, _, ours, theirs = cells
        for peer in _PEERS:
            if beside.strip("`").startswith(peer):
                times.setdefault(work, {"": ours})[peer] = theirs
    assert len(times) >= 4, "docs/benchmarks.md has no such rows"
    lines = [
        "| work | nginx-stream-lint | `crossplane.parse` | gixy-ng | gixy-next |",
        "| --- " * 5 + "|",
    ]
    for work, row in times.items():
        cells = [work, row[""], *(row.get(peer, "") for peer in _PEERS)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
