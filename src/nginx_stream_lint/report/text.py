"""The text report: findings by location, each with the fixed location."""

from __future__ import annotations

import click

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.report.closing_lines import closing_lines
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.report.words import SEVERITY_COLOURS, counted
from nginx_stream_lint.report.wrapping import wrapped
from nginx_stream_lint.rules.finding import MOST_SERVERS, Finding, Place
from nginx_stream_lint.util.escaping import printable, shown_line

_SEVERITIES = {
    word: click.style(word, fg=colour, bold=True) for word, colour in SEVERITY_COLOURS.items()
}
_CHANGES = {"+": "green", "-": "red"}
_INDENT = "    "


def text(run: Run) -> str:
    """Render the findings with ANSI colours (`click.echo` strips them if the output has none)."""
    report = run.report
    lines = _locations(report, run.width)
    if run.verbose:
        lines += _whys(run)
    if not run.quiet:
        lines += [
            line for said in closing_lines(report) for line in wrapped(printable(said), run.width)
        ]
        lines += wrapped(_summary(report, run.seconds), run.width)
    return "".join(f"{line}\n" for line in lines)


def _locations(report: Result, width: int) -> list[str]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in report.findings:
        place = finding.location.place
        groups.setdefault((place.source.name, place.start), []).append(finding)
    lines: list[str] = []
    for findings in groups.values():
        location, stream_words = findings[0].location, findings[0].stream_words
        place = location.place
        where = f"{place.source.name}:{place.line}: {location.label}"
        head = click.style(printable(where), bold=True)
        if location.servers:
            more = ", ..." if len(location.servers) == MOST_SERVERS else ""
            head += f"  ({printable(', '.join(location.servers))}{more})"
        instances = {one.instance for one in findings}
        instance = findings[0].instance
        if instance is not None and len(instances) == 1:
            head += f" in {printable(instance)}"
        lines.append(head)
        if stream_words:
            lines += wrapped(printable(stream_words), width, "  ", _INDENT)
        shown: list[tuple[Place, ...]] = []
        for finding in findings:
            lines += _finding(finding, shown, width, len(instances) > 1)
        lines += _fix(findings, width)
        lines.append("")
    return lines


def _finding(
    finding: Finding, shown: list[tuple[Place, ...]], width: int, names_instance: bool
) -> list[str]:
    """Render a finding with its source lines; lines in `shown` are not repeated."""
    from nginx_stream_lint.report.excerpt import Mark, excerpt

    place, home = finding.place, finding.location.place.source
    colour = SEVERITY_COLOURS[finding.severity]
    line, column = place.source.position(place.start)
    where = f"{line}:{column}"
    if place.source is not home:
        where = f"{printable(place.source.name)}:{where}"
    if names_instance and finding.instance is not None:
        where += f" in {printable(finding.instance)}"
    lines = [f"  {_SEVERITIES[finding.severity]} {finding.rule} at {where}"]
    places = (place, *[one.place for one in finding.related])
    if places not in shown:
        shown.append(places)
        marks = [Mark(one.place, words=one.message) for one in finding.related]
        marks.append(Mark(place, True, colour=colour))
        lines += [_INDENT + line for line in excerpt(marks, home, width - len(_INDENT))]
    lines += wrapped(printable(finding.message), width, _INDENT, _INDENT)
    return lines


def _fix(findings: list[Finding], width: int) -> list[str]:
    from nginx_stream_lint.fixes.show import shown_fixes

    lines: list[str] = []
    for shown in shown_fixes(findings[0].location, findings):
        lines.append(f"  suggested fix (apply with {shown.options}):")
        for said in shown.remarks:
            lines += wrapped(printable(said), width, _INDENT, _INDENT)
        for line in shown.text.split("\n"):
            written = f"{_INDENT}{shown_line(line)}".rstrip()
            colour = _CHANGES.get(line[:1])
            lines.append(written if colour is None else click.style(written, fg=colour))
    for finding in findings:
        if finding.fix is not None and not finding.fix.edits:
            said = ". ".join((finding.fix.title, *finding.fix.cautions))
            said = f"manual fix for {finding.rule}: {printable(said)}"
            lines += wrapped(said, width, "  ", _INDENT)
            lines += [_INDENT + shown_line(line) for line in finding.fix.snippet.split("\n")]
    return lines


def _whys(run: Run) -> list[str]:
    """The reasons of the rules with findings, once for each rule."""
    found = {finding.rule for finding in run.report.findings}
    lines: list[str] = []
    for rule in run.rules:
        if rule.name in found and rule.why:
            lines.append(click.style(f"why {rule.name}", bold=True))
            why = " ".join(rule.why.split())
            lines += [*wrapped(printable(why), run.width, "  ", "  "), ""]
    return lines


def _summary(report: Result, seconds: float) -> str:
    counts = [
        counted(number, word)
        for word in ("error", "warning", "note")
        if (number := report.count(word))
    ]
    locations = counted(report.locations, "proxied location")
    unread = ""
    found = f"{', '.join(counts) or 'no findings'} in"
    if report.problems:
        # Unread files may have findings, so do not say that there are none.
        found = f"{', '.join(counts)} in" if counts else "found"
        files = {problem.file for problem in report.problems}
        unread = f"; {counted(len(files), 'file')} could not be read completely"
    suppressed = f"; {len(report.suppressed)} suppressed" if report.suppressed else ""
    streams = counted(report.streams, "likely stream")
    return f"{found} {locations} ({streams}){unread}{suppressed} ({seconds:.2f} s)"
