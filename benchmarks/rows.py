"""The rows of the table: what is run beside what, and the ratio that is good enough."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.process import Command, Times, alternate
from benchmarks.shapes import SHAPES, urls
from benchmarks.table import Row, Setting
from nginx_stream_lint.probe import NginxBinary

_BESIDE = Path(sys.executable).parent
_CROSSPLANE = "import sys, crossplane; crossplane.parse(sys.argv[1])"
# What every command does before it can say anything about a configuration: start, read it, build
# its levels, ask what nginx would refuse in it. It ends as the commands do, without taking a
# million objects down one by one.
_READING = """\
import gc, os, sys
gc.disable()
from nginx_stream_lint.cli.explain import explain_command
from nginx_stream_lint.config import Around
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.analysis.lint import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.validity import refusals
for configuration in read(Workspace.on_disk(sys.argv[1]), [sys.argv[1]], Around()):
    refusals(build(configuration))
os._exit(0)
"""
# Linters end with all kinds of statuses where they find something.
_ANY = frozenset(range(126))

_CLICK = "`import click`"
_PARSE = "`crossplane.parse`"
_TEST = "`nginx -t`"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another linter: its name and version, and the command that takes the name of a file."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """What to measure: sizes up to `locations`, in files below `folder`."""

    folder: Path
    locations: int
    rounds: int
    nginx: NginxBinary
    peers: Sequence[Peer] = ()

    def rows(self) -> Iterator[Row]:
        """The rows of the table, each group as soon as it is measured."""
        few, some, many = 10, max(20, self.locations // 20), self.locations
        clean = self._written("clean", few)
        yield from self._small(clean, few)
        middle = self._written("services", some)
        yield from self._beside(f"{some:,} locations", middle, 3 * self.rounds, goal=1.2)
        yield from self._large(clean, few, middle, some, many)
        files = self._written("many files", many)
        yield from self._beside("1,000 include files", files, self.rounds, goal=1.2)
        for shape in SHAPES.values():
            if shape.name not in ("clean", "services", "many files"):
                main = self._written(shape.name, many)
                yield from self._beside(f"{shape.name}: {shape.about}", main, min(self.rounds, 3))
        yield from self._peers(middle, some)

    def _written(self, shape: str, locations: int) -> Path:
        folder = self.folder / f"{shape.replace(' ', '-')}-{locations}"
        return SHAPES[shape].write(folder, locations)

    def _alternate(self, commands: dict[str, Command], rounds: int) -> dict[str, Times]:
        return alternate(commands, rounds, self.folder)

    def _small(self, main: Path, locations: int) -> Iterator[Row]:
        commands = {
            "ours": lint(main),
            "click": Command([sys.executable, "-c", "import click"]),
            "nginx": self._test(main),
        }
        times = self._alternate(commands, 5 * self.rounds)
        work = f"{locations} locations, no finding"
        yield _row(work, _CLICK, 2.0, times["ours"], times["click"])
        yield _row(work, _TEST, None, times["ours"], times["nginx"])

    def _beside(
        self, work: str, main: Path, rounds: int, goal: float | None = None
    ) -> Iterator[Row]:
        commands = {"ours": lint(main), "parse": _parse(main), "nginx": self._test(main)}
        times = self._alternate(commands, rounds)
        yield _row(work, _PARSE, goal, times["ours"], times["parse"])
        yield _row(work, _TEST, None, times["ours"], times["nginx"])

    def _large(self, clean: Path, few: int, middle: Path, some: int, many: int) -> Iterator[Row]:
        main = self._written("services", many)
        copy = main.with_name("fixed.conf")
        # What is compared stands as near together as possible.
        commands = {
            "few": lint(clean),
            "some": lint(middle),
            "ours": lint(main),
            "fix": Command(
                [_ours(), "lint", "--fix", copy], before=lambda: shutil.copyfile(main, copy)
            ),
            "parse": _parse(main),
            "nginx": self._test(main),
        }
        times = self._alternate(commands, self.rounds)
        work = f"{many:,} locations, half with findings"
        ours = times["ours"]
        yield _row(work, _PARSE, 0.7, ours, times["parse"])
        yield _row(work, _TEST, None, ours, times["nginx"])
        peak = times["parse"].median_peak / 1e6
        yield Row("peak memory of that", _PARSE, 2.0, ours.median_peak / 1e6, peak, "MB")
        # Starting is no part of what a location takes.
        starts = times["few"].seconds
        middling = _each(times["some"].seconds, starts, some - few)
        large = _each(ours.seconds, starts, many - few)
        work, beside = f"a location of {many:,}, without starting", f"a location of {some:,}"
        yield _row(work, beside, 1.1, Times(large), Times(middling))
        yield _row(f"`--fix` of {many // 2:,} findings", "lint", 2.0, times["fix"], ours)
        yield from self._explain(main, many)

    def _explain(self, main: Path, many: int) -> Iterator[Row]:
        asked = urls(many, 1_000)
        commands = {
            "one": Command([_ours(), "explain", main, asked[-1]]),
            "reading": Command([sys.executable, "-c", _READING, main]),
            "thousand": Command([_ours(), "explain", main, *asked]),
        }
        # A tenth is little beside what such a process varies by: it takes more rounds to see.
        times = self._alternate(commands, 3 * self.rounds)
        for name, words, goal in (("one", "1 URL", 1.1), ("thousand", f"{len(asked):,} URLs", 1.5)):
            work = f"`explain` of {words} on {many:,} locations"
            yield _row(work, "reading", goal, times[name], times["reading"])

    def _peers(self, main: Path, locations: int) -> Iterator[Row]:
        commands = {peer.name: Command([*peer.command, main], statuses=_ANY) for peer in self.peers}
        if commands:
            times = self._alternate({"": lint(main), **commands}, self.rounds)
            for name in commands:
                yield _row(f"{locations:,} locations, again", name, None, times[""], times[name])

    def _test(self, main: Path) -> Command:
        prefix = f"{main.parent}/"
        return Command(
            [self.nginx.path, "-p", prefix, "-e", "stderr", "-c", main, "-t"],
            statuses=frozenset({0}),
        )


def _row(work: str, beside: str, goal: float | None, ours: Times, theirs: Times) -> Row:
    """A row of two commands that took turns."""
    ratios = [one / other for one, other in zip(ours.seconds, theirs.seconds, strict=True)]
    return Row(work, beside, goal, ours.median, theirs.median, of_rounds=statistics.median(ratios))


def _each(seconds: Sequence[float], starts: Sequence[float], locations: int) -> list[float]:
    """What each location took in each round, without starting."""
    return [(one - start) / locations for one, start in zip(seconds, starts, strict=True)]


def _ours() -> Path:
    return _BESIDE / "nginx-stream-lint"


def lint(main: Path) -> Command:
    """Our command, as people run it."""
    return Command([_ours(), main])


def _parse(main: Path) -> Command:
    return Command([sys.executable, "-c", _CROSSPLANE, main], statuses=frozenset({0}))


def peers() -> list[Peer]:
    """The other linters that are installed here, beside this Python or in PATH."""
    path = os.pathsep.join([str(_BESIDE), os.environ.get("PATH", os.defpath)])
    found: list[Peer] = []
    # gixy-ng and gixy-next both call their command gixy.
    names: list[tuple[str, tuple[str, ...]]] = [("gixy", ()), ("nginx-linter", ("--include",))]
    for name, options in names:
        program = shutil.which(name, path=path)
        if program is not None:
            found.append(peer(program, options))
    return found


def peer(program: str, options: Sequence[str] = ()) -> Peer:
    """A linter whose command takes the name of a file."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    said = (done.stdout or done.stderr).strip().splitlines()
    name = f"`{Path(program).name}` ({said[0]})" if said else f"`{Path(program).name}`"
    return Peer(name.replace("|", " "), (program, *options))


def setting(rounds: int, nginx: NginxBinary) -> Setting:
    """On what is measured here and now."""
    return Setting(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        version=version("nginx-stream-lint"),
        commit=_commit(),
        python=platform.python_version(),
        nginx=".".join(map(str, nginx.version)),
        crossplane=version("crossplane"),
        cores=os.cpu_count() or 1,
        rounds=rounds,
    )


def _commit() -> str:
    """The commit that is checked out, with a + where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no git"
