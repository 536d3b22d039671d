"""Upstream and clients against each other, without nginx between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable

import pytest
from tests.waiting import leave, until

from nginx_stream_lint.probe import Drip, DrippingUpstream, fetch, measure

pytestmark = pytest.mark.filterwarnings("error")

SECONDS = 120.0
SHORT = Drip(tokens=5, interval=0.02)


def with_upstream(test: Callable[[DrippingUpstream], Awaitable[None]]) -> None:
    """Run a test beside an upstream; nothing may take longer than SECONDS."""

    async def run() -> None:
        async with DrippingUpstream() as upstream:
            await test(upstream)

    asyncio.run(asyncio.wait_for(run(), SECONDS))


async def ask(port: int, request: str) -> str:
    """Send a request as text and read until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.replace("\n", "\r\n").encode())
        return (await asyncio.wait_for(reader.read(-1), SECONDS)).decode()
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("client", ["h1", "h2c"])
@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_it_streams_in_every_framing(client: str, framing: str) -> None:
    drip = Drip(framing=framing, x_accel_buffering="no", headers=(("X-More", "1"),))

    async def test(upstream: DrippingUpstream) -> None:
        port = upstream.ports["http" if client == "h1" else "h2c"]
        result = await measure(upstream, port, "/x?y", client, drip)
        assert result.verdict == "streams"
        assert [number for number, _ in result.arrivals.times] == list(range(1, 21))
        headers = result.arrivals.headers
        assert headers["content-type"] == "text/event-stream"
        assert (headers["x-accel-buffering"], headers["x-more"]) == ("no", "1")
        assert headers.get("content-length") == ("800" if framing == "length" else None)
        assert result.seen is not None
        assert (result.seen.method, result.seen.uri) == ("GET", "/x?y")
        assert result.seen.finished

    with_upstream(test)


def test_http_1_0_is_never_chunked_and_closes() -> None:
    async def test(upstream: DrippingUpstream) -> None:
        request = f"GET / HTTP/1.0\nX-Drip: {SHORT.encode()}\n\n"
        answer = await ask(upstream.ports["http"], request)
        assert "chunked" not in answer
        assert answer.count("data: ") == 5
        assert answer.endswith("\n\n")

    with_upstream(test)


def test_http_1_1_keeps_the_connection_until_told() -> None:
    drip = SHORT.encode()
    again = f"GET / HTTP/1.1\nHost: a\nX-Drip: {drip}\n\n"
    last = f"GET / HTTP/1.1\nHost: a\nConnection: close\nX-Drip: {drip}\n\n"

    async def test(upstream: DrippingUpstream) -> None:
        answer = await ask(upstream.ports["http"], again + last)
        assert answer.count("data: ") == 10
        assert [one.connection_number for one in upstream.seen] == [1, 1]

    with_upstream(test)


def test_request_bodies_are_read() -> None:
    chunked = (
        f"POST / HTTP/1.1\nTransfer-Encoding: chunked\nX-Drip: {SHORT.encode()}\n"
        "Connection: close\n\n3\nabc\n2\nde\n0\n\n"
    )

    async def test(upstream: DrippingUpstream) -> None:
        await ask(upstream.ports["http"], chunked)
        ports = upstream.ports
        await measure(upstream, ports["http"], "/", "h1", SHORT, method="POST", body=b"1234")
        await measure(upstream, ports["h2c"], "/", "h2c", SHORT, method="POST", body=bytes(100_000))
        assert [one.body_length for one in upstream.seen] == [5, 4, 100_000]

    with_upstream(test)


@pytest.mark.parametrize("die", ["close", "reset"])
@pytest.mark.parametrize("client", ["h1", "h2c"])
def test_dying_cuts(client: str, die: str) -> None:
    drip = Drip(tokens=5, interval=0.02, die_after=3, die=die)

    async def test(upstream: DrippingUpstream) -> None:
        port = upstream.ports["http" if client == "h1" else "h2c"]
        result = await measure(upstream, port, "/", client, drip)
        assert (result.verdict, result.arrivals.ended) == ("cut", "cut")
        assert result.seen is not None
        assert len(result.seen.emitted) == 3
        assert not result.seen.finished

    with_upstream(test)


def test_dying_at_once_gives_no_headers() -> None:
    async def test(upstream: DrippingUpstream) -> None:
        result = await measure(upstream, upstream.ports["http"], "/", "h1", Drip(die_after=0))
        assert (result.verdict, result.status) == ("no-stream", 0)

    with_upstream(test)


