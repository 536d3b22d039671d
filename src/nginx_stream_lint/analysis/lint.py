"""The complete check: from paths to findings. Prints nothing, writes nothing.

The stages are functions, in this order: `read`, `detect`, `judge_all`, `suppress`, the policy, the
baseline, `with_fixes`. Fixes are planned only for the remaining findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.analysis.remarks import (
    block_findings,
    comment_findings,
    declaration_findings,
    unproxied_declarations,
)
from nginx_stream_lint.analysis.versions import (
    by_version,
    name_instances,
    of_all_versions,
    passes_to_itself,
)
from nginx_stream_lint.config import (
    SIGN,
    Configuration,
    File,
    IncludeResolver,
    InputOptions,
    Note,
    Problem,
    Regions,
    Source,
    configurations,
    without_repeats,
)
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.levels import Level, build, take_apart
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.finding import (
    SEVERITIES,
    Finding,
    Identity,
    Suppressed,
    Unchecked,
    in_order,
)
from nginx_stream_lint.rules.judge import FindingWithContext, judge, unchecked
from nginx_stream_lint.rules.policy import Policy
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.rules.verdict_cache import VerdictCache
from nginx_stream_lint.streams.declarations import Declaration, DeclaredProxy
from nginx_stream_lint.streams.detect import ProxiedLocation, Requested, find_proxied
from nginx_stream_lint.util.budget import spending
from nginx_stream_lint.util.problems import unexpected
from nginx_stream_lint.util.remembering import forget

if TYPE_CHECKING:
    from nginx_stream_lint.config.inputs import Blocks
    from nginx_stream_lint.kubernetes.kustomized import Applied
    from nginx_stream_lint.streams.unproxied import UnproxiedReason
    from nginx_stream_lint.suppress.baseline import Baseline, BaselineEntry

MIN_READ_TIMEOUT_S = 300.0


class Options(Struct, frozen=True):
    """Options of a check. If `nginx_version` is None, nginx older than 1.29.7 is assumed.

    `policy` sets the severities of findings, and overrides for some files; `baseline` has the known
    findings. `isolated`: comments ignore nothing, and the streams that they declare weaken no
    check. `tiers` are the configurations of nginx that pass requests on to one another, the one
    next to the app first; `proxies` are the declared proxies in front of them.
    """

    rules: tuple[Rule, ...] = field(default_factory=shipped_rules)
    nginx_version: Version | None = None
    min_read_timeout_s: float = MIN_READ_TIMEOUT_S
    streams: tuple[Declaration, ...] = ()
    all_streams: bool = False
    input_options: InputOptions = field(default_factory=InputOptions)
    policy: Policy = field(default_factory=Policy)
    all_rules: tuple[str, ...] = ()
    baseline: Baseline | None = None
    isolated: bool = False
    tiers: tuple[str, ...] = ()
    proxies: tuple[DeclaredProxy, ...] = ()

    @property
    def known_rules(self) -> tuple[str, ...]:
        """The names of all rules, including those that are not applied."""
        return self.all_rules or tuple(rule.name for rule in self.rules)


class Result(Struct):
    """The result of a check: the findings and the files.

    `problems` are unreadable inputs, `notes` assumptions while reading; `proxied` are all proxied
    levels; `suppressed` are findings that a comment or the baseline hides; `files` are all that
    were read; `stale` are baseline entries whose findings no longer occur; `details` are notes that
    are only shown with -v. `unchecked` are the locations without evidence of a stream. `locations`
    counts proxied locations, `streams` those that probably stream. `deployed` is each nginx of the
    deployment with findings. `rule_groups` has a number for each finding, in order. If two findings
    have the same number, the rules cannot tell their locations apart; it is None for findings that
    are not about streams.
    """

    inputs: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    proxied: list[ProxiedLocation] = field(default_factory=list)
    suppressed: list[Suppressed] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    stale: list[BaselineEntry] = field(default_factory=list)
    details: list[Note] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    deployed: list[Deployed] = field(default_factory=list)
    locations: int = 0
    streams: int = 0
    rule_groups: list[int | None] = field(default_factory=list)
    _detected: list[Detected] = field(default_factory=list)

    def add_notes(self, notes: Iterable[Note]) -> None:
        """Add notes from reading; some are shown only with -v."""
        for note in notes:
            (self.details if note.detail else self.notes).append(note)

    @property
    def assumed_fragments(self) -> list[str]:
        """The files whose findings depend on the defaults of absent outer blocks."""
        names = (one.place.source.name for one in self.findings if one.assumes_defaults)
        return list(dict.fromkeys(names))

    @property
    def would_stall(self) -> list[Unchecked]:
        """The unchecked locations in which a stream would stall."""
        return [one for one in self.unchecked if one.verdict != "streams"]

    @property
    def all_findings(self) -> list[Finding]:
        """The findings, followed by the suppressed ones."""
        return [*self.findings, *(one.finding for one in self.suppressed)]

    def release(self) -> None:
        """Free the directives and levels of the configurations; all but `proxied` stays usable.

        They refer to one another, so only a garbage collection would free them, and the command
        disables that: for 20,000 locations it takes 0.5 s, and this 0.1 s.
        """
        self.proxied = []
        for detected in self._detected:
            take_apart(detected.root)
            for file in detected.configuration.files:
                file.directives = []
        self._detected = []

    def count(self, severity: str) -> int:
        """Count the findings with a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def reaches(self, severity: str) -> bool:
        """Whether there is a finding at or above a severity."""
        limit = SEVERITIES.index(next(one for one in SEVERITIES if one == severity))
        return any(SEVERITIES.index(finding.severity) <= limit for finding in self.findings)


