"""Run commands as processes, and measure their processor time and peak memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# ru_maxrss is in KB, on macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


class Failed(Exception):
    """A command ended with an unexpected status; the message has its output."""


@dataclass(frozen=True)
class Command:
    """A command line, what to do before each run, and the exit statuses that are expected."""

    arguments: Sequence[str | Path]
    before: Callable[[], object] = lambda: None
    statuses: frozenset[int] = frozenset({0, 1})


@dataclass
class Runs:
    """The runs of one command: processor time in seconds (user and system), peaks in bytes."""

    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least processor time, because other work on the machine can only add to it."""
        return min(self.seconds)

    @property
    def peak(self) -> int:
        """The least peak memory in bytes."""
        return min(self.peaks)


def alternate(commands: Mapping[str, Command], runs: Mapping[str, Runs], folder: Path) -> None:
    """Run each command once, in turn, and add the measurements to its runs.

    A command's output goes to a file in `folder`. Raises Failed.
    """
    for name, command in commands.items():
        command.before()
        seconds, peak = _run(command, folder)
        runs[name].seconds.append(seconds)
        runs[name].peaks.append(peak)


def _run(command: Command, folder: Path) -> tuple[float, int]:
    """Run a command and measure it.

    `wait4` returns the resources of this child. The peak of a child is at least the memory of its
    parent at the time of the fork, so this process must stay small.
    """
    arguments = [str(one) for one in command.arguments]
    output = folder / "output.txt"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    child = os.posix_spawn(arguments[0], arguments, _ENVIRONMENT, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in command.statuses:
        text = output.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise Failed(f"{' '.join(arguments)[:200]} ended with status {code}: {text}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _UNIT


# Without the caller's Python settings, because the installed packages are measured.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
