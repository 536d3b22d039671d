"""Write the measurements as the page docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rows import Row

PAGE = """\
# Benchmarks

`make bench` writes this page. It installs a wheel of nginx-stream-lint, crossplane, click and two
other linters, generates configurations, and runs the programs in turn, each as a whole process. All
figures are from one run on one machine: compare only the ratios.

- Time is processor time (user and system), of the best of several runs. Memory is the peak.
- `crossplane.parse` only reads the same files. *Reading* is what each command does before it can
  report anything: start, read the files, build the levels, find what nginx would refuse.
- gixy-ng and gixy-next look for other faults. The comparison says how long a CI job takes, not
  which linter is better.
- *A location of 20,000* is the time that each location adds, without the start of the command.

If a ratio is above its limit, the command names the row and exits with status 1.

"""
HEAD = (
    "| work | compared with | limit | ratio | ours | theirs |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


def page(rows: Sequence[Row], setting: str) -> str:
    """The whole page; `setting` says when and on what it was measured."""
    return f"{PAGE}{HEAD}{''.join(map(_line, rows))}\n{setting}\n"


def _line(row: Row) -> str:
    limit = "" if row.limit is None else f"≤ {row.limit:.1f} ×"
    ratio = f"**{row.ratio:.2f} ×, missed**" if row.missed else f"{row.ratio:.2f} ×"
    ours, theirs = _figure(row.ours, row.unit), _figure(row.theirs, row.unit)
    return f"| {row.work} | {row.beside} | {limit} | {ratio} | {ours} | {theirs} |\n"


def _figure(value: float, unit: str) -> str:
    if unit == "MB":
        return f"{value:.0f} MB"
    if value < 0.001:
        return f"{1e6 * value:.0f} µs"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"