class Detected(Struct, frozen=True):
    """One configuration with its proxied locations and its problems.

    `unproxied` are nginx's responses to declared streams that are not proxied; see
    `streams.unproxied.unproxied_reasons`.
    """

    configuration: Configuration
    root: Level
    proxied: list[ProxiedLocation]
    problems: list[Problem]
    unproxied: dict[Declaration, list[UnproxiedReason]]


# Returns the findings of a configuration with their measurements, in order; after them, those that
# only the measurement found. See `analysis/confirm.py`.
Confirm = Callable[[Detected, list[Finding]], list[Finding]]


def lint(
    workspace: Workspace,
    paths: Sequence[str] | None = None,
    options: Options | None = None,
    confirm: Confirm | None = None,
) -> Result:
    """Check all configurations once, without combining fixes; see `analysis.complete.lint`.

    `confirm` may change the findings of a configuration by measurement.
    """
    options = options or Options()
    paths = list(dict.fromkeys(workspace.paths if paths is None else paths))
    result = Result(inputs=paths)
    judged: dict[Identity, FindingWithContext] = {}
    caches: VerdictCaches = {}
    findings: dict[Identity, Finding] = {}
    running: dict[Identity, list[Deployed]] = {}  # instances by finding
    with spending(workspace.budget):
        every_read = _read(workspace, paths, options.input_options)
        for configuration, checked in _detected(workspace, every_read, options, result):
            try:
                detected, found, remarked = _check(checked, confirm, caches)
            except Exception as error:
                problem = unexpected(configuration.path, error)
                result.problems += [*configuration.problems, problem]
                continue
            if configuration.guessed:
                result.details += map(_as_note, detected.problems)
            else:
                result.problems += detected.problems
            result._detected.append(detected)
            result.proxied += detected.proxied
            result.files += _named_files(configuration)
            result.unchecked += _unchecked(detected, by_version(configuration, options)[0])
            here = [one.finding for one in found]
            # Two main files may include the same snippet, with the same findings.
            for finding in sorted([*here, *remarked], key=in_order) if remarked else here:
                findings.setdefault(finding.identity, finding)
                if configuration.deployed is not None:
                    running.setdefault(finding.identity, []).append(configuration.deployed)
            for one in found:
                judged.setdefault(one.finding.identity, one)
        files = [file for one in result._detected for file in one.configuration.files]
        unproxied = unproxied_declarations(result._detected, paths, workspace)
        beside = [one for one in every_read if one.is_for_comparison]
        result._detected += [detect(one, options, workspace) for one in beside]
        pairs = _compare_twins(result._detected, options, caches)
        for pair in pairs:
            for one in pair:
                findings.setdefault(one.finding.identity, one.finding)
                judged.setdefault(one.finding.identity, one)
        result.deployed = name_instances(findings, judged, running, options)
        every = [*findings.values(), *declaration_findings(unproxied, options.rules)]
        kept = _one_of_each_pair(suppress(every, files, result, options), pairs)
        kept = options.policy.applied(kept)
        if options.baseline is not None:
            kept = _without_known(kept, result, options, workspace)
        result.findings, failed, result.rule_groups = with_fixes(kept, judged.values(), files)
    _finish(result, failed, workspace)
    return result


