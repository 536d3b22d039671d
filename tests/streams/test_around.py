"""What a server's name, its file's name, comments above and other locations say of a location."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import run_here
from tests.streams.looking import found, likely

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.streams.detect import find_proxied

API = "location /api/ { proxy_pass http://backend:8000; }"
PAGES = "location / { proxy_pass http://frontend:3000; }"


def server(*locations: str, name: str = "_") -> str:
    return f"server {{ server_name {name};\n{chr(10).join(locations)}\n}}\n"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1/", "/v1", "~ ^/(api|v1)/", "= /api"])
def test_a_plain_api_is_no_stream(path: str, tmp_path: Path) -> None:
    text = server(f"location {path} {{ proxy_pass http://backend:8000; }}", PAGES)
    assert likely(tmp_path, text) == {}


@pytest.mark.parametrize(
    "name", ["llm.example.com", "my-chatbot.example.com", "rag.example.com", "chat.example.com"]
)
def test_the_server_s_name_is_about_its_api(name: str, tmp_path: Path) -> None:
    assert likely(tmp_path, server(API, PAGES, name=name)) == {"/api/": "sse"}


@pytest.mark.parametrize(
    "name",
    ["shop.example.com", "api.example.ai", "streams.example.com", "chatter.example.com", "_"],
)
def test_other_names_of_servers(name: str, tmp_path: Path) -> None:
    assert likely(tmp_path, server(API, PAGES, name=name)) == {}


def test_it_is_about_everything_where_there_is_no_api(tmp_path: Path) -> None:
    assert likely(tmp_path, server(PAGES, name="gpt.example.com")) == {"/": "sse"}
    # People chat over WebSockets, and a page is a page.
    assert likely(tmp_path, server(PAGES, name="chat.example.com")) == {}


def test_it_is_about_what_everything_falls_back_to(tmp_path: Path) -> None:
    files = "location / { try_files $uri @app; }"
    app = "location @app { proxy_pass http://app:3000; }"
    assert likely(tmp_path, server(files, app, name="gpt.example.com")) == {"@app": "sse"}
    assert likely(tmp_path, server(PAGES, app, name="gpt.example.com")) == {"/": "sse"}


def test_it_is_not_about_locations_with_a_purpose(tmp_path: Path) -> None:
    shop = "location /api/orders { proxy_pass http://backend:8000; }"
    health = "location /api/health { proxy_pass http://backend:8000; }"
    assert likely(tmp_path, server(shop, health, PAGES, name="shop-gpt.example.com")) == {
        "/": "sse"
    }


@pytest.mark.parametrize("name", ["chatbot.conf", "llm/site.conf", "llm/nginx/conf.d/default.conf"])
def test_the_file_s_name_or_folder(name: str, tmp_path: Path) -> None:
    assert likely(tmp_path, server(API, PAGES), name) == {"/api/": "sse"}


@pytest.mark.parametrize(
    "name", ["shop.conf", "llm/shop/site.conf", "docker/hallmark.conf", "llm/minio.conf"]
)
def test_other_names_of_files(name: str, tmp_path: Path) -> None:
    assert likely(tmp_path, server(API, PAGES), name) == {}


@pytest.mark.parametrize("in_git", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_names_of_folders_above_say_nothing(
    in_git: bool, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tree says the same wherever it lies."""
    reports: list[str] = []
    for above in ("x/ollama-stream-sse", "y"):
        top = tmp_path / above
        for name in ("nginx.conf", "llm/conf.d/default.conf"):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(server(API, PAGES))
        if in_git:
            (top / ".git").mkdir()
        monkeypatch.chdir(top if relative else "/usr")
        done = run_here("--format", "json", "." if relative else top)
        assert done.returncode == 1  # llm/ is part of the tree
        report = json.loads(done.stdout)
        assert {
            one["file"].rpartition("conf.d")[1]
            for one in report["findings"]
            if one["stream"]["confidence"] != "possible"
        } == {"conf.d"}
        report["summary"].pop("seconds")
        reports.append(json.dumps(report).replace(str(top), "TOP"))
    assert reports[0] == reports[1]


def test_an_included_file_is_about_its_own_locations(tmp_path: Path) -> None:
    (tmp_path / "chatbot.conf").write_text(API)
    (tmp_path / "shop.conf").write_text("location /v1/ { proxy_pass http://shop:80; }")
    path = tmp_path / "site.conf"
    path.write_text("server { include chatbot.conf; include shop.conf; }")
    configuration = read(str(path))
    result, _ = find_proxied(configuration, build(configuration), OLD)
    confidences = {one.level.label: one.streams[0].confidence for one in result}
    assert confidences == {"location /api/": "likely", "location /v1/": "possible"}


