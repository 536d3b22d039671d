"""Routing against real nginx: random configurations and requests; a slice of `make conformance`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nginx_stream_lint.probe import NginxBinary, free_ports
from tests.conformance.random_routes import PORTS, SERVERS, URLS, Generator
from tests.conformance.routes_on_nginx import Outcome, outcomes

REQUESTS = 12_000
SECONDS = 600.0


async def compared(binary: NginxBinary, folder: Path) -> Outcome:
    """What came of so many requests."""
    total = Outcome()
    seed = 1
    while total.asked < REQUESTS:
        case = Generator(seed, free_ports(PORTS)).configuration(SERVERS, URLS)
        outcome = await outcomes(binary, case, folder)
        total.asked += outcome.asked
        total.wrong += outcome.wrong
        total.unknown += outcome.unknown
        seed += 1
    return total


def test_routes(binary: NginxBinary, tmp_path: Path) -> None:
    total = asyncio.run(asyncio.wait_for(compared(binary, tmp_path), SECONDS))
    assert total.wrong == []
    assert len(total.unknown) < 0.02 * total.asked
