"""The report for people: by location, with what to change shown in place."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.fixes.show import mended
from nginx_stream_lint.report.excerpt import Mark, excerpt, styled
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import MOST_SERVERS, Finding, Place, Related
from nginx_stream_lint.util.remembering import latest_remembered
from nginx_stream_lint.util.sinks import printable, shown_line

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_SEVERITIES = {word: styled(word, colour, bold=True) for word, colour in _COLOURS.items()}
_CHANGES = {"+": "green", "-": "red"}
_WIDTH = 100
_INDENT = "    "
# As many places where the same holds are named; the others are counted.
_MOST_PLACES = 4


def text(run: Run) -> str:
    """The findings with ANSI colours (`click.echo` strips them where they do not belong)."""
    return "\n".join([*_locations(run.report), _summary(run.report, run.seconds)]) + "\n"


def _locations(report: Result) -> list[str]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in report.findings:
        place = finding.location.place
        groups.setdefault((place.source.name, place.start), []).append(finding)
    lines: list[str] = []
    for findings in groups.values():
        location, thought = findings[0].location, findings[0].thought
        place = location.place
        where = f"{place.source.name}:{place.line}: {location.label}"
        head = styled(printable(where), bold=True)
        if location.servers:
            more = ", ..." if len(location.servers) == MOST_SERVERS else ""
            head += f"  ({printable(', '.join(location.servers))}{more})"
        lines.append(head)
        if thought and not findings[0].is_grouped:
            lines.append(f"  {printable(thought)}")
        shown: list[tuple[Place, ...]] = []
        for finding in findings:
            lines += _finding(finding, shown)
        lines += _fix(findings)
        lines.append("")
    return lines


def _finding(finding: Finding, shown: list[tuple[Place, ...]]) -> list[str]:
    """A finding with its lines of source; `shown` are those that need no repeating."""
    place, home = finding.place, finding.location.place.source
    colour = _COLOURS[finding.severity]
    line, column = place.source.position(place.start)
    where = f"{line}:{column}"
    if place.source is not home:
        where = f"{printable(place.source.name)}:{where}"
    lines = [f"  {_SEVERITIES[finding.severity]} {finding.rule} at {where}"]
    grouped = finding.is_grouped
    near = () if grouped else finding.related
    places = (place, *[one.place for one in near])
    if places not in shown:
        shown.append(places)
        marks = [Mark(one.place, words=one.message) for one in near]
        marks.append(Mark(place, True, colour=colour))
        lines += [_INDENT + line for line in excerpt(marks, home)]
    lines += _wrapped(finding.message)
    if grouped and finding.related:
        lines += _wrapped(f"also: {_places(finding.related)}")
    return lines


def _places(related: Sequence[Related]) -> str:
    """Some places in words, the first few by name."""
    named = [f"{one.place.source.name}:{one.place.line}" for one in related[:_MOST_PLACES]]
    more = len(related) - len(named)
    return printable(", ".join(named)) + (f" and {more} more" if more else "")


def _fix(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    shown = mended(findings[0].location, findings)
    if shown:
        kinds = {one.fix.applicability for one in findings if one.fix is not None}
        how = "--fix writes this" if "unsafe" not in kinds else "--fix --unsafe-fixes writes this"
        lines.append(f"  fixed ({how}):")
        for line in shown.split("\n"):
            written = f"{_INDENT}{shown_line(line)}".rstrip()
            colour = _CHANGES.get(line[:1])
            lines.append(written if colour is None else styled(written, colour))
    for finding in findings:
        if finding.fix is not None and not finding.fix.edits:
            lines.append(f"  by hand, {finding.rule}: {printable(finding.fix.title)}")
            lines += [_INDENT + shown_line(line) for line in finding.fix.snippet.split("\n")]
    return lines


@latest_remembered(1024)
def _wrapped(message: str) -> list[str]:
    """The lines of a message, which many findings share, broken at blanks as `textwrap` does it."""
    message = printable(message)
    if "  " in f" {message} ":
        import textwrap

        return textwrap.wrap(
            message,
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    # One blank between words: the last one that fits ends a line.
    room = _WIDTH - len(_INDENT)
    lines: list[str] = []
    while len(message) > room:
        blank = message.rfind(" ", 0, room + 1)
        if blank < 0:
            blank = message.find(" ")
        if blank < 0:
            break
        lines.append(_INDENT + message[:blank])
        message = message[blank + 1 :]
    lines.append(_INDENT + message)
    return lines


def _summary(report: Result, seconds: float) -> str:
    counts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for word in ("error", "warning", "note")
        if (number := report.count(word))
    ]
    number = report.locations
    locations = "1 location that proxies" if number == 1 else f"{number} locations that proxy"
    found = f"{', '.join(counts) or 'no findings'} in"
    if report.problems:
        # What could not be read has not been found innocent.
        number = len(report.problems)
        unread = f"{number} {'place' if number == 1 else 'places'} could not be read"
        found = f"{', '.join(counts)}; {unread} in" if counts else f"{unread}; checked"
    suppressed = f"; {len(report.suppressed)} suppressed" if report.suppressed else ""
    streams = f"{report.streams} thought to stream"
    return f"{found} {locations}, {streams}{suppressed} ({seconds:.2f} s)"