def _finish(result: Result, failed: Sequence[Problem], workspace: Workspace) -> None:
    """Count the locations of a result, and remove what it has twice."""
    result.locations = _number(result.proxied)
    result.streams = _number([one for one in result.proxied if one.is_stream])
    result.unchecked = _each_once(result.unchecked)
    result.problems += [*failed, *workspace.budget.problems]
    result.problems = list(dict.fromkeys(result.problems))
    result.notes, result.details = without_repeats(result.notes), without_repeats(result.details)


def _compare_twins(
    detected: Sequence[Detected], options: Options, caches: VerdictCaches
) -> list[tuple[FindingWithContext, FindingWithContext]]:
    """The findings of `twins.controller_differences`."""
    files = (file for one in detected for file in one.configuration.files)
    if all(file.reading.author is None for file in files):
        return []
    from nginx_stream_lint.analysis.twins import controller_differences

    return list(controller_differences(detected, options, caches))


def _one_of_each_pair(
    kept: Sequence[Finding], pairs: Sequence[tuple[FindingWithContext, FindingWithContext]]
) -> list[Finding]:
    """Drop the first finding of each pair of twins; both if a comment ignores the first one."""
    present = {one.identity for one in kept}
    named = [(first.finding.identity, second.finding.identity) for first, second in pairs]
    dropped = {first for first, _ in named}
    dropped |= {second for first, second in named if first not in present}
    return [one for one in kept if one.identity not in dropped]


def _detected(
    workspace: Workspace, every: Sequence[Configuration], options: Options, result: Result
) -> list[tuple[Configuration, list[tuple[Options, Detected]]]]:
    """Detect the streams of configurations, for each nginx that may run one.

    A stream of one nginx is added to the nginx in front of it and behind it.
    """
    found: list[tuple[Configuration, list[tuple[Options, Detected]]]] = []
    for configuration in every:
        if configuration.is_for_comparison:
            continue
        result.add_notes(configuration.notes)
        try:
            versions = by_version(configuration, options)
            checked = [detect(configuration, versions[0], workspace)]
            if len(versions) > 1 and passes_to_itself(checked[0].root, checked[0].proxied):
                checked += (detect(configuration, each, workspace) for each in versions[1:])
            else:
                checked *= len(versions)
        except Exception as error:
            problem = unexpected(configuration.path, error)
            result.problems += [*configuration.problems, problem]
            continue
        found.append((configuration, list(zip(versions, checked, strict=True))))
    if len(found) > 1:
        from nginx_stream_lint.analysis.tiers import link_tiers

        link_tiers([one for _, pairs in found for one in pairs], options.tiers, workspace)
    return found


def _check(
    checked: Sequence[tuple[Options, Detected]], confirm: Confirm | None, caches: VerdictCaches
) -> tuple[Detected, list[FindingWithContext], list[Finding]]:
    """Apply the rules to the streams of a configuration, for each nginx that may run it."""
    found: list[list[FindingWithContext]] = []
    remarked: list[Finding] = []
    for each, detected in checked:
        judged, measured = judge_all(detected, each, confirm, caches)
        found.append(judged)
        remarked = remarked or [*judge_remarks(detected, each), *measured]
    first = checked[0][1]
    # A problem counts only if every version refuses it.
    problems = [one for one in first.problems if all(one in each.problems for _, each in checked)]
    return replace(first, problems=problems), of_all_versions(found), remarked


def _as_note(problem: Problem) -> Note:
    """A problem as a note, for a file that is only probably nginx configuration."""
    return Note(problem.file, problem.line, problem.column, f"{problem.message}; {problem.advice}")


