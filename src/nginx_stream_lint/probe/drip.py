"""The response that the test upstream sends: a `Drip`, from the request header `X-Drip`."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlencode

from msgspec import Struct
from msgspec.structs import replace

HEADER = "x-drip"
TOKEN = re.compile(rb"data: (\d{4,}) [0-9a-z]*\n\n")

_FRAMINGS = ("chunked", "close", "length")
_DEATHS = ("close", "reset")
_SMALLEST_TOKEN = 16
LARGEST_TOKEN = 1 << 16  # bytes
# Limits for what a request may specify: a configuration can replace the probe's own header.
_MOST_TOKENS, _MOST_BYTES = 10_000, 1 << 20
_LONGEST_S = 3600.0
_PLAIN = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # what a header can hold
_Bytes = bytes  # inside the class, `bytes` is the field
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Drip(Struct, frozen=True):
    """A response of the test upstream, sent token by token.

    Tokens are numbered from 1. Token n is due `n * interval` seconds after the response's headers,
    later by every silence before it. The default response is 800 bytes: less than every buffer that
    nginx may hold it in, so a held response arrives at the end.

    `id` identifies the request; two requests must not have the same id. The response has `tokens`
    tokens of `bytes` bytes each, at least 16. `framing` is how it ends: `chunked`, `close` or
    `length` (Content-Length). Over FastCGI, SCGI, uwsgi and HTTP/2 only `length` differs: it adds
    the header. `type` is the Content-Type; `application/grpc` over HTTP/2 is a gRPC response.
    `x_accel_buffering` is sent unless it is empty. `headers` are further ones, (name, value).

    `silence_before` is in seconds before the headers. `silence_after` is (n, seconds): a silence
    after token n. `die_after` closes the connection after so many tokens, 0 before the headers,
    None never; `die` is `close` (FIN) or `reset` (RST; over HTTP/2 RST_STREAM). With `websocket` a
    request that is no WebSocket handshake gets status 426.

    Raises:
        ValueError: an invalid framing, `die` or size.
    """

    id: str = ""
    tokens: int = 20
    interval: float = 0.05
    bytes: int = 40
    framing: str = "chunked"
    type: str = "text/event-stream"
    status: int = 200
    x_accel_buffering: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    silence_before: float = 0.0
    silence_after: tuple[int, float] = (0, 0.0)
    die_after: int | None = None
    die: str = "close"
    websocket: bool = False

    def __post_init__(self) -> None:
        if self.framing not in _FRAMINGS:
            raise ValueError(f"framing is {self.framing!r}, not one of {', '.join(_FRAMINGS)}")
        if self.die not in _DEATHS:
            raise ValueError(f"die is {self.die!r}, not one of {', '.join(_DEATHS)}")
        if self.bytes < _SMALLEST_TOKEN:
            raise ValueError(f"bytes is {self.bytes}, less than {_SMALLEST_TOKEN}")

    @property
    def duration(self) -> float:
        """Seconds from the request to the last token, silences included."""
        return self.silence_before + max(self.schedule(), default=0.0)

    def named(self, name: str) -> Drip:
        """Return this drip under another id."""
        return replace(self, id=name)

    def schedule(self) -> list[float]:
        """Return when each token is due, in seconds after the headers."""
        after, silence = self.silence_after
        return [
            number * self.interval + (silence if after and number > after else 0.0)
            for number in range(1, self.tokens + 1)
        ]

    def token(self, number: int) -> _Bytes:
        """Return token `number` (from 1): `data: 0001 ...` of exactly `bytes` bytes.

        The filling is random, so that gzip cannot make it small, and the same every time.
        """
        start = f"data: {number:04d} "
        choose = random.Random(f"{self.id}/{number}")
        filling = "".join(choose.choices(_ALPHABET, k=max(0, self.bytes - len(start) - 2)))
        return f"{start}{filling}\n\n".encode()

    def encode(self) -> str:
        """Return the value of the header `X-Drip` that requests this response."""
        return urlencode(list(self._pairs()), quote_via=quote)

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield "id", self.id
        yield "tokens", str(self.tokens)
        yield "interval", repr(self.interval)
        yield "bytes", str(self.bytes)
        yield "framing", self.framing
        yield "type", self.type
        yield "status", str(self.status)
        if self.x_accel_buffering:
            yield "x-accel-buffering", self.x_accel_buffering
        for name, value in self.headers:
            yield "header", f"{name}: {value}"
        if self.silence_before:
            yield "silence_before", repr(self.silence_before)
        if self.silence_after[0]:
            yield "silence_after", "{}:{!r}".format(*self.silence_after)
        if self.die_after is not None:
            yield "die_after", str(self.die_after)
            yield "die", self.die
        if self.websocket:
            yield "websocket", "1"

    @classmethod
    def parse(cls, text: str) -> Drip:
        """Read the value of an `X-Drip` header; missing keys have the defaults of `Drip()`.

        Raises:
            ValueError: an unknown key, a value of the wrong form, or more than a response may have.
        """
        given = parse_qsl(text, keep_blank_values=True)
        known = dict(given)
        plain = cls()
        headers = tuple(_header(value) for key, value in given if key == "header")
        after, _, silence = known.pop("silence_after", "0:0").partition(":")
        die_after = known.pop("die_after", None)
        known.pop("header", None)
        drip = cls(
            id=known.pop("id", plain.id),
            tokens=int(known.pop("tokens", plain.tokens)),
            interval=float(known.pop("interval", plain.interval)),
            bytes=int(known.pop("bytes", plain.bytes)),
            framing=known.pop("framing", plain.framing),
            type=known.pop("type", plain.type),
            status=int(known.pop("status", plain.status)),
            x_accel_buffering=known.pop("x-accel-buffering", plain.x_accel_buffering),
            headers=headers,
            silence_before=float(known.pop("silence_before", plain.silence_before)),
            silence_after=(int(after), float(silence)),
            die_after=None if die_after is None else int(die_after),
            die=known.pop("die", plain.die),
            websocket=known.pop("websocket", "") not in ("", "0"),
        )
        if known:
            raise ValueError(f"unknown key in X-Drip: {', '.join(sorted(known))}")
        if not drip._is_modest():
            raise ValueError("X-Drip requests more than a response may contain")
        return drip

    def _is_modest(self) -> bool:
        """Whether the response can be sent, and is small."""
        times = (self.interval, self.silence_before, self.silence_after[1])
        texts = [self.type, self.x_accel_buffering, *(one for pair in self.headers for one in pair)]
        return (
            0 <= self.tokens <= _MOST_TOKENS
            and self.bytes <= LARGEST_TOKEN
            and self.tokens * self.bytes <= _MOST_BYTES
            and all(math.isfinite(one) and 0 <= one <= _LONGEST_S for one in times)
            and 100 <= self.status <= 999
            and all(_PLAIN.fullmatch(one) for one in texts)
        )


PLAIN = Drip()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"header in X-Drip without a colon: {text!r}")
    return name.strip(), value.strip()
