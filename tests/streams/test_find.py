"""Which locations are taken for streams, which are not, and what is known of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.streams.looking import found

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.catalogue import (
    apps,
    endpoints_by_leading_segments,
    every_endpoint,
    example_path,
)
from nginx_stream_lint.streams.declaration_syntax import (
    DeclarationMistake,
    declaration,
    from_comment,
)
from nginx_stream_lint.streams.detect import find_proxied
from nginx_stream_lint.streams.evidence_words import evidence_words
from nginx_stream_lint.streams.word_classes import normalized


def first(folder: Path, text: str) -> tuple[str, str]:
    """Kind and confidence of the first stream of the only location."""
    (one,) = found(folder, text).values()
    return one.streams[0].kind, one.streams[0].confidence


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("location = /v1/messages { proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("location ~ ^/v1/chat/completions { proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("location /v1/chat { proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("location /api/generate { proxy_pass http://127.0.0.1:9; }", "chunked"),
        ("location / { proxy_pass http://ollama:11434; }", "chunked"),
        ("location /x { proxy_pass http://vllm-server:8000; }", "sse"),
        ("location /sse { proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("location /api/stream/ { proxy_pass http://127.0.0.1:8000; }", "chunked"),
        ("location /socket.io/ { proxy_pass http://127.0.0.1:8000; }", "websocket"),
        ("location /x { proxy_buffering off; proxy_pass http://127.0.0.1:8000; }", "chunked"),
        ("location /x { # Server-Sent Events\n proxy_pass http://127.0.0.1:8000; }", "sse"),
        ("# streams tokens\nlocation /x { proxy_pass http://127.0.0.1:8000; }", "chunked"),
    ],
)
def test_likely(text: str, kind: str, tmp_path: Path) -> None:
    found_kind, confidence = first(tmp_path, text)
    assert found_kind == kind
    assert confidence in ("likely", "known")


@pytest.mark.parametrize(
    "text",
    [
        "location / { proxy_pass http://127.0.0.1:8000; }",
        "location /api/ { proxy_pass http://app:3000; }",
        "location /v1/ { proxy_pass http://app:3000; }",
        "location /streamers { proxy_pass http://app:3000; }",
        "location /mainstream/x { proxy_pass http://app:3000; }",
        "# the upstream of the shop\nlocation /x { proxy_pass http://app:3000; }",
        "# streams\n\nlocation /x { proxy_pass http://app:3000; }",
        "location /x { proxy_read_timeout 1h; proxy_pass http://app:3000; }",
        "location /health { proxy_pass http://ollama:11434; }",
        "location /api/chats { proxy_pass http://app:3000; }",
    ],
)
def test_possible(text: str, tmp_path: Path) -> None:
    assert first(tmp_path, text)[1] == "possible"


@pytest.mark.parametrize(
    "text",
    [
        "location /sse { return 404; }",
        "location /sse { root /srv; }",
        "return 301 https://example.com; location /sse { proxy_pass http://127.0.0.1:8000; }",
    ],
)
def test_what_is_answered_here_is_no_stream(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == {}


def test_sockets_are_not_events(tmp_path: Path) -> None:
    text = """location /ws {
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 1h;
    }"""
    (one,) = found(tmp_path, text).values()
    assert [stream.kind for stream in one.streams] == ["websocket"]


def test_the_name_of_a_server_is_about_the_location_that_takes_everything(tmp_path: Path) -> None:
    text = """server { server_name chat-llm.example.com;
        location / { proxy_pass http://127.0.0.1:8000; }
        location /shop { proxy_pass http://127.0.0.1:8000; }
    }"""
    result = found(tmp_path, text)
    assert result["/"].streams[0].confidence == "likely"
    assert result["/shop"].streams[0].confidence == "possible"


def test_a_variable_that_set_fills(tmp_path: Path) -> None:
    text = "set $up http://ollama:11434; location / { proxy_pass $up; }"
    assert first(tmp_path, text)[1] == "known"


def test_an_app_is_where_its_endpoints_land(tmp_path: Path) -> None:
    text = """
    location / { proxy_pass http://ollama:11434; }
    location /api/ { proxy_pass http://ollama:11434; }
    location /v1/ { proxy_pass http://ollama:11434; }
    """
    result = found(tmp_path, text)
    assert result["/api/"].streams[0].confidence == "known"
    assert result["/"].streams[0].confidence == "possible"


def test_comments_declare(tmp_path: Path) -> None:
    text = """
    location /a {
        # nginx-stream-lint: stream sse framing=close heartbeat=15s accepts=h2,h1 method=post
        proxy_pass http://127.0.0.1:8000;
        location /a/b { proxy_pass http://127.0.0.1:8000; }
    }
    location /c { proxy_pass http://127.0.0.1:8000; }
    """
    result = found(tmp_path, text)
    stream = result["/a"].streams[0]
    assert (stream.kind, stream.confidence, stream.framing) == ("sse", "declared", "close")
    assert (stream.heartbeat_s, stream.clients, stream.method) == (15, ("h1", "h2"), "POST")
    assert result["/a/b"].streams[0].confidence == "possible"
    assert result["/c"].streams[0].confidence == "possible"


def test_a_comment_outside_locations_is_for_all_inside(tmp_path: Path) -> None:
    text = """# nginx-stream-lint: stream chunked
    server {
    location /a { proxy_pass http://127.0.0.1:8000; }
    location /b { proxy_pass http://127.0.0.1:8000; }
    }"""
    result = found(tmp_path, text)
    assert {one.streams[0].confidence for one in result.values()} == {"declared"}


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("# nginx-stream-lint: stream sses", 'did you mean "sse"'),
        ("# nginx-stream-lint: stream framing=chunk", 'did you mean "chunked"'),
        ("# nginx-stream-lint: stream heartbeat=often", "not a time"),
        ("# nginx-stream-lint: stream hartbeat=15s", 'did you mean "heartbeat"'),
        ("# nginx-stream-lint: stream accepts=h4", "accepts"),
    ],
)
def test_comments_that_are_wrong(comment: str, message: str) -> None:
    with pytest.raises(DeclarationMistake, match=message):
        from_comment(comment)


def test_declarations_need_a_path() -> None:
    assert declaration("/a", "x").stream.confidence == "declared"
    with pytest.raises(DeclarationMistake, match="starts with /"):
        declaration("a", "x")
    with pytest.raises(DeclarationMistake, match="path"):
        declaration({"kind": "sse"}, "x")


def test_the_catalogue_is_whole() -> None:
    names = [app.name for app in apps()]
    assert len(names) == len(set(names))
    for app in apps():
        for endpoint in app.endpoints:
            assert endpoint.path.startswith(("/", "**", "*")), (app.name, endpoint.path)
            assert endpoint.distinctive.startswith(("/", "(never)")), (app.name, endpoint.path)
        assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in app.names), app.name
    assert set(evidence_words()) == {
        *("path", "talk", "comment", "upstream", "around", "around_api"),
        *(
            "pages",
            "general",
            "usual",
            "never",
            "files",
            "no_sockets",
            "media",
            "storage",
            "beside",
        ),
    }


def test_endpoints_are_known_where_they_land(tmp_path: Path) -> None:
    text = """
    location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; proxy_buffering off; }
    location ~ ^/v1/ { proxy_pass http://127.0.0.1:8000; }
    location /v2/ { proxy_pass http://127.0.0.1:8000; }
    """
    result = found(tmp_path, text)
    assert result["~ ^/v1/"].streams[0].confidence == "known"
    shadow = result["/v1/chat/completions"].shadowed_by
    assert shadow is not None
    assert shadow.label == "location ~ ^/v1/"
    assert result["/v2/"].streams[0].confidence == "possible"


def test_declared_paths_follow_rewrites(tmp_path: Path) -> None:
    text = """
    rewrite ^/old/(.*)$ /new/$1 last;
    location /old/ { proxy_pass http://127.0.0.1:8000; }
    location /new/ { proxy_pass http://127.0.0.1:8000; }
    """
    path = tmp_path / "app.conf"
    path.write_text(f"server {{ {text} }}")
    configuration = read(str(path))
    declared = [declaration("/old/chat", "the test says so")]
    result, _ = find_proxied(configuration, build(configuration), OLD, declared)
    by_label = {one.level.label: one.streams[0].confidence for one in result}
    assert by_label == {"location /old/": "possible", "location /new/": "declared"}


def test_endpoints_are_found_by_what_is_distinctive_of_them() -> None:
    for endpoint in every_endpoint():
        path = example_path(endpoint.distinctive)
        for more in ("", "/", "/more/of/it"):
            assert endpoint in endpoints_by_leading_segments(path + more)
        if "*" not in endpoint.distinctive:
            assert endpoint in endpoints_by_leading_segments(normalized(f"{path}/more"))
            assert endpoint not in endpoints_by_leading_segments(f"{path}x")


def test_comments_of_an_included_file_are_for_each_place(tmp_path: Path) -> None:
    (tmp_path / "shared.conf").write_text(
        "# nginx-stream-lint: stream sse\nlocation /a { proxy_pass http://x:1; }\n"
        "location /b {\n# nginx-stream-lint: stream chunked\nproxy_pass http://x:1; }\n"
    )
    text = "".join(f"server {{ listen {port}; include shared.conf; }}\n" for port in (81, 82))
    (tmp_path / "main.conf").write_text(f"events {{}}\nhttp {{\n{text}}}\n")
    configuration = read(str(tmp_path / "main.conf"))
    result, _ = find_proxied(configuration, build(configuration), OLD)
    kinds = [(one.level.label, [stream.kind for stream in one.streams]) for one in result]
    assert kinds == [("location /a", ["sse"]), ("location /b", ["sse", "chunked"])] * 2
    assert result[0].streams is result[2].streams


@pytest.mark.parametrize(
    "text",
    [
        "server { location /events { {{ if .a }} proxy_pass http://app; {{ else }} return 502;"
        " {{ end }} } }",
        "server { {{ if .a }} return 301 https://$host$request_uri; {{ else }}"
        " location /events { proxy_pass http://app; } {{ end }} }",
        "{{ range .a }} server { location /v1/chat/completions { {{ if .b }} return 502; {{ end }}"
        " proxy_pass http://app; } } {{ end }}",
    ],
)
def test_a_template_that_answers_in_one_branch_hands_on_in_another(
    text: str, tmp_path: Path
) -> None:
    (one,) = found(tmp_path, text, "app.conf.tmpl").values()
    assert one.streams[0].confidence in ("likely", "known")


def test_what_answers_in_every_branch_hands_nothing_on(tmp_path: Path) -> None:
    text = (
        "{{ if .a }} server { location /events { return 502; proxy_pass http://app; } } {{ end }}"
    )
    assert found(tmp_path, text, "app.conf.tmpl") == {}
