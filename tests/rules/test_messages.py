"""A message is at most two short sentences, whatever it is about."""

from __future__ import annotations

import re

import pytest

from nginx_stream_lint import Options, Workspace, lint
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.shipped import shipped_rules

_MOST = 260
_FOLDER = "a-repository/with/many/folders/each/of-a-long-name/deploy/docker/templates/nginx"


def check(findings: list[Finding]) -> None:
    for one in findings:
        assert len(one.message) <= _MOST, one.message
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", one.message)
        assert len(sentences) <= 2, one.message
        assert not one.message.endswith("."), one.message


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("version", [OLD, NEW], ids=["old", "new"])
def test_messages_of_examples_are_short(rule: object, version: Version) -> None:
    name = f"{_FOLDER}/nginx.conf"
    for example in rule.examples:  # type: ignore[attr-defined]
        for text in filter(None, (example.bad, example.fixed, example.good)):
            options = Options(nginx_version=version, all_streams=True)
            check(lint(Workspace.in_memory({name: text}), [name], options).findings)


# All that holds something, for all kinds of clients, and set far away.
OUTER = """
gzip on; gzip_types *; brotli on; brotli_types *; body_filter_by_lua_file x.lua;
sub_filter x y; sub_filter_types *; proxy_buffering on; proxy_http_version 1.0;
proxy_set_header Connection close; proxy_read_timeout 30s; proxy_cache c; proxy_cache_valid 1m;
proxy_ignore_headers X-Accel-Buffering; proxy_limit_rate 10; limit_rate 10; tcp_nodelay off;
proxy_ignore_client_abort on; chunked_transfer_encoding off; proxy_request_buffering on;
proxy_next_upstream error timeout non_idempotent; add_header Cache-Control "public, max-age=3600";
add_header X-Accel-Buffering no; expires 1h; mirror /mirror;
"""
MAIN = f"""
events {{}}
http {{
    include {_FOLDER}/settings-of-all.conf;
    server {{
        listen 80;
        listen 443 ssl;
        listen 8443 ssl http2;
        location /v1/chat/completions {{ proxy_pass http://a.example:8000; MORE }}
        location /ws {{ # nginx-stream-lint: stream websocket
            proxy_pass http://a.example:8000; MORE }}
        location /g {{ # nginx-stream-lint: stream chunked client_streams=true
            proxy_pass http://a.example:8000; MORE }}
    }}
}}
"""


@pytest.mark.parametrize(
    "more",
    [
        "",
        "include /etc/nginx/a-file-that-is-not-in-the-repository/more-settings.conf;",
        "include ${A_FILE_OF_THE_TEMPLATE};",
        "${WHAT_THE_TEMPLATE_SETS}\n",
    ],
    ids=["known", "absent", "placeholder", "statement"],
)
def test_messages_about_everything_at_once_are_short(more: str) -> None:
    settings = f"{_FOLDER}/settings-of-all.conf"
    main = f"{_FOLDER}/nginx.conf.template"
    texts = {main: MAIN.replace(_FOLDER, ".").replace("MORE", more), settings: OUTER}
    found = lint(Workspace.in_memory(texts), [main], Options(nginx_version=OLD)).findings
    assert len({one.rule for one in found}) > 6
    check(found)


def test_of_several_rows_the_one_that_counts_is_named() -> None:
    rows = "proxy_set_header Host $host;\nproxy_set_header Connection upgrade;\n"
    text = (
        "server { include proxy.conf; location /events { # nginx-stream-lint: stream sse\n"
        "proxy_pass http://a.example:8000; } }"
    )
    workspace = Workspace.in_memory({"site.conf": text, "proxy.conf": rows})
    found = lint(workspace, ["site.conf"]).findings
    (message,) = (one.message for one in found if one.rule == "upstream-connection-header")
    assert "(set in proxy.conf:2)" in message
