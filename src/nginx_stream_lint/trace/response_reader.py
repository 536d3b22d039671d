"""Record a response with times while it arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from nginx_stream_lint.probe.decoding import decompressor
from nginx_stream_lint.trace.events import Events, events_for
from nginx_stream_lint.trace.known_words import known_headers, known_redirect, known_response
from nginx_stream_lint.trace.recording import FAILED, LIMIT
from nginx_stream_lint.trace.request import TraceLimits

BEGINNING = 4096  # bytes kept of responses that are not streams
# Reads of a body, and its events: no app writes so many in a response, but a server may.
_MOST_PIECES = 200_000

# Gets changes of a recording: fields by their names, and `piece`, the fields of a BodyPart.
Say = Callable[[dict[str, Any]], None]


class ResponseReader:
    """Turns bytes into parts and events as they arrive.

    `error` and `ended` are those of a Recording. `headers`, `status` and `beginning` (of the text)
    are as received, and must not be shown. `connection` is set when the request is about to be
    sent.
    """

    def __init__(self, limits: TraceLimits, url: str, shown: str, say: Say) -> None:
        self.error = ""
        self.ended = FAILED
        self.headers: dict[str, str] = {}
        self.status = 0
        self.connection = asyncio.Event()
        self.beginning = b""
        self._limits = limits
        self._url, self._shown = url, shown
        self._say = say
        self._events: Events | None = None
        self._decode = decompressor("")
        self._size = self._decoded = self._pieces = 0
        self._started = 0.0
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def connected(self, *_: object) -> None:
        """Restart the clock: the connection is ready, and the request is being sent."""
        connect_s = self._now
        self.connection.set()
        self.start()
        self._say({"connect_s": connect_s, "started": self._started})

    @property
    def _now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def is_success(self) -> bool:
        """Whether a successful response has begun."""
        return 200 <= self.status < 300

    def head(self, status: int, headers: dict[str, str], protocol: str) -> None:
        """Record the headers. Raises ValueError for an invalid status."""
        if not 100 <= status <= 999:
            raise ValueError("a status has three digits")
        self.status, self.headers = status, headers
        try:
            self._decode = decompressor(headers.get("content-encoding", "").strip().lower())
        except (ValueError, ImportError):
            # Its bytes can still be timed.
            self._events = events_for("application/octet-stream", b"")
        self._say(
            {
                "head_at": self._now,
                "status": status,
                "protocol": protocol,
                "headers": known_headers(headers),
            }
        )

    def piece(self, data: bytes) -> bool:
        """Record a piece of the body; return whether to read on."""
        now, events = self._now, 0
        self._size += len(data)
        for text in self._decode(data):
            events += self._text(text)
            if self._decoded >= self._limits.size:
                break
        news: dict[str, Any] = {}
        inside = False
        if (found := self._events) is not None:
            news = {
                "kind": found.kind,
                "comments": found.comments,
                "said_last": found.said_last,
                "text_is_utf8": found.text_is_utf8,
            }
            inside = found.inside
        self._say({**news, "piece": (now, len(data), events, inside)})
        self._pieces += max(1, events)
        return self._within_limits()

    def _text(self, text: bytes) -> int:
        """Process decoded text; return how many events it completes."""
        self._decoded += len(text)
        if len(self.beginning) < BEGINNING:
            self.beginning += text[: BEGINNING - len(self.beginning)]
        if self._events is None and text:
            self._events = events_for(self.headers.get("content-type", ""), text)
        return 0 if self._events is None else self._events.feed(text)

    def _within_limits(self) -> bool:
        if max(self._size, self._decoded) >= self._limits.size:
            what = "decoded bytes" if self._decoded > self._size else "bytes"
            count = max(self._size, self._decoded)
            self.error = f"stopped after {count:,} {what} (--max-bytes)"
        elif self._pieces >= _MOST_PIECES:
            self.error = f"stopped after {self._pieces:,} events"
        else:
            return True
        self.ended = LIMIT
        return False

    def out_of_time(self) -> None:
        """Record that the time limit ended the exchange."""
        if self.status:
            self.ended = LIMIT
            self.error = f"stopped after {self._limits.time_s:g} s (--max-time)"
        else:
            self.error = f"no response within {self._limits.time_s:g} s (--max-time)"

    def finish(self) -> None:
        """Report how it ended, and the text of a response that is not a stream."""
        kind = self.headers.get("content-type", "").strip().lower()
        is_stream = self.is_success and not kind.startswith(("text/html", "application/json"))
        to = self.headers.get("location", "")
        path = urlsplit(self._shown).path
        self._say(
            {
                "ended": self.ended,
                "error": self.error,
                "said": "" if is_stream else known_response(self.beginning),
                "redirect": known_redirect(to, self._url, path) if to else "",
                "finished": max(self._now, 1e-6),
            }
        )
