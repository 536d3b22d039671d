"""Servers that pass to servers of the same configuration: the way, and whose verdict it is.

tests/conformance/random_chains.py measures the verdicts on real nginx.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nginx_stream_lint import Workspace, explain
from nginx_stream_lint.report.explain_json import explain_json

STREAMS = "proxy_buffering off;"


def explained(text: str, url: str) -> dict[str, Any]:
    """The JSON for a URL; what is written stands in `http`."""
    workspace = Workspace.in_memory({"nginx.conf": f"events {{}}\nhttp {{\n{text}\n}}\n"})
    found: list[dict[str, Any]] = json.loads(explain_json(explain(workspace, "nginx.conf", [url])))
    return found[0]


def lines(one: dict[str, Any]) -> list[int]:
    return [tier["line"] for tier in one["tiers"]]


def verdict(one: dict[str, Any], framing: str = "chunked", accel: str = "absent") -> set[str]:
    return {
        each["verdict"]
        for each in one["deliveries"]
        if (each["framing"], each["x_accel_buffering"]) == (framing, accel)
    }


LISTENS = "listen 127.0.0.1:81; listen unix:/run/x.sock;"
INNER = f"server {{ {LISTENS} location / {{ %s proxy_pass http://a; }} }}"


@pytest.mark.parametrize(
    ("target", "extra"),
    [
        ("http://127.0.0.1:81", ""),
        ("http://localhost:81", ""),
        ("http://unix:/run/x.sock", ""),
        ("http://unix:/run/x.sock:/x", ""),
        ("http://up", "upstream up { server 127.0.0.1:81; }"),
        ("http://up/y", "upstream up { server unix:/run/x.sock; }"),
        ("http://$host:81", ""),
    ],
)
def test_a_server_of_the_same_configuration(target: str, extra: str) -> None:
    outer = f"server {{ listen 80; location / {{ {STREAMS} proxy_pass {target}; }} }}"
    one = explained(f"{INNER % ''}\n{outer}\n{extra}", "http://127.0.0.1/v1")
    assert lines(one) == [3, 4]
    assert [tier["verdict"] for tier in one["tiers"]] == ["stalls", "streams"]
    assert [tier["held_by"] for tier in one["tiers"]] == ["upstream-buffer", None]
    assert verdict(one) == {"stalls"}
    assert {each["held_by"] for each in one["deliveries"] if each["verdict"] == "stalls"} == {
        "tier"
    }
    assert one["location"]["line"] == 4
    streaming = explained(f"{INNER % STREAMS}\n{outer}\n{extra}", "http://127.0.0.1/v1")
    assert verdict(streaming) == {"streams"}


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:82", "http://10.0.0.1:81", "http://app:81", "https://127.0.0.1:81"],
)
def test_what_leaves_the_configuration(target: str) -> None:
    outer = f"server {{ listen 80; location / {{ {STREAMS} proxy_pass {target}; }} }}"
    one = explained(f"{INNER % ''}\n{outer}", "http://127.0.0.1/v1")
    assert lines(one) == [4]
    assert verdict(one) == {"streams"}


def test_host_and_path_decide_where_it_goes_on() -> None:
    text = """server { listen 80; location /a/ { proxy_pass http://127.0.0.1:81/b/; }
        location /c/ { proxy_pass http://127.0.0.1:81; proxy_set_header Host two; } }
        server { listen 81; server_name one; location /b/ { proxy_pass http://x; } }
        server { listen 81; server_name two;
        location /c/ { proxy_pass http://x; } }"""
    assert lines(explained(text, "/a/v1")) == [5, 3]
    assert lines(explained(text, "/c/v1")) == [7, 4]


def test_what_the_inner_one_sends_on_decides() -> None:
    """It ends X-Accel-Buffering, and without chunks the outer one holds."""
    new = "proxy_http_version 1.1;"
    outer = f"server {{ listen 80; location / {{ {new} proxy_pass http://127.0.0.1:81; }} }}"
    inner = explained(f"{INNER % new}\n{outer}", "http://127.0.0.1/v1")
    assert verdict(inner) == {"streams"}
    no_chunks = explained(
        f"{INNER % (new + 'chunked_transfer_encoding off;')}\n{outer}", "http://127.0.0.1/v1"
    )
    assert verdict(no_chunks) == {"stalls"}
    assert [tier["held_by"] for tier in no_chunks["tiers"]] == [None, "upstream-buffer"]
    assert verdict(no_chunks, accel="no") == {"stalls"}
    passed = f"{new} chunked_transfer_encoding off; proxy_pass_header X-Accel-Buffering;"
    assert verdict(explained(f"{INNER % passed}\n{outer}", "http://127.0.0.1/v1"), accel="no") == {
        "streams"
    }
    added = f"{new} chunked_transfer_encoding off; add_header X-Accel-Buffering no;"
    assert verdict(explained(f"{INNER % added}\n{outer}", "http://127.0.0.1/v1")) == {"streams"}


def test_the_shortest_silence_counts() -> None:
    rows = "proxy_read_timeout 9m; proxy_pass http://127.0.0.1:81;"
    outer = f"server {{ listen 80; location / {{ {rows} }} }}"
    one = explained(f"{INNER % 'proxy_read_timeout 7s;'}\n{outer}", "http://127.0.0.1/v1")
    assert one["read_timeout_s"] == 7


def test_the_worst_of_several_servers_counts() -> None:
    text = f"""upstream up {{ server 127.0.0.1:81; server 127.0.0.1:82; server 127.0.0.1:83 down; }}
        server {{ listen 80; location / {{ {STREAMS} proxy_pass http://up; }} }}
        server {{ listen 81; location / {{ {STREAMS} proxy_pass http://x; }} }}
        server {{ listen 82; location / {{ proxy_pass http://x; }} }}"""
    one = explained(text, "http://127.0.0.1/v1")
    assert lines(one) == [6, 4]
    assert verdict(one) == {"stalls"}


def test_circles_end() -> None:
    text = """server { listen 80; server_name a; location / { proxy_pass http://127.0.0.1:81; } }
        server { listen 81; location / { proxy_pass http://127.0.0.1:80; } }"""
    one = explained(text, "http://127.0.0.1/v1")
    assert lines(one) == [4, 3]
    assert any(
        "the request returns to location / (nginx.conf:3)" in step["why"] for step in one["via"]
    )
    growing = "server { listen 80; location / { proxy_pass http://127.0.0.1:80/x/; } }"
    assert len(explained(growing, "http://127.0.0.1/v1")["tiers"]) == 10


def test_tls_between_tiers_has_the_buffer_of_the_default_server() -> None:
    """nginx names no host in its handshake with another server, unless it is told to."""
    text = f"""ssl_certificate c; ssl_certificate_key k;
        server {{ listen 80; location / {{ {STREAMS} proxy_pass https://127.0.0.1:81;
        proxy_http_version 1.1; proxy_set_header Host two; }} }}
        server {{ listen 81 ssl; server_name one; ssl_buffer_size 64; }}
        server {{ listen 81 ssl; server_name two; location / {{
        proxy_http_version 1.1; proxy_pass http://x; }} }}"""
    assert verdict(explained(text, "http://127.0.0.1/v1")) == {"streams"}
    held = explained(text.replace("ssl_buffer_size 64;", ""), "http://127.0.0.1/v1")
    assert held["tiers"][0]["held_by"] == "tls-buffer"


UPGRADES = """proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade; proxy_read_timeout 1h;"""


@pytest.mark.parametrize(("rows", "said"), [(UPGRADES, "streams"), ("", "no-stream")])
def test_a_websocket_has_to_get_through_both(rows: str, said: str) -> None:
    outer = f"server {{ listen 80; location / {{ {UPGRADES} proxy_pass http://127.0.0.1:81; }} }}"
    one = explained(f"{INNER % rows}\n{outer}", "http://127.0.0.1/socket.io/")
    assert verdict(one) == {said}
    assert [tier["verdict"] for tier in one["tiers"]] == [said, said]
