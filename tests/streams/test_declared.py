"""What users declare: the kind it keeps, and the servers that a URL is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import findings, run_here

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.declaration_syntax import DeclarationMistake, declaration
from nginx_stream_lint.streams.detect import find_proxied
from nginx_stream_lint.streams.stream import Stream


def declared(folder: Path, text: str, *streams: object) -> dict[str, list[Stream]]:
    """What is declared, by the label of the server's name and location."""
    path = folder / "nginx.conf"
    path.write_text(f"events {{}}\nhttp {{\n{text}\n}}\n")
    configuration = read(str(path))
    assert configuration.problems == []
    said = [declaration(one, "the test says so") for one in streams]
    found, _ = find_proxied(configuration, build(configuration), OLD, said)
    return {
        one.level.label.removeprefix("location "): list(one.streams)
        for one in found
        if one.streams[0].confidence == "declared"
    }


def kinds(folder: Path, locations: str, *streams: object) -> dict[str, list[str]]:
    found = declared(folder, f"server {{ {locations} }}", *streams)
    return {label: [one.kind for one in streams] for label, streams in found.items()}


UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


@pytest.mark.parametrize(
    ("location", "stream", "kind"),
    [
        ("/ws { proxy_pass http://a; }", "/ws", "websocket"),
        ("/ { proxy_pass http://a; }", "/ws", "websocket"),
        ("/ { proxy_pass http://a; }", "/x/websocket/y", "websocket"),
        (f"/x {{ proxy_pass http://a; {UPGRADE} }}", "/x", "websocket"),
        (f"/ {{ proxy_pass http://a; {UPGRADE} }}", "/events", "sse"),
        (f"/events {{ proxy_pass http://a; {UPGRADE} }}", "/events", "websocket"),
        (f"/events {{ proxy_pass http://a; {UPGRADE} }}", "/events/sse", "sse"),
        ("/socket.io/ { proxy_pass http://a; }", "/socket.io/?EIO=4", "websocket"),
        ("/ { proxy_pass http://ollama; }", "/api/chat", "chunked"),
        ("/ { proxy_pass http://a; }", "/api/chat", "sse"),
        ("/ { proxy_pass http://a; }", "/export.ndjson", "chunked"),
        ("/x { # long polling\nproxy_pass http://a; }", "/x", "long-poll"),
        ("/x { proxy_pass http://a; }", "/x", "sse"),
        ("/x { proxy_pass http://a; proxy_buffering off; }", "/x", "sse"),
        ("/ws { proxy_pass http://a; }", {"path": "/ws", "kind": "sse"}, "sse"),
        ("/health { proxy_pass http://a; }", "/health", "sse"),
    ],
)
def test_a_declared_stream_keeps_the_kind_that_is_known(
    location: str, stream: object, kind: str, tmp_path: Path
) -> None:
    assert list(kinds(tmp_path, f"location {location}", stream).values()) == [[kind]]


def test_a_comment_without_a_kind_keeps_it_too(tmp_path: Path) -> None:
    text = "location /ws {{ # nginx-stream-lint: stream {}\n proxy_pass http://a; }}"
    assert kinds(tmp_path, text.format("")) == {"/ws": ["websocket"]}
    assert kinds(tmp_path, text.format("heartbeat=5s")) == {"/ws": ["websocket"]}
    assert kinds(tmp_path, text.format("sse")) == {"/ws": ["sse"]}


def test_comments_declare_so_many_different_streams_for_one_place(tmp_path: Path) -> None:
    def comments(number: int) -> str:
        comment = "# nginx-stream-lint: stream sse heartbeat={0}s\n"
        said = (comment.format(at) * 2 for at in range(1, number + 1))
        return f"location /a {{\n{''.join(said)}proxy_pass http://a; }}"

    limit = 50
    path = tmp_path / "nginx.conf"
    for number in (limit, limit + 1, 10 * limit):
        path.write_text(f"events {{}}\nhttp {{\nserver {{ {comments(number)} }}\n}}\n")
        configuration = read(str(path))
        [one], problems = find_proxied(configuration, build(configuration), OLD)
        assert len(one.streams) == limit
        assert [(problem.line, problem.column) for problem in problems] == (
            [(3, 10)] if number > limit else []
        )
        assert all(f"more than {limit} different streams" in one.message for one in problems)
    assert run_here("nginx.conf", cwd=tmp_path).returncode == 2
    limits = Path(__file__).parents[2] / "docs" / "limits.md"
    text = limits.read_text(encoding="utf-8")
    assert f"Comments may declare at most {limit} different streams" in text


def test_what_the_catalogue_knows_stays_and_the_user_wins(tmp_path: Path) -> None:
    text = "server { location /socket.io/ { proxy_pass http://a; } }"
    [one] = declared(tmp_path, text, "/socket.io/")["/socket.io/"]
    assert (one.heartbeat_s, one.because) == (25, "the test says so")
    stated = {"path": "/socket.io/", "heartbeat": "90s"}
    [one] = declared(tmp_path, text, stated)["/socket.io/"]
    assert one.heartbeat_s == 90


def test_the_error_of_a_declared_websocket_stays(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server { location /ws { proxy_pass http://a:1; } } }\n")
    for options in ((), ("--stream", "/ws"), ("--all-streams",)):
        found = findings(path, *options, status=1)
        errors = [one["rule"] for one in found if one["severity"] == "error"]
        assert errors == ["websocket-upgrade"], options


def test_explain_keeps_the_kind(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server { location /ws { proxy_pass http://a:1; } } }\n")
    done = run_here("explain", path, "/ws")
    assert "websocket-upgrade" in done.stdout, done.stdout
    assert "response-buffering" not in done.stdout


SERVERS = """
server { listen 80; server_name a.example.com; location /x { proxy_pass http://a; } }
server { listen 80; server_name b.example.com; location / { proxy_pass http://b; } }
server { listen 443 ssl; server_name a.example.com; location /x/ { proxy_pass http://c; } }
server { listen 8080; server_name a.example.com; location ~ ^/x { proxy_pass http://d; } }
"""


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("http://a.example.com/x", "/x"),
        ("http://b.example.com/x", "/"),
        ("HTTP://B.example.com:80/x?y=1", "/"),
        ("https://a.example.com/x/y", "/x/"),
        ("http://a.example.com:8080/x", "~ ^/x"),
    ],
)
def test_a_url_is_for_its_server(url: str, label: str, tmp_path: Path) -> None:
    assert set(declared(tmp_path, SERVERS, url)) == {label}


def test_a_path_is_for_every_server(tmp_path: Path) -> None:
    assert set(declared(tmp_path, SERVERS, "/x/y")) == {"/x", "/", "/x/", "~ ^/x"}


@pytest.mark.parametrize("text", ["x", "ftp://a/x", "http:///x", "http://a:99999/x", "", "a.b/c"])
def test_what_is_no_path_and_no_url(text: str) -> None:
    with pytest.raises(DeclarationMistake):
        declaration(text, "x")


def test_settings_take_urls(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(f"events {{}}\nhttp {{ {SERVERS} }}\n")
    (tmp_path / ".nginx-stream-lint.yaml").write_text("streams: ['http://b.example.com/x']\n")
    done = run_here("--format", "json", path)
    declared = [
        one["location"]["label"]
        for one in json.loads(done.stdout)["findings"]
        if one["stream"]["confidence"] == "declared"
    ]
    assert set(declared) == {"location /"}
