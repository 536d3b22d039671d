"""The report for people: by location, with what to change shown in place."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import click

from nginx_stream_lint.config.problems import printable
from nginx_stream_lint.fixes.show import mended
from nginx_stream_lint.lint import Report
from nginx_stream_lint.report.excerpt import Mark, excerpt
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Finding, Related

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_WIDTH = 100
# As many places where the same holds are named; the others are counted.
_MOST_PLACES = 4


def text(run: Run) -> str:
    """The findings with ANSI colours (`click.echo` strips them where they do not belong)."""
    return "\n".join([*_locations(run.report), _summary(run.report, run.seconds)]) + "\n"


def _locations(report: Report) -> Iterator[str]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in report.findings:
        place = finding.location.place
        groups.setdefault((place.source.name, place.start), []).append(finding)
    for findings in groups.values():
        location, thought = findings[0].location, findings[0].thought
        place = location.place
        where = f"{place.source.name}:{place.line}: {location.label}"
        head = click.style(printable(where), bold=True)
        if location.servers:
            head += f"  ({printable(', '.join(location.servers))})"
        yield head
        if thought and not findings[0].is_grouped:
            yield f"  {printable(thought)}"
        shown: set[tuple[object, ...]] = set()
        for finding in findings:
            yield from _finding(finding, shown)
        yield from _fix(findings)
        yield ""


def _finding(finding: Finding, shown: set[tuple[object, ...]]) -> Iterator[str]:
    """A finding with its lines of source; `shown` are those that need no repeating."""
    place = finding.place
    colour = COLOURS[finding.severity]
    where = f"{place.line}:{place.column}"
    if place.source is not finding.location.place.source:
        where = f"{printable(place.source.name)}:{where}"
    yield f"  {click.style(finding.severity, fg=colour, bold=True)} {finding.rule} at {where}"
    grouped = finding.is_grouped
    near = () if grouped else finding.related
    places = (place, *(one.place for one in near))
    if places not in shown:
        shown.add(places)
        marks = [Mark(one.place, words=one.message) for one in near]
        marks.append(Mark(place, True, colour=colour))
        yield from (f"    {line}" for line in excerpt(marks, finding.location.place.source))
    yield from _wrapped(printable(finding.message), "    ")
    if grouped and finding.related:
        yield from _wrapped(f"also: {_places(finding.related)}", "    ")


def _places(related: Sequence[Related]) -> str:
    """Some places in words, the first few by name."""
    named = [f"{one.place.source.name}:{one.place.line}" for one in related[:_MOST_PLACES]]
    more = len(related) - len(named)
    return printable(", ".join(named)) + (f" and {more} more" if more else "")


def _fix(findings: list[Finding]) -> Iterator[str]:
    shown = mended(findings[0].location, findings)
    if shown:
        kinds = {one.fix.applicability for one in findings if one.fix is not None}
        how = "--fix writes this" if "unsafe" not in kinds else "--fix --unsafe-fixes writes this"
        yield f"  fixed ({how}):"
        colours = {"+": "green", "-": "red"}
        for line in shown.splitlines():
            written = f"    {_shown(line)}".rstrip()
            colour = colours.get(line[:1])
            yield written if colour is None else click.style(written, fg=colour)
    for finding in findings:
        if finding.fix is not None and not finding.fix.edits:
            yield f"  by hand, {finding.rule}: {printable(finding.fix.title)}"
            yield from (f"    {_shown(line)}" for line in finding.fix.snippet.splitlines())


def _shown(line: str) -> str:
    """A line of a file that any terminal can show; tabs stay."""
    return "\t".join(printable(part) for part in line.split("\t"))


def _wrapped(message: str, indent: str) -> list[str]:
    return textwrap.wrap(
        message,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(report: Report, seconds: float) -> str:
    counts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for word in ("error", "warning", "note")
        if (number := report.count(word))
    ]
    locations = f"{report.locations} location{'' if report.locations == 1 else 's'} that proxy"
    if report.locations == 1:
        locations = "1 location that proxies"
    found = f"{', '.join(counts) or 'no findings'} in"
    if report.problems:
        # What could not be read has not been found innocent.
        number = len(report.problems)
        unread = f"{number} {'place' if number == 1 else 'places'} could not be read"
        found = f"{', '.join(counts)}; {unread} in" if counts else f"{unread}; checked"
    suppressed = f"; {len(report.suppressed)} suppressed" if report.suppressed else ""
    streams = f"{report.streams} thought to stream"
    return f"{found} {locations}, {streams}{suppressed} ({seconds:.2f} s)"
