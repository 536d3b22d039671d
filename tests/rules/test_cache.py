"""Locations with equal keys are judged once: that gives what judging each of them gives."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import (
    Options,
    Result,
    detect_streams,
    judge_places,
    lint,
    read,
    with_fixes,
)
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules import verdict_cache
from nginx_stream_lint.rules.cache import LocationCache
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules, shipped_rules
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import KINDS, Kind, Stream

# What rules of other people may ask: the place itself, and where a value comes from.
OWN_RULES = {
    "asks-level": "message: It is {{ level }}",
    "asks-target": "message: It goes to {{ target }}",
    "asks-prefix": "message: The path is {{ prefix }}",
    "asks-directive": "when: {proxy_redirect: {is_set: true}}\n"
    'message: It is {{ value("proxy_redirect") }} ({{ origin("proxy_redirect") }})',
    "compares-origin": """message: '{% if "7" in origin("proxy_read_timeout") %}Yes{% endif %}'""",
}

# Directives with values that matter to some rule, by the levels that they may stand at.
EVERYWHERE = [
    "proxy_buffering on;",
    "proxy_buffering off;",
    "uwsgi_buffering off;",
    "fastcgi_buffering off;",
    "proxy_cache zone;",
    "proxy_cache_valid 200 10m;",
    "proxy_no_cache 1;",
    "proxy_no_cache $arg_fresh;",
    "proxy_no_cache $no;",
    "proxy_cache_key $uri$no;",
    "set $no $request_id;",
    "sendfile on;",
    "keepalive_timeout 20s;",
    "proxy_store on;",
    "proxy_ignore_headers X-Accel-Buffering;",
    "proxy_ignore_client_abort on;",
    "proxy_http_version 1.1;",
    "proxy_http_version 1.0;",
    "proxy_read_timeout 30s;",
    "proxy_read_timeout 90s;",
    "proxy_read_timeout 1h;",
    "proxy_read_timeout $how_long;",
    'proxy_set_header Connection "";',
    "proxy_set_header Connection upgrade;",
    "proxy_set_header Connection $connection_upgrade;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Host $host;",
    "proxy_set_header Host other;",
    "proxy_set_header X-Forwarded-Prefix /one;",
    "proxy_set_header X-Other two;",
    "proxy_set_header X-Accel-Buffering no;",
    "proxy_next_upstream error non_idempotent;",
    "proxy_redirect off;",
    "proxy_limit_rate 2k;",
    "limit_rate 1k;",
    "add_header X-Accel-Buffering no;",
    "add_header Cache-Control public;",
    "add_header X-Other three;",
    "add_header Cache-Control no-store;",
    "add_header_inherit merge;",
    "add_header_inherit off;",
    "expires 1h;",
    "chunked_transfer_encoding off;",
    "tcp_nodelay off;",
    "gzip on;",
    "gzip_types text/event-stream;",
    "postpone_output 0;",
    "ssl_buffer_size 4k;",
    "auth_request /auth;",
    "mirror /mirror;",
    "mirror_request_body off;",
    "include missing.conf;",
    "include ${SNIPPETS}/*.conf;",
    "{% if slow %}proxy_read_timeout 20s;{% endif %}",
    "{% if slow %}proxy_buffering off;{% else %}proxy_buffering on;{% endif %}",
    "{% if headers %}add_header X-Accel-Buffering no;{% endif %}",
    "proxy_buffering {{ buffering }};",
    "proxy_read_timeout {{ patience }};",
    "include {{ snippet }};",
    "{{ more }}",
]
# These matter where something else has a part in it.
EVERYWHERE += 3 * [
    "proxy_http_version 1.1;",
    "proxy_next_upstream error non_idempotent;",
    "auth_request /auth;",
    "mirror /mirror;",
]
SERVER = [
    "listen 80;",
    "listen 443 ssl;",
    "listen 443 ssl http2;",
    "listen 443 quic;",
    "listen 80 http2;",
    "http2 on;",
    "keepalive_timeout 30s;",
    "server_name one.example.com;",
    "server_name two.example.com;",
]
PASSES = [
    "proxy_pass http://one;",
    "proxy_pass http://two;",
    "proxy_pass http://10.0.0.1:80;",
    "proxy_pass http://10.0.0.2:80;",
    "proxy_pass http://app.example.com;",
    "fastcgi_pass 10.0.0.1:9000;",
    "uwsgi_pass one;",
    "grpc_pass grpc://10.0.0.1:50051;",
    "proxy_pass http://{{ app }};",
    "{% if tls %}proxy_pass https://one;{% else %}proxy_pass http://one;{% endif %}",
    "include missing.conf;",
    "",
]
INSIDE = [
    "",
    "if ($http_upgrade) { proxy_buffering off; }",
    "if ($bot) { proxy_pass http://two; limit_rate 1k; }",
    "if ($bot) { proxy_pass http://two; } limit_except GET { proxy_pass http://two; }",
    "limit_except GET { proxy_pass http://two; limit_rate 1k; }",
    "location /events/deep { proxy_pass http://one; }",
]
PATHS = ["/v1/chat/completions", "/v1/completions", "/events", "/ws", "/users"]
UPSTREAMS = (
    "upstream one { server 10.0.0.1:80; keepalive 8; }",
    "upstream two { server 10.0.0.1:80; server 10.0.0.2:80; }",
)
TARGETS = [
    "location ~ ^/v1/ { proxy_pass http://one; }",
    "location = /auth { internal; proxy_pass http://one; }",
    "location = /auth { proxy_pass http://one; proxy_pass_request_headers off; }",
    "location = /mirror { proxy_pass http://two; }",
    "location = /mirror { return 204; }",
]


def _rules(folder: Path) -> Path:
    for name, said in OWN_RULES.items():
        (folder / f"{name}.yaml").write_text(
            f"name: {name}\ntitle: T\n{said}\nseverity: [warning]\nwhy: W\nevidence: E\n"
            'examples:\n  - good: "events {}"\n'
        )
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    shipped = load_rules(builtin_folder())
    own = load_rules(_rules(tmp_path_factory.mktemp("rules")))
    return Options(rules=(*shipped, *own))


def _some(rows: Sequence[str], most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(rows), max_size=most, unique=True).map("\n".join)


# What a server with a location is made of.
PARTS = {
    "server": _some(SERVER, 3),
    "outer": _some(EVERYWHERE, 3),
    "targets": _some(TARGETS, 2),
    "path": st.sampled_from(PATHS),
    "pass": st.sampled_from(PASSES),
    "inner": _some(EVERYWHERE, 4),
    "inside": st.sampled_from(INSIDE),
}


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A configuration with servers that are the same but for one thing, or for nothing."""
    first = {name: draw(part) for name, part in PARTS.items()}
    servers = [first, first, *(first | {name: draw(part)} for name, part in PARTS.items())]
    for name in ("outer", "inner", "inner", "inner"):
        servers.append(first | {name: f"{first[name]}\n{draw(st.sampled_from(EVERYWHERE))}"})
    blocks = [
        f"server {{\n{one['server']}\n{one['outer']}\n{one['targets']}\n"
        f"location {one['path']} {{\n{one['pass']}\n{one['inner']}\n{one['inside']}\n}}\n}}"
        for one in servers
    ]
    if draw(st.integers(0, 2)) == 0:
        return "\n".join(blocks)  # a fragment
    main = draw(st.sampled_from(["", "worker_shutdown_timeout 10s;", "tcp_nodelay off;"]))
    events = draw(st.sampled_from(["", "worker_connections 100;"]))
    stream = draw(st.sampled_from(["", "server { listen 1; proxy_pass one:1; }"]))
    http = "\n".join([draw(_some(EVERYWHERE, 2)), *UPSTREAMS, *blocks])
    return f"{main}\nevents {{ {events} }}\nstream {{ {stream} }}\nhttp {{\n{http}\n}}\n"


