"""The harness sees on real nginx what is known of it: all streams of a version at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.waiting import leave, until

from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    fetch,
    free_ports,
    measure,
    measure_many,
    write_certificate,
)

pytestmark = pytest.mark.filterwarnings("error")

SECONDS = 300.0
ALWAYS = "streams streams streams"
NEVER = "stalls stalls stalls"
NOT_TLS = "streams stalls streams"  # a buffered answer that is passed piece by piece
CUT = "cut cut cut"
NONE = "no-stream no-stream no-stream"
CLIENTS = ("h1", "h1-tls", "h2")

HTTP = "proxy_pass http://127.0.0.1:{http};"
HTTP_1_0 = "proxy_http_version 1.0; " + HTTP
HTTP_1_1 = "proxy_http_version 1.1; " + HTTP
OFF = "proxy_buffering off; " + HTTP
UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; "
GZIP = "gzip on; gzip_types text/event-stream; "


@dataclass(frozen=True)
class Case:
    """A location, what is asked of it, and the verdicts for h1, h1-tls and h2."""

    name: str
    text: str
    old: str
    new: str = ""  # as old
    drip: Drip = field(default_factory=Drip)
    accept: str = "identity"
    websocket: bool = False
    needs: str = ""

    def verdicts(self, age: str) -> dict[str, str]:
        """Return client to verdict; clients that are not measured are left out."""
        wanted = (self.new if age == "new" else "") or self.old
        return {c: v for c, v in zip(CLIENTS, wanted.split(), strict=True) if v != "-"}

    def runs_on(self, binary: NginxBinary) -> bool:
        """Tell whether this nginx has what the case needs."""
        if self.needs == "http2 upstream":
            return binary.version >= (1, 29, 4)
        return binary.has(self.needs)


LENGTH, CLOSE = Drip(framing="length"), Drip(framing="close")
SAYS_NO, SAYS_YES = Drip(x_accel_buffering="no"), Drip(x_accel_buffering="yes")

CASES = [
    Case("bare", HTTP, NEVER, NOT_TLS),
    Case("off", OFF, ALWAYS),
    Case("http-1.0", HTTP_1_0, NEVER),
    Case("http-1.1", HTTP_1_1, NOT_TLS),
    Case("http-1.1-close", HTTP_1_1, NEVER, drip=CLOSE),
    Case("http-1.1-length", HTTP_1_1, NEVER, drip=LENGTH),
    Case("off-length", OFF, ALWAYS, drip=LENGTH),
    Case(
        "http-2",
        "proxy_http_version 2; proxy_pass http://127.0.0.1:{h2c};",
        NOT_TLS,
        needs="http2 upstream",
    ),
    Case("fastcgi", "fastcgi_pass 127.0.0.1:{fastcgi};", NEVER),
    Case("fastcgi-off", "fastcgi_buffering off; fastcgi_pass 127.0.0.1:{fastcgi};", ALWAYS),
    Case("fastcgi-keep", "fastcgi_keep_conn on; fastcgi_pass 127.0.0.1:{fastcgi};", NOT_TLS),
    Case("fastcgi-other", "proxy_buffering off; fastcgi_pass 127.0.0.1:{fastcgi};", NEVER),
    Case("scgi", "scgi_pass 127.0.0.1:{scgi};", NEVER),
    Case("scgi-off", "scgi_buffering off; scgi_pass 127.0.0.1:{scgi};", ALWAYS),
    Case("uwsgi", "uwsgi_pass 127.0.0.1:{uwsgi};", NEVER),
    Case("uwsgi-off", "uwsgi_buffering off; uwsgi_pass 127.0.0.1:{uwsgi};", ALWAYS),
    Case("grpc", "grpc_pass 127.0.0.1:{h2c};", ALWAYS, drip=Drip(type="application/grpc")),
    Case("gzip", GZIP + HTTP_1_1, NEVER, accept="gzip"),
    Case("gzip-not-accepted", GZIP + HTTP_1_1, NOT_TLS),
    Case("gzip-off", GZIP + OFF, ALWAYS, accept="gzip"),
    Case(
        "brotli",
        "brotli on; brotli_types text/event-stream; " + HTTP_1_1,
        NEVER,
        accept="br",
        needs="brotli",
    ),
    Case("x-accel-no", HTTP_1_0, ALWAYS, drip=SAYS_NO),
    Case("x-accel-yes", "proxy_buffering off; " + HTTP_1_0, NEVER, drip=SAYS_YES),
    Case(
        "x-accel-ignored",
        "proxy_ignore_headers X-Accel-Buffering; " + HTTP_1_0,
        NEVER,
        drip=SAYS_NO,
    ),
    Case("silence", "proxy_read_timeout 1s; " + OFF, CUT, drip=Drip(silence_after=(3, 2.0))),
    Case("silence-first", "proxy_read_timeout 1s; " + OFF, NONE, drip=Drip(silence_before=2.0)),
    Case("dies", OFF, CUT, drip=Drip(die_after=5)),
    Case("dies-by-reset", OFF, CUT, drip=Drip(die_after=5, die="reset")),
    Case("error", "return 503;", NONE),
    Case("websocket", UPGRADE + HTTP_1_1, "streams streams -", websocket=True),
    Case(
        "websocket-lost",
        HTTP_1_1,
        "no-stream no-stream -",
        drip=Drip(websocket=True),
        websocket=True,
    ),
]


def configuration(
    binary: NginxBinary,
    locations: Mapping[str, str],
    upstream: DrippingUpstream,
    plain: int,
    tls: int,
) -> str:
    """Return a configuration with these locations on a plain and on a TLS + HTTP/2 port."""
    new = binary.version >= (1, 25, 1)
    rows = [f"location = /{name} {{ {text} }}" for name, text in locations.items()]
    body = "\n".join(rows)
    for family, port in upstream.ports.items():
        body = body.replace("{" + family + "}", str(port))
    return f"""
    events {{ worker_connections 1024; }}
    http {{
      proxy_cache_path cache keys_zone=cache:1m;
      upstream kept {{ server 127.0.0.1:{upstream.ports["http"]}; keepalive 4; }}
      server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl{"" if new else " http2"};
        {"http2 on;" if new else ""}
        ssl_certificate certificate.pem; ssl_certificate_key key.pem;
        {body}
      }}
    }}
    """


def assert_gone(pid: int) -> None:
    """Fail where the process group of a stopped nginx still has a member."""
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


Results = dict[tuple[str, str], Measurement]


@pytest.fixture(scope="session")
def results_by_age() -> dict[str, Results]:
    """What has been measured; kept here because pytest goes back and forth between the ages."""
    return {}


@pytest.fixture
def measured(
    age: str,
    binary: NginxBinary,
    results_by_age: dict[str, Results],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """Every case on one nginx: (case, client) to its measurement."""
    if age not in results_by_age:
        results_by_age[age] = measure_all(age, binary, tmp_path_factory.mktemp("nginx"))
    return results_by_age[age]


def measure_all(age: str, binary: NginxBinary, folder: Path) -> Results:
    """All cases, side by side on one nginx."""
    write_certificate(folder)

    async def everything() -> Results:
        plain, tls = free_ports(2)
        cases = [case for case in CASES if case.runs_on(binary)]
        async with DrippingUpstream() as upstream:
            text = configuration(binary, {c.name: c.text for c in cases}, upstream, plain, tls)
            jobs = {
                (case.name, client): Job(
                    upstream,
                    plain if client == "h1" else tls,
                    f"/{case.name}",
                    client,
                    case.drip,
                    case.accept,
                    websocket=case.websocket,
                    expected=verdict,
                )
                for case in cases
                for client, verdict in case.verdicts(age).items()
            }
            async with Nginx(binary, text, folder) as nginx:
                pid = nginx.pid
                results = await measure_many(list(jobs.values()), at_once=32)
            assert_gone(pid)
            return dict(zip(jobs, results, strict=True))

    return asyncio.run(asyncio.wait_for(everything(), SECONDS))


# What only one of the two has.
ONLY = {"http2 upstream": ("new",), "brotli": ("old",)}


@pytest.mark.parametrize(
    ("case", "age"),
    [(case, age) for age in ("old", "new") for case in CASES if age in ONLY.get(case.needs, age)],
    ids=lambda value: getattr(value, "name", value),
    indirect=["age"],
)
def test_verdict(case: Case, age: str, binary: NginxBinary, measured: Results) -> None:
    assert case.runs_on(binary)
    got = {client: measured[case.name, client].verdict for client in case.verdicts(age)}
    assert got == case.verdicts(age)


def test_a_stream_comes_token_by_token_and_at_once(measured: Results) -> None:
    result = measured["off", "h1"]
    assert result.status == 200
    assert result.arrivals.ended == "complete"
    # By the app's clock, so that it does not matter how slow both are.
    assert len(result.bursts) > 5
    assert result.seen is not None
    emitted, first = result.seen.emitted, result.arrivals.times[0][1]
    assert emitted[0] <= first < emitted[5]


def test_a_stalled_answer_comes_in_one_burst_at_its_end(measured: Results) -> None:
    result = measured["http-1.0", "h1"]
    assert result.bursts == [20]
    assert result.seen is not None
    # By the app's clock: nothing came before its last token was out.
    assert result.arrivals.times[0][1] >= result.seen.emitted[-1]
    assert result.arrivals.bytes_read == 800


def test_gzip_and_brotli_are_decoded(binary: NginxBinary, measured: Results) -> None:
    assert measured["gzip", "h2"].arrivals.headers["content-encoding"] == "gzip"
    assert len(measured["gzip", "h2"].arrivals.times) == 20
    if binary.has("brotli"):
        assert measured["brotli", "h1-tls"].arrivals.headers["content-encoding"] == "br"


def test_what_ends_too_early_says_how(measured: Results) -> None:
    for client in CLIENTS:
        assert measured["silence", client].arrivals.ended == "cut"
        assert len(measured["silence", client].arrivals.times) == 3
        assert measured["silence-first", client].status == 504
        assert measured["error", client].status == 503
        assert measured["error", client].seen is None
    assert measured["websocket", "h1"].status == 101
    assert measured["websocket-lost", "h1"].status == 426


def test_grpc_ends_with_its_trailers(measured: Results) -> None:
    assert measured["grpc", "h2"].arrivals.trailers == {"grpc-status": "0"}
    assert measured["grpc", "h2"].arrivals.bytes_read == 20 * 45


def test_the_upstream_sees_what_nginx_sends(age: str, measured: Results) -> None:
    bare = measured["bare", "h1"].seen
    assert bare is not None
    assert bare.http_version == ("1.1" if age == "new" else "1.0")
    scgi = measured["scgi", "h1"].seen
    assert scgi is not None
    assert (scgi.family, scgi.headers["host"], scgi.finished) == ("scgi", "localhost", True)


def test_cache_keepalive_body_and_a_client_that_leaves(binary: NginxBinary, tmp_path: Path) -> None:
    locations = {
        "cached": "proxy_cache cache; proxy_cache_key $uri; proxy_cache_valid 200 1m; " + HTTP_1_1,
        "kept": 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://kept;',
        "off": OFF,
    }
    short = Drip(tokens=4, interval=0.02)

    async def everything() -> None:
        write_certificate(tmp_path)
        plain, tls = free_ports(2)
        async with DrippingUpstream() as upstream:
            text = configuration(binary, locations, upstream, plain, tls)
            async with Nginx(binary, text, tmp_path) as nginx:
                pid = nginx.pid
                await measure(upstream, plain, "/cached", "h1")
                replayed = await measure(upstream, plain, "/cached", "h1")
                assert (replayed.verdict, replayed.seen) == ("replays", None)
                assert replayed.bursts == [20]

                posted = [
                    await measure(upstream, plain, "/kept", "h1", short, method="POST", body=b"hi!")
                    for _ in range(2)
                ]
                seen = [one.seen for one in posted if one.seen]
                assert [one.body_length for one in seen] == [3, 3]
                assert seen[0].connection_number == seen[1].connection_number

                headers = [("X-Drip", "id=left&tokens=10000")]
                asking = asyncio.ensure_future(fetch(plain, "/off", "h1", headers=headers))
                await until(lambda: [one for one in upstream.find("left") if one.emitted])
                await leave(asking)
                await until(lambda: upstream.find("left")[0].client_gone)
                assert len(upstream.find("left")) == 1
            assert_gone(pid)

    asyncio.run(asyncio.wait_for(everything(), SECONDS))
