"""Whole processes, measured from outside: seconds, processor time, memory."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# ru_maxrss is in KB, on macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


class Failed(Exception):
    """A command ended otherwise than it should; the message is what it said."""


@dataclass(frozen=True)
class Command:
    """A command line, what must be done before each run, and the exit statuses that are right."""

    arguments: Sequence[str | Path]
    before: Callable[[], object] = lambda: None
    statuses: frozenset[int] = frozenset({0, 1})


@dataclass(slots=True)
class Times:
    """What each run of one command took: seconds on the clock, of the processors, peak bytes."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the seconds on the clock."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """The median of the processor's seconds."""
        return statistics.median(self.cpu)

    @property
    def median_peak(self) -> float:
        """The median of the peaks of memory in bytes."""
        return statistics.median(self.peak)


def alternate(commands: Mapping[str, Command], rounds: int, folder: Path) -> dict[str, Times]:
    """Run the commands one after the other, round after round, in a folder.

    So whatever else the machine does meets all of them. A first round is not counted: it fills the
    caches of files and bytecode. Raises `Failed`.
    """
    times = {name: Times() for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            command.before()
            seconds, cpu, peak = _run(command, folder)
            if number:
                times[name].seconds.append(seconds)
                times[name].cpu.append(cpu)
                times[name].peak.append(peak)
    return times


def _run(command: Command, folder: Path) -> tuple[float, float, int]:
    """Run a command; its output goes to a file, as in a job of CI.

    `wait4` gives what this child used. A child's peak is at least what its parent has in memory
    when it is made, which is why this process stays small.
    """
    arguments = [str(one) for one in command.arguments]
    said = folder / "said.txt"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(said), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    start = time.perf_counter()
    child = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code not in command.statuses:
        text = said.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise Failed(f"{' '.join(arguments)[:200]} ended with {code}: {text}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _UNIT
