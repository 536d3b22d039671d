"""What the table and the readers say of HAProxy, Apache and Caddy, on the real ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nginx_stream_lint.deployment.proxies import READERS
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.probe import Drip, DrippingUpstream
from nginx_stream_lint.probe.arrivals import Arrivals
from nginx_stream_lint.probe.client import fetch
from nginx_stream_lint.tiers.products import product_named
from tests.trace.chains import PROGRAMS, TEXTS, Place, Tier, place_for, running

LIVE = Drip(tokens=30, bytes=230, interval=0.1)
# Configurations limit a silence to 2 s.
SHORT, LONG = 0.2, 8.0
HOST = frozenset({"127.0.0.1"})


async def through(tier: Tier, place: Place, drip: Drip) -> tuple[Arrivals, DrippingUpstream]:
    """A response through one proxy, for a client that accepts gzip."""
    async with DrippingUpstream() as upstream, running(tier, place, upstream.ports["http"]):
        arrivals = await fetch(
            place.plain,
            "/stream",
            "h1",
            host=f"127.0.0.1:{place.plain}",
            headers=[("X-Drip", drip.named("here").encode())],
            accept_encoding="gzip",
        )
    return arrivals, upstream


@pytest.mark.parametrize("product", sorted(PROGRAMS))
def test_the_defaults_are_those_of_the_table(product: str, tmp_path: Path) -> None:
    arrivals, upstream = asyncio.run(through(Tier(product), place_for(tmp_path), LIVE))
    found = product_named(product)
    assert found is not None
    (request,) = upstream.find("here")
    assert found.stream["http_version"].value == request.http_version
    compressed = "content-encoding" in arrivals.headers
    assert found.stream["compression"].value == ("yes" if compressed else "no")
    # By the app's own clock: half of the tokens had arrived before the last one was sent.
    early = [number for number, at in arrivals.times if at < request.emitted[-1]]
    assert found.stream["buffering"].value == ("no" if len(early) > LIVE.tokens / 2 else "yes")
    assert found.timeout("silence") is None or product == "apache"


@pytest.mark.parametrize("product", sorted(PROGRAMS))
def test_each_limit_that_is_read_cuts_streams(product: str, tmp_path: Path) -> None:
    tier, place = Tier(product, "timeout"), place_for(tmp_path)
    text = TEXTS[product](tier, place, 80)
    passing = READERS[product](Source("proxy", text), HOST)
    assert passing is not None
    assert passing.timeouts is not None
    assert [(one.of, one.seconds) for one in passing.timeouts] == [("silence", 2.0)]
    # How the response ends is another matter: Caddy ends a truncated one as if it were complete.
    for silence, tokens in ((LONG, 5), (SHORT, 10)):
        drip = Drip(tokens=10, interval=0.03, silence_after=(5, silence))
        arrivals, _ = asyncio.run(through(tier, place, drip))
        assert len(arrivals.times) == tokens
    without = TEXTS[product](Tier(product), place, 80)
    other = READERS[product](Source("proxy", without), HOST)
    assert other is not None
    assert [one.seconds for one in other.timeouts or ()] == ([60.0] if product == "haproxy" else [])