def _served(text: str, options: Options) -> list[ProxiedLocation]:
    name = "nginx.conf.j2"
    [configuration] = read(Workspace.in_memory({name: text}), [name], options.input_options)
    found, _ = detect_streams(configuration, build(configuration), options)
    return found


def findings(found: list[ProxiedLocation], options: Options) -> list[Finding]:
    judged = judge_places(found, options)
    return with_fixes([one.finding for one in judged], judged, [])[0]


def _one_by_one(found: list[ProxiedLocation], options: Options) -> list[Finding]:
    def itself(_: LocationCache[object], proxied: ProxiedLocation) -> Hashable:
        return proxied

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocationCache, "key", itself)
        return findings(found, options)


@given(
    text=configurations(),
    own=st.sampled_from(["", "asks", "compares"]),
    all_streams=st.booleans(),
    version=st.sampled_from([None, (1, 22, 0), (1, 31, 0)]),
    kind=st.sampled_from([None, *KINDS]),
    firsts=st.sampled_from([None, None, *KINDS]),
    heartbeat=st.sampled_from([None, 10.0, 40.0]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_places_that_are_alike_get_what_each_of_them_would_get(
    options: Options,
    text: str,
    own: str,
    all_streams: bool,
    version: Version | None,
    kind: Kind | None,
    firsts: Kind | None,
    heartbeat: float | None,
) -> None:
    left_out = {name for name in OWN_RULES if not own or not name.startswith(own)}
    rules = tuple(rule for rule in options.rules if rule.name not in left_out)
    options = replace(options, rules=rules, all_streams=all_streams, nginx_version=version)
    found = _served(text, options)
    for at, one in enumerate(found):
        # Streams that no path is known for; why they are thought to be there changes nothing.
        other = firsts if at == 0 and firsts is not None else kind
        if other is not None:
            stream = Stream(other, "known", f"it is the {at}th", heartbeat_s=heartbeat)
            found[at] = replace(one, streams=(*one.streams, stream))
    assert findings(found, options) == _one_by_one(found, options)


@pytest.mark.parametrize(
    "more",
    [
        "proxy_pass http://10.0.0.{0};",
        "proxy_pass http://{{{{ app{0} }}}};",
        "proxy_pass http://one; {{% if buffers{0} %}} proxy_buffering on; {{% endif %}}",
        "proxy_pass http://one; include missing{0}.conf;",
    ],
)
def test_what_is_alike_is_judged_once(
    more: str, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody asks for what only a place has."""
    shipped = replace(options, rules=load_rules(builtin_folder()))
    judged: list[ProxiedLocation] = []

    def counted(proxied: ProxiedLocation, *rest: object) -> object:
        judged.append(proxied)
        return verdicts(proxied, *rest)  # type: ignore[arg-type]

    verdicts = verdict_cache.verdicts
    monkeypatch.setattr(verdict_cache, "verdicts", counted)
    server = (
        "server {{ listen {0}; server_name s{0}; proxy_read_timeout 60s;"
        f" location /v1/x{{0}}/chat/completions {{{{ {more} root /{{0}}; }}}} }}}}"
    )
    servers = "\n".join(server.format(number) for number in range(1, 100))
    found = _served(f"events {{}}\nhttp {{ {servers} }}", shipped)
    assert len(findings(found, shipped)) > 99
    assert len(judged) < 10


CHAT = "location /v1/chat/completions {{ proxy_pass http://one; {} }}\n"
AUTH = CHAT.format("auth_request /auth;")
MIRROR = CHAT.format("mirror /mirror;")
# Two servers that differ in what the rules say of them, each for a reason of its own.
PAIRS = {
    "value": (CHAT.format("proxy_read_timeout 30s;"), CHAT.format("proxy_read_timeout 1h;")),
    "mirror": (MIRROR + TARGETS[3], MIRROR + TARGETS[4]),
    "auth": (AUTH + TARGETS[1], AUTH + TARGETS[2]),
    "auth name": (AUTH + TARGETS[1], AUTH + "location /auth { internal; proxy_pass http://one; }"),
    "inherit": tuple(
        f"add_header Cache-Control public; add_header_inherit {how};"
        + CHAT.format("add_header X-Other a;")
        for how in ("merge", "on")
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_that_differ_in_one_thing(name: str, options: Options) -> None:
    shipped = replace(options, rules=load_rules(builtin_folder()), nginx_version=(1, 31, 0))
    servers = "\n".join(f"server {{ {body} }}" for body in PAIRS[name])
    found = _served(f"events {{}}\nhttp {{ {UPSTREAMS[0]}\n{servers} }}", shipped)
    assert findings(found, shipped) == _one_by_one(found, shipped)


def test_configurations_of_one_run_are_judged_as_if_each_were_alone() -> None:
    """They share what was judged, though each has a root of its own."""
    texts = {
        f"{rule.name}/{number}/nginx.conf": f"events {{ {more} }}\nhttp {{\n{text}\n}}\n"
        for rule in shipped_rules()
        for number, (text, more) in enumerate(
            (text, more)
            for example in rule.examples
            for text in (example.bad, example.good)
            if text is not None
            for more in ("", "worker_connections 64;")
        )
    }

    def told(result: Result) -> list[tuple[object, ...]]:
        return sorted(
            (one.place.source.name, one.place.start, one.rule, one.severity, one.message)
            for one in result.findings
        )

    together = told(lint(Workspace.in_memory(texts)))
    alone = [
        one for name, text in texts.items() for one in told(lint(Workspace.in_memory({name: text})))
    ]
    assert len(alone) > len(texts) / 2
    assert together == sorted(alone)
