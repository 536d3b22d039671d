"""The rows of the table: the commands to compare, and the highest ratio that passes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import shapes
from benchmarks.environment import PEERS, Environment
from benchmarks.process import Command, Runs, alternate

_PARSE = "`crossplane.parse`"
_CROSSPLANE = "import sys, crossplane; crossplane.parse(sys.argv[1])"
_FILES = 200  # of nginx, in a repository with a compose file
# Linters use various exit statuses if they find something.
_ANY = frozenset(range(126))


@dataclass(frozen=True)
class Row:
    """Two figures in the same `unit` (s or MB): ours, and that of the program `beside`.

    `limit` is the highest ratio that passes; None for a peer that is only shown.
    """

    work: str
    beside: str
    limit: float | None
    ours: float
    theirs: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Our figure divided by theirs."""
        return self.ours / self.theirs

    @property
    def missed(self) -> bool:
        """Whether the ratio, rounded as it is shown, is above the limit."""
        return self.limit is not None and round(self.ratio, 2) > self.limit

    @property
    def is_near(self) -> bool:
        """Whether it is missed by so little that noise may be the cause."""
        return self.limit is not None and self.limit < self.ratio < 1.25 * self.limit


Figures = Mapping[str, Runs]


@dataclass(frozen=True)
class Group:
    """Commands that run in turn, and the function that makes rows of their figures.

    They run `weight` times in each round: more often if they are small, because these vary more.
    """

    commands: Mapping[str, Command]
    rows: Callable[[Figures], Iterator[Row]]
    weight: int = 1

    def measure(self, rounds: int, folder: Path) -> list[Row]:
        """Measure some rounds, up to three times as many if a ratio is just above its limit.

        The best run counts, so more rounds can only remove noise.
        """
        figures = {name: Runs() for name in self.commands}
        rows: list[Row] = []
        for _ in range(3):
            for _ in range(rounds * self.weight):
                alternate(self.commands, figures, folder)
            rows = list(self.rows(figures))
            if not any(row.is_near for row in rows):
                break
        return rows


