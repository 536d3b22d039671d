"""The network: send one request to one layer, and record when each part of the response arrives.

The HTTP library that parses a server's response was not made for hostile servers. So each exchange
runs in a separate process (`worker.py`), which may be slow, grow or crash. It is killed when its
time is over. It writes only numbers and known words, as lines.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict

from nginx_stream_lint.trace.recording import CUT, FAILED, LIMIT, BodyPart, Recording
from nginx_stream_lint.trace.request import Layer, TraceRequest

# Isolated from the current folder, which may have foreign modules.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    "from nginx_stream_lint.trace.worker import main; main()"
)
_START_S = 60.0  # seconds for the process to start: only a very busy machine takes that long
_GRACE_S = 2.0  # seconds after the time limit until a process that does not keep it is ended
_LEAVE_S = 1.0  # seconds to close the connection
_LONGEST_LINE = 1 << 20

OnPiece = Callable[[Recording], None]


async def fetch(
    layer: Layer, client: str, request: TraceRequest, on_piece: OnPiece = lambda _: None
) -> Recording:
    """Send one request to a layer and record the response; never raises for the layer's errors.

    Redirects are not followed: they lead to another layer, which would get the secrets.

    Args:
        layer: the layer that gets the request.
        client: `h1`, `h2` or `h3`.
        request: the request.
        on_piece: called after each piece.

    Raises:
        ImportError: niquests is not installed.
    """
    if importlib.util.find_spec("niquests") is None:
        raise ImportError("niquests is not installed", name="niquests")
    recording = Recording("h1-tls" if client == "h1" and layer.is_tls else client)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-c", _START, json.dumps(sys.path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )
    assert process.stdout is not None
    try:
        await _listen(process, _request(layer, client, request), recording, request, on_piece)
        if not recording.finished:
            _note_lost(recording, layer, request, in_time=process.stdout.at_eof())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), _LEAVE_S)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        # Reads what is left: asyncio does not see the end of a process while its output waits.
        await process.communicate()
    return recording


def _request(layer: Layer, client: str, request: TraceRequest) -> bytes:
    """The worker's instructions, as one line for its standard input.

    Unlike arguments, they are not visible in the list of processes."""
    instructions = {
        "url": layer.url,
        "shown": layer.shown,
        "address": layer.address,
        "client": client,
        "method": request.method,
        "headers": request.headers,
        "body": base64.b64encode(request.body).decode(),
        "verify": request.verify,
        "ca_file": request.ca_file,
        "limits": asdict(request.limits),
    }
    return json.dumps(instructions).encode() + b"\n"


async def _listen(
    process: asyncio.subprocess.Process,
    instructions: bytes,
    recording: Recording,
    request: TraceRequest,
    on_piece: OnPiece,
) -> None:
    """Record the worker's messages until it has finished, or its time is over."""
    assert process.stdin is not None
    with contextlib.suppress(asyncio.TimeoutError, ConnectionError, ValueError):
        process.stdin.write(instructions)
        # The first line shows that it has started. A delay before that is not the server's.
        await asyncio.wait_for(_line(process), _START_S)
        listening = _follow(process, recording, on_piece)
        await asyncio.wait_for(listening, request.limits.time_s + _GRACE_S)


async def _follow(
    process: asyncio.subprocess.Process, recording: Recording, on_piece: OnPiece
) -> None:
    while not recording.finished and (news := await _line(process)) is not None:
        apply_news(recording, news)
        on_piece(recording)


def apply_news(recording: Recording, news: dict[str, Any]) -> None:
    """Apply a worker's message to a recording: fields by name, and `piece`, the next one."""
    for name, value in news.items():
        if name == "piece":
            recording.pieces.append(BodyPart(*value))
        else:
            setattr(recording, name, value)


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any] | None:
    """The worker's next line; None at the end."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _note_lost(recording: Recording, layer: Layer, request: TraceRequest, in_time: bool) -> None:
    """Record the error of a worker that did not finish."""
    limit = f"{request.limits.time_s:g} s (--max-time)"
    began = recording.head_at is not None
    if in_time:
        recording.ended = CUT if recording.is_success else FAILED
        recording.error = (
            f"the HTTP client could not read the response of {layer.host} (the client ended)"
        )
    else:
        recording.ended = LIMIT if began else FAILED
        recording.error = f"stopped after {limit}" if began else f"no response within {limit}"
    last = recording.pieces[-1].at if recording.pieces else recording.head_at or 0.0
    recording.finished = last if in_time and last else max(last, request.limits.time_s)
