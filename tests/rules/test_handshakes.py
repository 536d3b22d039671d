"""WebSocket handshakes: which configurations break them, and what the fix writes.

What nginx does with them is measured with the examples of `websocket-upgrade`
(tests/conformance/test_rules.py) and at random (tests/conformance/test_handshakes.py).
"""

from __future__ import annotations

import pytest

from nginx_stream_lint import Finding, Workspace, explain, lint
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.fixes.apply import fix_all
from nginx_stream_lint.report.stream_path import stream_paths

UPGRADE = "proxy_set_header Upgrade $http_upgrade;"
VARIABLE = "proxy_set_header Connection $connection_upgrade;"
RIGHT = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
WRONG = "map $http_upgrade $connection_upgrade { default close; '' upgrade; }"


def site(rows: str, head: str = "", server: str = "", location: str = "/ws") -> str:
    inside = f"proxy_pass http://127.0.0.1:8000; proxy_read_timeout 1h; {rows}"
    return f"{head}\nserver {{\nlisten 80; {server}\nlocation {location} {{\n{inside}\n}} }}\n"


def found(text: str, version: tuple[int, int, int] = (1, 31, 3)) -> Finding | None:
    workspace = Workspace.in_memory({"nginx.conf": text})
    findings = lint(workspace, ["nginx.conf"], Options(nginx_version=version)).findings
    return next((one for one in findings if one.rule == "websocket-upgrade"), None)


def fixed(text: str) -> str:
    """The text with all fixes of all rules, unsafe ones too."""
    workspace = Workspace.in_memory({"nginx.conf": text})
    options = Options(nginx_version=(1, 31, 3))
    changed = fix_all(
        lambda texts: lint(workspace.overlaid(texts), ["nginx.conf"], options).findings, unsafe=True
    )
    return next(after.text for _, after in changed.values())


@pytest.mark.parametrize(
    ("rows", "head", "server"),
    [
        ('proxy_set_header Connection "upgrade";', "", ""),
        (f"{UPGRADE} {VARIABLE}", WRONG, ""),
        ("proxy_set_header Upgrade $connection_upgrade;" + VARIABLE, RIGHT, ""),
        (f"{UPGRADE} proxy_set_header Connection $http_upgrade;", "", ""),
        (
            f"{UPGRADE} {VARIABLE}",
            "map $http_connection $connection_upgrade { default close; websocket upgrade; }",
            "",
        ),
        (f"{UPGRADE} {VARIABLE}", "map $http_upgrade $connection_upgrade { default ''; }", ""),
        (
            f"{UPGRADE} {VARIABLE}",
            f"{WRONG.replace('connection_upgrade', 'x')}"
            " map $x $connection_upgrade { default upgrade; close close; }",
            "",
        ),
        (f"{UPGRADE} {VARIABLE} proxy_pass_request_headers off;", RIGHT, ""),
        (f"{UPGRADE} {VARIABLE} proxy_hide_header Upgrade;", RIGHT, ""),
        (f"{UPGRADE} {VARIABLE}", RIGHT, "proxy_hide_header sec-websocket-accept;"),
        (f"{UPGRADE} {VARIABLE} proxy_set_header Sec-WebSocket-Key x;", RIGHT, ""),
        (f"{UPGRADE} {VARIABLE} proxy_method POST;", RIGHT, ""),
        (f"{UPGRADE} {VARIABLE} proxy_http_version 2;", RIGHT, ""),
        (f"{UPGRADE} proxy_set_header Connection $c;", "", "set $c keep-alive;"),
        ("proxy_set_header X-A b;", RIGHT, UPGRADE + VARIABLE),
        (f"{UPGRADE} proxy_set_header Upgrade h2c; {VARIABLE}", RIGHT, ""),
    ],
)
def test_what_breaks_a_handshake(rows: str, head: str, server: str) -> None:
    finding = found(site(rows, head, server))
    assert finding is not None
    assert finding.severity == "error"