@dataclass(frozen=True)
class Bench:
    """What to measure, with generated files in `folder`.

    `many` is the largest number of locations; the limits are for 20,000. `peers` are the linters
    to compare with.
    """

    environment: Environment
    folder: Path
    many: int = 20_000
    peers: Collection[str] = tuple(PEERS)

    def groups(self) -> Iterator[Group]:
        """The groups of the table, in its order."""
        few, some, many = 10, max(20, self.many // 20), self.many
        clean = shapes.clean(self.folder / "clean-few", few)
        yield Group(
            {"ours": self._lint(clean), "click": self._python("-c", "import click")},
            lambda got: self._time(f"{few} locations, no finding", got, {"click": 2.0}),
            weight=10,
        )
        found = shapes.with_findings(self.folder / "few", few)
        yield Group(
            {"ours": self._lint(found), **self._peers(found)},
            lambda got: self._time(f"{few} locations with findings, text", got, {"gixy-ng": 1.0}),
            weight=5,
        )
        middle = shapes.with_findings(self.folder / "some", some)
        work = f"{some:,} locations, {some * 13 // 10:,} findings, JSON to a file"
        yield Group(
            {"ours": self._json(middle), "parse": self._parse(middle), **self._peers(middle, True)},
            lambda got: self._time(work, got, {"gixy-ng": 0.9, "parse": 1.8}),
            weight=3,
        )
        files = shapes.in_files(self.folder / "files", some)
        yield Group(
            {"ours": self._json(files), "parse": self._parse(files)},
            lambda got: self._time(f"the same in {some:,} included files", got, {"parse": 1.8}),
            weight=3,
        )
        yield self._deployment()
        yield self._large(found, few, middle, some)
        yield self._large_clean()
        yield self._fix(many // 2)
        yield self._explain()

    def _deployment(self) -> Group:
        with_compose = shapes.in_repository(self.folder / "compose", _FILES, compose=True)
        without = shapes.in_repository(self.folder / "no-compose", _FILES, compose=False)

        def rows(got: Figures) -> Iterator[Row]:
            work = f"a repository of {_FILES} files with a compose file"
            yield Row(work, "the same without", 1.1, got["with"].best, got["without"].best)

        commands = {"with": self._lint(with_compose), "without": self._lint(without)}
        return Group(commands, rows, weight=5)

    def _large(self, small: Path, few: int, middle: Path, some: int) -> Group:
        many = self.many
        large = shapes.with_findings(self.folder / "many", many)
        work = f"{many:,} locations, {many * 13 // 10:,} findings, JSON to a file"

        def rows(got: Figures) -> Iterator[Row]:
            yield from self._time(work, got, {"gixy-ng": 0.5, "parse": 1.6})
            yield _memory(work, got)
            # Without the time to start, which does not depend on the locations.
            start = got["few"].best
            each = (got["ours"].best - start) / (many - few)
            before = (got["some"].best - start) / (some - few)
            yield Row(f"a location of {many:,}", f"a location of {some:,}", 1.1, each, before)

        commands = {
            "few": self._json(small),
            "some": self._json(middle),
            "ours": self._json(large),
            "parse": self._parse(large),
            **self._peers(large, True),
        }
        return Group(commands, rows)

    def _large_clean(self) -> Group:
        main = shapes.clean(self.folder / "clean-many", self.many)
        work = f"{self.many:,} locations, no finding"

        def rows(got: Figures) -> Iterator[Row]:
            yield from self._time(work, got, {"parse": 0.8})
            yield _memory(work, got)

        return Group({"ours": self._lint(main), "parse": self._parse(main)}, rows)

    def _fix(self, findings: int) -> Group:
        main = shapes.with_findings(self.folder / "fix", findings * 10 // 13)
        copy = main.with_name("fixed.conf")
        fix = Command([*self._lint(copy).arguments, "--fix"], lambda: shutil.copyfile(main, copy))

        def rows(got: Figures) -> Iterator[Row]:
            work = f"`--fix` of {findings:,} findings"
            yield Row(work, "`lint`", 2.0, got["fix"].best, got["lint"].best)

        return Group({"fix": fix, "lint": self._lint(main)}, rows)

    def _explain(self) -> Group:
        clean = shapes.clean(self.folder / "clean-many", self.many)
        found = shapes.with_findings(self.folder / "many", self.many)
        requested = shapes.urls(self.many, 1_000)
        reading = self._python("-I", Path(__file__).with_name("reading.py"), clean)
        commands = {
            "one": self._ours("explain", clean, requested[-1]),
            "all": self._ours("explain", clean, *requested),
            "fixed": self._ours("explain", found, requested[-1]),
            "reading": reading,
        }
        # With a fix, explain reads the changed files again, so this row has no limit.
        works: tuple[tuple[str, str, float | None], ...] = (
            ("one", "1 URL", 1.1),
            ("all", f"{len(requested):,} URLs", 1.5),
            ("fixed", "1 URL with a fix", None),
        )

        def rows(got: Figures) -> Iterator[Row]:
            for name, which, limit in works:
                work = f"`explain` of {which} on {self.many:,} locations"
                yield Row(work, "reading", limit, got[name].best, got["reading"].best)

        return Group(commands, rows, weight=2)

    def _time(self, work: str, got: Figures, limits: Mapping[str, float]) -> Iterator[Row]:
        names = {"click": "`import click`", "parse": _PARSE}
        for name, runs in got.items():
            if name in limits or name in PEERS:
                beside = names.get(name) or f"{name} {PEERS[name]}"
                yield Row(work, beside, limits.get(name), got["ours"].best, runs.best)

    def _ours(self, *arguments: str | Path) -> Command:
        return Command([self.environment.command, *arguments])

    def _lint(self, main: Path) -> Command:
        return self._ours("lint", main)

    def _json(self, main: Path) -> Command:
        return self._ours("lint", "--format", f"json={self.folder / 'report.json'}", main)

    def _python(self, *arguments: str | Path) -> Command:
        return Command([self.environment.python, *arguments], statuses=frozenset({0}))

    def _parse(self, main: Path) -> Command:
        return self._python("-c", _CROSSPLANE, main)

    def _peers(self, main: Path, json: bool = False) -> dict[str, Command]:
        options = ["--format", "json", "--output", str(self.folder / "peer.json")] if json else []
        return {
            peer: Command([self.environment.gixy(peer), *options, main], statuses=_ANY)
            for peer in self.peers
        }


def _memory(work: str, got: Figures) -> Row:
    ours, theirs = got["ours"].peak / 1e6, got["parse"].peak / 1e6
    return Row(f"peak memory: {work}", _PARSE, 2.5, ours, theirs, "MB")
