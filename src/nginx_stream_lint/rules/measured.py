"""Measurements of the shipped rules' examples on real nginx.

`measured.json` beside the rules is written by tests/conformance/record.py, never manually.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.util.data import data_names, data_text

# Kinds of evidence that a rule file can name. Each is a measurement on a real nginx; only
# `accepted` does not show the effect.
EVIDENCE = {
    "delivery": "how the stream arrives without and with the fix",
    "silence": "without the fix, the stream is cut after a silence",
    "recording": "a second request gets a recorded response",
    "upstream-request": "the app gets different headers, or another HTTP version",
    "client-response": "the client gets different headers or framing, or a"
    " truncated response looks complete",
    "handshake": "a WebSocket handshake succeeds only with the fix",
    "requests-twice": "the app gets the same request twice",
    "abandoned": "the app continues after the client has left",
    "reload": "a reload cuts the stream",
    "auth-body": "a POST hangs in its auth subrequest",
    "passed-on": "the request reaches the app only with the fix",
    "client-silence": "without the fix, a silent client is cut off",
    "collected-request": "the app gets a request only after the client has sent all of it",
    "many-streams": "some of five streams on one HTTP/2 connection are rejected",
    "late-events": "without the fix, the end of each event arrives with the next event",
    "slowed-down": "without the fix, the stream falls further and further behind",
    "accepted": "nginx accepts both configurations",
}
# Those whose figures are times or follow from timeouts.
TIMED = frozenset({"silence", "client-silence", "reload"})


class Measured(Struct, frozen=True):
    """The measured behaviour of one example text.

    `example` counts the rule's bad examples from 1, `text` is `bad` or `fixed`, `who` is the
    client, and `nginx` has the results by version.
    """

    example: int
    text: str
    who: str
    nginx: Mapping[str, str]


class Measurements(Struct, frozen=True):
    """All recorded measurements by rule, and the method: of tokens, and of timeouts."""

    tokens: str
    timeouts: str
    rules: Mapping[str, tuple[Measured, ...]]


@cache
def measured() -> Measurements:
    """Load the recorded measurements; empty if the file is missing."""
    folder = str(builtin_folder())
    if "measured.json" not in data_names(folder):
        return Measurements("", "", {})
    recorded = json.loads(data_text(os.path.join(folder, "measured.json")))
    rules = {
        rule: tuple(Measured(**row) for row in rows) for rule, rows in recorded["rules"].items()
    }
    return Measurements(recorded["tokens"], recorded["timeouts"], rules)
