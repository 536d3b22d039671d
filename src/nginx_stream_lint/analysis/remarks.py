"""Findings without a stream: blocks that never match, declarations without a location."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.config import SIGN, Configuration, Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.unreachable_locations import unreachable_locations
from nginx_stream_lint.rules.finding import COMMAND_LINE, Finding, LocationInfo, Place, Related
from nginx_stream_lint.rules.judge import location_info, place_of
from nginx_stream_lint.rules.remarks import remarks
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.detect import ProxiedLocation

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Detected
    from nginx_stream_lint.streams.unproxied import UnproxiedReason


def block_findings(root: Level, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Findings about locations that would proxy requests but get none."""
    http = root.first("http")
    for server in () if http is None else http.children:
        if server.kind != "server":
            continue
        for level, meant in unreachable_locations(server).items():
            directive = level.directive
            if directive is None or directive.file.reading.author is not None:
                continue
            if not any(one.handler for one in level.walk()):
                continue
            rows = server.rows.get("server_name", ())
            location = location_info(level, tuple(arg for row in rows for arg in row.args))
            values = {"never_matches": match_of(level).pattern, "meant": list(meant)}
            yield from _findings(rules, values, location.place, location)


def comment_findings(
    configuration: Configuration,
    root: Level,
    rules: Sequence[Rule],
    locations: Iterable[ProxiedLocation],
) -> Iterator[Finding]:
    """Findings about comments that declare streams although nothing is proxied there."""
    if not any(SIGN in file.source.text for file in configuration.files):
        return
    from nginx_stream_lint.streams.unproxied import unproxied_comments

    levels = [one.level for one in locations]
    for one in unproxied_comments(configuration, root, levels):
        place = Place(one.source, one.start, one.end)
        location = LocationInfo("comment", place, one.end, ())
        values = _values("this stream", [one.reason])
        yield from _findings(rules, values, place, location, _related((one.reason,)))


def unproxied_declarations(
    checked: Sequence[Detected], paths: Sequence[str], workspace: Workspace
) -> dict[Declaration, list[UnproxiedReason]]:
    """The declared streams that no checked configuration proxies, with the reasons.

    A declaration in the settings counts only if the run over `paths` reads all that they cover.
    """
    fates: dict[Declaration, list[list[UnproxiedReason]]] = {}
    for one in checked:
        for declared, reasons in one.unproxied.items():
            fates.setdefault(declared, []).append(reasons)
    if not fates:
        return {}
    whole = {
        file.source.key
        for one in checked
        if one.configuration.about is None
        for file in one.configuration.files
    }
    return {
        declared: [reason for reasons in found for reason in reasons]
        for declared, found in fates.items()
        if all(found)
        and (declared.place is None or _reads_all(declared.place.file, paths, whole, workspace))
    }


def _reads_all(settings: str, paths: Sequence[str], whole: set[str], workspace: Workspace) -> bool:
    """Whether a run over `paths` reads everything that a settings file covers.

    It does if a folder around that is named, or if the files that it reads as a `whole` are all
    main files of its repository.
    """
    folders = (path for path in paths if workspace.is_folder(path))
    if any(workspace.is_below(settings, folder) for folder in folders):
        return True
    from nginx_stream_lint.config.repository import Repository

    repository = Repository(workspace, workspace.root_of(settings))
    known = repository.mains() or [path for path, _ in repository.candidates(documents=False)]
    return {workspace.key(path) for path in known} <= whole


def declaration_findings(
    found: Mapping[Declaration, Sequence[UnproxiedReason]], rules: Sequence[Rule]
) -> Iterator[Finding]:
    """Return findings about declared paths and URLs that nginx does not proxy."""
    for one, reasons in found.items():
        place = _place(one)
        location = LocationInfo(f"stream {one.text}", place, place.end, (), is_block=False)
        values = _values(one.text, reasons)
        yield from _findings(rules, values, place, location, _related(reasons))


def _values(declared: str, reasons: Sequence[UnproxiedReason]) -> dict[str, str | None]:
    """The facts about a declared stream."""
    first = next((reason for reason in reasons if reason.block is not None), reasons[0])
    absent = next((reason.unless for reason in reasons if reason.unless is not None), None)
    return {
        "declared": declared,
        "nginx_answers": first.words,
        "absent_include": None if absent is None else absent.args[0],
    }


def _place(declaration: Declaration) -> Place:
    """The place of a declaration: to the end of its line, or a complete option."""
    written = declaration.place
    if written is None:
        text = f"--stream {declaration.text}"
        return Place(Source(COMMAND_LINE, text, on_disk=False), 0, len(text))
    source = Source(written.file, written.text)
    start = source.offset(written.line, written.column)
    end = written.text.find("\n", start)
    return Place(source, start, len(written.text) if end < 0 else end)


def _related(reasons: Iterable[UnproxiedReason]) -> tuple[Related, ...]:
    related = {
        Related(place_of(reason.block), reason.words): None
        for reason in reasons
        if reason.block is not None
    }
    return tuple(related)


def _findings(
    rules: Sequence[Rule],
    values: Mapping[str, object],
    place: Place,
    location: LocationInfo,
    related: tuple[Related, ...] = (),
) -> Iterator[Finding]:
    for remark in remarks(rules, values):
        yield Finding(
            rule=remark.rule.name,
            severity=remark.severity,
            message=remark.message,
            place=place,
            location=location,
            stream=None,
            related=related,
            fix=remark.fix,
        )
