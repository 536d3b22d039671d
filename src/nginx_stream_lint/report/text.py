"""The report for people: by location, with what to change shown in place."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from nginx_stream_lint.fixes.show import mended
from nginx_stream_lint.lint import Report
from nginx_stream_lint.rules.finding import Finding

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_WIDTH = 100


def text(report: Report, seconds: float) -> str:
    """The report with ANSI colours (`click.echo` strips them where they do not belong)."""
    return "\n".join([*_locations(report), _summary(report, seconds)]) + "\n"


def _locations(report: Report) -> Iterator[str]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in report.findings:
        place = finding.location.place
        groups.setdefault((place.source.name, place.start), []).append(finding)
    for findings in groups.values():
        location, stream = findings[0].location, findings[0].stream
        place = location.place
        head = click.style(f"{place.source.name}:{place.line}: {location.label}", bold=True)
        if location.servers:
            head += f"  ({', '.join(location.servers)})"
        yield head
        if stream.confidence != "possible":
            yield f"  {stream.confidence} to stream ({stream.kind}): {stream.because}"
        for finding in findings:
            yield from _finding(finding)
        yield from _fix(findings)
        yield ""


def _finding(finding: Finding) -> Iterator[str]:
    place = finding.place
    head = click.style(finding.severity, fg=_COLOURS[finding.severity], bold=True)
    where = f"{place.line}:{place.column}"
    if place.source is not finding.location.place.source:
        where = f"{place.source.name}:{where}"
    yield f"  {head} {finding.rule} at {where}"
    yield from _wrapped(finding.message, "    ")
    for related in finding.related:
        name = related.place.source.name
        yield f"    {name}:{related.place.line}:{related.place.column}: {related.message}"


def _fix(findings: list[Finding]) -> Iterator[str]:
    shown = mended(findings[0].location, findings)
    if shown:
        kinds = {one.fix.applicability for one in findings if one.fix is not None}
        how = "--fix writes this" if "unsafe" not in kinds else "--fix --unsafe-fixes writes this"
        yield f"  fixed ({how}):"
        for line in shown.splitlines():
            written = f"    {line}".rstrip()
            yield click.style(written, fg="green") if line.startswith("+") else written
    for finding in findings:
        if finding.fix is not None and not finding.fix.edits:
            yield f"  by hand, {finding.rule}: {finding.fix.title}"
            yield from (f"    {line}" for line in finding.fix.snippet.splitlines())


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
    return f"{found} {locations}, {report.streams} thought to stream ({seconds:.2f} s)"
