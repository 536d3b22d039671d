"""Wait for an event, however long a busy machine takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

SECONDS = 60.0  # only reached if the event never happens


async def until(happened: Callable[[], object]) -> None:
    """Return when `happened()` is true. Raises AssertionError if it never becomes true."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)


async def leave(asking: asyncio.Future[Any]) -> None:
    """Cancel a request, like a client that disconnects."""
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
