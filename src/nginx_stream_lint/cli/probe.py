"""`nginx-stream-lint probe`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nginx_stream_lint.cli.choices import choose
from nginx_stream_lint.cli.common import (
    EXIT_FINDINGS,
    PathOption,
    color_option,
    format_option,
    host_option,
    isolated_option,
    missing_package,
    mount_option,
    nginx_binary,
    output_option,
    run_to_end,
    unusable,
    workspace_of,
    write,
)
from nginx_stream_lint.config import Around, Configuration, read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.listeners import TCP_CLIENTS
from nginx_stream_lint.nginx.request import BadUrl
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.find import Served, served

if TYPE_CHECKING:
    from nginx_stream_lint.probe import NginxBinary
    from nginx_stream_lint.probe.run import Request

_MOST_TOKENS, _LONGEST_INTERVAL = 1000, 60.0


@click.command("probe")
@click.argument("conf", type=click.Path(readable=False))
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--nginx",
    "nginx_path",
    type=PathOption(),
    help="The nginx to run; else the one in PATH, else the one of the probe extra.",
)
@click.option(
    "--client",
    "clients",
    type=click.Choice(TCP_CLIENTS),
    multiple=True,
    help="Only this kind of client; repeatable. All that the server lets in where not given.",
)
@click.option(
    "--framing",
    "framings",
    type=click.Choice(FRAMINGS),
    multiple=True,
    help="How the app ends its answer; repeatable. chunked where not given.",
)
@click.option(
    "--x-accel-buffering",
    "accels",
    type=click.Choice(ACCEL_BUFFERINGS),
    multiple=True,
    help="The app's X-Accel-Buffering header; repeatable. absent where not given.",
)
@click.option("--gzip", is_flag=True, help="The client accepts compression.")
@click.option("--method", help="The request's method; GET where nothing else is known.")
@click.option(
    "--tokens",
    type=click.IntRange(2, _MOST_TOKENS),
    default=20,
    show_default=True,
    help="How many tokens the app sends.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.01, _LONGEST_INTERVAL),
    default=0.05,
    show_default=True,
    help="Seconds from one token to the next.",
)
@format_option
@output_option
@click.option(
    "--plot",
    type=PathOption(dir_okay=False),
    help="Draw arrivals against emissions into this SVG file.",
)
@click.option(
    "--config",
    "config_file",
    type=PathOption(exists=True, dir_okay=False),
    help="The settings file; else it is looked for upwards from CONF.",
)
@host_option
@mount_option
@isolated_option
@color_option
def probe_command(conf: str, urls: tuple[str, ...], **flags: Any) -> None:
    """Run a copy of a configuration on a real nginx, and measure what streams.

    The copy runs in a sandbox: it listens on loopback, passes every request to an app of ours that
    sends one token after the other, and touches none of your files. URLs are paths, for the default
    server, or whole; without any, all that is thought to stream is measured.
    """
    files = {key: flags[key] for key in ("config_file", "isolated", "host", "mounts")}
    workspace = workspace_of([conf], files)
    options = choose(workspace, conf, files).options
    streams = options.streams
    configuration = _readable(workspace, conf, options.around)
    plot: Path | None = flags["plot"]
    if plot is not None and not os.access(plot.absolute().parent, os.W_OK):
        unusable(f"{plot}:1:1: cannot be written (there is no such folder to write into)")
    from nginx_stream_lint.probe import NginxError

    try:
        binary = nginx_binary(flags["nginx_path"])
        requests, left = _requests(configuration, urls, binary, streams, flags)
        _measure(configuration, requests, left, binary, flags)
    except NginxError as error:
        unusable(f"could not measure: {_one_line(str(error))}")
    except ModuleNotFoundError as error:
        missing_package(error.name or "")
    except OSError as error:
        unusable(f"could not measure: {error.strerror or error}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _readable(workspace: Workspace, conf: str, around: Around) -> Configuration:
    """The configuration, if it can be run at all."""
    from nginx_stream_lint.probe.copy import hindrance

    configuration = read(conf, workspace, around)
    problem = hindrance(configuration)
    if problem is not None:
        unusable(str(problem))
    return configuration


def _requests(
    configuration: Configuration,
    urls: tuple[str, ...],
    binary: NginxBinary,
    streams: Sequence[Declaration],
    flags: dict[str, Any],
) -> tuple[list[Request], list[str]]:
    """What to ask for, and what nothing can be asked of."""
    from nginx_stream_lint.analysis.probe_requests import Unaskable, Wanted, ask_streams, ask_urls

    conf = configuration.path
    root = build(configuration)
    wrong = refusals(root, binary.version)
    if wrong:
        unusable(str(wrong[0]))
    http, stream = root.first("http"), root.first("stream")
    if (http is None or not http.children) and stream is None:
        unusable(f"{conf}:1:1: there is no server to ask; name a configuration with an http block")
    found, mistakes = served(configuration, root, binary.version, streams)
    if mistakes:
        unusable(str(mistakes[0]))
    wanted = Wanted(
        flags["clients"],
        flags["framings"],
        flags["accels"],
        "gzip" if flags["gzip"] else "identity",
    )
    if urls:
        try:
            return ask_urls(root, urls, binary.version, found, wanted, flags["method"]), []
        except (BadUrl, Unaskable) as mistake:
            unusable(f"{conf}:1:1: {mistake}")
    requests, left = ask_streams(root, binary.version, found, wanted)
    if not requests:
        why = "nothing is thought to stream" if not left else "no URL leads to what streams"
        unusable(f"{conf}:1:1: {why}; name the URLs to measure")
    return requests, [f"{_place(one)}, which no URL was found for" for one in left]


def _place(one: Served) -> str:
    directive = one.level.directive
    where = "" if directive is None else f"{directive.source.name}:{directive.line}: "
    return f"{where}{one.level.label}"


def _measure(
    configuration: Configuration,
    requests: list[Request],
    left: list[str],
    binary: NginxBinary,
    flags: dict[str, Any],
) -> None:
    from nginx_stream_lint.probe.run import probe
    from nginx_stream_lint.report.probe import probe_json, probe_svg, probe_text

    progress = _Progress(flags["format_"] == "text")
    try:
        result = run_to_end(
            probe(
                configuration,
                requests,
                (),
                binary,
                tokens=flags["tokens"],
                interval=flags["interval"],
                on_progress=progress,
            )
        )
    finally:
        progress.end()
    if flags["plot"] is not None:
        write(probe_svg(result), str(flags["plot"]), color=False)
    make = probe_json if flags["format_"] == "json" else probe_text
    write(make(result, left), flags["output"], flags["color"])
    if any(one.verdict != "streams" for one in result.outcomes):
        sys.exit(EXIT_FINDINGS)


class _Progress:
    """A bar on a terminal, and nothing elsewhere."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr.isatty()
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        if not self._wanted:
            return
        if self._bar is None:
            self._bar = click.progressbar(length=total, label="measuring", file=sys.stderr)
            self._bar.__enter__()
        self._bar.update(done - self._bar.pos)

    def end(self) -> None:
        """Leave the line to what comes next."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