def test_comments_at_the_top_and_above_the_server(tmp_path: Path) -> None:
    plain = server(API, PAGES)
    assert likely(tmp_path, f"# Proxy of the LLM service\nuser www;\nhttp {{ {plain} }}") != {}
    assert likely(tmp_path, f"user www;\nhttp {{\n# for chatbots\n{plain} }}") == {"/api/": "sse"}
    assert likely(tmp_path, plain.replace("{", "{ # LLM\n", 1)) == {"/api/": "sse"}
    assert likely(tmp_path, plain.replace(";", "; # LLM\n", 1)) == {}
    assert likely(tmp_path, f"# Proxy of the shop\n\n{plain}") == {}
    assert likely(tmp_path, f"user www; # LLM\nhttp {{ {plain} }}") == {}
    assert likely(tmp_path, f"# blocks user agents of ai crawlers\n{plain}") == {}


def test_the_names_of_logs(tmp_path: Path) -> None:
    log = "access_log /var/log/nginx/{}.access.log;"
    assert likely(tmp_path, server(log.format("chatbot"), API)) == {"/api/": "sse"}
    assert likely(tmp_path, server(log.format("shop"), API)) == {}


def test_the_same_word_counts_once(tmp_path: Path) -> None:
    text = "# assistant\n" + server(PAGES, name="assistant.example.com")
    assert likely(tmp_path, text, "assistant.conf") == {}
    assert likely(tmp_path, "# assistant\n" + server(PAGES, name="ai.example.com")) == {"/": "sse"}


def test_where_a_location_is_for_the_streams_the_others_are_not(tmp_path: Path) -> None:
    own = "location /api/stream { proxy_pass http://backend:8000; }"
    text = server(own, API, name="llm.example.com")
    assert likely(tmp_path, text) == {"/api/stream": "chunked"}
    elsewhere = own.replace("backend", "other")
    text = server(elsewhere, API, name="llm.example.com")
    assert set(likely(tmp_path, text)) == {"/api/stream", "/api/"}


def test_an_app_that_the_server_or_file_is_named_after(tmp_path: Path) -> None:
    assert likely(tmp_path, server(API, PAGES), "ollama.conf")["/api/"] == "chunked"
    one = found(tmp_path, server(API, name="ollama.example.com"))["/api/"].streams[0]
    assert one.because.startswith("it handles /api/generate (Ollama), and its server is called")
    mcp = "location /sse { proxy_pass http://backend:8000; }"
    assert likely(tmp_path, server(mcp, PAGES), "mcp.conf") == {"/sse": "sse"}
    assert likely(tmp_path, server(PAGES), "mcp.conf") == {"/": "sse"}
    # Another app is known to be there.
    other = API.replace("backend:8000", "flowise:3000")
    assert likely(tmp_path, server(other, name="grafana.example.com")) == {"/api/": "sse"}


def test_an_app_that_an_included_file_is_named_after(tmp_path: Path) -> None:
    included = tmp_path / "livekit.conf"
    included.write_text("location /livekit/ { proxy_pass http://127.0.0.1:7880/; }")
    text = "server { include livekit.conf; location / { proxy_pass http://pages:3000; } }"
    assert likely(tmp_path, text) == {}  # what is outside of the file is for something else
    included.write_text("location / { proxy_pass http://127.0.0.1:7880/; }")
    assert likely(tmp_path, "server { include livekit.conf; }") == {"/": "websocket"}
    included.write_text("location /livekit/ { proxy_pass http://127.0.0.1:7880/; }")
    text = text.replace("server {", "server { server_name livekit.example.com;")
    assert likely(tmp_path, text) == {"/": "websocket"}


def test_an_app_that_another_location_names(tmp_path: Path) -> None:
    def at(path: str, host: str) -> str:
        return f"location {path} {{ proxy_pass http://{host}; }}"

    console = at("/console/api", "dify-like:1")
    # By Dify's own path the other paths are Dify's, too, on whatever host.
    assert set(likely(tmp_path, server(console, at("/v1", "other:2")))) == {"/console/api", "/v1"}
    assert likely(tmp_path, server(at("/v1", "other:2"))) == {}
    # What takes everything is, where it is the same upstream.
    grafana = at("/api/live/", "g:3000")
    kernels = at("/api/kernels/", "k:8888")
    assert "/" in likely(tmp_path, server(kernels, at("/", "k:8888")))
    assert "/" not in likely(tmp_path, server(kernels, grafana, at("/", "web:80")))
    # An API that many apps serve says nothing of the rest.
    completions = at("/v1/chat/completions", "x:1")
    assert likely(tmp_path, server(completions, at("/", "x:1"))) == {"/v1/chat/completions": "sse"}


