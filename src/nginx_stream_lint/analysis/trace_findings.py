"""Findings in a traced layer's nginx configuration that explain its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.analysis.lint import Options, detect_streams, read
from nginx_stream_lint.analysis.tier_findings import tier_findings
from nginx_stream_lint.config import Configuration, Problem
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.hostnames import HostnameTable
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.servers import is_address
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.streams.declaration_syntax import declaration
from nginx_stream_lint.tiers.in_front import proxies_in_front

_NGINX = ("nginx", "ingress-nginx")


class TracedLayer(Struct, frozen=True):
    """A traced layer: its URL, and the product that its headers show (None: unknown)."""

    url: str
    product: str | None


class TraceFindings(Struct, frozen=True):
    """The location of a traced URL in a layer's configuration, with its findings.

    `place` is `file:line: location`, or empty if no location handles the URL. If `explains`, the
    findings are those that explain the measurement, the best first; otherwise all. `problems` are
    inputs that could not be read. If `is_found`, the configuration was found in the repository; the
    user did not name it.
    """

    place: str
    findings: tuple[Finding, ...]
    explains: bool
    problems: tuple[Problem, ...]
    is_found: bool = False


def findings_in_repository(
    workspace: Workspace,
    folder: str,
    layer: TracedLayer,
    method: str,
    rules: Sequence[str],
    options: Options,
) -> TraceFindings | None:
    """Find the configuration of a traced layer in a repository, and lint it.

    An nginx is found by the host name of the URL in `server_name`, unless that is an address or
    `localhost`, and another product by its evidence (see `tiers.in_front`).

    None if there is no such configuration, or if there are several. Also None if the headers do not
    show the layer's product and no finding explains the measurement.
    """
    host = urlsplit(layer.url).hostname or ""
    is_nginx = layer.product in (None, *_NGINX)
    if is_nginx and (host.endswith("localhost") or is_address(host)):
        return None  # any nginx may run there
    found = [
        one for one in read(workspace, [folder], options.input_options) if one.root is not None
    ]
    if not is_nginx and layer.product is not None:
        return _of_product(found, layer.product, options)
    named = [one for one in found if not one.context and _has_server(one, host)]
    if len({one.path for one in named}) != 1:
        return None
    result = trace_findings(named[0], layer.url, method, rules, options)
    if not result.place or (layer.product is None and not result.explains):
        return None
    return replace(result, problems=(), is_found=True)


def _has_server(configuration: Configuration, host: str) -> bool:
    """Whether a server of a configuration has the name of a host."""
    http = build(configuration).first("http")
    names: HostnameTable[bool] = HostnameTable()
    for server in () if http is None else http.children:
        for row in server.rows.get("server_name", ()):
            for name in row.args:
                if name and name[0] != "~" and "$" not in name:
                    names.add(name, True)
    return names.find(host) is not None


def _of_product(
    configurations: Sequence[Configuration], product: str, options: Options
) -> TraceFindings | None:
    """The only place that shows a product in front of an nginx, and the findings there."""
    places: dict[tuple[str, int], TraceFindings] = {}
    for one in configurations:
        root = build(one)
        proxied, _ = detect_streams(one, root, options)
        for level in [root, *(each.level for each in proxied)]:
            for proxy in proxies_in_front(one, level):
                if proxy.product != product:
                    continue
                source = proxy.source
                line = source.position(proxy.start)[0]
                text = source.text[proxy.start : proxy.end]
                found = [
                    finding
                    for finding in tier_findings(
                        one, proxied, options.rules, options.min_read_timeout_s
                    )
                    if (finding.place.source, finding.place.start) == (source, proxy.start)
                ]
                place = f"{source.name}:{line}: {text}"
                places[source.name, proxy.start] = TraceFindings(
                    place, tuple(found), bool(found), (), is_found=True
                )
    return next(iter(places.values())) if len(places) == 1 else None


def trace_findings(
    configuration: Configuration, url: str, method: str, rules: Sequence[str], options: Options
) -> TraceFindings:
    """Lint the location that handles a traced URL.

    Args:
        configuration: of the layer.
        url: as traced. If no server has its scheme, host and port (a port may be mapped from
            a container's), its path in the default server is used.
        method: of the request.
        rules: names of the rules that explain the measured cause.
        options: for linting; the URL's path is treated as a declared stream.

    Raises:
        BadUrl: the URL cannot be one of nginx's.
    """
    parts = urlsplit(url)
    path = parts.path or "/"
    declared = declaration(path, "it was traced")
    explainer = Explainer(configuration, replace(options, streams=(*options.streams, declared)))
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
    found = explainer.explain(plain, parse_url(plain, method))
    if found.route.location is None:
        found = explainer.explain(path, parse_url(path, method))
    problems = tuple(explainer.problems)
    level = found.route.location
    if level is None:
        return TraceFindings("", (), False, problems)
    directive = level.directive
    where = "" if directive is None else f"{directive.source.name}:{directive.line}: "
    all_found = explainer.findings(found)
    explaining = sorted(
        (one for one in all_found if one.rule in rules), key=lambda one: rules.index(one.rule)
    )
    chosen = explaining or all_found
    return TraceFindings(f"{where}{level.label}", tuple(chosen), bool(explaining), problems)
