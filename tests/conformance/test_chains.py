"""Chains of several nginx, each with its own configuration, against real ones."""

from __future__ import annotations

import asyncio

from tests.conformance.random_chains import CASES, run

SECONDS = 600.0


def test_chains() -> None:
    """Two chains of random versions; a slice of `make chains`."""
    outcome = asyncio.run(asyncio.wait_for(run(2 * CASES, seed=1), SECONDS))
    assert outcome.wrong == []
    assert outcome.classes["verdict streams"] > CASES / 6
    assert outcome.classes["verdict stalls"] > CASES / 6