def read(
    workspace: Workspace, paths: Sequence[str], input_options: InputOptions, behind: bool = False
) -> list[Configuration]:
    """Read all configurations for paths, including those that a controller would generate.

    With `behind`, this also reads the nearby manifests, to find the nginx behind a controller. This
    begins a run: results cached by an earlier one are cleared.
    """
    return [
        one for one in _read(workspace, paths, input_options, behind) if not one.is_for_comparison
    ]


def _read(
    workspace: Workspace, paths: Sequence[str], input_options: InputOptions, behind: bool = False
) -> list[Configuration]:
    """Like `read`, but with configurations that the user did not name, for comparisons."""
    forget()
    deployments = partial(_deployments, behind)
    return configurations(workspace, paths, input_options, _manifests, deployments, _together)


def _manifests(
    source: Source, text: str, conditional: Regions, files: IncludeResolver
) -> list[Configuration]:
    from nginx_stream_lint.kubernetes.translate import configurations as translated

    return translated(source, text, conditional, files)


def _together(
    yaml: Sequence[MappedText], made: Sequence[Configuration], files: IncludeResolver
) -> list[Configuration]:
    from nginx_stream_lint.kubernetes.applied import as_applied
    from nginx_stream_lint.kubernetes.gateway_reading import gateway_configurations
    from nginx_stream_lint.kubernetes.merging import merged

    known: dict[int, Applied] = {}  # by the id of the list of a repository's files

    def kustomize(workspace: Workspace, paths: Sequence[str]) -> Applied:
        from nginx_stream_lint.deployment import kustomized

        if id(paths) not in known:
            known[id(paths)] = kustomized(workspace, paths)
        return known[id(paths)]

    made = as_applied(made, yaml, files, kustomize)
    return [*merged(made, files, yaml), *gateway_configurations(yaml, files, kustomize)]


def _deployments(
    behind: bool,
    workspace: Workspace,
    root: str,
    files: Sequence[str],
    yaml: Sequence[str],
    blocks: Blocks,
    is_generated: bool,
) -> tuple[Sequence[Deployed], Sequence[Note]]:
    from nginx_stream_lint.deployment import deployed

    found, problems = deployed(workspace, root, files, yaml, blocks, behind and is_generated)
    return found, [replace(_as_note(one), detail=True) for one in problems]


def detect(configuration: Configuration, options: Options, workspace: Workspace) -> Detected:
    """Detect the proxied locations of a configuration and their streams."""
    root = build(configuration)
    about = configuration.about
    known = options.policy.nginx_version(configuration.path, options.nginx_version)
    declared = _unproxied(configuration, root, known, options.streams)
    if about is None:
        found, mistakes = detect_streams(configuration, root, options)
        problems = [*configuration.problems, *refusals(root, known), *mistakes]
        return Detected(configuration, root, found, problems, declared)
    # Only some files of the configuration were named.
    wanted = {id(file) for file in _named_files(configuration)}

    @cache
    def is_partly(level: Level) -> bool:
        """Whether a part of a level's own block is in a named file."""
        rows = [row for rows in level.rows.values() for row in rows]
        rows += [level.directive] if level.directive else []
        return any(id(row.file) in wanted for row in rows)

    def is_named(level: Level) -> bool:
        """Whether a part of a level's block, or of an enclosing block, is in a named file."""
        return any(map(is_partly, level.outward()))

    def has_named(server: Level) -> bool:
        return any(map(is_named, server.walk()))

    found, mistakes = detect_streams(configuration, root, options, has_named)
    found = [one for one in found if is_named(one.level)]
    problems = [*configuration.problems, *refusals(root, known), *mistakes]
    problems = [one for one in problems if workspace.key(one.file) in about]
    return Detected(configuration, root, found, problems, declared)


def _unproxied(
    configuration: Configuration,
    root: Level,
    version: Version | None,
    declarations: Sequence[Declaration],
) -> dict[Declaration, list[UnproxiedReason]]:
    """The reasons why nginx does not proxy declared streams."""
    if not declarations:
        return {}
    from nginx_stream_lint.streams.unproxied import unproxied_reasons

    return unproxied_reasons(root, version or OLD, declarations, configuration.missing)


def _named_files(configuration: Configuration) -> list[File]:
    """The files of a configuration that the user named."""
    about = configuration.about
    return [file for file in configuration.files if about is None or file.source.key in about]


