"""One exchange: send the request, record the response with times. Runs in the worker's process.

The only module that uses niquests, which supports HTTP/1.1, HTTP/2 and HTTP/3.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import re
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from nginx_stream_lint import __version__
from nginx_stream_lint.probe.decoding import decompressor
from nginx_stream_lint.trace.events import Events, events_for
from nginx_stream_lint.trace.known_words import known_headers, known_redirect, known_response
from nginx_stream_lint.trace.recording import COMPLETE, CUT, FAILED, LIMIT, UNOFFERED
from nginx_stream_lint.trace.request import Layer, TraceLimits, TraceRequest

_BEGINNING = 4096  # bytes kept of responses that are not streams
_ERROR_BODY_S = 5.0  # seconds to read the body of an error response
# Reads of a body, and its events: no app writes so many in a response, but a server may.
_MOST_PIECES = 200_000

# Gets changes of a recording: fields by their names, and `piece`, the fields of a BodyPart.
Say = Callable[[dict[str, Any]], None]


async def exchange(layer: Layer, client: str, request: TraceRequest, shown: str, say: Say) -> None:
    """Send one request to a layer and report the response as it arrives; never raises for its
    errors.

    Args:
        layer: the layer that gets the request.
        client: `h1`, `h2` or `h3`.
        request: the request.
        shown: the layer's URL without secrets.
        say: called with the changes of the recording. The last change has `finished`.
    """
    reading = ResponseReader(request.limits, layer.url, shown, say)
    exchanging = asyncio.ensure_future(_converse(layer, client, request, reading))
    connection = asyncio.ensure_future(reading.connection.wait())
    try:
        await _within({exchanging, connection}, exchanging, layer, request.limits, reading)
    finally:
        reading.finish()
        exchanging.cancel()
        connection.cancel()
        await asyncio.gather(exchanging, connection, return_exceptions=True)


async def _within(
    both: set[asyncio.Future[Any]],
    exchanging: asyncio.Future[None],
    layer: Layer,
    limits: TraceLimits,
    reading: ResponseReader,
) -> None:
    """Run an exchange within the time limits."""
    over = time.monotonic() + limits.time_s
    to_connect = min(limits.connect_s, limits.time_s)
    await asyncio.wait(both, timeout=to_connect, return_when=asyncio.FIRST_COMPLETED)
    if not exchanging.done() and not reading.connection.is_set():
        option = "--connect-timeout" if to_connect == limits.connect_s else "--max-time"
        reading.error = f"no connection to {layer.host} within {to_connect:g} s ({option})"
        return
    await asyncio.wait({exchanging}, timeout=max(0.0, over - time.monotonic()))
    if exchanging.done():
        exchanging.result()
    else:
        reading.out_of_time()


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
        if len(self.beginning) < _BEGINNING:
            self.beginning += text[: _BEGINNING - len(self.beginning)]
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


async def _converse(
    layer: Layer, client: str, request: TraceRequest, reading: ResponseReader
) -> None:
    niquests: Any = importlib.import_module("niquests")
    try:
        async with _session(niquests, layer, client) as session:
            reading.start()
            answer = await session.request(
                request.method,
                layer.url,
                headers=_headers(request),
                data=request.body or None,
                stream=True,
                allow_redirects=False,
                timeout=(request.limits.connect_s, request.limits.time_s),
                verify=request.ca_file or request.verify,
                hooks={"pre_send": [reading.connected]},
            )
            protocol = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
            headers = {name.lower(): value for name, value in answer.headers.items()}
            reading.head(answer.status_code, headers, protocol.get(answer.http_version or 0, ""))
            _read_past_nothing(answer.raw)
            if not reading.is_success:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_beginning(answer.raw, reading), _ERROR_BODY_S)
                return
            while data := await answer.raw.read(amt=-1, decode_content=False):
                if not reading.piece(data):
                    return
            reading.ended = COMPLETE
    except Exception as error:
        # Each protocol's library has errors of its own, and some of Python's get through them.
        _note_error(reading, error, layer)


def _read_past_nothing(raw: Any) -> None:
    """Let a response of urllib3-future continue after an empty DATA frame.

    It treats an empty read as the end. The stream that it reads from is `closed` only at the end.
    """
    inner = raw._fp
    read = inner.read

    async def read_on(size: int | None = None) -> bytes:
        while not (data := await read(size)) and not inner.closed:
            await asyncio.sleep(0)  # a flood of them must not keep the time limit waiting
        return bytes(data)

    inner.read = read_on


def _note_error(reading: ResponseReader, error: Exception, layer: Layer) -> None:
    reading.ended = CUT if reading.is_success else FAILED
    if any("no application protocol" in str(cause) for cause in _causes(error)):
        reading.ended = UNOFFERED
    reading.error = describe_error(error, layer, reading.is_success)


async def _beginning(raw: Any, reading: ResponseReader) -> None:
    """Read the beginning of an error response."""
    reading.ended = COMPLETE
    while len(reading.beginning) < _BEGINNING:
        data = await raw.read(amt=-1, decode_content=False)
        if not data or not reading.piece(data):
            return


def _session(niquests: Any, layer: Layer, client: str) -> Any:
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    resolver = None
    if layer.address is not None:
        address = f"[{layer.address}]" if ":" in layer.address else layer.address
        resolver = f"in-memory://default?hosts={layer.parts.hostname}:{address}"
    session = niquests.AsyncSession(
        retries=0,
        resolver=resolver,
        disable_http1=client != "h1",
        disable_http2=client != "h2",
        disable_http3=client != "h3",
        revocation_configuration=None,
    )
    # Neither ~/.netrc nor a proxy of the environment: the layers are those that were named.
    session.trust_env = False
    session.headers.clear()
    return session


def _headers(request: TraceRequest) -> dict[str, str]:
    """The headers to send: the user's, and those that every client sends."""
    encodings = "gzip, deflate" + (", br" if importlib.util.find_spec("brotli") else "")
    headers = {
        "User-Agent": f"nginx-stream-lint/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": encodings,
    }
    for name, value in request.headers:
        same = next((known for known in headers if known.lower() == name.lower()), None)
        if same is not None:
            del headers[same]
        headers[name] = value
    return headers


