"""`nginx-stream-lint explain`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from nginx_stream_lint.analysis.explain import NoServer, make_explainers
from nginx_stream_lint.analysis.explainer import Explainer, UnexplainedUrl
from nginx_stream_lint.cli.common import columns, say, workspace_of, write
from nginx_stream_lint.cli.exit_status import EXIT_UNUSABLE
from nginx_stream_lint.cli.help import HelpfulCommand
from nginx_stream_lint.cli.merged_options import merge_options
from nginx_stream_lint.cli.options import (
    PathOption,
    configuration_options,
    min_read_timeout_option,
    nginx_version_option,
    through_option,
)
from nginx_stream_lint.config import STDIN, Problem
from nginx_stream_lint.fixes.apply import with_complete_fixes
from nginx_stream_lint.nginx.request import BadUrl, Request, parse_url
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.finding import Finding


class _Findings(NamedTuple):
    """The findings at the places where URLs end."""

    findings: list[Finding]
    problems: list[Problem]


def _each_once(found: Iterable[list[Finding]]) -> list[Finding]:
    """The findings of several places without repetitions, because URLs may share a place."""
    return list({_key(finding): finding for here in found for finding in here}.values())


def _problems(explainers: Iterable[Explainer]) -> list[Problem]:
    return list(dict.fromkeys(one for explainer in explainers for one in explainer.problems))


def _key(finding: Finding) -> tuple[str, str, int]:
    place = finding.location.place
    return finding.rule, place.source.name, place.start


@click.command(
    "explain",
    cls=HelpfulCommand,
    groups={
        "Request": ("method", "files", "through"),
        "Input": ("nginx_version", "min_read_timeout", "env_file", "markdown", "host", "mounts"),
        "Output": ("format_", "output", "color"),
        "Settings": ("config_file", "isolated"),
    },
    examples={
        "nginx-stream-lint explain nginx.conf /v1/chat/completions": "Explain a path:",
        "nginx-stream-lint explain nginx.conf --method POST https://example.com/v1/chat": (
            "Explain a URL:"
        ),
        "nginx-stream-lint explain app.conf --through edge.conf https://example.com/v1/chat": (
            "Explain a URL of the nginx in front of another one:"
        ),
    },
    exit_status={
        0: "All URLs were explained, whether or not they stream.",
        2: "The command line or the settings are wrong, no server listens for one of the URLs, or a"
        " file could not be read completely.",
        130: "Interrupted.",
    },
)
@configuration_options("text", "json", "html")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--method",
    metavar="METHOD",
    default="GET",
    show_default=True,
    help="HTTP method of the request.",
)
@click.option(
    "--root",
    "files",
    metavar="FOLDER",
    type=PathOption(exists=True, file_okay=False),
    help="Folder to use as the document root for try_files.  [default: files are unknown]",
)
@through_option
@nginx_version_option
@min_read_timeout_option
def explain_command(
    conf: str,
    urls: tuple[str, ...],
    format_: str,
    output: str | None,
    method: str,
    files: Path | None,
    through: tuple[str, ...],
    nginx_version: Version | None,
    config_file: Path | None,
    isolated: bool,
    min_read_timeout: float | None,
    env_file: Path | None,
    markdown: bool | None,
    host: bool,
    mounts: tuple[tuple[str, str], ...],
    color: bool | None,
) -> None:
    """Show which location handles a URL and whether it streams.

    CONF is a configuration file, a folder, or - for standard input. A URL is a path on the default
    server, or a complete URL such as https://api.example.com/v1/chat.
    """
    requests: dict[str, Request] = {}
    unexplained: dict[str, UnexplainedUrl] = {}
    for url in urls:
        try:
            requests[url] = parse_url(url, method.upper())
        except BadUrl as mistake:
            unexplained[url] = UnexplainedUrl(url, str(mistake))
    flags = {
        "config_file": config_file,
        "isolated": isolated,
        "nginx_version": nginx_version,
        "min_read_timeout": min_read_timeout,
        "env_file": env_file,
        "markdown": markdown,
        "documents": files,
        "host": host,
        "mounts": mounts,
        "through": through,
    }
    workspace = workspace_of([conf, *filter(os.path.exists, through)], flags)
    options = merge_options(workspace, conf, flags).options
    # The user asked about this URL, so treat it as a stream.
    streams = format_ != "json"
    documents = None if files is None else str(files)
    try:
        main = STDIN if conf == "-" else conf
        explainers = make_explainers(workspace, main, options, documents, streams, through)
    except NoServer as stop:
        for problem in stop.problems:
            say(str(problem))
        sys.exit(EXIT_UNUSABLE)
    explained = {one.url: (by, one) for by, one in explainers.explain_all(requests.items())}
    for url, (_, one) in explained.items():
        if one.route.server is None:
            why = f'{conf}:1:1: no server listens for "{url}"; check its scheme and port'
            unexplained[url] = UnexplainedUrl(url, why)
    used = list(dict.fromkeys(by for by, _ in explained.values())) or [explainers.first]
    if format_ == "json":
        from nginx_stream_lint.report.explain_json import explain_json

        text = explain_json([unexplained.get(url) or explained[url][1] for url in urls])
    else:
        pairs = [explained[url] for url in urls if url not in unexplained]
        found = [by.findings(one) for by, one in pairs]

        def again(changed: Mapping[str, str]) -> _Findings:
            if not changed:
                return _Findings(_each_once(found), _problems(used))
            files_now = workspace.overlaid(changed)
            others = make_explainers(files_now, main, options, documents, streams, through)
            there = [(others.of(one.request), one) for _, one in pairs]
            explanations = [(by, by.explain(one.url, one.request)) for by, one in there]
            findings = _each_once(by.findings(one) for by, one in explanations)
            return _Findings(findings, _problems([by for by, _ in there]))

        complete = {_key(one): one for one in with_complete_fixes(_each_once(found), again)}
        told = [[one.with_fix(complete[_key(one)].fix) for one in here] for here in found]
        if format_ == "html":
            from nginx_stream_lint.report.explain_html import explain_html

            text = explain_html([one for _, one in pairs], told)
        else:
            from nginx_stream_lint.report.explain import explain_text

            text = explain_text(pairs, told, columns(output))
    if text:
        write(text, output, color)
    problems = [*(one.why for one in unexplained.values()), *map(str, _problems(used))]
    notes = dict.fromkeys(str(note) for by in used for note in by.notes)
    for said in (*notes, *problems):
        say(said)
    # Exit here in any case: returning would free the whole configuration first.
    sys.exit(EXIT_UNUSABLE if problems else 0)
