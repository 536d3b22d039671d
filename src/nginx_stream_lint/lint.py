"""The main job, end to end: paths in, findings out. Prints nothing, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nginx_stream_lint.config import Configuration, Problem, Source, read
from nginx_stream_lint.config.problems import Unreadable
from nginx_stream_lint.config.source import load
from nginx_stream_lint.fixes.plan import plan
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.finding import SEVERITIES, Finding
from nginx_stream_lint.rules.judge import judge
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.settings import MIN_READ_TIMEOUT_S
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.find import Served, served


@dataclass(frozen=True, slots=True)
class Options:
    """What to check for. `nginx_version` None: unknown, the old defaults hold."""

    rules: tuple[Rule, ...]
    nginx_version: Version | None = None
    min_read_timeout_s: float = MIN_READ_TIMEOUT_S
    streams: tuple[Declaration, ...] = ()
    all_streams: bool = False


@dataclass(slots=True)
class Report:
    """What was found. `locations` proxy, `streams` of them are thought to stream."""

    inputs: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    locations: int = 0
    streams: int = 0

    def count(self, severity: str) -> int:
        """How many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def reaches(self, severity: str) -> bool:
        """Whether there is a finding at or above a severity."""
        limit = SEVERITIES.index(next(one for one in SEVERITIES if one == severity))
        return any(SEVERITIES.index(finding.severity) <= limit for finding in self.findings)


# Gives the findings of a checked configuration with what was measured; see `confirm.py`.
Confirm = Callable[[Configuration, "Checked"], list[Finding]]


def lint(
    paths: Sequence[str],
    options: Options,
    texts: Mapping[str, Source] | None = None,
    confirm: Confirm | None = None,
) -> Report:
    """Check the configurations whose main files are `paths`.

    `texts` are sources that stand in for files, by real path. A path that another one includes is
    checked there, not once more on its own. `confirm` has the last word on the findings.
    """
    configurations = [one for path in dict.fromkeys(paths) for one in _read(path, texts)]
    included = {
        os.path.realpath(file.source.name)
        for configuration in configurations
        for file in configuration.files
        if file is not configuration.root
    }
    report = Report(inputs=list(dict.fromkeys(paths)))
    seen: set[tuple[object, ...]] = set()
    for configuration in configurations:
        if os.path.realpath(configuration.path) in included and configuration.context:
            continue
        checked = check(configuration, options)
        report.problems += checked.problems
        report.locations += len({_place(one) for one in checked.served})
        report.streams += len(
            {
                _place(one)
                for one in checked.served
                if any(stream.confidence != "possible" for stream in one.streams)
            }
        )
        for finding in checked.findings if confirm is None else confirm(configuration, checked):
            # Two main files may include the same snippet, and say the same of it.
            key = (finding.rule, finding.place.source.name, finding.place.start, finding.message)
            if key not in seen:
                seen.add(key)
                report.findings.append(finding)
    report.problems = list(dict.fromkeys(report.problems))
    return report


def _place(one: Served) -> object:
    """What counts as one location: its place, from which a controller may make several."""
    directive = one.level.directive
    if directive is None or directive.file.reading.author is None:
        return one
    return directive.source.name, directive.start


def _read(path: str, texts: Mapping[str, Source] | None) -> list[Configuration]:
    """The configurations of a path: one, or what controllers make of a manifest."""
    if path.endswith((".yaml", ".yml", ".json")):
        try:
            source = (texts or {}).get(os.path.realpath(path)) or load(path)
        except Unreadable as stop:
            return [Configuration(path, problems=[stop.problem])]
        from nginx_stream_lint.kubernetes import configurations

        found = configurations(source, source.text)
        if found:
            return found
    return [read(path, texts)]


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of one configuration: what hands requests on, and the findings."""

    served: list[Served]
    findings: list[Finding]
    problems: list[Problem]


def check(configuration: Configuration, options: Options) -> Checked:
    """Check one configuration that has been read."""
    root = build(configuration)
    found, mistakes = survey(configuration, root, options)
    problems = [*configuration.problems, *refusals(root), *mistakes]
    return Checked(found, findings(found, options), problems)


def survey(
    configuration: Configuration, root: Level, options: Options
) -> tuple[list[Served], list[Problem]]:
    """What hands requests on and what streams there; and declarations gone wrong."""
    version = options.nginx_version or OLD
    return served(configuration, root, version, options.streams, options.all_streams)


def findings(found: Sequence[Served], options: Options) -> list[Finding]:
    """What the rules say of some of the places that hand requests on, with fixes."""
    judged = judge(found, options.rules, options.nginx_version, options.min_read_timeout_s)
    return [replace(one.finding, fix=plan(one)) for one in judged]


def expand(paths: Sequence[str]) -> list[str]:
    """Paths with folders replaced by the nginx files in them: nginx.conf, else every *.conf."""
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(
            str(file)
            for file in Path(path).rglob("*.conf")
            if file.is_file() and not any(part.startswith(".") for part in file.parts[1:])
        )
        found += inside or [path]
    return found