@pytest.mark.parametrize(
    ("rows", "head", "server"),
    [
        (f'{UPGRADE} proxy_set_header Connection "Upgrade";', "", ""),
        (f"{UPGRADE} {VARIABLE}", RIGHT, ""),
        (f"{UPGRADE} {VARIABLE}", "", ""),  # another file may define it
        (f"{UPGRADE} proxy_set_header Connection $http_connection;", "", ""),
        (f"{UPGRADE} {VARIABLE}", RIGHT.replace("default upgrade", "websocket UPGRADE"), ""),
        (f"{UPGRADE} proxy_set_header Connection keep-alive,upgrade;", "", ""),
        ("", RIGHT, UPGRADE + VARIABLE),
        (f"{UPGRADE} proxy_set_header Connection $c;", "", "set $c upgrade;"),
        (
            f"{UPGRADE} proxy_set_header Connection $c;",
            "",
            "set $c close; if ($http_upgrade = websocket) { set $c upgrade; }",
        ),
        (
            f"{UPGRADE} {VARIABLE} proxy_pass_header Upgrade;",
            RIGHT,
            "proxy_hide_header Upgrade;",
        ),
        (
            f"{UPGRADE} {VARIABLE} proxy_pass_request_headers off;"
            " proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key;"
            " proxy_set_header Sec-WebSocket-Version 13;",
            RIGHT,
            "",
        ),
        # Handshakes go elsewhere, and a plain request needs no Upgrade.
        ("if ($http_upgrade) { return 418; } error_page 418 = @ws;", "", ""),
        ("if ($http_upgrade) { rewrite ^ /other last; }", "", ""),
    ],
)
def test_what_does_not(rows: str, head: str, server: str) -> None:
    assert found(site(rows, head, server)) is None


def test_a_block_for_handshakes() -> None:
    both = f"if ($http_upgrade) {{ proxy_pass http://127.0.0.1:9000; }} {UPGRADE}"
    finding = found(site(both))
    assert finding is not None
    assert finding.location.label == "if ($http_upgrade)"


def test_http_1_0_is_a_warning_where_nothing_else_is_wrong() -> None:
    text = site(f"{UPGRADE} {VARIABLE}", RIGHT)
    finding = found(text, (1, 22, 1))
    assert finding is not None
    assert finding.severity == "warning"
    assert "reject HTTP/1.0" in finding.message
    assert found(text) is None
    finding = found(site(UPGRADE), (1, 22, 1))
    assert finding is not None
    assert (finding.severity, finding.message) == (
        "error",
        "WebSocket handshakes fail here: the app gets HTTP/1.0 and Connection: close"
        " (proxy_set_header, set here)",
    )


def test_a_map_that_firefox_does_not_match_is_a_warning() -> None:
    head = "map $http_connection $connection_upgrade { default ''; upgrade upgrade; }"
    finding = found(site(f"{UPGRADE} {VARIABLE}", head))
    assert finding is not None
    assert finding.severity == "warning"
    assert "Firefox" in finding.message


def test_places_that_differ_in_a_map_only_have_their_own_findings() -> None:
    rows = f"proxy_pass http://127.0.0.1:8000; proxy_read_timeout 1h; {UPGRADE}"
    maps = f"{RIGHT} {WRONG.replace('connection_upgrade', 'wrong')}"
    places = "".join(
        f"location /ws{number} {{ {rows} proxy_set_header Connection ${name}; }}\n"
        for number, name in enumerate(("connection_upgrade", "wrong", "connection_upgrade"))
    )
    workspace = Workspace.in_memory({"nginx.conf": f"{maps} server {{ listen 80; {places} }}"})
    options = Options(nginx_version=(1, 31, 3))
    findings = lint(workspace, ["nginx.conf"], options).findings
    assert [(one.rule, one.location.label) for one in findings] == [
        ("websocket-upgrade", "location /ws1")
    ]


@pytest.mark.parametrize(
    ("location", "head", "written"),
    [
        ("/ws", "", 'Connection "upgrade";'),
        ("/ws", RIGHT, "Connection $connection_upgrade;"),
        ("/socket.io/", RIGHT, "Connection $connection_upgrade;"),
        ("/chat-hub/", "", "Connection $connection_upgrade;"),
        ("/socket.io/", "", "Connection $connection_upgrade;"),
        ("/socket.io/", WRONG, "Connection $websocket_connection;"),
        ("/", "", "Connection $connection_upgrade;"),
    ],
)
def test_the_fix(location: str, head: str, written: str) -> None:
    comment = "\n# nginx-stream-lint: stream websocket\n" if location == "/" else ""
    finding = found(site(comment + UPGRADE, head, location=location))
    assert finding is not None
    assert finding.fix is not None
    text = fixed(site(comment + UPGRADE, head, location=location))
    assert f"proxy_set_header {written}" in text
    variable = written.split()[1].rstrip(";")
    added = text.count("map ") - head.count("map ")
    assert finding.fix.applicability == ("unsafe" if added else "safe")
    assert added == (variable.startswith("$") and variable not in head.replace(WRONG, ""))
    assert found(text) is None


