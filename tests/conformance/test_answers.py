"""What nginx answers without an app, against real nginx; a slice of `make conformance`."""

from __future__ import annotations

import asyncio

from nginx_stream_lint.probe import NginxBinary
from tests.conformance.random_answers import run

REQUESTS = 700
# What must have come up, however few requests there are.
CLASSES = (
    "auth_request refuses",
    "empty or bad target",
    "no resolver",
    "no server",
    "redirect, absolute",
    "redirect, relative",
    "ssl_reject_handshake",
)


def test_answers(binary: NginxBinary) -> None:
    outcome = asyncio.run(run(binary, REQUESTS, seed=3))
    assert outcome.wrong == []
    assert outcome.unknown == []
    assert {name for name in CLASSES if not outcome.answers[name]} == set()
    assert any(kind.endswith("IPv6 address") for kind in outcome.asked)
    assert any(name.startswith("module") for name in outcome.answers)
