"""What a read timeout is worth: what is known of the app's silences and heartbeats decides."""

from __future__ import annotations

import pytest

from nginx_stream_lint.analysis.rule_examples import lint_text
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.streams.catalogue import apps, every_endpoint

UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


def severity(path: str, timeout: str, more: str = "", target: str = "http://app:1") -> str | None:
    """What short-read-timeout says of a location; None where it is silent."""
    text = f"""server {{ location {path} {{
        {more} proxy_pass {target}; proxy_buffering off; proxy_http_version 1.1; {UPGRADE}
        {f"proxy_read_timeout {timeout};" if timeout else ""}
    }} }}"""
    rules = tuple(rule for rule in shipped_rules() if rule.name == "short-read-timeout")
    report = lint_text(text, rules, None)
    assert not report.problems
    return next((one.severity for one in report.findings), None)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]
)
def test_a_model_may_think_for_longer_than_a_minute(path: str) -> None:
    assert severity(path, "") == "error"
    assert severity(path, "60s") == "error"
    assert severity(path, "61s") == "warning"
    assert severity(path, "5m") is None


@pytest.mark.parametrize("target", ["http://ollama:11434", "http://vllm:8000", "http://litellm:1"])
def test_so_may_the_models_of_apps(target: str) -> None:
    assert severity("/v1/chat/completions", "", target=target) == "error"


@pytest.mark.parametrize("path", ["/events", "/api/stream", "/ws", "/notifications/sse"])
def test_of_others_nobody_knows(path: str) -> None:
    assert severity(path, "") == "warning"
    assert severity(path, "60s") == "warning"
    assert severity(path, "59s") == "error"
    assert severity(path, "5m") is None


@pytest.mark.parametrize(
    ("path", "target", "heartbeat"),
    [
        ("/socket.io/", "http://app:1", 25),
        ("/live/websocket", "http://app:1", 30),
        ("/cable", "http://app:1", 3),
        ("/api/kernels/", "http://app:1", 30),
        ("/api/live/", "http://app:1", 25),
        ("/api/websocket", "http://homeassistant:8123", 55),
        ("/ws/socket.io/", "http://open-webui:8080", 25),
        ("/socket.io/", "http://planka:1337", 25),
        ("/notifications/hub", "http://vaultwarden:80", 15),
        ("/rtc", "http://livekit:7880", 10),
        ("/realtime/v1/", "http://supabase:8000", 25),
        ("/generate_stream", "http://tgi:80", 15),
    ],
)
def test_a_heartbeat_within_the_timeout(path: str, target: str, heartbeat: int) -> None:
    assert severity(path, "", target=target) is None
    assert severity(path, f"{heartbeat + 1}s", target=target) is None
    assert severity(path, f"{heartbeat}s", target=target) == "error"


def test_ntfy_keeps_alive_every_45_seconds() -> None:
    assert severity("/", "", target="http://ntfy:80") is None


def test_what_users_say_wins() -> None:
    comment = "# nginx-stream-lint: stream heartbeat={}\n"
    assert severity("/v1/chat/completions", "", comment.format("10s")) is None
    assert severity("/socket.io/", "", comment.format("90s")) == "warning"


def test_figures_have_a_source() -> None:
    silent = [one for one in every_endpoint() if one.stream.silence_s is not None]
    assert silent
    for one in silent:
        assert one.stream.heartbeat_s is None
        assert (one.stream.silence_s or 0) > 60


def test_shared_figures_are_for_all_that_serve_the_path() -> None:
    by_app = {app.name: app for app in apps()}
    [socketio] = by_app["Socket.IO"].endpoints
    others = [
        endpoint.stream.heartbeat_s
        for app in apps()
        for endpoint in app.endpoints
        if endpoint.path == socketio.path
    ]
    assert len(others) > 5
    assert set(others) == {25}
