"""Servers that pass to servers of the same configuration, against real nginx."""

from __future__ import annotations

import asyncio

from nginx_stream_lint.probe import NginxBinary
from tests.conformance.random_tiers import CASES, run

SECONDS = 600.0


def test_tiers(binary: NginxBinary) -> None:
    """60 random chains a version, each measured in one scenario; a slice of `make conformance`."""
    outcome = asyncio.run(asyncio.wait_for(run(binary, CASES, seed=1), SECONDS))
    assert outcome.wrong == []
    assert outcome.classes["3 tiers"]
    assert outcome.classes["verdict streams"] > CASES / 6