def judge_all(
    detected: Detected,
    options: Options,
    confirm: Confirm | None = None,
    caches: VerdictCaches | None = None,
) -> tuple[list[FindingWithContext], list[Finding]]:
    """Return the findings of a configuration that concern the named files.

    The second list has the findings that `confirm` adds. `caches` are shared by the configurations
    of a run; these must stay alive as long as the caches.
    """
    judged = judge_places(detected.proxied, options, caches)
    findings = [one.finding for one in judged]
    if confirm is not None:
        findings = confirm(detected, findings)
    about = detected.configuration.about
    kept = [
        one if finding is one.finding else FindingWithContext(finding, one.verdict, one.proxied)
        for one, finding in zip(judged, findings, strict=False)
        if _is_about(finding, about)
    ]
    return kept, [one for one in findings[len(judged) :] if _is_about(one, about)]


def judge_remarks(detected: Detected, options: Options) -> list[Finding]:
    """Return the findings about blocks and comments without a stream, and proxies in front."""
    configuration = detected.configuration
    found = [
        *block_findings(detected.root, options.rules),
        *comment_findings(configuration, detected.root, options.rules, detected.proxied),
    ]
    if options.proxies or _may_show_proxies(configuration):
        # Most runs do not need these modules, which take longer to load than to use.
        from nginx_stream_lint.analysis.tier_findings import tier_findings

        minimum_s = options.policy.min_read_timeout_s(
            configuration.path, options.min_read_timeout_s
        )
        found += tier_findings(
            configuration, detected.proxied, options.rules, minimum_s, options.proxies
        )
    about = configuration.about
    return [finding for finding in found if _is_about(finding, about)]


def _may_show_proxies(configuration: Configuration) -> bool:
    """Whether a configuration may show proxies in front of it; see `tiers/in_front.py`."""
    deployed = configuration.deployed
    if deployed is not None and deployed.in_front:
        return True
    return any("real_ip_" in one.source.text for one in configuration.files)


def suppress(
    findings: Sequence[Finding], files: Sequence[File], result: Result, options: Options
) -> list[Finding]:
    """Return the findings that no comment ignores, with those about comments.

    `files` are all that were read; the `result` has the requested ones. The ignored findings are
    added to the result.
    """
    if options.isolated or not any(SIGN in file.source.text for file in files):
        return list(findings)
    from nginx_stream_lint.suppress.comments import without_ignored

    kept, result.suppressed = without_ignored(
        findings, files, result.files, options.rules, options.known_rules
    )
    return kept


def _without_known(
    findings: Sequence[Finding], result: Result, options: Options, workspace: Workspace
) -> list[Finding]:
    """Return the findings that are not in the baseline; the others are added to the result."""
    from nginx_stream_lint.suppress.baseline import without_known

    assert options.baseline is not None
    kept, result.suppressed, result.stale = without_known(
        findings,
        result.suppressed,
        result.files,
        [rule.name for rule in options.rules],
        options.baseline,
        workspace.is_gone,
        {name for rule in options.rules for name in rule.renamed_from},
    )
    return kept


def with_fixes(
    findings: Iterable[Finding], judged: Iterable[FindingWithContext], files: Sequence[File]
) -> tuple[list[Finding], list[Problem], list[int | None]]:
    """Return the findings with their fixes, and the files in which planning failed (a bug).

    Findings about comments already have their fix. Fixes only edit nginx text of the `files`. The
    third list is `Result.rule_groups`.
    """
    findings = list(findings)
    if not findings:
        return [], [], []
    from nginx_stream_lint.fixes.apply import confine, visible_regions, without_directives
    from nginx_stream_lint.fixes.placement import place_fix

    made_from = {one.finding.identity: one for one in judged}
    mapped = {id(file.source) for file in files if file.reading.pieces}
    regions = visible_regions(file for file in files if id(file.source) in mapped)
    filled = None
    if mapped:
        from nginx_stream_lint.fixes.filled_variables import FilledVariables

        filled = FilledVariables(file.reading for file in files)
    found: list[Finding] = []
    problems: list[Problem] = []
    rule_groups: list[int | None] = []
    for finding in findings:
        one, fix = made_from.get(finding.identity), finding.fix
        rule_groups.append(None if one is None else id(one.verdict))
        try:
            fix = fix if one is None else place_fix(one)
        except Exception as error:
            problems.append(unexpected(finding.place.source.name, error))
        fix = confine(fix, regions) if fix is not None and regions else fix
        if fix is not None and filled is not None:
            fix = filled.keep_in(fix, () if one is None else one.running)
        if fix is not None and finding.spared:
            fix = without_directives(fix, finding.spared)
        if fix is not None and any(edit.source.is_from_image for edit in fix.edits):
            fix = fix.as_manual()
        found.append(_in_repository(finding if fix is finding.fix else finding.with_fix(fix)))
    return found, problems, rule_groups


