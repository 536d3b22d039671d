"""The process of one exchange: reads a request, sends it, and writes events as JSON lines.

Its memory is limited, it ends with the process that started it, and it shows no text of the server
(see `known_words`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import threading
from typing import Any

from nginx_stream_lint.trace.exchange import exchange
from nginx_stream_lint.trace.request import Layer, TraceLimits, TraceRequest

# Bytes of data; a plain exchange takes 60 MB, and the largest window of brotli 16 MB.
MEMORY = 400 << 20


def main() -> None:
    """Send the request from standard input."""
    be_bounded()
    importlib.import_module("niquests")  # before the clock runs
    sent: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _say({})
    limits = TraceLimits(**sent["limits"])
    headers = tuple((name, value) for name, value in sent["headers"])
    body = base64.b64decode(sent["body"])
    request = TraceRequest(
        sent["method"],
        headers,
        body,
        sent["verify"],
        sent["ca_file"],
        limits,
    )
    layer = Layer(0, sent["url"], sent["address"])
    asyncio.run(exchange(layer, sent["client"], request, sent["shown"], _say))


def _say(news: dict[str, Any]) -> None:
    data = json.dumps(news).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def _end_with_parent() -> None:
    """Wait until standard input is closed."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def be_bounded() -> None:
    """Limit this process's memory, and disable core files, which could contain secrets."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