def test_buffering_off_around_a_location(tmp_path: Path) -> None:
    def text(more: str) -> str:
        inner = f"location /x/y {{ {more} proxy_pass http://a; }} location /x/health"
        return f"location /x {{ proxy_buffering off; {inner} {{ proxy_pass http://a; }} }}"

    assert likely(tmp_path, text("")) == {"/x/y": "chunked"}
    assert likely(tmp_path, text("proxy_buffering on;")) == {}
    assert likely(tmp_path, text("").replace("proxy_pass", "uwsgi_pass")) == {}


def test_buffering_off_for_a_server_or_more_says_nothing(tmp_path: Path) -> None:
    places = "location /x { proxy_pass http://a; } location /api/ { proxy_pass http://a; }"
    assert likely(tmp_path, f"proxy_buffering off; {places}") == {}
    assert likely(tmp_path, f"http {{ proxy_buffering off; server {{ {places} }} }}") == {}


def test_headers_for_the_server(tmp_path: Path) -> None:
    upgrade = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    places = "location / { proxy_pass http://a; } location /x { proxy_pass http://a; }"
    assert likely(tmp_path, f"{upgrade} {places}") == {"/": "websocket"}
    dropped = "location / { proxy_set_header Host $host; proxy_pass http://a; }"
    assert likely(tmp_path, f"{upgrade} {dropped}") == {}


def test_an_app_by_its_name_explains_a_nameless_stream(tmp_path: Path) -> None:
    upgrade = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"

    def heartbeat(name: str, path: str = "/", target: str = "http://10.0.0.1:3000") -> float | None:
        text = f"server_name {name}; location {path} {{ {upgrade} proxy_pass {target}; }}"
        (one,) = found(tmp_path, text).values()
        assert {stream.kind for stream in one.streams} == {"websocket"}
        return one.streams[0].heartbeat_s

    # By the server's name, and by a path of the app's name that becomes nobody knows what.
    assert heartbeat("grafana.example.com") == 25
    assert heartbeat("example.com", "/nicegui/", "http://app:8080/") == 4
    # Nobody knows whose it is, or not of all of its streams when it is silent.
    assert heartbeat("example.com") is None
    assert heartbeat("portainer.example.com") is None


def test_a_fix_does_not_make_less_known_of_a_stream(tmp_path: Path) -> None:
    def stream(more: str) -> tuple[str, float | None]:
        console = "location /console/api { proxy_pass http://a; }"
        api = f"location /api {{ {more} proxy_pass http://a; }}"
        streams = found(tmp_path, f"{console} {api}")["/api"].streams
        return streams[0].because, streams[0].heartbeat_s

    before = stream("")
    assert before[1] is not None
    # What the fix writes speaks for some stream, but the app's own is known already.
    assert stream("proxy_buffering off; proxy_read_timeout 300s;") == before


@pytest.mark.parametrize(("places", "streams"), [(5, {"/ws"}), (4, {"/ws", "/shop", "/a0"})])
def test_upgrade_in_what_most_places_include(
    places: int, streams: set[str], tmp_path: Path
) -> None:
    (tmp_path / "proxy.conf").write_text(
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        " proxy_read_timeout 600s;"
    )
    paths = ["/ws", "/shop", *(f"/a{number}" for number in range(places - 2))]
    text = "".join(
        f"location {one} {{ proxy_pass http://a; include proxy.conf; }}" for one in paths
    )
    assert set(likely(tmp_path, text)) >= streams
    # It is no reason to take them all for streams, nor for streams of another kind.
    if places == 5:
        assert likely(tmp_path, text) == {"/ws": "websocket"}


def test_what_stands_beside_an_app_is_not_the_app(tmp_path: Path) -> None:
    text = "location / { proxy_pass http://127.0.0.1:8000; }"
    assert likely(tmp_path, text, "gitlab.conf.erb") == {"/": "websocket"}
    assert likely(tmp_path, text, "nginx-gitlab-prod.conf") == {"/": "websocket"}
    assert likely(tmp_path, text, "gitlab-edge-configmap.conf") == {"/": "websocket"}
    assert likely(tmp_path, text, "nginx-gitlab-registry.conf") == {}
    assert likely(tmp_path, f"server_name gitlab-pages.example.com; {text}") == {}
    assert likely(tmp_path, f"server_name gitlab.example.com; {text}") == {"/": "websocket"}
