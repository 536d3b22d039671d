"""Chains of several nginx, or of several servers of one, against real ones."""

from __future__ import annotations

import asyncio

from nginx_stream_lint.probe import find_nginx
from tests.conformance.random_chains import CASES, run

SECONDS = 600.0


def test_chains() -> None:
    """Three chains of random versions; a slice of `make conformance`."""
    outcome = asyncio.run(asyncio.wait_for(run(find_nginx(), 3 * CASES, seed=1), SECONDS))
    assert outcome.wrong == []
    assert outcome.classes["one configuration"] == CASES
    assert outcome.classes["verdict streams"] > CASES / 6
    assert outcome.classes["verdict stalls"] > CASES / 6
