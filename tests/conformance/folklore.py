"""Measure common advice about nginx and streams on a real nginx: `make evidence`.

Each piece of advice is a few lines of configuration. They are measured with and without these
lines, and `docs/folklore.md` shows the results.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    find_nginx,
    free_ports,
    measure_many,
    write_certificate,
)
from tests.conformance.record import said

FILE = Path(__file__).with_name("folklore.json")
CHUNKED = Drip()
CLOSING = Drip(framing="close")
# Events as long as those of most model servers.
LONG = Drip(tokens=40, bytes=230)
# Three tokens, then a silence of three seconds, then three tokens.
SILENT = Drip(tokens=6, silence_after=(3, 3.0))


@dataclass(frozen=True)
class Case:
    """One situation in which a piece of advice is measured.

    `without` and `with_it` are directives of the location, `server` those of the server in both
    cases. `front` are directives of a second nginx in front, if there is one.
    """

    name: str
    without: str
    with_it: str
    client: str = "h1"
    drip: Drip = CHUNKED
    accept_encoding: str = "identity"
    front: str | None = None
    front_with: str | None = None


@dataclass(frozen=True)
class Advice:
    """A piece of common advice, the effect that people expect, and the explanation."""

    name: str
    advice: str
    hope: str
    matter: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Tried:
    """The results of one case by nginx version: without the advice and with it."""

    without: Mapping[str, str] = field(default_factory=dict)
    with_it: Mapping[str, str] = field(default_factory=dict)


PLAIN = "proxy_http_version 1.0;"
CHUNKS = "proxy_http_version 1.1;"
GZIP = "gzip on; gzip_types text/event-stream;"

ADVICES = (
    Advice(
        "chunked_transfer_encoding off",
        "chunked_transfer_encoding off;",
        "nginx stops collecting chunks and forwards bytes as they arrive.",
        "The directive only changes how nginx writes the response to the client, after all"
        " buffers. It removes the chunks, so the client cannot tell a truncated response from a"
        " complete one, and an nginx in front cannot see the pieces.",
        (
            Case(
                "plain HTTP/1.1 client, HTTP/1.0 to the app",
                PLAIN,
                "chunked_transfer_encoding off;",
            ),
            Case("HTTP/1.1 client over TLS", CHUNKS, "chunked_transfer_encoding off;", "h1-tls"),
            Case(
                "a second nginx in front, HTTP/1.1 to each other",
                CHUNKS,
                "chunked_transfer_encoding off;",
                front=CHUNKS,
            ),
        ),
    ),
    Advice(
        "An empty Connection header",
        'proxy_set_header Connection "";',
        "Without it, nginx asks the app to close the connection, so the stream is buffered.",
        "It keeps upstream connections open, which saves a handshake. Whether the response streams"
        " depends on the HTTP version to the app and on buffering.",
        (
            Case(
                "plain HTTP/1.1 client, HTTP/1.0 to the app",
                PLAIN,
                'proxy_set_header Connection "";',
            ),
            Case("HTTP/1.1 client over TLS", CHUNKS, 'proxy_set_header Connection "";', "h1-tls"),
        ),
    ),
    Advice(
        "X-Accel-Buffering set by nginx itself",
        "add_header X-Accel-Buffering no;",
        "nginx reads the header and stops buffering.",
        "nginx obeys this header only in the app's response. `add_header` sends it to the client,"
        " which only helps if another nginx is in front of this one. `proxy_set_header` sends it"
        " to the app, which ignores it.",
        (
            Case("add_header", PLAIN, "add_header X-Accel-Buffering no;"),
            Case("proxy_set_header", PLAIN, "proxy_set_header X-Accel-Buffering no;"),
            Case(
                "add_header, HTTP/1.1 client over TLS",
                CHUNKS,
                "add_header X-Accel-Buffering no;",
                "h1-tls",
            ),
            Case(
                "add_header in an nginx behind another one that buffers",
                "proxy_buffering off;",
                "add_header X-Accel-Buffering no;",
                front=PLAIN,
            ),
            Case("the app sends it", PLAIN, "", drip=Drip(x_accel_buffering="no")),
        ),
    ),
    Advice(
        "HTTP/1.1 alone",
        "proxy_http_version 1.1;",
        "With HTTP/1.1 to the app, streaming works.",
        "It works for some: nginx sees the chunks and forwards each. It does not work if the app"
        " closes the connection instead of chunking, if the client uses HTTP/1.1 over TLS, or if"
        " the response is compressed.",
        (
            Case("plain HTTP/1.1 client", PLAIN, CHUNKS),
            Case("HTTP/2 client", PLAIN, CHUNKS, "h2"),
            Case("HTTP/1.1 client over TLS", PLAIN, CHUNKS, "h1-tls"),
            Case("the app closes the connection instead of chunking", PLAIN, CHUNKS, drip=CLOSING),
            Case("client that accepts gzip", f"{PLAIN} {GZIP}", CHUNKS, accept_encoding="gzip"),
        ),
    ),
    Advice(
        "gzip off",
        "gzip off;",
        "Compression holds the stream.",
        "Compression is one of several things that hold a buffered stream, if it is on for the"
        " content type and the client accepts it. An unbuffered response passes through gzip piece"
        " by piece.",
        (
            Case(
                "client that accepts gzip", f"{CHUNKS} {GZIP}", "gzip off;", accept_encoding="gzip"
            ),
            Case(
                "the same over TLS with HTTP/1.1",
                f"{CHUNKS} {GZIP}",
                "gzip off;",
                "h1-tls",
                accept_encoding="gzip",
            ),
            Case("HTTP/1.0 to the app", PLAIN, "gzip off;"),
            Case(
                "gzip on, and buffering off instead",
                f"{CHUNKS} {GZIP}",
                "proxy_buffering off;",
                accept_encoding="gzip",
            ),
        ),
    ),
    Advice(
        "tcp_nopush and tcp_nodelay",
        "tcp_nopush off; tcp_nodelay on;",
        "The kernel stops collecting small packets.",
        "`tcp_nopush` works together with `sendfile`. nginx uses that for a proxied response only"
        " while it records it (a cache, `proxy_store`) and sends it without TLS: then the text"
        " waits"
        " for `postpone_output` bytes, and with `tcp_nopush on` for up to 0.2 s more in the kernel."
        " `tcp_nodelay` is on by default. With buffering off, nginx records nothing, so none of"
        " this applies. (The rows about recorded responses measure the setting that they name, not"
        " the advice.)",
        (
            Case("HTTP/1.0 to the app", f"{PLAIN} tcp_nopush on;", "tcp_nopush off;"),
            Case(
                "HTTP/1.1 client over TLS", f"{CHUNKS} tcp_nopush on;", "tcp_nopush off;", "h1-tls"
            ),
            Case("tcp_nopush on where it streams", CHUNKS, "sendfile on; tcp_nopush on;"),
            Case("HTTP/1.0 to the app, tcp_nodelay", PLAIN, "tcp_nodelay on;"),
            Case(
                "a recorded response, sendfile on",
                f"{CHUNKS} proxy_store on;",
                "sendfile on;",
            ),
            Case(
                "the same with longer events, tcp_nopush on",
                f"{CHUNKS} proxy_store on; sendfile on;",
                "tcp_nopush on;",
                drip=LONG,
            ),
            Case(
                "the same, buffering off",
                f"{CHUNKS} proxy_store on; sendfile on; tcp_nopush on;",
                "proxy_buffering off;",
            ),
        ),
    ),
    Advice(
        "Timeouts of an hour",
        "proxy_read_timeout 1h; proxy_send_timeout 1h; send_timeout 1h; keepalive_timeout 1h;",
        "The stream stalls because a timeout is too short.",
        "No timeout holds a stream back. `proxy_read_timeout` cuts a stream if the app is silent"
        " for longer; the others do not affect a stream that the client reads. (The"
        " app is silent for 3 s here, and the timeout is 2 s.)",
        (
            Case(
                "a stream that stalls",
                PLAIN,
                "proxy_read_timeout 1h; proxy_send_timeout 1h; send_timeout 1h; keepalive_timeout"
                " 1h;",
            ),
            Case(
                "a silence longer than proxy_read_timeout, with 1h instead",
                f"{CHUNKS} proxy_buffering off; proxy_read_timeout 2s;",
                "proxy_read_timeout 1h;",
                drip=SILENT,
            ),
            Case(
                "the same silence, and 2s for all other timeouts",
                f"{CHUNKS} proxy_buffering off;",
                "proxy_send_timeout 2s; send_timeout 2s; keepalive_timeout 2s;"
                " proxy_connect_timeout 2s;",
                drip=SILENT,
            ),
        ),
    ),
    Advice(
        "Page rules at the CDN",
        "Cache Level: Bypass; Cache-Control: no-cache",
        "The CDN buffers, so a rule there, or a header for it, lets the stream through.",
        "No CDN was measured. An nginx with buffering and cache off takes its place: a proxy in"
        " front that forwards everything at once. It cannot forward what the nginx behind it"
        " holds. Send a request to that nginx directly before you change the CDN.",
        (
            Case(
                "nginx that buffers, behind a proxy that does not",
                PLAIN,
                "",
                front=CHUNKS,
                front_with="proxy_buffering off; proxy_cache off;",
            ),
            Case(
                "Cache-Control from nginx",
                PLAIN,
                'add_header Cache-Control "no-cache, no-transform";',
            ),
            Case(
                "nginx with buffering off, behind a proxy that does not buffer",
                PLAIN,
                "proxy_buffering off;",
                front=f"{CHUNKS} proxy_buffering off;",
            ),
        ),
    ),
    Advice(
        "Buffering off",
        "proxy_buffering off;",
        "nginx forwards data as it arrives.",
        "This advice works. It is sufficient for every client, whatever else is set.",
        tuple(
            Case(name, setting, "proxy_buffering off;", client, drip, encoding)
            for name, setting, client, drip, encoding in (
                ("HTTP/1.0 to the app", PLAIN, "h1", CHUNKED, "identity"),
                ("HTTP/1.1 client over TLS", CHUNKS, "h1-tls", CHUNKED, "identity"),
                ("HTTP/2 client", PLAIN, "h2", CHUNKED, "identity"),
                (
                    "the app closes the connection instead of chunking",
                    CHUNKS,
                    "h1",
                    CLOSING,
                    "identity",
                ),
                ("client that accepts gzip", f"{CHUNKS} {GZIP}", "h1", CHUNKED, "gzip"),
            )
        ),
    ),
)

_SERVER = """
    server {{
        listen 127.0.0.1:{port}{tls};
        {certificate}
        location / {{
            proxy_pass http://127.0.0.1:{to};
            {directives}
        }}
    }}"""


def _merged(without: str, more: str) -> str:
    """Directives, in which others replace those of the same name."""
    names = {one.split()[0] for one in more.split(";") if one.strip()} - {"proxy_set_header"}
    kept = [one for one in without.split(";") if one.strip() and one.split()[0] not in names]
    return "".join(f"{one.strip()}; " for one in kept) + more


async def measured_once(
    case: Case, with_it: bool, binary: NginxBinary, upstream: DrippingUpstream, folder: Path
) -> Measurement:
    """Measure a case without the advice, or with it, in a new folder."""
    folder.mkdir()
    write_certificate(folder)
    outer, inner = free_ports(2)
    tls = case.client != "h1"
    http2 = " http2" if binary.version < (1, 25, 1) else ""
    certificate = "ssl_certificate certificate.pem; ssl_certificate_key key.pem;"
    if not http2:
        certificate += " http2 on;"
    asked = {"tls": f" ssl{http2}" if tls else "", "certificate": certificate if tls else ""}
    plain = {"tls": "", "certificate": ""}
    directives = _merged(case.without, case.with_it) if with_it else case.without
    app = upstream.ports["http"]
    if case.front is None:
        servers = _SERVER.format(port=outer, to=app, directives=directives, **asked)
    else:
        front = case.front
        if with_it and case.front_with is not None:
            front = _merged(front, case.front_with)
        servers = _SERVER.format(port=outer, to=inner, directives=front, **asked)
        servers += _SERVER.format(port=inner, to=app, directives=directives, **plain)
    text = f"events {{}}\nhttp {{{servers}\n}}\n"
    async with Nginx(binary, text, folder):
        job = Job(
            upstream,
            outer,
            "/events",
            case.client,
            case.drip if with_it or not case.drip.x_accel_buffering else CHUNKED,
            accept_encoding=case.accept_encoding,
        )
        (result,) = await measure_many([job])
    return result


async def try_all(binaries: list[NginxBinary], folder: Path) -> list[list[Tried]]:
    """The results of each case of each advice, in the order of ADVICES."""
    gate = asyncio.Semaphore(4)

    async def one(case: Case, with_it: bool, binary: NginxBinary, name: str) -> str:
        async with gate:
            first, again = [
                await measured_once(case, with_it, binary, upstream, folder / f"{name}-{time}")
                for time in (1, 2)
            ]
        # A busy machine looks like a stall, so a result counts only if it was measured twice.
        assert first.verdict == again.verdict, (case, first, again)
        return said(again)

    async def tried(case: Case, name: str) -> Tried:
        found: dict[bool, dict[str, str]] = {False: {}, True: {}}
        for binary in binaries:
            version = ".".join(map(str, binary.version))
            for with_it in (False, True):
                found[with_it][version] = await one(
                    case, with_it, binary, f"{name}-{with_it}-{version}"
                )
        return Tried(found[False], found[True])

    async with DrippingUpstream() as upstream:
        return await asyncio.gather(
            *(
                asyncio.gather(
                    *(tried(case, f"{at}-{number}") for number, case in enumerate(advice.cases))
                )
                for at, advice in enumerate(ADVICES)
            )
        )


def made_of() -> str:
    """A digest of the cases: the recorded measurements are outdated if it changes."""
    return hashlib.sha256(repr([advice.cases for advice in ADVICES]).encode()).hexdigest()[:16]


def recorded() -> dict[str, dict[str, Tried]]:
    """The recorded results, by advice and case."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        advice.name: {name: Tried(**one) for name, one in document[advice.name].items()}
        for advice in ADVICES
    }


def main() -> None:
    found = sorted(find_nginx(), key=lambda one: one.version)
    assert {one.version >= NEW for one in found} == {True, False}, "both nginx are needed"
    with tempfile.TemporaryDirectory() as folder:
        tried = asyncio.run(try_all([found[0], found[-1]], Path(folder)))
    document: dict[str, object] = {
        advice.name: {case.name: asdict(one) for case, one in zip(advice.cases, cases, strict=True)}
        for advice, cases in zip(ADVICES, tried, strict=True)
    }
    document["made_of"] = made_of()
    text = json.dumps(document, indent=1, ensure_ascii=False)
    FILE.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
