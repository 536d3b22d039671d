"""The main job, end to end: paths in, findings out. Prints nothing, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cache

from nginx_stream_lint.config import (
    Around,
    Configuration,
    File,
    Files,
    Note,
    Problem,
    Regions,
    Source,
    configurations,
)
from nginx_stream_lint.config.problems import unexpected
from nginx_stream_lint.fixes.apply import confined
from nginx_stream_lint.fixes.plan import plan
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.finding import (
    SEVERITIES,
    Finding,
    Suppressed,
    Unchecked,
    in_order,
)
from nginx_stream_lint.rules.judge import Memory, judge, unchecked
from nginx_stream_lint.rules.policy import Policy
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.find import Asked, Served, served
from nginx_stream_lint.suppress.comments import without_ignored
from nginx_stream_lint.util.lazily import dataclass

MIN_READ_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to check for. `nginx_version` None: unknown, the old defaults hold.

    `policy` says what findings are worth, and what is otherwise in some files. `isolated`: comments
    ignore nothing.
    """

    rules: tuple[Rule, ...]
    nginx_version: Version | None = None
    min_read_timeout_s: float = MIN_READ_TIMEOUT_S
    streams: tuple[Declaration, ...] = ()
    all_streams: bool = False
    around: Around = field(default_factory=Around)
    policy: Policy = field(default_factory=Policy)
    all_rules: tuple[str, ...] = ()
    isolated: bool = False

    @property
    def known_rules(self) -> tuple[str, ...]:
        """The names of all rules there are, those that are not applied included."""
        return self.all_rules or tuple(rule.name for rule in self.rules)


@dataclass(slots=True)
class Report:
    """What was found, and in what.

    `problems` are what could not be read, `notes` what had to be guessed while reading; `served` is
    everything that hands requests on; `suppressed` are findings that somebody does not want to see;
    `files` is all that was read; `unchecked` are the locations that nothing suggests to stream.
    """

    inputs: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    suppressed: list[Suppressed] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    @property
    def assumed_fragments(self) -> list[str]:
        """The files with findings that rest on the defaults of outer blocks that are not there."""
        names = (one.place.source.name for one in self.findings if one.assumes_defaults)
        return list(dict.fromkeys(names))

    @property
    def would_stall(self) -> list[Unchecked]:
        """The unchecked locations that a stream would not get through."""
        return [one for one in self.unchecked if one.verdict != "streams"]

    @property
    def locations(self) -> int:
        """How many locations hand requests on."""
        return _number(self.served)

    @property
    def streams(self) -> int:
        """How many of them are thought to stream."""
        return _number([one for one in self.served if one.is_stream])

    @property
    def all_findings(self) -> list[Finding]:
        """The findings, and behind them the suppressed ones."""
        return [*self.findings, *(one.finding for one in self.suppressed)]

    def count(self, severity: str) -> int:
        """How many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def reaches(self, severity: str) -> bool:
        """Whether there is a finding at or above a severity."""
        limit = SEVERITIES.index(next(one for one in SEVERITIES if one == severity))
        return any(SEVERITIES.index(finding.severity) <= limit for finding in self.findings)


# Gives the findings of a checked configuration with what was measured; see `analysis/confirm.py`.
Confirm = Callable[[Configuration, "Checked"], list[Finding]]


def lint(
    paths: Sequence[str],
    options: Options,
    texts: Mapping[str, Source] | None = None,
    confirm: Confirm | None = None,
) -> Report:
    """Check all configurations that `paths` (files and folders) lead to.

    `texts` are sources that stand in for files, by real path. `confirm` has the last word on the
    findings.
    """
    report = Report(inputs=list(dict.fromkeys(paths)))
    seen: set[tuple[object, ...]] = set()
    files: list[File] = []
    real = cache(os.path.realpath)  # many findings, few files
    for configuration in read(paths, options.around, texts):
        report.notes += configuration.notes
        try:
            checked = check(configuration, options)
            found = checked.findings if confirm is None else confirm(configuration, checked)
        except Exception as error:
            report.problems += [*configuration.problems, unexpected(configuration.path, error)]
            continue
        report.problems += checked.problems
        report.served += checked.served
        files += configuration.files
        report.files += [
            file
            for file in configuration.files
            if configuration.about is None or real(file.source.name) in configuration.about
        ]
        for finding in found:
            # Two main files may include the same snippet, and say the same of it.
            key = (finding.rule, finding.place.source.name, finding.place.start, finding.message)
            if key not in seen and _is_about(finding, configuration.about, real):
                seen.add(key)
                report.findings.append(finding)
        report.unchecked += checked.unchecked
    report.unchecked = _each_once(report.unchecked)
    if not options.isolated:
        report.findings, report.suppressed = without_ignored(
            report.findings, files, report.files, options.rules, options.known_rules
        )
    report.findings = options.policy.applied(_confined(report.findings, files))
    report.problems = list(dict.fromkeys(report.problems))
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _confined(findings: list[Finding], files: list[File]) -> list[Finding]:
    """The findings, with fixes that edit nothing but nginx's text."""
    by_source: dict[int, list[File]] = {}
    for file in files:
        by_source.setdefault(id(file.source), []).append(file)
    partly = {key for key, own in by_source.items() if any(file.reading.pieces for file in own)}
    if not partly:
        return findings

    def with_fix(finding: Finding) -> Finding:
        fix = finding.fix
        keys = set() if fix is None else {id(edit.source) for edit in fix.edits}
        if fix is None or keys.isdisjoint(partly):
            return finding
        own = [file for key in keys for file in by_source.get(key, ())]
        return finding.with_fix(confined(fix, own))

    return [with_fix(finding) for finding in findings]


