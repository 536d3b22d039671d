"""A self-contained HTML page, for people who do not run the linter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

import click
from msgspec import Struct, field

from nginx_stream_lint import __version__
from nginx_stream_lint.config.deployed import version_words
from nginx_stream_lint.fixes.show import ShownFix, shown_fixes
from nginx_stream_lint.report.closing_lines import closing_lines, deployed_words
from nginx_stream_lint.report.excerpt import Mark, excerpt
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.report.stream_path import StreamPath, stream_paths
from nginx_stream_lint.report.stream_svg import outcome, stream_svg
from nginx_stream_lint.rules.filters import CLIENTS, listed
from nginx_stream_lint.rules.finding import MOST_SERVERS, SEVERITIES, Finding
from nginx_stream_lint.streams.upstreams import deployed_app
from nginx_stream_lint.util.data import data_text
from nginx_stream_lint.util.escaping import shown_line

if TYPE_CHECKING:
    from jinja2 import Template

_MOST_NAMES = 3  # number of inputs named in the title


class _Card(Struct):
    """A location with its stream and findings."""

    label: str
    where: str
    servers: tuple[str, ...]
    because: str
    nginx: str = ""
    app: str | None = None
    path: StreamPath | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def svg(self) -> str:
        return "" if self.path is None else stream_svg(self.path)

    @property
    def arrivals(self) -> list[tuple[str, str, str]]:
        """For each client: its name, the verdict, and a description."""
        if self.path is None:
            return []
        return [(CLIENTS[one.client], one.verdict, outcome(one)) for one in self.path.arrivals]

    @property
    def shown_findings(self) -> list[tuple[Finding, str]]:
        """The findings with their source lines; lines are not repeated."""
        lines = [_excerpt(finding) for finding in self.findings]
        return [
            (finding, "" if at and lines[at - 1] == text else text)
            for at, (finding, text) in enumerate(zip(self.findings, lines, strict=True))
        ]

    @property
    def fixes(self) -> list[tuple[ShownFix, list[tuple[str, str]]]]:
        """The fixed location for each fix, as lines with `+`, `-` or a blank."""
        if not self.findings:
            return []
        return [
            (shown, [(line[:1], line) for line in shown.text.split("\n")])
            for shown in shown_fixes(self.findings[0].location, self.findings)
        ]

    @property
    def manual_fixes(self) -> list[Finding]:
        return [one for one in self.findings if one.fix is not None and not one.fix.edits]


def html(run: Run) -> str:
    """Render the run as one HTML page that loads nothing."""
    report = run.report
    cards = _cards(run)
    streams = [card for card in cards if card.path is not None]
    names = [_name(path, run) for path in report.inputs]
    more = f"{len(names) - _MOST_NAMES} more"
    text = _page().render(
        tool_version=__version__,
        title=listed(names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], more]),
        inputs=listed(names),
        nginx_version=_versions(run, cards),
        counts=[(word, report.count(word)) for word in SEVERITIES],
        suppressed=len(report.suppressed),
        locations=report.locations,
        problems=[str(problem) for problem in report.problems],
        closing=closing_lines(report),
        streams=streams,
        through=sum(card.path is not None and card.path.gets_through for card in streams),
        others=[card for card in cards if card.path is None],
    )
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _page() -> Template:
    """The template of the page; Jinja takes 15 ms to compile it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["listed"] = listed
    environment.filters["printable"] = _printable_lines
    return environment.from_string(data_text(os.path.join(os.path.dirname(__file__), "page.html")))


def _name(path: str, run: Run) -> str:
    """The displayed name of an input: `.` and `..` become the name of the folder."""
    shown = run.path(path)
    if os.path.basename(shown) in ("", os.curdir, os.pardir):
        return os.path.basename(os.path.normpath(os.path.join(run.base, path))) or os.sep
    return shown


def _versions(run: Run, cards: Sequence[_Card]) -> str | None:
    """The nginx versions that the page is about; None if they are unknown."""
    if run.nginx_version is not None:
        return f"nginx {'.'.join(map(str, run.nginx_version))}"
    shown = [card.path.proxied.nginx for card in cards if card.path is not None]
    deployed = [one for one in (*shown, *run.report.deployed) if one is not None and one.versions]
    words = list(dict.fromkeys(map(version_words, deployed)))
    more = f"{len(words) - _MOST_NAMES} more"
    return listed(words if len(words) <= _MOST_NAMES else [*words[:_MOST_NAMES], more]) or None


def _cards(run: Run) -> list[_Card]:
    """The cards: each stream with its findings, then findings without a stream."""
    cards: dict[tuple[str, int], _Card] = {}
    for path in stream_paths(run.report, run.nginx_version, run.policy):
        nginx = path.proxied.nginx
        directive = path.proxied.level.directive or path.proxied.handler.directive
        names = path.proxied.server.rows.get("server_name", [])
        cards[directive.source.name, directive.start] = _Card(
            path.proxied.level.label,
            f"{run.path(directive.source)}:{directive.line}",
            tuple(dict.fromkeys(islice((arg for row in names for arg in row.args), MOST_SERVERS))),
            path.stream.words,
            "" if nginx is None else deployed_words(nginx),
            deployed_app(path.proxied.level, path.proxied.handler, nginx),
            path,
        )
    for finding in run.report.findings:
        place = finding.location.place
        key = (place.source.name, place.start)
        if key not in cards:
            cards[key] = _Card(
                finding.location.label,
                f"{run.path(place.source)}:{place.line}",
                finding.location.servers,
                finding.stream_words,
                "" if finding.instance is None else f"In {finding.instance}",
            )
        cards[key].findings.append(finding)
        if finding.location.servers:
            cards[key].servers = finding.location.servers
    for card in cards.values():
        card.findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return list(cards.values())


def _excerpt(finding: Finding) -> str:
    marks: Sequence[Mark] = [
        Mark(finding.place, True),
        *(Mark(one.place, words=one.message) for one in finding.related),
    ]
    return click.unstyle("\n".join(excerpt(marks, finding.location.place.source)))


def _printable_lines(text: str) -> str:
    # Convert to a plain string: template markup would not be escaped.
    return "\n".join(shown_line(line) for line in str(text).split("\n"))