def describe_error(error: Exception, layer: Layer, started: bool) -> str:
    """Return an error message in our own words: that of a library may repeat a server's text."""
    host = layer.host
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"the host name {layer.parts.hostname} cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refused the connection"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate is not trusted ({_distrust(cause)}); use --cacert FILE to trust"
                " its authority, or --insecure"
            )
        if isinstance(cause, ssl.SSLError) and "no application protocol" in str(cause):
            return "the server does not support this HTTP version"
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", None) or ""  # a library's own errors have none
            known = reason if re.fullmatch(r"[A-Z0-9_]{1,60}", reason) else "error"
            return f"TLS failed ({known.replace('_', ' ').lower()})"
    names = [type(cause).__name__ for cause in _causes(error)]
    text = " ".join(str(error).split())
    if "ConnectTimeout" in names or "ConnectTimeoutError" in names:
        return f"no connection to {host} within --connect-timeout"
    if "illegal status line" in text:
        return f"the response of {host} is not HTTP"
    if started:
        return "the response was truncated"
    if "without response" in text or "ConnectionResetError" in names:
        return f"{host} closed the connection without a response"
    return f"the HTTP client could not read the response of {host} ({names[-1]})"


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """Describe why a certificate is not trusted, by OpenSSL's error number."""
    code: int = getattr(error, "verify_code", 0)
    return {
        10: "it has expired",
        18: "it is self-signed",
        19: "its authority is self-signed and unknown",
        20: "its authority is unknown",
        21: "its chain is incomplete",
        62: "it was issued for another name",
        64: "it was issued for another address",
    }.get(code, f"error {code}" if code else "no reason given")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        inner = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        reason = getattr(cause, "reason", None)
        cause = (
            cause.__cause__
            or cause.__context__
            or inner
            or (reason if isinstance(reason, BaseException) else None)
        )