def read(
    paths: Sequence[str], around: Around, texts: Mapping[str, Source] | None = None
) -> list[Configuration]:
    """All configurations that paths lead to, those that a controller would make included."""
    return configurations(paths, around, texts, _manifests)


def _manifests(
    source: Source, text: str, conditional: Regions, files: Files
) -> list[Configuration]:
    from nginx_stream_lint.kubernetes import configurations as translated

    return translated(source, text, conditional, files)


def _is_about(finding: Finding, about: frozenset[str] | None, real: Callable[[str], str]) -> bool:
    """Whether a finding has to do with one of the files that somebody asked for.

    `real` gives a file's real path.
    """
    if about is None:
        return True
    places = (
        finding.place,
        finding.location.place,
        *(related.place for related in finding.related),
    )
    return any(real(place.source.name) in about for place in places)


def _number(served: list[Served]) -> int:
    """How many locations these are: what a controller makes several of at one place counts once."""
    made = [
        directive
        for one in served
        if (directive := one.level.directive) is not None
        and directive.file.reading.author is not None
    ]
    return len(served) - len(made) + len({(one.source.name, one.start) for one in made})


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of one configuration: what hands requests on, and the findings."""

    served: list[Served]
    findings: list[Finding]
    problems: list[Problem]
    unchecked: list[Unchecked]


def check(configuration: Configuration, options: Options) -> Checked:
    """Check one configuration that has been read."""
    root = build(configuration)
    about = configuration.about
    if about is None:
        found, mistakes = survey(configuration, root, options)
        problems = [*configuration.problems, *refusals(root), *mistakes]
    else:
        # Of a whole configuration only a few files were asked for.
        real = cache(os.path.realpath)
        wanted = {id(file) for file in configuration.files if real(file.source.name) in about}

        @cache
        def is_partly(level: Level) -> bool:
            """Whether something that a level itself is made of stands in one of them."""
            rows = [row for rows in level.rows.values() for row in rows]
            rows += [level.directive] if level.directive else []
            return any(id(row.file) in wanted for row in rows)

        def is_asked_for(level: Level) -> bool:
            """Whether a level or one around it does."""
            return any(map(is_partly, level.outward()))

        def has_asked_for(server: Level) -> bool:
            return any(map(is_asked_for, server.walk()))

        found, mistakes = survey(configuration, root, options, has_asked_for)
        found = [one for one in found if is_asked_for(one.level)]
        problems = [*configuration.problems, *refusals(root), *mistakes]
        problems = [one for one in problems if real(one.file) in about]
    return Checked(found, findings(found, options), problems, _unchecked(found, options))


def _unchecked(found: Sequence[Served], options: Options) -> list[Unchecked]:
    """The locations that nothing suggests to stream, by the version of the file they are in."""
    by_version: dict[Version | None, list[Served]] = {}
    for one in found:
        file = (one.level.directive or one.handler.directive).source.name
        version = options.policy.nginx_version(file, options.nginx_version)
        by_version.setdefault(version, []).append(one)
    return [one for version, places in by_version.items() for one in unchecked(places, version)]


def _each_once(places: list[Unchecked]) -> list[Unchecked]:
    """Unchecked locations in the order of their files; two main files may include the same one."""
    found: dict[tuple[str, int], Unchecked] = {}
    for one in places:
        place = one.location.place
        known = found.get((place.source.name, place.start))
        if known is None or known.verdict == "streams":
            found[place.source.name, place.start] = one
    return [found[key] for key in sorted(found)]


def survey(
    configuration: Configuration,
    root: Level,
    options: Options,
    only: Callable[[Level], bool] | None = None,
    asked: Mapping[Level, Asked] | None = None,
) -> tuple[list[Served], list[Problem]]:
    """What hands requests on and what streams there, in all servers or those that `only` holds for.

    And declarations gone wrong. `asked` is as in `streams.find.served`.
    """
    version = options.policy.nginx_version(configuration.path, options.nginx_version) or OLD
    return served(configuration, root, version, options.streams, options.all_streams, only, asked)


# What has been judged, by version and timeout.
Memories = dict[tuple[Version | None, float], Memory]


def findings(
    found: Sequence[Served], options: Options, memories: Memories | None = None
) -> list[Finding]:
    """What the rules say of some of the places that hand requests on, with fixes.

    The version and the timeout are those of the file that a place is written in. `memories` are for
    those who ask about the same configuration again and again.
    """
    memories = {} if memories is None else memories
    alike: dict[tuple[Version | None, float], list[Served]] = {}
    for one in found:
        file = (one.level.directive or one.handler.directive).source.name
        version = options.policy.nginx_version(file, options.nginx_version)
        timeout = options.policy.min_read_timeout_s(file, options.min_read_timeout_s)
        alike.setdefault((version, timeout), []).append(one)
    found_here = [
        one.finding.with_fix(plan(one))
        for key, places in alike.items()
        for one in judge(places, options.rules, *key, memories.setdefault(key, Memory(key[0])))
    ]
    return sorted(found_here, key=in_order)
