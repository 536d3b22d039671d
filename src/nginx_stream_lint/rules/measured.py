"""What the conformance tests measured with the examples of the shipped rules.

`measured.json` beside the rules is written by tests/conformance/record.py, never by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.util.data import data_names, data_text

# The kinds of evidence that a rule file can name; each is a measurement on a real nginx.
EVIDENCE = {
    "delivery": "the stream stalls, and does not when fixed",
    "silence": "the stream is cut after a silence, and is not when fixed",
    "recording": "a second request gets a recording",
    "upstream-request": "the app sees other headers, or another version",
    "client-response": "the client sees other headers, other framing, or a cut as a whole answer",
    "handshake": "a WebSocket handshake gets its 101",
    "requests-twice": "the app sees the same request twice",
    "abandoned": "the app goes on after the client has left",
    "reload": "a reload cuts the stream",
    "auth-body": "a POST hangs in its auth subrequest",
    "passed-on": "the request does not reach the app, and does when fixed",
    "client-silence": "a client that sends nothing for a while is cut, and is not when fixed",
    "collected-request": "the app sees a request only when the client has ended it",
    "many-streams": "some of five streams on one HTTP/2 connection are refused",
    "late-events": "the end of each event comes with the next event, and at once when fixed",
    "slowed-down": "the stream arrives later and later, and does not when fixed",
    "accepted": "nginx takes both; the effect is not to be seen on one machine",
}


class Measured(Struct, frozen=True):
    """What one text of an example does.

    `example` counts the rule's bad examples from 1, `text` is `bad` or `fixed`, `who` asked, and
    `nginx` says what was seen, by version.
    """

    example: int
    text: str
    who: str
    nginx: Mapping[str, str]


class Measurements(Struct, frozen=True):
    """All that is recorded: by rule, and in words how it was measured."""

    how: str
    rules: Mapping[str, tuple[Measured, ...]]


@cache
def measured() -> Measurements:
    """The recorded measurements; none where the file is missing."""
    folder = str(builtin_folder())
    if "measured.json" not in data_names(folder):
        return Measurements("", {})
    recorded = json.loads(data_text(os.path.join(folder, "measured.json")))
    rules = {
        rule: tuple(Measured(**row) for row in rows) for rule, rows in recorded["rules"].items()
    }
    return Measurements(recorded["how"], rules)
