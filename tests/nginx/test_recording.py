"""Which responses are recorded, and who gets them; random cases are in tests/conformance."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
from pathlib import Path

import pytest

from nginx_stream_lint import Options, Workspace, lint
from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.nginx.delivery import Delivery, Scenario
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Nginx,
    NginxBinary,
    free_ports,
    measure,
    write_certificate,
)
from nginx_stream_lint.probe.measure import STALLS

ZONES = "".join(
    f"{name}_cache_path cache-{name} keys_zone={name}:1m; "
    for name in ("proxy", "fastcgi", "uwsgi", "scgi")
)
ZONE = "proxy_cache proxy;"
CACHE = f"{ZONE} proxy_cache_valid 1h;"
# Rows of a location that passes on with `sendfile on`, the URL, what the first two requests get.
CASES: list[tuple[str, str, str]] = [
    ("", "/", "streams streams"),
    (CACHE, "/", "stalls replays"),
    (f"{CACHE} proxy_store off;", "/", "stalls replays"),
    (f"{CACHE} proxy_no_cache $arg_fresh;", "/?fresh=1", "streams streams"),
    (f"{CACHE} proxy_no_cache $arg_fresh;", "/", "stalls replays"),
    (f"{CACHE} proxy_no_cache $arg_fresh;", "/?fresh=0", "stalls replays"),
    (f"{CACHE} proxy_no_cache $arg_fresh;", "/?fresh=00", "streams streams"),
    (f"{CACHE} proxy_no_cache $never;", "/?fresh=1", "streams streams"),
    (f"{CACHE} proxy_no_cache $never;", "/", "stalls replays"),
    (f"{CACHE} set $no 1; proxy_no_cache $no;", "/", "streams streams"),
    (f"{CACHE} set $no $arg_x; proxy_no_cache $no;", "/", "stalls replays"),
    (f"{CACHE} proxy_no_cache $http_user_agent;", "/", "streams streams"),
    (f"{CACHE} proxy_no_cache $upstream_http_content_type;", "/", "streams streams"),
    (f"{CACHE} proxy_cache_bypass $upstream_http_content_type;", "/", "stalls replays"),
    (f"{CACHE} proxy_no_cache 1;", "/", "streams streams"),
    (f"{CACHE} proxy_cache_bypass $arg_fresh;", "/?fresh=1", "stalls stalls"),
    (f"{CACHE} proxy_cache_bypass $arg_fresh;", "/", "stalls replays"),
    (f"{CACHE} proxy_cache_bypass 1; proxy_cache_min_uses 3;", "/", "stalls stalls"),
    (f"{CACHE} set $no $request_id; proxy_no_cache 0 $no;", "/", "streams streams"),
    (f"{CACHE} set $no $request_id; proxy_cache_bypass $no;", "/", "stalls stalls"),
    (f"{CACHE} proxy_cache_key $request_id;", "/", "stalls stalls"),
    (f"{CACHE} set $k x$request_id; proxy_cache_key $uri$k;", "/", "stalls stalls"),
    (f"{CACHE} proxy_cache_key $each;", "/?fresh=1", "stalls stalls"),
    (f"{CACHE} proxy_cache_key $each;", "/", "stalls replays"),
    (f"{CACHE} proxy_cache_key $uri$remote_addr$http_user_agent;", "/", "stalls replays"),
    (f"{CACHE} proxy_cache_min_uses 2;", "/", "streams stalls"),
    (f"{CACHE} proxy_cache_min_uses 3;", "/", "streams streams"),
    (f"{CACHE} proxy_cache_min_uses 2; proxy_cache_key $request_id;", "/", "streams streams"),
    (
        "proxy_cache proxy; proxy_cache_valid 200 0; proxy_cache_valid any 1h;",
        "/",
        "streams streams",
    ),
    (
        "proxy_cache proxy; proxy_cache_valid any 1h; proxy_cache_valid 200 0;",
        "/",
        "stalls replays",
    ),
    ("proxy_cache proxy; proxy_cache_valid 404 0; proxy_cache_valid 1h;", "/", "stalls replays"),
    ("proxy_cache $arg_zone; proxy_cache_valid 1h;", "/?zone=proxy", "stalls replays"),
    ("proxy_cache $arg_zone; proxy_cache_valid 1h;", "/", "streams streams"),
    ("proxy_store on;", "/", "stalls stalls"),
    ("proxy_store on; proxy_buffering off;", "/", "streams streams"),
    (f"{CACHE} postpone_output 0;", "/", "streams replays"),
    (f"{CACHE} postpone_output 0; tcp_nopush on;", "/", "streams replays"),
    (f"{CACHE} tcp_nopush on;", "/", "stalls replays"),
    (f"{CACHE} sendfile off;", "/", "streams replays"),
    (f"{CACHE} ssi on;", "/", "stalls replays"),
    (f"{CACHE} ssi on; ssi_types text/event-stream;", "/", "streams replays"),
    (f"{CACHE} aio threads; directio 1;", "/", "stalls replays"),
]
DRIP = Drip(tokens=16)
AGENT = (("User-Agent", "curl/8"),)
HANDLER = "proxy_http_version 1.1; proxy_pass http://127.0.0.1:{port};"


def configuration(rows: str, handler: str, port: int) -> str:
    """A main file with one server that listens on a port."""
    return (
        f"events {{}} http {{ {ZONES} sendfile on; map $arg_fresh $never {{ default 0; 1 yes; }}"
        " map $arg_fresh $each { default $uri; 1 $request_id; }"
        f" server {{ listen 127.0.0.1:{port}; location / {{ {handler} {rows} }} }} }}"
    )


def explained(text: str, url: str, method: str = "GET") -> list[Delivery]:
    """What happens to each client in the usual scenario."""
    files = Workspace.in_memory({"nginx.conf": text})
    [one] = explain(files, "nginx.conf", [url], Options(nginx_version=(1, 31, 3)), method=method)
    return [
        each for each in one.deliveries if each.scenario == Scenario(client=each.scenario.client)
    ]


@pytest.mark.parametrize(("rows", "url", "verdicts"), CASES)
def test_what_is_recorded(rows: str, url: str, verdicts: str) -> None:
    """First and second request; tests/conformance measures random ones of the same kinds."""
    [one] = explained(configuration(rows, HANDLER.format(port=1), 80), url)
    assert f"{one.verdict} {one.repeat}" == verdicts
    if one.verdict == STALLS:
        assert (one.held_by, one.held_bytes) == ("file-buffer", 1460)
        assert one.first_text_s == (0.4 if "tcp_nopush" in rows else 0.2)


@pytest.mark.parametrize(
    ("rows", "method", "verdicts"),
    [
        (CACHE, "POST", "streams streams"),
        (f"{CACHE} proxy_cache_methods GET;", "POST", "streams streams"),
        (f"{CACHE} proxy_cache_methods POST;", "POST", "stalls replays"),
        (f"{CACHE} proxy_cache_methods POST;", "GET", "stalls replays"),
        (ZONE, "GET", "streams unknown"),
        (f"{ZONE} proxy_cache_valid 404 1h;", "GET", "streams unknown"),
        (
            f"{ZONE} proxy_ignore_headers Cache-Control Expires X-Accel-Expires;",
            "GET",
            "streams streams",
        ),
        (f"{CACHE} proxy_no_cache $upstream_http_set_cookie;", "GET", "streams unknown"),
        (f"{CACHE} proxy_cache_key $time_iso8601;", "GET", "stalls unknown"),
    ],
)
def test_methods_and_what_the_app_decides(rows: str, method: str, verdicts: str) -> None:
    [one] = explained(configuration(rows, HANDLER.format(port=1), 80), "/", method)
    assert f"{one.verdict} {one.repeat}" == verdicts


@pytest.mark.parametrize("family", ["fastcgi", "uwsgi", "scgi"])
def test_other_families(family: str) -> None:
    """They have caches and stores of their own, and no key unless one is set."""
    zone = f"{family}_cache {family}; {family}_cache_valid 1h;"
    for rows, repeat in (
        (zone, "replays"),
        (f"{zone} {family}_cache_key $request_id;", "stalls"),
        (f"{zone} {family}_no_cache $arg_x 1;", "stalls"),
        (f"proxy_cache proxy; proxy_cache_valid 1h; {family}_store on;", "stalls"),
    ):
        text = configuration(rows, f"{family}_pass 127.0.0.1:1;", 80)
        [one] = explained(text, "/")
        assert (one.verdict, one.repeat) == ("stalls", repeat), rows


@pytest.mark.parametrize(
    ("http", "server", "location", "repeat"),
    [
        (CACHE, "", "proxy_store off;", "replays"),
        (CACHE, "proxy_store on;", "", "stalls"),
        (CACHE, "proxy_store on;", "proxy_store off;", "streams"),
        ("proxy_store on;", CACHE, "", "replays"),
        ("proxy_store on;", CACHE, "proxy_cache off;", "streams"),
        ("proxy_store on;", "", "proxy_cache off;", "stalls"),
    ],
)
def test_what_is_on_nearer_switches_the_other_off(
    http: str, server: str, location: str, repeat: str
) -> None:
    text = (
        f"events {{}} http {{ {ZONES} sendfile on; {http} server {{ listen 80; {server}"
        f" location / {{ {HANDLER.format(port=1)} {location} }} }} }}"
    )
    assert [one.repeat for one in explained(text, "/")] == [repeat]


@pytest.mark.parametrize(
    ("listen", "held"),
    [
        ("listen 80;", {"h1": "file-buffer"}),
        ("listen 80; http2 on;", {"h1": "file-buffer", "h2": "file-buffer"}),
        (
            "listen 80; listen 443 ssl; http2 on;",
            {"h1": "file-buffer", "h1-tls": "tls-buffer", "h2": None},
        ),
    ],
)
def test_who_is_sent_files(listen: str, held: dict[str, str | None]) -> None:
    """Clients without TLS; HTTP/2 among them where no TLS is."""
    text = configuration("proxy_store on;", HANDLER.format(port=1), 80)
    text = text.replace("listen 127.0.0.1:80;", listen)
    found = explained(text, "/")
    assert {one.scenario.client: one.held_by for one in found} == held


async def _measured(binary: NginxBinary, folder: Path) -> list[str]:
    """What the first two requests of each case get from nginx, each in a server of its own."""
    ports = free_ports(len(CASES))
    async with DrippingUpstream() as upstream:
        parts = [
            configuration(rows, HANDLER.format(port=upstream.ports["http"]), port)
            for (rows, _, _), port in zip(CASES, ports, strict=True)
        ]
        head = parts[0][: parts[0].index("server {")]
        servers = "".join(text[len(head) : -2] for text in parts)
        text = f"{head}{servers}}}"
        async with Nginx(binary, text, folder):

            async def pair(number: int, attempt: int = 0) -> str:
                """What two requests get, under a path that nothing is recorded for."""
                path = CASES[number][1].replace("/", f"/{number}-{attempt}", 1)
                verdicts: list[str] = []
                for _ in range(2):
                    done = await measure(upstream, ports[number], path, "h1", DRIP, headers=AGENT)
                    verdicts.append(done.verdict)
                return " ".join(verdicts)

            found = list(await asyncio.gather(*map(pair, range(len(CASES)))))
            for number, (_, _, verdicts) in enumerate(CASES):
                for attempt in (1, 2):  # a busy machine looks like a stall: again, alone
                    if found[number] != verdicts:
                        found[number] = await pair(number, attempt)
    return found


def test_nginx_records_what_is_said(binary: NginxBinary, tmp_path: Path) -> None:
    """The same cases on a real nginx."""
    tmp_path.chmod(0o755)
    write_certificate(tmp_path)
    found = asyncio.run(_measured(binary, tmp_path))
    wrong = [(case, seen) for case, seen in zip(CASES, found, strict=True) if case[2] != seen]
    assert wrong == []


# Rows of a location, method and URL, and the status if nginx responds instead of the app.
NAMED_CACHES: list[tuple[str, str, str, int | None]] = [
    ("proxy_cache $arg_zone;", "GET", "/?zone=proxy", None),
    ("proxy_cache $arg_zone;", "GET", "/?zone=none", 500),
    ("proxy_cache $arg_zone;", "HEAD", "/?zone=none", 500),
    ("proxy_cache $arg_zone;", "POST", "/?zone=none", None),
    ("proxy_cache $arg_zone; proxy_cache_methods POST;", "POST", "/?zone=none", 500),
    ("proxy_cache $arg_zone;", "GET", "/?zone=off", None),
    ("proxy_cache $arg_zone;", "GET", "/", None),
    ("set $zone no; proxy_cache $zone$arg_x;", "GET", "/?x=ne", 500),
    ("set $zone pro; proxy_cache $zone$arg_x;", "GET", "/?x=xy", None),
    ("proxy_cache $arg_zone;", "GET", "/?zone=Proxy", 500),
    # The zone of another module.
    ("proxy_cache $arg_zone;", "GET", "/?zone=uwsgi", 500),
    ("proxy_cache $arg_zone; proxy_no_cache 1; proxy_buffering off;", "GET", "/?zone=none", 500),
    ("proxy_cache $arg_zone; error_page 500 =418 @no;", "GET", "/?zone=none", 418),
    # The cache is looked up before the target.
    ("proxy_cache $arg_zone; proxy_pass http://$arg_to:1;", "GET", "/?to=a&zone=none", 500),
    ("proxy_cache $arg_zone; proxy_pass http://$arg_to:1;", "GET", "/?to=a&zone=proxy", 502),
]


def _of_named_caches(ports: list[int], app: int) -> str:
    """A configuration with a server for each of these cases."""
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; location @no {{ return 418; }} location / {{ {rows}"
        f" {'' if 'proxy_pass' in rows else f'proxy_pass http://127.0.0.1:{app};'} }} }}"
        for (rows, *_), port in zip(NAMED_CACHES, ports, strict=True)
    )
    behind = f"server {{ listen 127.0.0.1:{app}; location / {{ return 204; }} }}"
    return f"events {{}} http {{ {ZONES} {servers} {behind} }}"


def test_a_cache_that_variables_name_has_to_exist(binary: NginxBinary, tmp_path: Path) -> None:
    *ports, app = free_ports(len(NAMED_CACHES) + 1)
    text = _of_named_caches(ports, app)
    expected = {case: case[3] for case in NAMED_CACHES}
    files = Workspace.in_memory({"nginx.conf": text})
    for case, port in zip(NAMED_CACHES, ports, strict=True):
        url = f"http://127.0.0.1:{port}{case[2]}"
        [one] = explain(files, "nginx.conf", [url], method=case[1])
        assert one.route.status == case[3], case
        assert (one.deliveries == []) == (case[3] is not None), case

    def status(case: tuple[str, str, str, int | None], port: int) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(case[1], case[2])
        found = connection.getresponse().status
        connection.close()
        return None if found == 204 else found

    async def measured() -> dict[tuple[str, str, str, int | None], int | None]:
        async with Nginx(binary, text, tmp_path):
            return {
                case: await asyncio.to_thread(status, case, port)
                for case, port in zip(NAMED_CACHES, ports, strict=True)
            }

    tmp_path.chmod(0o755)
    assert asyncio.run(measured()) == expected


@pytest.mark.parametrize("around", ["{}", "events {{}} http {{ include zones.conf; {} }}"])
def test_a_zone_that_is_out_of_sight_may_exist(around: str) -> None:
    rows = "set $zone other; proxy_cache $zone; proxy_cache_valid 1h;"
    server = f"server {{ listen 80; location / {{ {HANDLER.format(port=1)} {rows} }} }}"
    files = Workspace.in_memory({"nginx.conf": around.format(server)})
    [one] = explain(files, "nginx.conf", ["/"])
    assert one.route.status is None
    assert "replays" in {each.repeat for each in one.deliveries}


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (CACHE, "recorded-stream"),
        (f"{CACHE} proxy_cache_min_uses 3;", "recorded-stream"),
        (f"{CACHE} set $no $arg_fresh; proxy_no_cache $no;", "recorded-stream"),
        (f"{CACHE} proxy_no_cache $http_x_fresh $arg_fresh $cookie_id;", "recorded-stream"),
        (f"{CACHE} proxy_no_cache $http_user_agent;", None),
        (f"{CACHE} set $no 1; proxy_no_cache $no;", None),
        (f"{CACHE} proxy_cache_bypass 1; sendfile off;", None),
        (f"{CACHE} proxy_cache_key $request_id; sendfile off;", None),
        (f"{CACHE} proxy_cache_key $request_id;", "response-buffering"),
        (f"{ZONE} proxy_cache_valid 200 0; proxy_cache_valid any 1h;", None),
        # nginx responds with 500 and records nothing.
        ("proxy_cache $uri; proxy_cache_valid 1h; sendfile off;", None),
    ],
)
def test_what_the_rules_say_of_it(rows: str, rule: str | None) -> None:
    """An error, or nothing; a stream that the first request gets is none if later ones do not."""
    text = configuration(f"{rows} proxy_read_timeout 1h;", HANDLER.format(port=1), 80)
    text = text.replace("location / {", "location /events { # nginx-stream-lint: stream sse\n")
    result = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"])
    errors = [one.rule for one in result.findings if one.severity == "error"]
    assert errors == ([] if rule is None else [rule])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (f"{CACHE} sendfile off;", "streams; nginx replays a recording to the second request"),
        (
            f"{CACHE} proxy_cache_min_uses 2;",
            "streams; nginx replays a recording to later requests",
        ),
        (ZONE, "streams; nginx may replay a recording to the second request"),
        ("proxy_store on;", "the write buffer of recorded responses (sendfile) holds 1460 bytes"),
        (f"{CACHE} proxy_no_cache 1;", "HTTP/1.1: streams"),
    ],
)
def test_what_explain_says(rows: str, words: str, tmp_path: Path) -> None:
    """The text for people, as one line."""
    (tmp_path / "nginx.conf").write_text(configuration(rows, HANDLER.format(port=1), 80))
    command = [sys.executable, "-m", "nginx_stream_lint", "explain", "nginx.conf", "/"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True
    )
    assert words in " ".join(done.stdout.split())