def test_an_answer_that_just_closes_early_is_cut_though_the_client_cannot_tell() -> None:
    drip = Drip(tokens=5, interval=0.02, die_after=3, framing="close")

    async def test(upstream: DrippingUpstream) -> None:
        result = await measure(upstream, upstream.ports["http"], "/", "h1", drip)
        assert (result.verdict, result.arrivals.ended) == ("cut", "complete")

    with_upstream(test)


def test_a_client_that_leaves_is_noticed() -> None:
    async def leaves(upstream: DrippingUpstream, client: str, family: str) -> None:
        headers = [("X-Drip", f"id={client}&tokens=10000")]
        asking = asyncio.ensure_future(fetch(upstream.ports[family], "/", client, headers=headers))
        await until(lambda: [one for one in upstream.find(client) if one.emitted])
        await leave(asking)
        await until(lambda: upstream.find(client)[0].client_gone)

    async def test(upstream: DrippingUpstream) -> None:
        for client, family in (("h1", "http"), ("h2c", "h2c")):
            await leaves(upstream, client, family)
        assert [(one.client_gone, one.finished) for one in upstream.seen] == [(True, False)] * 2

    with_upstream(test)


def test_websocket() -> None:
    async def test(upstream: DrippingUpstream) -> None:
        port = upstream.ports["http"]
        result = await measure(upstream, port, "/", "h1", websocket=True)
        assert (result.verdict, result.status) == ("streams", 101)
        # The example of RFC 6455, section 1.3.
        accept = result.arrivals.headers["sec-websocket-accept"]
        assert accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        refused = await measure(upstream, port, "/", "h1", Drip(websocket=True))
        assert (refused.verdict, refused.status) == ("no-stream", 426)

    with_upstream(test)


def test_a_malformed_drip_is_a_400() -> None:
    async def test(upstream: DrippingUpstream) -> None:
        for drip in ("tokens=many", "color=red", "framing=none", "header=x"):
            got = await fetch(upstream.ports["http"], "/", "h1", headers=[("X-Drip", drip)])
            assert got.status == 400

    with_upstream(test)


def test_nobody_listens() -> None:
    async def test(upstream: DrippingUpstream) -> None:
        port = upstream.ports["scgi"]
        await upstream.__aexit__(None, None, None)
        got = await fetch(port, "/", "h1")
        assert (got.ended, got.status) == ("refused", 0)
        assert got.error

    with_upstream(test)


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(ValueError, match="h1, h1-tls, h2, h2c"):
        asyncio.run(fetch(1, "/", "h9"))


NONSENSE = {
    "http": [
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000,
    ],
    "scgi": [b"abc:", b"-3:", b"9999999999:", b"21:CONTENT_LENGTH\0abc\0x\0,", b"x" * 200_000],
    "uwsgi": [b"\0\x01\0\0x", b"\0\x16\0\0\x0e\0CONTENT_LENGTH\x04\0-123"],
    "fastcgi": [
        b"\1\1\0\1\0\0\0\0",
        b"\1\1\0\1\0\x08\0\0" + bytes(8) + b"\1\4\0\1\0\1\0\0\xff" + b"\1\4\0\1\0\0\0\0",
        b"\1\1\0\1\0\x08\0\0" + bytes(8) + (b"\1\4\0\1\xff\xff\0\0" + bytes(65535)) * 4,
    ],
    "h2c": [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\1\4\0\0\0\0\0x",
    ],
}


def test_nonsense_ends_its_connection_and_nothing_else() -> None:
    # What nginx sends is up to the configuration: proxy_method, scgi_param, proxy_set_body ...
    async def test(upstream: DrippingUpstream) -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
        for family, many in NONSENSE.items():
            for data in many:
                reader, writer = await asyncio.open_connection("127.0.0.1", upstream.ports[family])
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(-1), SECONDS)
                writer.transport.abort()
            client = {"http": "h1", "h2c": "h2c"}.get(family)
            if client is not None:
                after = await measure(upstream, upstream.ports[family], "/", client, SHORT)
                assert len(after.arrivals.times) == SHORT.tokens
        gc.collect()
        await asyncio.sleep(0)
        assert faults == []

    with_upstream(test)


def test_requests_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nginx_stream_lint.probe.upstream._MOST_KEPT", 1 << 16)

    async def test(upstream: DrippingUpstream) -> None:
        head = f"GET / HTTP/1.1\nX-Drip: tokens=0\nX: {'x' * 2000}\n\n"
        await ask(upstream.ports["http"], head * 100)
        assert 10 < len(upstream.seen) < 30

    with_upstream(test)
