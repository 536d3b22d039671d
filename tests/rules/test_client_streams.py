"""Clients that go on sending while the stream lasts, and limits that count their streams.

What nginx does with them is measured with the examples of `request-buffering`, `short-read-timeout`
and `few-connections` (tests/conformance/test_rules.py).
"""

from __future__ import annotations

import pytest

from nginx_stream_lint import Finding, Workspace, explain, lint
from nginx_stream_lint.streams.declaration_syntax import DeclarationMistake, from_comment

GRPC = "grpc_pass grpc://127.0.0.1:50051;"
LISTEN = "listen 443 ssl http2; ssl_certificate a; ssl_certificate_key b;"


def location(comment: str, rows: str) -> str:
    inside = f"# nginx-stream-lint: {comment}\n{rows}\n"
    return f"server {{\n{LISTEN}\nlocation /chat.Rooms/ {{\n{inside}}} }}"


def found(text: str, rule: str, **files: str) -> Finding | None:
    workspace = Workspace.in_memory({"nginx.conf": text, **files})
    return next((one for one in lint(workspace, ["nginx.conf"]).findings if one.rule == rule), None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("grpc client_streams", True),
        ("client_streams", True),
        ("grpc client_streams=true", True),
        ("grpc client_streams=off", False),
        ("grpc", False),
    ],
)
def test_the_word_of_a_comment(words: str, expected: bool) -> None:
    stream = from_comment(f"# nginx-stream-lint: stream {words}")
    assert stream is not None
    assert stream.client_streams is expected
    assert stream.kind == ("grpc" if "grpc" in words else "sse")


def test_a_word_that_is_no_truth() -> None:
    with pytest.raises(DeclarationMistake, match="must be true or false"):
        from_comment("# nginx-stream-lint: stream grpc client_streams=perhaps")


@pytest.mark.parametrize(
    ("comment", "rows", "directive", "severity"),
    [
        (
            "stream grpc client_streams",
            f"{GRPC} grpc_read_timeout 1h;",
            "client_body_timeout",
            "warning",
        ),
        (
            "stream grpc client_streams",
            f"{GRPC} client_body_timeout 1h;",
            "grpc_read_timeout",
            "warning",
        ),
        (
            "stream grpc client_streams",
            f"{GRPC} grpc_read_timeout 50s; client_body_timeout 20s;",
            "client_body_timeout",
            "error",
        ),
        (
            "stream client_streams",
            f"{GRPC} grpc_read_timeout 1h;",
            "client_body_timeout",
            "warning",
        ),
        (
            "stream chunked client_streams heartbeat=15s",
            "proxy_pass http://a; proxy_http_version 1.1; proxy_request_buffering off;",
            "client_body_timeout",
            "warning",
        ),
    ],
)
def test_the_smaller_limit_cuts(comment: str, rows: str, directive: str, severity: str) -> None:
    finding = found(location(comment, rows), "short-read-timeout")
    assert finding is not None
    assert finding.severity == severity
    assert f"({directive}, " in finding.message


@pytest.mark.parametrize(
    ("comment", "rows"),
    [
        ("stream grpc", f"{GRPC} grpc_read_timeout 1h;"),
        ("stream grpc client_streams", f"{GRPC} grpc_read_timeout 1h; client_body_timeout 300s;"),
        ("stream grpc client_streams heartbeat=15s", GRPC),
        ("stream sse", "proxy_pass http://a; proxy_read_timeout 1h; client_body_timeout 5s;"),
    ],
)
def test_no_limit_is_short(comment: str, rows: str) -> None:
    assert found(location(comment, rows), "short-read-timeout") is None


def test_raising_the_clients_limit_is_unsafe() -> None:
    text = location("stream grpc client_streams", f"{GRPC} grpc_read_timeout 30s;")
    finding = found(text, "short-read-timeout")
    assert finding is not None
    assert finding.fix is not None
    assert finding.fix.applicability == "unsafe"
    written = "".join(edit.text for edit in finding.fix.edits)
    assert "300s" in written
    assert "client_body_timeout 300s;" in written
    only_app = found(text.replace("30s;", "30s; client_body_timeout 1h;"), "short-read-timeout")
    assert only_app is not None
    assert only_app.fix is not None
    assert only_app.fix.applicability == "safe"
    assert "client_body_timeout" not in "".join(edit.text for edit in only_app.fix.edits)


@pytest.mark.parametrize(
    ("rows", "by", "is_written"),
    [
        ("proxy_pass http://a; proxy_http_version 1.1;", "proxy_request_buffering", True),
        ("proxy_pass http://a; proxy_request_buffering off;", "HTTP/1.0", True),
        (
            "proxy_pass http://a; proxy_http_version 1.1; proxy_request_buffering off;"
            " proxy_set_body x;",
            "proxy_set_body",
            False,
        ),
        (
            "proxy_pass http://a; proxy_http_version 1.1; proxy_request_buffering off;"
            " proxy_pass_request_body off;",
            "proxy_pass_request_body drops the body",
            True,
        ),
        ("fastcgi_pass a:1;", "fastcgi_request_buffering", True),
        ("uwsgi_pass a:1; uwsgi_request_buffering off;", "uwsgi needs the length", False),
        ("scgi_pass a:1;", "scgi needs the length", False),
        (f"{GRPC} mirror /copy;", "mirror", True),
    ],
)
def test_what_collects_a_request(rows: str, by: str, is_written: bool) -> None:
    text = location("stream chunked client_streams", rows)
    finding = found(text, "request-buffering")
    assert finding is not None
    assert finding.severity == "error"
    assert by in finding.message
    assert bool(finding.fix and finding.fix.edits) == is_written
    assert finding.fix is None or finding.fix.snippet
    assert found(text.replace(" client_streams", ""), "request-buffering") is None


