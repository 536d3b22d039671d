"""What was measured, as Markdown for people and as CSV for plots."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

START, END = "<!-- benchmark -->\n", "<!-- end of benchmark -->\n"
GOALS = "| work | beside | goal | reached | |\n| --- | --- | --- | --- | --- |\n"
COLUMNS = ("date", "version", "commit", "python", "nginx", "crossplane", "cores", "rounds", "row",
           "beside", "goal", "ratio", "reached", "ours", "theirs", "unit")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A ratio of two figures in the same `unit` (s or MB), ours and that of what stands `beside`.

    The figures are medians. `of_rounds` is the median of the ratios within each round, where there
    is one for each: a machine that is twice as slow for a while is so for both. `goal` is the
    largest ratio that is good enough; None where there is no goal.
    """

    work: str
    beside: str
    goal: float | None
    ours: float
    theirs: float
    unit: str = "s"
    of_rounds: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.of_rounds is None else self.of_rounds

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none. Rounded as it is shown."""
        return None if self.goal is None else round(self.ratio, 2) <= self.goal


@dataclass(frozen=True, slots=True)
class Setting:
    """When and on what it was measured."""

    date: str
    version: str
    commit: str
    python: str
    nginx: str
    crossplane: str
    cores: int
    rounds: int

    def __str__(self) -> str:
        return (
            f"{self.date[:10]}: nginx-stream-lint {self.version} ({self.commit}), Python"
            f" {self.python}, crossplane {self.crossplane}, nginx {self.nginx}, {self.cores} cores;"
            f" whole processes in turn, medians of {self.rounds} rounds."
        )


def markdown(setting: Setting, rows: Sequence[Row]) -> str:
    """The rows with goals, then all sizes and shapes beside all commands, then when and on what."""
    goals = "".join(_line(one) for one in rows if one.goal is not None)
    return f"{GOALS}{goals}\n{_across(rows)}\n{setting}\n"


def _line(row: Row) -> str:
    figures = f"{_figure(row.ours, row.unit)} / {_figure(row.theirs, row.unit)}"
    word = "yes" if row.reached else "**no**"
    reached = f"{row.ratio:.2f} × ({figures})"
    return f"| {row.work} | {row.beside} | ≤ {row.goal:.2f} × | {reached} | {word} |\n"


def _across(rows: Sequence[Row]) -> str:
    """A line for each work that is without a goal beside some command, a column for each command.

    A cell is what their command takes, and ours in multiples of that.
    """
    works = dict.fromkeys(row.work for row in rows if row.goal is None)
    commands = dict.fromkeys(row.beside for row in rows if row.work in works)
    text = f"| work | nginx-stream-lint | {' | '.join(commands)} |\n"
    text += "| --- " * (len(commands) + 2) + "|\n"
    for work in works:
        beside = {row.beside: row for row in rows if row.work == work and row.unit == "s"}
        ours = next(iter(beside.values())).ours
        cells = [_beside(beside.get(one)) for one in commands]
        text += f"| {work} | {_figure(ours, 's')} | {' | '.join(cells)} |\n"
    return text


def _beside(row: Row | None) -> str:
    return "" if row is None else f"{_figure(row.theirs, 's')} ({row.ratio:.2f} ×)"


def _figure(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        return f"{1000 * value:.0f} ms" if value >= 0.001 else f"{1e6 * value:.0f} µs"
    return f"{value:.2f} s" if unit == "s" else f"{value:.0f} {unit}"


def remember(path: Path, setting: Setting, rows: Sequence[Row]) -> None:
    """Append a line for each row to a CSV file."""
    is_new = not path.exists() or not path.stat().st_size
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(
                [
                    setting.date, setting.version, setting.commit, setting.python, setting.nginx,
                    setting.crossplane, setting.cores, setting.rounds, row.work, row.beside,
                    "" if row.goal is None else row.goal, f"{row.ratio:.4f}",
                    {None: "", True: "yes", False: "no"}[row.reached],
                    f"{row.ours:.6g}", f"{row.theirs:.6g}", row.unit,
                ]
            )  # fmt: skip


def rewritten(text: str, table: str) -> str:
    """A document with the table between its two markers."""
    found = re.search(f"{START}.*?{END}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"there is no {START.strip()} in it, or no {END.strip()} behind that")
    return f"{text[: found.start()]}{START}{table}{END}{text[found.end() :]}"