def test_one_map_for_all_that_need_it() -> None:
    place = f"location /socket.io/ {{ proxy_pass http://a; {UPGRADE} }}"
    one = f"server {{\n  listen 80;\n  {place}\n}}\n"
    text = fixed(f"# first\n{one}{one.replace('80', '81')}")
    assert text.startswith(
        "map $http_upgrade $connection_upgrade {\n  default upgrade;\n  ''      '';\n}\n\n# first\n"
    )
    assert text.count("map ") == 1
    assert text.count("Connection $connection_upgrade;") == 2


def test_no_map_is_written_into_a_location_alone() -> None:
    workspace = Workspace.in_memory(
        {"a.conf": f"location /socket.io/ {{ proxy_pass http://a; {UPGRADE} }}"}
    )
    [finding] = [
        one for one in lint(workspace, ["a.conf"]).findings if one.rule == "websocket-upgrade"
    ]
    assert finding.fix is not None
    assert finding.fix.applicability == "manual"
    assert "map $http_upgrade $connection_upgrade {" in finding.fix.snippet


def test_the_timeout_of_a_websocket_counts_while_neither_side_sends() -> None:
    rows = f"{UPGRADE} {VARIABLE} proxy_read_timeout 30s;"
    text = site(rows, RIGHT).replace("proxy_read_timeout 1h;", "")
    findings = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"]).findings
    said = next(one.message for one in findings if one.rule == "short-read-timeout")
    assert said.startswith(
        "nginx closes the WebSocket after 30 s of silence on both sides (proxy_read_timeout,"
    )


LISTEN = "listen 443 ssl http2; ssl_certificate a; ssl_certificate_key b;"


@pytest.mark.parametrize(
    ("url", "place", "verdict"),
    [
        ("/socket.io/?EIO=4", "location /socket.io/ { proxy_pass http://a; }", "no-stream"),
        ("/socket.io/", f"location / {{ proxy_pass http://a; {UPGRADE} }}", "no-stream"),
        ("/ws", f"location / {{ proxy_pass http://a; {UPGRADE} {VARIABLE} }}", "streams"),
        (
            "/ws",
            "location / { if ($http_upgrade) { return 418; } error_page 418 = @ws;"
            " proxy_pass http://b; }"
            f" location @ws {{ proxy_pass http://a; {UPGRADE} {VARIABLE} }}",
            "streams",
        ),
        (
            "/ws",
            "location / { if ($http_upgrade) { return 403; } proxy_pass http://b; }",
            "no-stream",
        ),
        (
            "/ws?a=1",
            f"location / {{ proxy_pass http://a; {UPGRADE} proxy_set_header Connection $by; }}",
            "streams",
        ),
        (
            "/ws?a=2",
            f"location / {{ proxy_pass http://a; {UPGRADE} proxy_set_header Connection $by; }}",
            "no-stream",
        ),
    ],
)
def test_explain_says_what_becomes_of_a_handshake(url: str, place: str, verdict: str) -> None:
    text = f"{RIGHT} map $arg_a $by {{ 1 upgrade; }} server {{ {LISTEN} {place} }}"
    workspace = Workspace.in_memory({"nginx.conf": text})
    [one] = explain(workspace, "nginx.conf", [url], Options(nginx_version=(1, 31, 3)))
    # There is no WebSocket over HTTP/2 in nginx.
    assert {(each.scenario.client, each.verdict) for each in one.deliveries} == {
        ("h1-tls", verdict)
    }


def test_the_page_shows_no_websocket_over_http2() -> None:
    place = f"location /ws {{ proxy_pass http://a; {UPGRADE} }}"
    workspace = Workspace.in_memory({"nginx.conf": f"server {{ {LISTEN} {place} }}"})
    [way] = stream_paths(lint(workspace, ["nginx.conf"]), (1, 31, 3))
    assert [(one.client, one.verdict) for one in way.arrivals] == [("h1-tls", "no-stream")]
