"""What a location's path, comments, upstream and directives say, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.streams.looking import found, likely

from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.analysis.lint import lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.streams import catalogue


def at(path: str, target: str = "http://backend:8000", more: str = "") -> str:
    return f"location {path} {{ {more} proxy_pass {target}; }}\n"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/my-llm/", "sse"),
        ("/chatgpt", "sse"),
        ("/api/v1/chat", "sse"),
        ("~ ^/api/ask/?$", "sse"),
        ("/webcam/stream", "chunked"),
        ("/video.mjpeg", "chunked"),
        ("/health/sse", "sse"),
        ("= /callback/ws", "websocket"),
        ("/grafana-llm/", "sse"),
        ("/ollama/", "sse"),
        ("/realtime", "sse"),
        ("/hubs/", "websocket"),
        ("/notification-hub", "websocket"),
        ("/eventbus/", "websocket"),
        ("/openai/", "sse"),
        ("~ ^/v1/(chat|embeddings)/", "sse"),
        ("~ ^(/_matrix|/_synapse/client)", "long-poll"),
        ("~* ^/(api/chat|api/models)", "sse"),
    ],
)
def test_paths_that_stream(path: str, kind: str, tmp_path: Path) -> None:
    assert list(likely(tmp_path, at(path)).values()) == [kind]


@pytest.mark.parametrize(
    "path",
    [
        "/chats",
        "/github",
        "/hub/",
        "/realtimes",
        "/chat/users",
        "/hallmark",
        "/mcp/health",
        "/sse/metrics",
        "/llm/docs",
        "/static/llm/",
        "~* /chat/.*\\.(png|css)$",
        "/api/auth/login",
        "~ /api",
        "~ (/app)?/api",
        "~ ^/chat/[a-z]+/",
        "/documentation/ollamas",
        "@app",
    ],
)
def test_paths_that_do_not(path: str, tmp_path: Path) -> None:
    assert likely(tmp_path, at(path)) == {}


def test_a_page_about_a_chat_is_a_page(tmp_path: Path) -> None:
    assert likely(tmp_path, at("/chat", "http://frontend:3000")) == {}
    assert likely(tmp_path, at("/chat", "http://api:3000")) == {"/chat": "sse"}


def test_of_alternatives_all_must_be_answered_at_once(tmp_path: Path) -> None:
    ollama = "http://ollama:11434"
    assert likely(tmp_path, at("~ ^/(api|openapi.json)", ollama)) != {}
    assert likely(tmp_path, at("~ ^/(api/docs|openapi.json)", ollama)) == {}


def test_nothing_makes_a_health_check_stream(tmp_path: Path) -> None:
    more = "proxy_buffering off; proxy_set_header Accept text/event-stream;"
    assert likely(tmp_path, at("/health", "http://sse_backend/sse/", more)) == {}
    assert likely(tmp_path, at("/state", "http://backend", more)) == {"/state": "sse"}


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("# Timeouts for LLM answers\n", "sse"),
        ("proxy_set_header Last-Event-ID $http_last_event_id;", "sse"),
        ("include snippets/sse.conf;", "sse"),
        ("include websocket.conf;", "websocket"),
        ('chunked_transfer_encoding off; proxy_set_header Connection "";', "sse"),
        ('proxy_read_timeout 1h; gzip off; proxy_set_header Connection "";', "chunked"),
    ],
)
def test_what_is_written_in_a_location(more: str, kind: str, tmp_path: Path) -> None:
    for name in ("snippets/sse.conf", "websocket.conf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("proxy_http_version 1.1;\n")
    assert likely(tmp_path, at("/x", more=more)) == {"/x": kind}


@pytest.mark.parametrize(
    "more",
    [
        "# transcription\nproxy_read_timeout 300s;",
        "# summarization of prompts can take long\nproxy_read_timeout 300s;",
        "proxy_read_timeout 1h;",
        'proxy_set_header Connection "";',
        'proxy_read_timeout 1h; proxy_set_header Connection "";',
        "chunked_transfer_encoding off;",
        "chunked_transfer_encoding on; proxy_read_timeout 900;",
        "include upstream.conf;",
        "# see the streamer's wiki\n",
        "# nginx-stream-lint: ignore[reload-cut] the stream is short\n",
    ],
)
def test_what_is_not_enough(more: str, tmp_path: Path) -> None:
    (tmp_path / "upstream.conf").write_text("proxy_http_version 1.1;\n")
    assert likely(tmp_path, at("/x", more=more)) == {}


def test_buffering_off_as_a_habit(tmp_path: Path) -> None:
    """What most places of a server switch off, each for itself, says nothing of one of them."""
    off = "proxy_buffering off; proxy_cache off;"
    plain = [at(f"/x{number}", more=off) for number in range(5)]
    assert likely(tmp_path, "".join(plain[:4])) != {}
    assert likely(tmp_path, "".join([*plain, at("/api/stream", more=off)])) == {
        "/api/stream": "chunked"
    }
    others = [at(f"/y{number}") for number in range(6)]
    assert set(likely(tmp_path, "".join([*plain, *others]))) == {f"/x{one}" for one in range(5)}


def test_an_empty_connection_is_for_kept_connections(tmp_path: Path) -> None:
    text = """upstream backend {{ server 10.0.0.1; {keepalive} }}
    server {{ location /x {{
        proxy_pass http://backend; gzip off; proxy_read_timeout 1h;
        proxy_set_header Connection "";
    }} }}"""
    assert likely(tmp_path, text.format(keepalive="")) == {"/x": "chunked"}
    assert likely(tmp_path, text.format(keepalive="keepalive 16;")) == {}


def test_the_name_of_a_limit(tmp_path: Path) -> None:
    assert likely(tmp_path, at("/x", more="limit_req zone=llm burst=5;")) == {"/x": "sse"}
    assert likely(tmp_path, at("/x", more="limit_req zone=mcp_auth burst=5;")) == {}


def test_long_grpc_calls_are_streams(tmp_path: Path) -> None:
    text = "location /x { grpc_pass grpc://a; grpc_read_timeout %s; }"
    assert likely(tmp_path, text % "10m") == {"/x": "grpc"}
    assert likely(tmp_path, text % "60s") == {}


@pytest.mark.parametrize(
    "target",
    [
        "http://ollama2:80",
        "http://my_ollama_1",
        "http://${OLLAMA_HOST}",
        "http://genai-backend",
        "http://my-llm-gateway",
        "http://langchain-api",
        "http://deepseek:8000",
    ],
)
def test_upstreams_that_stream(target: str, tmp_path: Path) -> None:
    assert set(likely(tmp_path, at("/", target))) == {"/"}


@pytest.mark.parametrize(
    "target",
    [
        "http://adminmongo:1234",
        "http://watcharr:3080",
        "http://web:5001",
        "http://backend:80800",
        "http://holland",
        "http://email",
        "http://storage",
        "http://10.0.0.7:8000",
    ],
)
def test_upstreams_that_do_not(target: str, tmp_path: Path) -> None:
    assert likely(tmp_path, at("/", target)) == {}


@pytest.mark.parametrize("port", [7860, 8123, 8501, 11434, 1234, 32400, 8096, 5001])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "backend", "api", "[::1]"])
@pytest.mark.parametrize("path", ["/", "/api/", "/v1/"])
def test_a_port_says_nothing(path: str, host: str, port: int, tmp_path: Path) -> None:
    upgrade = "proxy_set_header Upgrade $http_upgrade;"
    assert likely(tmp_path, at(path, f"http://{host}:{port}")) == {}
    assert likely(tmp_path, at(path, f"http://{host}:{port}", upgrade)) == {}


def test_targets_by_way_of_a_map(tmp_path: Path) -> None:
    text = """map $host $where {{ default {value}; other shop:80; }}
    server {{ location / {{ proxy_pass http://$where; }} }}"""
    assert set(likely(tmp_path, text.format(value="ollama:11434"))) == {"/"}
    assert likely(tmp_path, text.format(value="web:80")) == {}


def test_comments_about_an_upstream(tmp_path: Path) -> None:
    text = """# {comment}
    upstream app {{ server 10.0.0.1:8000; }}
    server {{ location /x {{ proxy_pass http://app; }} }}"""
    assert likely(tmp_path, text.format(comment="the LLM servers")) == {"/x": "sse"}
    assert likely(tmp_path, text.format(comment="the upstream of the shop")) == {}


def test_an_app_at_home_elsewhere(tmp_path: Path) -> None:
    home = at("/api/", "http://ollama:11434")
    assert likely(tmp_path, home + at("/files/", "http://ollama:11434")) == {"/api/": "chunked"}
    # Below a path of its own it may have any of its streams.
    assert set(likely(tmp_path, home + at("/x/", "http://ollama:11434/"))) == {"/api/", "/x/"}
    assert set(likely(tmp_path, at("/files/", "http://ollama:11434"))) == {"/files/"}


def test_an_app_below_an_expression(tmp_path: Path) -> None:
    openai = "https://api.openai.com"
    assert set(likely(tmp_path, at("~ ^/api/(.*)$", f"{openai}/$1"))) == {"~ ^/api/(.*)$"}
    assert likely(tmp_path, at("~ ^/models/(.*)$", openai)) == {}


def test_an_app_s_other_paths(tmp_path: Path) -> None:
    assert likely(tmp_path, at("/v1/embeddings", "http://vllm:8000")) == {}
    assert likely(tmp_path, at("= /anything", "http://vllm:8000")) == {}


def test_an_endpoint_with_a_slash(tmp_path: Path) -> None:
    one = found(tmp_path, at("/mcp/"))["/mcp/"].streams[0]
    assert one.confidence == "known"


def test_reasons_are_plain(tmp_path: Path) -> None:
    texts = {
        at("/x", more="proxy_buffering off;"): "it sets proxy_buffering off",
        at("/v2/events"): 'its path says "events"',
        at("/chat/events"): 'its path says "events" and "chat"',
        at("/x", "http://llm-gateway"): 'its upstream "http://llm-gateway" says "llm"',
        at("/ollama/"): "its path is named after Ollama",
    }
    for text, because in texts.items():
        (one,) = found(tmp_path, text).values()
        assert one.streams[0].because == because


OFF = "proxy_buffering off;"
SSE = 'proxy_set_header Last-Event-ID "";'


@pytest.mark.parametrize(
    ("path", "target", "more", "kinds"),
    [
        # Buffering is switched off for WebSockets, too, and what they are used for is no response.
        ("/ws", "http://a", OFF, {"websocket"}),
        ("/live/api/ws", "http://go2rtc:1984", "", {"websocket"}),
        ("= /socket.io/", "http://a", OFF, {"websocket"}),
        ("/etherpad/", "http://a/", OFF, {"websocket"}),
        # But what speaks of responses in words is one.
        ("/ws", "http://a", SSE, {"sse", "websocket"}),
        ("~ ^/(sse|ws)/", "http://a", OFF, {"sse", "websocket"}),
        # The catalogue has no endpoint of n8n there, and it answers all the same.
        ("/webhook", "http://n8n:5678", OFF, {"chunked"}),
    ],
)
def test_a_location_for_websockets(
    path: str, target: str, more: str, kinds: set[str], tmp_path: Path
) -> None:
    upgrade = (
        ""
        if "n8n" in target
        else ("proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;")
    )
    (place,) = found(tmp_path, at(path, target, upgrade + more)).values()
    assert {stream.kind for stream in place.streams} == kinds


def test_an_exact_path_is_an_endpoint_of_its_app(tmp_path: Path) -> None:
    (place,) = found(tmp_path, at("= /socket.io/")).values()
    assert place.streams[0].confidence == "known"
    assert place.streams[0].heartbeat_s == 25


@pytest.mark.parametrize(
    ("pages", "is_pages"), [("${ONYX_WEB_SERVER_HOST}", True), ("${ONYX_HOST}", False)]
)
def test_pages_of_an_app_whose_streams_end_elsewhere(
    pages: str, is_pages: bool, tmp_path: Path
) -> None:
    text = at("/", f"http://{pages}:3000")
    api = at("/api", "http://api_server:8080")
    name = "app.conf.template"
    assert ("/" in likely(tmp_path, f"{api} {text}", name)) is not is_pages
    # Alone it serves all that there is.
    assert "/" in likely(tmp_path, text, name)


SOCKETS = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    " proxy_set_header Connection upgrade;"
)


def test_upgrade_in_what_takes_the_rest_is_a_habit_beside_a_path_for_it(tmp_path: Path) -> None:
    rest = (
        f"location / {{ proxy_pass http://127.0.0.1:8000; {SOCKETS} }}"
        f"location @app {{ proxy_pass http://127.0.0.1:8001; {SOCKETS} }}"
    )
    assert set(likely(tmp_path, rest)) == {"/", "@app"}
    narrow = f"location /ws {{ proxy_pass http://127.0.0.1:8002; {SOCKETS} }}"
    assert likely(tmp_path, rest + narrow) == {"/ws": "websocket"}
    known = f"location /notifications/hub {{ proxy_pass http://127.0.0.1:8002; {SOCKETS} }}"
    assert likely(tmp_path, rest + known) == {"/notifications/hub": "websocket"}
    elsewhere = f"location /shop {{ proxy_pass http://127.0.0.1:8002; {SOCKETS} }}"
    assert set(likely(tmp_path, rest + elsewhere)) == {"/", "@app", "/shop"}
    said = f"location / {{ # for the WebSockets\n proxy_pass http://127.0.0.1:8000; {SOCKETS} }}"
    assert set(likely(tmp_path, said + narrow)) == {"/", "/ws"}


def test_upgrade_beside_a_timeout_below_the_default_is_a_habit(tmp_path: Path) -> None:
    text = "location /portal/ { proxy_pass http://127.0.0.1:8000; proxy_read_timeout %s; %s }"
    assert likely(tmp_path, text % ("30s", SOCKETS)) == {}
    assert likely(tmp_path, text % ("60s", SOCKETS)) == {"/portal/": "websocket"}
    assert likely(tmp_path, text.replace("/portal/", "/ws") % ("30s", SOCKETS)) == {
        "/ws": "websocket"
    }


def test_a_camera_is_never_silent_and_has_no_end(tmp_path: Path) -> None:
    text = "location /webcam/ { proxy_pass http://127.0.0.1:8080/; proxy_buffering off; }"
    (camera,) = found(tmp_path, text)["/webcam/"].streams
    assert (camera.kind, camera.heartbeat_s, camera.is_endless) == ("chunked", 10.0, True)
    report = lint(Workspace.on_disk(str(tmp_path / "app.conf")))
    assert report.findings == []
    text = text.replace("proxy_buffering off;", "")
    found(tmp_path, text)
    report = lint(Workspace.on_disk(str(tmp_path / "app.conf")))
    assert [one.rule for one in report.findings] == ["response-buffering"]


def test_what_most_places_switch_off_tells_them_not_apart(tmp_path: Path) -> None:
    off = "proxy_pass http://127.0.0.1:8000; proxy_buffering off; proxy_cache off;"
    places = [f"location /api/{name} {{ {off} }}" for name in ("a", "b", "c", "d", "agents")]
    assert likely(tmp_path, "\n".join(places)) == {}
    assert set(likely(tmp_path, "\n".join(places[-2:]))) == {"/api/d", "/api/agents"}


@pytest.mark.parametrize(
    "comment",
    [
        "API (SSE endpoints handled separately above)",
        "everything else, the streaming endpoints aside",
        "no SSE here",
        "non-streaming requests",
        "all other routes, except the WebSockets",
    ],
)
def test_comments_about_others_streams(comment: str, tmp_path: Path) -> None:
    text = "# {}\nlocation /shop {{ proxy_pass http://127.0.0.1:8000; }}"
    assert likely(tmp_path, text.format(comment)) == {}
    assert likely(tmp_path, text.format("no buffering for SSE")) == {"/shop": "sse"}


def test_upgrade_to_an_app_without_websockets_is_a_habit(tmp_path: Path) -> None:
    text = "location / { proxy_pass http://%s; " + SOCKETS + " }"
    assert likely(tmp_path, text % "clickhouse:8123") == {}
    assert likely(tmp_path, text % "127.0.0.1:9091/transmission/") == {}
    assert likely(tmp_path, text % "127.0.0.1:9091") == {"/": "websocket"}


def test_buffering_off_both_ways_is_for_large_files_as_well(tmp_path: Path) -> None:
    both = "proxy_buffering off; proxy_request_buffering off;"
    assert likely(tmp_path, at("/x", more=both)) == {}
    assert likely(tmp_path, at("/x", more=f"{both} proxy_set_header Last-Event-ID x;")) != {}
    assert likely(tmp_path, at("/x", more="proxy_buffering off;")) == {"/x": "chunked"}


def heartbeat(folder: Path, text: str) -> float | None:
    """The heartbeat of the only stream of the first location."""
    (stream,) = next(iter(found(folder, text).values())).streams
    assert stream.confidence != "possible"
    return stream.heartbeat_s


def test_the_recipe_of_an_object_store_is_not_that_of_events(tmp_path: Path) -> None:
    recipe = (
        'proxy_http_version 1.1; proxy_set_header Connection ""; chunked_transfer_encoding off;'
    )
    assert likely(tmp_path, at("/files/", "http://app:9000", recipe)) == {"/files/": "sse"}
    for host in ("minio", "acme-minio-1", "s3.example.com"):
        assert likely(tmp_path, at("/files/", f"http://{host}:9000", recipe)) == {}
    named = "set $to minio;" + at("/files/", "http://$to:9000", recipe)
    assert likely(tmp_path, named) == {}
    certain = recipe + "proxy_buffering off;"
    assert likely(tmp_path, at("/listen/", "http://minio:9000", certain)) != {}


def test_heartbeats_of_what_is_behind(tmp_path: Path) -> None:
    below = f"location /connection {{ proxy_pass http://127.0.0.1:8000; {SOCKETS} }}"
    assert heartbeat(tmp_path, below) == 25.0  # Centrifugo's /connection/websocket
    assert heartbeat(tmp_path, below.replace("/connection", "/shop")) is None
    beside = (
        f"location / {{ # WebSockets\n proxy_pass http://jellyfin:8096; {SOCKETS} }}"
        f"location /socket {{ proxy_pass http://jellyfin:8096; {SOCKETS} }}"
    )
    assert heartbeat(tmp_path, beside) == 57.0
    assert heartbeat(tmp_path, beside.replace("jellyfin", "other")) is None
    media = at("/", target="http://airsonic:4040", more="proxy_buffering off;")
    assert heartbeat(tmp_path, media) == 10.0
    assert heartbeat(tmp_path, media.replace("airsonic", "other")) is None
    named = "set $plex 10.0.0.1;" + at("/", "http://$plex:32400", "proxy_buffering off;")
    assert heartbeat(tmp_path, named) == 10.0


def test_a_long_path_is_not_looked_up_at_each_of_its_slashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known_rows = catalogue.index()
    longest = max(map(len, known_rows.segments))
    asked: list[str] = []

    class Counted(dict[str, tuple[int, ...]]):
        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            asked.append(key)
            return super().get(key, default)

    counted = replace(known_rows, segments=Counted(known_rows.segments))
    monkeypatch.setattr(catalogue, "index", lambda: counted)
    path = "/v1/chat/completions"
    known = catalogue.endpoints_by_leading_segments(path)
    assert known
    few = len(asked)
    assert catalogue.endpoints_by_leading_segments(path + "/more" * 10_000) == known
    assert len(asked) - few < few + longest


FIXED = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "Upgrade";'
MAPPED = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"


@pytest.mark.parametrize(
    ("path", "more", "kinds"),
    [
        ("/events", FIXED, ["websocket"]),
        ("/api/v1/notifications/", FIXED, ["websocket"]),
        ("/events", f"{FIXED} proxy_read_timeout 7d;", ["websocket"]),
        # What speaks for a response that streams, speaks for both.
        ("/events", f"{FIXED} proxy_buffering off;", ["sse", "websocket"]),
        ("/events", f"{FIXED} add_header X-Accel-Buffering no;", ["sse", "websocket"]),
        ("/events", f"{FIXED} # server-sent events\n", ["sse", "websocket"]),
        ("/sse", FIXED, ["sse", "websocket"]),
        ("/ai/stream", FIXED, ["chunked", "websocket"]),
        ("/chatgpt", FIXED, ["sse", "websocket"]),
        # Upgrade is passed on only where the client sends it.
        ("/events", MAPPED, ["sse", "websocket"]),
        ("/events", "proxy_set_header Connection upgrade;", ["sse"]),
    ],
)
def test_a_location_made_for_websockets(
    path: str, more: str, kinds: list[str], tmp_path: Path
) -> None:
    maps = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n"
    text = f"http {{ {maps} server {{ {at(path, more=more)} }} }}"
    (one,) = found(tmp_path, text).values()
    assert sorted(stream.kind for stream in one.streams) == kinds


@pytest.mark.parametrize(
    ("location", "url", "is_websocket"),
    [
        ("/events", "/events", True),
        ("/events", "/events/1?after=2", True),
        ("~ ^/(live|ws)", "/live", True),
        ("~ ^/(live|ws)", "/ws", True),
        # These words are not in the location's path, so nothing outweighs them.
        ("/events", "/events/sse", False),
        ("/", "/events", False),
        # Such a word is not outweighed: lint reports both kinds.
        ("/sse", "/sse", False),
    ],
)
def test_explain_and_lint_take_a_url_for_the_same(
    location: str, url: str, is_websocket: bool
) -> None:
    text = f"events {{}} http {{ server {{ {at(location, more=FIXED)} }} }}"
    workspace = Workspace.in_memory({"nginx.conf": text})
    (explanation,) = explain(workspace, "nginx.conf", [url])
    assert explanation.is_websocket == is_websocket
    result = lint(workspace)
    kinds = {finding.stream.kind for finding in result.findings if finding.stream is not None}
    if location == url:
        assert ("sse" not in kinds) == is_websocket


@pytest.mark.parametrize(
    ("other", "target", "kinds"),
    [
        ("/admin/", "http://backend:8000/admin/", []),
        ("^~ /swagger", "http://backend:8000", []),
        ("~ ^/(admin|static)/", "http://backend:8000", []),
        ("/docs/", "http://backend:8000", ["sse"]),
        ("/admin/", "http://console:8000", ["sse"]),
    ],
)
def test_the_prefix_of_openai_on_a_site(
    other: str, target: str, kinds: list[str], tmp_path: Path
) -> None:
    """A long timeout and /v1/ are weak evidence; a site with pages has an API of its own."""
    text = at("/v1/", "http://backend:8000", "proxy_read_timeout 300;") + at(other, target)
    assert list(likely(tmp_path, text).values()) == kinds


def test_other_evidence_counts_on_a_site(tmp_path: Path) -> None:
    text = at("/v1/", more="proxy_buffering off;") + at("/admin/") + at("/events", more=FIXED)
    assert likely(tmp_path, text) == {"/v1/": "chunked", "/events": "websocket"}
