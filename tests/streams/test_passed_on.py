"""Streams that one server of a configuration passes to another one."""

from __future__ import annotations

from typing import Any

import pytest

from nginx_stream_lint import Options, Workspace, lint

OUTER = """server {
    listen 80;
    location /v1/chat/completions {
        proxy_pass %s;
        proxy_http_version 1.1;
        proxy_read_timeout 600s;
        %s
    }
}
"""
OFF = "proxy_buffering off;"


def found(text: str, **options: Any) -> list[tuple[str, str, int]]:
    """The findings about delivery and silence: rule, severity, line."""
    workspace = Workspace.in_memory({"nginx.conf": f"events {{}} http {{ {text} }}\n"})
    result = lint(workspace, ["nginx.conf"], options=Options(**options))
    assert not result.problems
    return [
        (one.rule, one.severity, one.location.place.line)
        for one in result.findings
        if one.rule in ("response-buffering", "short-read-timeout")
    ]


def inner(rows: str, listen: str = "127.0.0.1:81") -> str:
    return f"server {{ listen {listen}; location / {{ proxy_pass http://app:8000; {rows} }} }}"


@pytest.mark.parametrize(
    ("target", "listen"),
    [
        ("http://127.0.0.1:81", "127.0.0.1:81"),
        ("http://localhost:81", "81"),
        ("http://unix:/run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_the_place_that_a_stream_is_passed_to_is_judged(target: str, listen: str) -> None:
    text = f"{OUTER % (target, OFF)}{inner('', listen)}"
    assert found(text) == [("response-buffering", "error", 10), ("short-read-timeout", "error", 10)]


def test_what_lets_it_through_twice_has_no_finding() -> None:
    rows = f"{OFF} proxy_http_version 1.1; proxy_read_timeout 600s;"
    assert found(f"{OUTER % ('http://127.0.0.1:81', OFF)}{inner(rows)}") == []


def test_what_leaves_the_configuration_says_nothing_of_its_servers() -> None:
    assert found(f"{OUTER % ('http://127.0.0.1:82', OFF)}{inner('')}") == []


def test_the_message_names_both_places() -> None:
    text = f"events {{}} http {{ {OUTER % ('http://127.0.0.1:81', OFF)}{inner('')} }}\n"
    result = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"], options=Options())
    said = {one.stream.because for one in result.findings if one.stream is not None}
    assert any("location /v1/chat/completions (nginx.conf:3) forwards its requests here" in because
               for because in said)  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "stalls"),
    [
        ("proxy_http_version 1.1;", False),
        ("proxy_http_version 1.1; chunked_transfer_encoding off;", True),
        ("proxy_http_version 1.1; chunked_transfer_encoding off; add_header X-Accel-Buffering no;",
         False),
    ],
)  # fmt: skip
def test_what_the_inner_server_sends_decides_for_the_outer_one(rows: str, stalls: bool) -> None:
    rows += f" {OFF} proxy_read_timeout 600s;"
    text = f"{OUTER % ('http://127.0.0.1:81', '')}{inner(rows)}"
    assert ("response-buffering", "error", 3) in found(text) or not stalls
    assert stalls or ("response-buffering", "error", 3) not in found(text)


def test_three_servers_and_circles() -> None:
    middle = f"server {{ listen 81; location / {{ {OFF} proxy_pass http://127.0.0.1:82; }} }}"
    text = f"{OUTER % ('http://127.0.0.1:81', OFF)}{middle}{inner('', '82')}"
    assert ("response-buffering", "error", 10) in found(text)
    circle = f"server {{ listen 81; location / {{ {OFF} proxy_pass http://127.0.0.1:81; }} }}"
    assert found(f"{OUTER % ('http://127.0.0.1:81', OFF)}{circle}")