@pytest.mark.parametrize(
    "rows",
    [
        GRPC,
        "proxy_pass http://a; proxy_http_version 1.1; proxy_request_buffering off;",
        "proxy_pass http://a; proxy_http_version 2; proxy_request_buffering off;",
        "fastcgi_pass a:1; fastcgi_request_buffering off;",
        f"{GRPC} mirror /copy; mirror_request_body off;",
        "fastcgi_pass a:1; fastcgi_request_buffering off; auth_request /a;",
    ],
)
def test_what_hands_a_request_on(rows: str) -> None:
    assert found(location("stream chunked client_streams", rows), "request-buffering") is None


def test_settings_say_it_too() -> None:
    text = f"server {{ {LISTEN} location /chat.Rooms/ {{ {GRPC} grpc_read_timeout 1h; }} }}"
    settings = "streams: [{path: /chat.Rooms/, kind: grpc, client_streams: true}]"
    from nginx_stream_lint.analysis.lint import Options
    from nginx_stream_lint.streams.declaration_syntax import declaration

    entry = {"path": "/chat.Rooms/", "kind": "grpc", "client_streams": True}
    options = Options(streams=(declaration(entry, settings),))
    workspace = Workspace.in_memory({"nginx.conf": text})
    result = lint(workspace, ["nginx.conf"], options)
    assert [one.rule for one in result.findings] == ["short-read-timeout"]


@pytest.mark.parametrize(("word", "expected"), [("client_streams", 60.0), ("", 3600.0)])
def test_explain_has_the_smaller_limit(word: str, expected: float) -> None:
    text = location(f"stream grpc {word}", f"{GRPC} grpc_read_timeout 1h;")
    workspace = Workspace.in_memory({"nginx.conf": text})
    [one] = explain(workspace, "nginx.conf", ["https://localhost/chat.Rooms/Talk"])
    assert one.read_timeout_s == expected


STREAM = "proxy_pass http://a; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h;"


def limited(rows: str, zones: str = "") -> Finding | None:
    text = f"{zones} server {{ listen 80; {rows} location /v1/chat/completions {{ {STREAM} }} }}"
    return found(text, "few-connections")


ZONE = "limit_conn_zone $binary_remote_addr zone=z:1m; limit_req_zone $host zone=r:1m rate=1r/s;"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("limit_conn z 5;", "allows 5 streams at a time for each client address"),
        ("limit_conn z 1;", "one stream at a time"),
        ("limit_conn z 100; limit_conn other 2;", "2 streams at a time for a client"),
        ("limit_req zone=r;", "one stream to start at once for each value of $host"),
        ("limit_req zone=r burst=4 nodelay;", "5 streams to start at once"),
        ("limit_conn z 5; limit_req zone=r burst=1;", "2 streams to start at once"),
    ],
)
def test_limits_that_few_streams_reach(rows: str, words: str) -> None:
    finding = limited(rows, ZONE)
    assert finding is not None
    assert finding.severity == "note"
    assert words in finding.message
    assert finding.fix is not None
    assert finding.fix.applicability == "unsafe"


@pytest.mark.parametrize(
    ("rows", "zones"),
    [
        ("limit_conn z 6;", ZONE),
        ("limit_req zone=r burst=5;", ZONE),
        ("limit_conn z 1; limit_conn_dry_run on;", ZONE),
        ("limit_req zone=r; limit_req_dry_run on;", ZONE),
        ("limit_conn z 1;", "limit_conn_zone $http_authorization zone=z:1m;"),
        ("limit_conn z 1;", "limit_conn_zone $server_name zone=z:1m;"),
        ("limit_req zone=r;", "limit_req_zone $remote_addr$request_id zone=r:1m rate=1r/s;"),
    ],
)
def test_limits_that_are_no_trouble(rows: str, zones: str) -> None:
    assert limited(rows, zones) is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("$remote_addr", "for each client address."),
        ("$http_authorization$binary_remote_addr", "for each value of $http_authorization$binary"),
        ("$http_x:$uri", "for each value of $http_x:$uri"),
        ("all", "for all clients together"),
        ("$server_name", "for each value of $server_name"),
    ],
)
def test_keys_that_no_request_leaves_empty(key: str, words: str) -> None:
    finding = limited("server_name a; limit_conn z 1;", f"limit_conn_zone {key} zone=z:1m;")
    assert finding is not None
    assert words in finding.message
