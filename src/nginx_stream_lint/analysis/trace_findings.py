"""Findings in a traced layer's nginx configuration that explain its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.analysis.explain import Explainer
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.config import Configuration, Problem
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.streams.declarations import declaration


class TraceFindings(Struct, frozen=True):
    """The location of a traced URL in a layer's configuration, with its findings.

    `place` is `file:line: location`, or empty if no location handles the URL. If `explains`, the
    findings are those that explain the measurement, the best first; otherwise all. `problems` are
    inputs that could not be read.
    """

    place: str
    findings: tuple[Finding, ...]
    explains: bool
    problems: tuple[Problem, ...]


def trace_findings(
    configuration: Configuration, url: str, method: str, rules: Sequence[str], options: Options
) -> TraceFindings:
    """Lint the location that handles a traced URL.

    Args:
        configuration: of the layer.
        url: as traced. If no server has its scheme, host and port (a port may be mapped from
            a container's), its path in the default server counts.
        method: of the request.
        rules: names of the rules that explain the measured cause.
        options: for linting; the URL's path counts as declared to stream.

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
    telling = sorted(
        (one for one in all_found if one.rule in rules), key=lambda one: rules.index(one.rule)
    )
    chosen = telling or all_found
    return TraceFindings(f"{where}{level.label}", tuple(chosen), bool(telling), problems)
