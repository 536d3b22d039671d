"""The configuration of a traced layer in its repository: which one it is, and which it is not."""

from __future__ import annotations

import pytest

from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.analysis.trace_findings import (
    TracedLayer,
    TraceFindings,
    findings_in_repository,
)
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.trace.product_headers import rules_for
from nginx_stream_lint.trace.verdict import READ_TIMEOUT, UPSTREAM_BUFFER

SITE = """events {{}}
http {{
    server {{
        server_name {name};
        location /v1/chat/completions {{ proxy_pass http://app:8000; {more} }}
    }}
}}
"""
STREAMS = "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s;"
APACHE = {
    "compose.yaml": "services:\n  web:\n    image: nginx:1.27.0\n"
    "    volumes: ['./nginx.conf:/etc/nginx/nginx.conf']\n"
    "  proxy:\n    image: httpd:2.4\n    volumes: ['./proxy.conf:/conf/proxy.conf']\n",
    "nginx.conf": SITE.format(name="inner.example.com", more=STREAMS),
    "proxy.conf": "ProxyTimeout 30\nProxyPass / http://web/\n",
}


def found(
    files: dict[str, str], host: str, product: str | None, cause: str = UPSTREAM_BUFFER
) -> TraceFindings | None:
    layer = TracedLayer(f"https://{host}/v1/chat/completions", product)
    workspace = Workspace.in_memory(files)
    return findings_in_repository(workspace, ".", layer, "GET", rules_for(cause), Options())


@pytest.mark.parametrize("product", ["nginx", "ingress-nginx", None])
@pytest.mark.parametrize("name", ["a.example.com", "*.example.com", ".example.com"])
def test_an_nginx_is_found_by_its_name(product: str | None, name: str) -> None:
    files = {
        "a/nginx.conf": SITE.format(name=name, more=""),
        "b/nginx.conf": SITE.format(name="other.example.org", more=""),
    }
    one = found(files, "a.example.com", product)
    assert one is not None
    assert one.place == "a/nginx.conf:5: location /v1/chat/completions"
    assert (one.explains, one.is_found) == (True, True)
    assert "response-buffering" in {each.rule for each in one.findings}


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("a.example.com", "b.example.com"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("_", "a.example.com"),
        ("~.", "a.example.com"),
        ('""', "a.example.com"),
    ],
)
def test_another_name_is_no_evidence(name: str, host: str) -> None:
    assert found({"nginx.conf": SITE.format(name=name, more="")}, host, "nginx") is None


def test_of_two_that_fit_neither_is_named() -> None:
    site = SITE.format(name="a.example.com", more="")
    assert found({"a/nginx.conf": site, "b/nginx.conf": site}, "a.example.com", "nginx") is None


def test_an_unknown_layer_needs_a_finding_that_explains_it() -> None:
    files = {"nginx.conf": SITE.format(name="a.example.com", more=STREAMS)}
    assert found(files, "a.example.com", None) is None
    one = found(files, "a.example.com", "nginx")
    assert one is not None
    assert not one.explains


def test_another_product_is_found_by_its_evidence() -> None:
    one = found(APACHE, "www.example.com", "apache", READ_TIMEOUT)
    assert one is not None
    assert one.place == "proxy.conf:2: ProxyPass / http://web/"
    assert [each.rule for each in one.findings] == ["tier-timeout"]
    assert one.explains
    assert found(APACHE, "www.example.com", "haproxy", READ_TIMEOUT) is None
    assert found(APACHE, "inner.example.com", "cloudflare", READ_TIMEOUT) is None
