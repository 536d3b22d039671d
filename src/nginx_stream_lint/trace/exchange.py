"""One exchange: send the request, read the response. Runs in the worker's process.

The only module that uses niquests, which supports HTTP/1.1, HTTP/2 and HTTP/3.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import time
import warnings
from typing import Any

from nginx_stream_lint import __version__
from nginx_stream_lint.trace.exchange_errors import describe_error, is_version_refused
from nginx_stream_lint.trace.recording import COMPLETE, CUT, FAILED, UNOFFERED
from nginx_stream_lint.trace.request import Layer, TraceLimits, TraceRequest
from nginx_stream_lint.trace.response_reader import BEGINNING, ResponseReader, Say

_ERROR_BODY_S = 5.0  # seconds to read the body of an error response


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
    if is_version_refused(error):
        reading.ended = UNOFFERED
    reading.error = describe_error(error, layer, reading.is_success)


async def _beginning(raw: Any, reading: ResponseReader) -> None:
    """Read the beginning of an error response."""
    reading.ended = COMPLETE
    while len(reading.beginning) < BEGINNING:
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
