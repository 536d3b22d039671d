"""The closing lines of a report: its assumptions, and what was not checked."""

from __future__ import annotations

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.config.deployed import Deployed, version_words
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.report.words import counted
from nginx_stream_lint.util.escaping import printable

# Name at most this many places, and count the others.
_MOST_PLACES = 4


def closing_lines(report: Result) -> list[str]:
    """The closing lines of a report for people, before its summary."""
    lines: list[str] = []
    if any(one.assumes_old_nginx for one in report.findings):
        lines.append("Assuming nginx older than 1.29.7; set --nginx-version if yours is newer.")
    alike: dict[tuple[str, str, tuple[Version, ...]], list[Deployed]] = {}
    for one in report.deployed:
        alike.setdefault((one.name, one.product, one.versions), []).append(one)
    for first, *others in alike.values():
        more = f"; {counted(len(others), 'other')} of this name, too" if others else ""
        lines.append(f"{deployed_words(first)}{more}.")
    lines += (
        f"No main file includes {name}, so nginx's defaults are assumed for the outer blocks."
        for name in report.assumed_fragments
    )
    if report.unchecked:
        lines.append(_unchecked(report))
    return lines


def deployed_words(nginx: Deployed) -> str:
    """Describe which nginx runs there, and the effect of a floating tag; without a full stop."""
    name = printable(f"{nginx.name} ({nginx.origin})")
    if not nginx.versions:
        return f"{name} runs {nginx.product} of an unknown version; set --nginx-version"
    words = printable(version_words(nginx))
    if len(nginx.versions) == 1:
        product = "" if nginx.product == "nginx" else f"{nginx.product} with "
        return f"{name} runs {product}{words}"
    return (
        f"{name} runs {words}, which may be older or newer than nginx 1.29.7;"
        " findings that depend on this are warnings"
    )


def _unchecked(report: Result) -> str:
    all_of_them, stalling = report.unchecked, report.would_stall
    number = len(all_of_them)
    if not stalling:
        are = "location was" if number == 1 else "locations were"
        they, them = ("it streams", "it") if number == 1 else ("they stream", "them")
        other = "other " if report.locations > number else ""
        return (
            f"{number} {other}proxied {are} not checked: nothing suggests that {they}."
            f" Use --all-streams to check {them}."
        )
    named = [
        f"{one.path} ({one.location.place.source.name}:{one.location.place.line})"
        for one in stalling[:_MOST_PLACES]
    ]
    more = len(stalling) - len(named)
    places = ", ".join(named) + (f" and {more} more" if more else "")
    return (
        f"{len(stalling)} of {counted(number, 'unchecked location')}"
        f" would buffer a stream: {places}."
        " If one streams, declare it with --stream, or use --all-streams to check all."
    )
