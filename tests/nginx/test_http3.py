"""HTTP/3, as it was measured on nginx 1.31.4 built with it: 42 cases.

No nginx with HTTP/3 can be installed for these tests, so they hold the model to the figures of that
measurement: the verdicts are those of HTTP/2, and `keepalive_timeout` is the limit of silence.
"""

from __future__ import annotations

import pytest

from nginx_stream_lint import Options, Result, Workspace, lint
from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.analysis.explainer import Explanation
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.report.explain_json import explain_json

VERSION: Version = (1, 31, 4)
TLS = "ssl_certificate c.pem; ssl_certificate_key k.pem;"
PASS = "proxy_pass http://127.0.0.1:1; proxy_http_version 1.1;"


def server(listen: str, rows: str = "", location: str = "") -> str:
    """A server with one location that passes on."""
    return f"server {{ {listen} {TLS} {rows} location / {{ {PASS} {location} }} }}"


def explained(text: str, url: str = "/") -> Explanation:
    files = Workspace.in_memory({"nginx.conf": f"events {{}} http {{ {text} }}"})
    [one] = explain(files, "nginx.conf", [url], Options(nginx_version=VERSION))
    return one


def clients(text: str, url: str = "/") -> list[str]:
    found = explained(text, url).deliveries
    return list(dict.fromkeys(one.scenario.client for one in found))


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("listen 443 quic;", ["h3"]),
        ("listen 443 quic reuseport; listen 443 ssl;", ["h1-tls", "h3"]),
        ("listen 443 quic; listen 443 ssl; http2 on;", ["h1-tls", "h2", "h3"]),
        ("listen 443 quic; listen 80;", ["h1", "h3"]),
        ("listen 443 quic; listen 443 ssl; http3 off;", ["h1-tls"]),
        ("listen 443 ssl; http3 on;", ["h1-tls"]),
    ],
)
def test_who_is_let_in(listen: str, expected: list[str]) -> None:
    assert clients(server(listen)) == expected


def test_tcp_comes_first_where_both_are() -> None:
    """Clients try TCP before they know of HTTP/3; a socket is for QUIC or for TCP."""
    over_tcp = server("listen 443 ssl;", "server_name b;")
    assert clients(server("listen 443 quic;", "server_name a;") + over_tcp, "https://b/") == [
        "h1-tls"
    ]


def test_only_quic_is_routed() -> None:
    """A URL with https finds it, one with http or another port does not."""
    text = server("listen 8443 quic;", "server_name a;")
    found = explained(text, "https://a:8443/x")
    assert found.route.location is not None
    assert found.route.location.label == "location /"
    for url in ("http://a:8443/x", "https://a/x"):
        assert explained(text, url).route.server is None


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "proxy_buffering off;",
        "proxy_http_version 1.0;",
        "gzip on; gzip_types text/event-stream;",
        "proxy_store on; sendfile on;",
        "sub_filter '\\nevent: x' y; sub_filter_types text/event-stream;",
    ],
)
def test_the_verdicts_are_those_of_http2(rows: str) -> None:
    """There is no TLS hold, and nothing is sent from files."""
    found = explained(server("listen 443 quic; listen 443 ssl; http2 on;", location=rows))
    said = {
        client: [
            (one.verdict, one.repeat, one.held_by, one.held_bytes)
            for one in found.deliveries
            if one.scenario.client == client
        ]
        for client in ("h2", "h3")
    }
    assert said["h3"] == said["h2"]
    assert len(said["h3"]) == 18
    assert '"client": "h3"' in explain_json([found])


@pytest.mark.parametrize(
    ("listen", "rows", "expected"),
    [
        ("listen 443 quic;", "", 75),
        ("listen 443 quic;", "keepalive_timeout 20s;", 20),
        ("listen 443 quic;", "keepalive_timeout 20s 15s;", 20),
        ("listen 443 quic;", "keepalive_timeout 1h; proxy_read_timeout 2h;", 3600),
        ("listen 443 quic;", "keepalive_timeout 3h; proxy_read_timeout 2h;", 7200),
        ("listen 443 quic; http3 off; listen 443 ssl;", "keepalive_timeout 20s;", 7200),
        ("listen 443 ssl; http2 on;", "keepalive_timeout 20s;", 7200),
    ],
)
def test_the_limit_of_silence(listen: str, rows: str, expected: float) -> None:
    found = explained(server(listen, f"{rows} ", "proxy_read_timeout 2h;"))
    assert found.read_timeout_s == expected


def test_only_the_servers_own_keepalive_timeout_counts() -> None:
    """nginx takes it before it has read a request; of the default server, before it has a name."""
    text = server("listen 443 quic;", location="keepalive_timeout 20s; proxy_read_timeout 1h;")
    assert explained(text).read_timeout_s == 75
    first = server("listen 443 quic;", "server_name a; keepalive_timeout 30s;")
    second = server("listen 443 quic;", "server_name b; keepalive_timeout 1h;")
    assert explained(first + second, "https://b/").read_timeout_s == 30


def linted(text: str) -> Result:
    files = Workspace.in_memory({"nginx.conf": f"events {{}} http {{ {text} }}"})
    return lint(files, ["nginx.conf"], Options(nginx_version=VERSION))


@pytest.mark.parametrize(
    ("listen", "rows", "stream", "severities"),
    [
        ("listen 443 quic; listen 443 ssl; http2 on;", "", "sse", ["note"]),
        ("listen 443 quic;", "", "sse heartbeat=15s", []),
        ("listen 443 quic; listen 443 ssl; http2 on;", "", "sse accepts=h2", []),
        ("listen 443 quic;", "keepalive_timeout 300s;", "sse", []),
        ("listen 443 ssl; http2 on;", "keepalive_timeout 20s;", "sse", []),
        ("listen 443 quic;", "keepalive_timeout 20s; proxy_read_timeout 30s;", "sse", ["error"]),
    ],
)
def test_what_the_rules_say(listen: str, rows: str, stream: str, severities: list[str]) -> None:
    """A note: browsers send PINGs, which keep the connection."""
    timeout = "" if "proxy_read_timeout" in rows else "proxy_read_timeout 1h;"
    location = f"proxy_buffering off; {timeout} # nginx-stream-lint: stream {stream}\n"
    found = linted(server(listen, rows, location)).findings
    assert [one.severity for one in found if one.rule == "short-read-timeout"] == severities
    if severities == ["note"]:
        [one] = [one for one in found if one.rule == "short-read-timeout"]
        assert "75 s of silence (keepalive_timeout" in one.message
        assert "PING" in one.message


def test_one_server_gives_one_finding() -> None:
    """What many locations have from one `listen` is said once, and there."""
    rows = "proxy_buffering off; proxy_read_timeout 1h;"
    locations = " ".join(
        f"location /{name} {{ # nginx-stream-lint: stream sse\n {PASS} {rows} }}" for name in "abc"
    )
    found = linted(f"server {{ listen 443 ssl; http2 on; listen 443 quic; {TLS} {locations} }}")
    [one] = [one for one in found.findings if one.rule == "short-read-timeout"]
    text = one.place.source.text[one.place.start : one.place.end]
    assert text.startswith("listen 443 quic")
    assert len(one.related) == 3