def _in_repository(finding: Finding) -> Finding:
    """Keep findings that point at files of the repository, not at those of an image."""
    place = finding.location.place if finding.place.source.is_from_image else finding.place
    related = tuple(one for one in finding.related if not one.place.source.is_from_image)
    if place is finding.place and len(related) == len(finding.related):
        return finding
    return replace(finding, place=place, related=related)


def _is_about(finding: Finding, about: frozenset[str] | None) -> bool:
    """Whether a finding concerns one of the named files."""
    if about is None:
        return True
    places = (
        finding.place,
        finding.location.place,
        *(related.place for related in finding.related),
    )
    return any(place.source.key in about for place in places)


def _unchecked(detected: Detected, options: Options) -> list[Unchecked]:
    """The locations without evidence of a stream, by the version of the file they are in."""
    by_version: dict[Version | None, list[ProxiedLocation]] = {}
    for one in detected.proxied:
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


def _number(locations: list[ProxiedLocation]) -> int:
    """Count locations by their places: each nginx that reads a file has those in it."""
    places = (one.level.directive or one.handler.directive for one in locations)
    return len({(one.source.key, one.start) for one in places})


def detect_streams(
    configuration: Configuration,
    root: Level,
    options: Options,
    only: Callable[[Level], bool] | None = None,
    requested: Requested | None = None,
) -> tuple[list[ProxiedLocation], list[Problem]]:
    """Detect proxied locations and their streams, in all servers or those that `only` accepts.

    Also returns problems with declarations. `requested` is as in `streams.detect.find_proxied`.
    """
    version = options.policy.nginx_version(configuration.path, options.nginx_version) or OLD
    found, mistakes = find_proxied(
        configuration,
        root,
        version,
        options.streams,
        options.all_streams,
        only,
        requested,
        options.isolated,
    )
    http = root.first("http")
    is_written = configuration.author is None
    if http is not None and is_written and passes_to_itself(root, found, version):
        from nginx_stream_lint.streams.passed_on import TierLocations, link_streams
        from nginx_stream_lint.tiers.hops import TierConfiguration

        nginx = TierConfiguration(configuration, http, version)
        link_streams([TierLocations(nginx, found)], spread=requested is None)
    return found, mistakes


# Verdict caches, by version and timeout.
VerdictCaches = dict[tuple[Version | None, float], VerdictCache]


def judge_places(
    locations: Sequence[ProxiedLocation], options: Options, caches: VerdictCaches | None = None
) -> list[FindingWithContext]:
    """Return the findings about some proxied locations.

    The version and the timeout are those of the file that a place is written in. Pass `caches` to
    judge one configuration repeatedly, or several ones.
    """
    caches = {} if caches is None else caches
    policy = options.policy

    @cache
    def settings(file: str) -> tuple[Version | None, float]:
        return (
            policy.nginx_version(file, options.nginx_version),
            policy.min_read_timeout_s(file, options.min_read_timeout_s),
        )

    by_settings: dict[tuple[Version | None, float], list[ProxiedLocation]] = {}
    for one in locations:
        file = (one.level.directive or one.handler.directive).source.name
        by_settings.setdefault(settings(file), []).append(one)
    found_here: list[FindingWithContext] = []
    for key, places in by_settings.items():
        if key not in caches:
            caches[key] = VerdictCache(options.rules, *key)
        found_here += judge(places, caches[key])
    return sorted(found_here, key=lambda one: in_order(one.finding))
