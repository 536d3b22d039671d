"""The report for people: by location, with what to change shown in place."""

from __future__ import annotations

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.fixes.show import shown_fixes
from nginx_stream_lint.report.closing import closing
from nginx_stream_lint.report.excerpt import Mark, excerpt, styled
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import MOST_SERVERS, Finding, Place
from nginx_stream_lint.util.remembering import latest_remembered
from nginx_stream_lint.util.sinks import printable, shown_line

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_SEVERITIES = {word: styled(word, colour, bold=True) for word, colour in _COLOURS.items()}
_CHANGES = {"+": "green", "-": "red"}
_WIDTH = 100
_INDENT = "    "


def text(run: Run) -> str:
    """The findings with ANSI colours (`click.echo` strips them where they do not belong)."""
    report = run.report
    ending = [line for said in closing(report) for line in _wrapped(said, "")]
    return "\n".join([*_locations(report), *ending, _summary(report, run.seconds)]) + "\n"


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
        if thought:
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
    places = (place, *[one.place for one in finding.related])
    if places not in shown:
        shown.append(places)
        marks = [Mark(one.place, words=one.message) for one in finding.related]
        marks.append(Mark(place, True, colour=colour))
        lines += [_INDENT + line for line in excerpt(marks, home)]
    lines += _wrapped(finding.message)
    return lines


def _fix(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for shown in shown_fixes(findings[0].location, findings):
        lines.append(f"  suggested fix (apply with {shown.options}):")
        lines += [line for said in shown.cautions for line in _wrapped(f"unsafe: {said}")]
        for line in shown.text.split("\n"):
            written = f"{_INDENT}{shown_line(line)}".rstrip()
            colour = _CHANGES.get(line[:1])
            lines.append(written if colour is None else styled(written, colour))
    for finding in findings:
        if finding.fix is not None and not finding.fix.edits:
            lines.append(f"  manual fix for {finding.rule}: {printable(finding.fix.title)}")
            lines += [_INDENT + shown_line(line) for line in finding.fix.snippet.split("\n")]
    return lines


@latest_remembered(1024)
def _wrapped(message: str, indent: str = _INDENT) -> list[str]:
    """The lines of a message, which many findings share, broken at blanks as `textwrap` does it."""
    message = printable(message)
    if "  " in f" {message} ":
        import textwrap

        return textwrap.wrap(
            message,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    # One blank between words: the last one that fits ends a line.
    room = _WIDTH - len(indent)
    lines: list[str] = []
    while len(message) > room:
        blank = message.rfind(" ", 0, room + 1)
        if blank < 0:
            blank = message.find(" ")
        if blank < 0:
            break
        lines.append(indent + message[:blank])
        message = message[blank + 1 :]
    lines.append(indent + message)
    return lines


def _summary(report: Result, seconds: float) -> str:
    counts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for word in ("error", "warning", "note")
        if (number := report.count(word))
    ]
    number = report.locations
    locations = f"{number} proxied location{'' if number == 1 else 's'}"
    found = f"{', '.join(counts) or 'no findings'} in"
    if report.problems:
        # What could not be read has not been found innocent.
        number = len(report.problems)
        unread = f"{number} {'place' if number == 1 else 'places'} could not be read"
        found = f"{', '.join(counts)}; {unread} in" if counts else f"{unread}; checked"
    suppressed = f"; {len(report.suppressed)} suppressed" if report.suppressed else ""
    streams = f"{report.streams} likely stream{'' if report.streams == 1 else 's'}"
    return f"{found} {locations} ({streams}){suppressed} ({seconds:.2f} s)"
