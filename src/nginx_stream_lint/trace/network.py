"""The network: one request to one layer, and when each piece of its answer came.

The only module that knows niquests, which speaks HTTP/1.1, HTTP/2 and HTTP/3.
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
import zlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from nginx_stream_lint import __version__
from nginx_stream_lint.probe.decoding import decompressor

from .events import Events, events_for
from .recording import COMPLETE, CUT, FAILED, LIMIT, UNOFFERED, Piece, Recording
from .request import Ask, Layer, Limits, Secrets

_BEGINNING = 4096  # bytes of an answer kept for those that are no stream
# Headers with words of HTTP's own, which a secret may be by chance ("gzip").
_OF_HTTP = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-type",
        "transfer-encoding",
        "x-accel-buffering",
    }
)
_SAID = 160  # characters
_ERROR_BODY_S = 5.0  # seconds to read the body of an answer that is an error

OnPiece = Callable[[Recording], None]


async def fetch(
    layer: Layer, client: str, ask: Ask, secrets: Secrets, on_piece: OnPiece = lambda _: None
) -> Recording:
    """Ask one layer once and note what comes when; nothing the layer does raises.

    Redirects are not followed: they lead to another layer, and would take secrets along.

    Args:
        layer: whom to ask.
        client: `h1`, `h2` or `h3`.
        ask: the request.
        secrets: what to keep out of error messages.
        on_piece: called after each piece.

    Raises:
        ImportError: niquests is not installed.
    """
    importlib.import_module("niquests")  # before the clock runs
    recording = Recording("h1-tls" if client == "h1" and layer.is_tls else client)
    reading = _Reading(recording, ask.limits.size, on_piece)
    await _within(_converse(layer, client, ask, reading), layer, ask.limits, reading)
    recording.finished = reading.now
    recording.error = secrets.hide(recording.error)
    recording.said = secrets.hide_more(_one_line(reading.beginning, recording))
    # A server may repeat what it was sent, in a redirect for one.
    recording.headers = {
        name: text if name in _OF_HTTP else secrets.hide(text)
        for name, text in recording.headers.items()
    }
    return recording


async def _within(
    converse: Coroutine[Any, Any, None], layer: Layer, limits: Limits, reading: _Reading
) -> None:
    """Let an exchange take its time, but no longer than the limits."""
    recording = reading.recording
    exchange = asyncio.ensure_future(converse)
    connection = asyncio.ensure_future(reading.connection.wait())
    try:
        await asyncio.wait(
            {exchange, connection}, timeout=limits.connect_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not exchange.done() and not connection.done():
            recording.error = (
                f"no connection to {_host(layer)} in {limits.connect_s:g} s (--connect-timeout)"
            )
            return
        await asyncio.wait({exchange}, timeout=limits.time_s)
        if exchange.done():
            exchange.result()
        elif recording.head_at is None:
            recording.error = f"no answer in {limits.time_s:g} s (--max-time)"
        else:
            recording.ended = LIMIT
            recording.error = f"stopped after {limits.time_s:g} s (--max-time)"
    finally:
        exchange.cancel()
        connection.cancel()
        await asyncio.gather(exchange, connection, return_exceptions=True)


class _Reading:
    """Turns bytes into pieces and events while they come."""

    def __init__(self, recording: Recording, limit: int, on_piece: OnPiece) -> None:
        self.recording = recording
        self.beginning = b""
        self.connection = asyncio.Event()
        self._limit = limit
        self._on_piece = on_piece
        self._events: Events | None = None
        self._decode: Callable[[bytes], bytes] = decompressor("")
        self._read = 0
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self.recording.started = time.monotonic()

    def connected(self, *_: object) -> None:
        """Start the clock anew: names, connection and TLS are done, the request is being sent."""
        self.recording.connect_s = self.now
        self.connection.set()
        self.start()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.recording.started

    def head(self, status: int, headers: dict[str, str], protocol: str) -> None:
        """Note that the headers are there."""
        recording = self.recording
        recording.head_at = self.now
        recording.status, recording.headers, recording.protocol = status, headers, protocol
        try:
            self._decode = decompressor(headers.get("content-encoding", "").strip().lower())
        except (ValueError, ImportError):
            # Its bytes can still be timed.
            self._events = events_for("application/octet-stream", b"")
        self._on_piece(recording)

    def piece(self, data: bytes) -> bool:
        """Note a piece of the body; return whether more is wanted."""
        now, recording = self.now, self.recording
        text = self._decode(data)
        if len(self.beginning) < _BEGINNING:
            self.beginning += text[: _BEGINNING - len(self.beginning)]
        if self._events is None and text:
            self._events = events_for(recording.headers.get("content-type", ""), text)
        done = 0
        if self._events is not None:
            events = self._events
            done = events.feed(text)
            recording.kind, recording.comments = events.kind, events.comments
            recording.said_last, recording.text_is_utf8 = events.said_last, events.text_is_utf8
        inside = self._events is not None and self._events.inside
        recording.pieces.append(Piece(now, len(data), done, inside))
        self._read += len(data)
        self._on_piece(recording)
        return self._read < self._limit


async def _converse(layer: Layer, client: str, ask: Ask, reading: _Reading) -> None:
    niquests: Any = importlib.import_module("niquests")
    recording = reading.recording
    try:
        async with _session(niquests, layer, client) as session:
            reading.start()
            answer = await session.request(
                ask.method,
                layer.url,
                headers=_headers(ask),
                data=ask.body or None,
                stream=True,
                allow_redirects=False,
                timeout=(ask.limits.connect_s, ask.limits.time_s),
                verify=ask.ca_file or ask.verify,
                hooks={"pre_send": [reading.connected]},
            )
            protocol = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
            headers = {name.lower(): value for name, value in answer.headers.items()}
            reading.head(answer.status_code, headers, protocol.get(answer.http_version or 0, ""))
            if not recording.is_answer:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_beginning(answer.raw, reading), _ERROR_BODY_S)
                return
            while data := await answer.raw.read(amt=-1, decode_content=False):
                if not reading.piece(data):
                    recording.ended = LIMIT
                    recording.error = f"stopped after {recording.size:,} bytes (--max-bytes)"
                    return
            recording.ended = COMPLETE
    except (
        niquests.exceptions.RequestException,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
    ) as error:
        _note_error(recording, error, layer)
    except Exception as error:
        # urllib3-future lets errors of its protocol libraries through, each of a class of its own.
        if type(error).__module__.partition(".")[0] not in _NETWORK_PACKAGES:
            raise
        _note_error(recording, error, layer)


_NETWORK_PACKAGES = (
    "urllib3",
    "urllib3_future",
    "niquests",
    "h11",
    "jh2",
    "qh3",
    "brotli",
    "_brotli",
)


def _note_error(recording: Recording, error: Exception, layer: Layer) -> None:
    started = recording.head_at is not None and recording.is_answer
    recording.ended = CUT if started else FAILED
    if any("no application protocol" in str(cause) for cause in _causes(error)):
        recording.ended = UNOFFERED
    recording.error = _words(error, layer, started)


async def _beginning(raw: Any, reading: _Reading) -> None:
    """Read a little of an answer that is an error."""
    reading.recording.ended = COMPLETE
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


def _headers(ask: Ask) -> dict[str, str]:
    """The headers to send: those asked for, and what every client says besides."""
    encodings = "gzip, deflate" + (", br" if importlib.util.find_spec("brotli") else "")
    headers = {
        "User-Agent": f"nginx-stream-lint/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": encodings,
    }
    for name, value in ask.headers:
        same = next((known for known in headers if known.lower() == name.lower()), None)
        if same is not None:
            del headers[same]
        headers[name] = value
    return headers


def _one_line(beginning: bytes, recording: Recording) -> str:
    """What an answer that is no stream says: the title of a page, else its text."""
    kind = recording.headers.get("content-type", "").lower()
    if recording.is_answer and not kind.startswith(("text/html", "application/json")):
        return ""
    text = beginning.decode("utf-8", "replace")
    if "<" in text[:200]:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<[^>]*>", " ", text)
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text if len(text) <= _SAID else f"{text[: _SAID - 1]}…"


def _words(error: Exception, layer: Layer, started: bool) -> str:
    """What went wrong, in words of ours: messages of libraries repeat URLs and objects."""
    host = _host(layer)
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"the name {layer.parts.hostname} is not known to DNS"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refused the connection"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate is not trusted ({cause.verify_message}); --cacert FILE trusts"
                " its authority, --insecure any"
            )
        if isinstance(cause, ssl.SSLError) and "no application protocol" in str(cause):
            return "it does not offer this HTTP version"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({(cause.reason or 'error').replace('_', ' ').lower()})"
    names = [type(cause).__name__ for cause in _causes(error)]
    text = " ".join(str(error).split())
    if "ConnectTimeout" in names or "ConnectTimeoutError" in names:
        return f"no connection to {host} in time (--connect-timeout)"
    if "illegal status line" in text:
        return f"{host} does not speak HTTP"
    if started:
        return "the answer broke off"
    if "without response" in text or "ConnectionResetError" in names:
        return f"{host} closed the connection without an answer"
    return f"the exchange with {host} failed ({names[-1]})"


def _host(layer: Layer) -> str:
    return f"{layer.address or layer.parts.hostname}:{layer.port}"


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
