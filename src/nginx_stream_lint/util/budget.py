"""The limits of a run, and how much of each is used.

A repository may be hostile: a small file can cause endless work. So each run has one budget. When a
limit is reached, the run reports one problem and continues without the excess work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NoReturn

from msgspec import Struct

from nginx_stream_lint.util.problems import Problem, Unreadable

_MB = 1024 * 1024


class Limits(Struct, frozen=True):
    """Limits on what a run may read and do. docs/limits.md has the same numbers, with reasons."""

    file_bytes: int = 64 * _MB
    run_bytes: int = 512 * _MB
    files: int = 50_000
    entries: int = 200_000
    ignore_patterns: int = 10_000
    ignore_steps: int = 5_000_000
    directives: int = 1_000_000
    repeats: int = 400_000
    include_depth: int = 64
    settings_bytes: int = _MB
    settings_values: int = 1_000
    toml_depth: int = 100
    toml_parts: int = 50_000
    yaml_depth: int = 200
    yaml_nodes: int = 400_000
    made: int = 16 * _MB
    regex_steps: int = 500_000


# Per limit of a whole run, in words: what exceeds it, and what to do.
_OVER = {
    "run_bytes": (
        "the files have more than {limit:,} bytes in total",
        "check a smaller folder, or fewer files; the other files were not checked",
    ),
    "files": (
        "there are more than {limit:,} files to check",
        "check a smaller folder, or fewer files; the other files were not checked",
    ),
    "entries": (
        "there are more than {limit:,} files and folders to search",
        "check a smaller folder, or include fewer files; the other files were not checked",
    ),
    "directives": (
        "there are more than {limit:,} directives",
        "check parts of the configuration separately; the rest was not checked",
    ),
    "repeats": (
        "files that are included repeatedly have more than {limit:,} directives",
        "include the same files less often; the rest was not checked",
    ),
    "yaml_nodes": (
        "the YAML files have more than {limit:,} values",
        "check fewer or smaller YAML files; the rest was not checked",
    ),
    "made": (
        "an ingress controller would generate more than {limit:,} characters of configuration",
        "check fewer resources at once; the rest was not checked",
    ),
    "regex_steps": (
        "the regular expressions take more than {limit:,} steps to match",
        'avoid repetitions inside repetitions, such as "(a+)+"; which location they choose is'
        " unknown",
    ),
}
# Limits on reading; all others limit work on what was read.
_READING = ("run_bytes", "files", "entries")


class Budget:
    """The remaining part of each limit. `problems` reports each exceeded limit once.

    `place` is the file to report if no other is known.
    """

    def __init__(
        self, limits: Limits, place: str = ".", reading: dict[str, int] | None = None
    ) -> None:
        self.limits = limits
        self.place = place
        self.problems: list[Problem] = []
        self._reading = dict.fromkeys(_READING, 0) if reading is None else reading
        self._working = {name: 0 for name in _OVER if name not in _READING}

    def renewed(self) -> Budget:
        """Return a budget for another check of the same files: only reading still counts."""
        return Budget(self.limits, self.place, self._reading)

    def separate(self) -> Budget:
        """Return an unused budget with the same limits, for what is not the check itself."""
        return Budget(self.limits, self.place)

    def left(self, name: str) -> int:
        """Return how much of a limit is left, at least 0."""
        spent = self._reading if name in self._reading else self._working
        limit: int = getattr(self.limits, name)
        return max(0, limit - spent[name])

    def spend(
        self, name: str, amount: int, path: str | None = None, line: int = 1, column: int = 1
    ) -> None:
        """Spend an amount of a limit. Raises `Unreadable` if not enough is left.

        The problem names the place where the limit was first exceeded.
        """
        spent = self._reading if name in self._reading else self._working
        if spent[name] + amount > getattr(self.limits, name):
            self.exceed(name, path, line, column)
        spent[name] += amount

    def exceed(
        self, name: str, path: str | None = None, line: int = 1, column: int = 1
    ) -> NoReturn:
        """Use up a limit. Raises `Unreadable`, always with the first place."""
        spent = self._reading if name in self._reading else self._working
        spent[name] = getattr(self.limits, name)
        message, advice = _OVER[name]
        message = message.format(limit=spent[name])
        known = next((one for one in self.problems if one.message == message), None)
        if known is None:
            known = Problem(path or self.place, line, column, message, advice)
            self.problems.append(known)
        raise Unreadable(known)


_in_force: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Charge YAML reading and regular expressions in this block to a budget."""
    token = _in_force.set(budget)
    try:
        yield
    finally:
        _in_force.reset(token)


def in_force() -> Budget:
    """The budget of the current run; a new one outside of any run."""
    return _in_force.get() or Budget(Limits())
