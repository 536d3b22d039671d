"""Make generated configurations runnable on a real nginx."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.conversion import CERTIFICATE, KEY, Converter
from nginx_stream_lint.kubernetes.gateway_reading import made
from nginx_stream_lint.kubernetes.gateway_routes import Plan
from nginx_stream_lint.kubernetes.nginx_text import NginxText

_THIRD_PARTY = re.compile(
    r"more_\w+|\w+_by_lua(?:_\w+)?|lua_\w+|modsecurity\w*|opentelemetry\w*|opentracing\w*|otel_\w+"
    r"|brotli\w*|geoip2?\w*|set_escape_uri|vhost_traffic_\w+|js_\w+|auth_digest\w*|jaeger_\w+"
    r"|zipkin_\w+|datadog_\w+|headers_more\w*|subs_filter\w*|http2_push\w*|auth_jwt\w*|perl\w*"
    r"|load_module|pagespeed|image_filter\w*|xslt_\w+"
)
_INCLUDED = re.compile(r"(?m)^[ ]*include ((?:gateway|ingress)-part-[0-9]+);\n")


def runnable(text: str, certificate: Sequence[str | Path]) -> str:
    """Add a certificate to nginx text, and remove includes and modules that a plain nginx lacks.

    `certificate` are the paths of the chain and its key.
    """
    chain, key = map(str, certificate)
    return _without_modules(text).replace(CERTIFICATE, chain).replace(KEY, key)


def runnable_group(maker: Converter, certificate: Sequence[str | Path]) -> str:
    """As `runnable`, for the configuration of several resources."""
    parts = {name: text for name, (_, text) in maker.parts.items()}
    return runnable(_with_parts(maker.text.text, parts), certificate)


def runnable_gateway(plan: Plan, certificate: Sequence[str | Path]) -> str:
    """As `runnable`, for a Gateway."""
    converter = made(plan)
    parts = {name: part.text for name, part in converter.parts.items()}
    return runnable(_with_parts(converter.root.text.text, parts), certificate)


def _with_parts(text: str, parts: Mapping[str, NginxText]) -> str:
    """nginx text with the parts that it includes."""
    return _INCLUDED.sub(lambda found: _with_parts(parts[found[1]].text, parts), text)


def _without_modules(text: str) -> str:
    """nginx text without the directives of modules that a plain nginx lacks."""
    file = parse(Source("", text))
    edits: list[tuple[int, int]] = []
    work = list(file.directives)
    while work:
        directive = work.pop()
        if _THIRD_PARTY.fullmatch(directive.name) or directive.name == "include":
            end = directive.end if directive.block is None else directive.block_end + 1
            edits.append((directive.start, end))
        else:
            work += directive.block or []
    for start, end in sorted(edits, reverse=True):
        text = text[:start] + text[end:]
    return text
