"""An upstream that drips tokens in every protocol nginx can pass a request to."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType

from nginx_stream_lint.probe.emission import ClientGone, DropConnection, Log, ReceivedRequest
from nginx_stream_lint.probe.serve_cgi import serve_fastcgi, serve_scgi, serve_uwsgi
from nginx_stream_lint.probe.serve_http1 import serve_http1

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int, Log], Awaitable[None]]


async def _serve_http2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, log: Log
) -> None:
    from nginx_stream_lint.probe.serve_http2 import serve_http2

    await serve_http2(reader, writer, number, log)


_FAMILIES: dict[str, Serve] = {
    "http": serve_http1,
    "fastcgi": serve_fastcgi,
    "scgi": serve_scgi,
    "uwsgi": serve_uwsgi,
    "h2c": _serve_http2,
}
# Requests that a configuration makes nginx send are untrusted: they may be invalid...
_NONSENSE = (
    ArithmeticError,
    LookupError,
    ValueError,
    asyncio.LimitOverrunError,
    struct.error,
)
# ... or endless subrequests: limit for the bytes of all requests, which are kept.
_MOST_KEPT = 1 << 27
_WEIGHT = 1000  # bytes of a request besides its headers
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


class DrippingUpstream:
    """Listens on loopback, one port per family, while used as an async context manager.

    The response is determined by each request's `X-Drip` header (see `Drip`); without one it sends
    `Drip()`. `ports` has the port of each family (`http`, `fastcgi`, `scgi`, `uwsgi`, `h2c`).
    `seen` has every request in the order of arrival, from its arrival on.
    """

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.seen: list[ReceivedRequest] = []
        self._connections = 0
        self._heard = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, name: str) -> list[ReceivedRequest]:
        """Return the requests whose drip has this id: several if nginx repeats or mirrors one."""
        return [seen for seen in self.seen if seen.id == name]

    async def __aenter__(self) -> DrippingUpstream:
        for family, serve in _FAMILIES.items():
            server = await asyncio.start_server(self._accept(serve), "127.0.0.1", 0, backlog=512)
            self._servers.append(server)
            self.ports[family] = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections += 1
            connection = self._connection(serve, reader, writer, self._connections)
            task = asyncio.get_running_loop().create_task(connection)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return accept

    async def _connection(
        self,
        serve: Serve,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        mine: list[ReceivedRequest] = []

        def log(seen: ReceivedRequest) -> None:
            self._heard += _WEIGHT + sum(map(len, (*seen.headers, *seen.headers.values())))
            if self._heard > _MOST_KEPT:
                raise ValueError("more requests than any probe sends")
            mine.append(seen)
            self.seen.append(seen)

        try:
            await serve(reader, writer, number, log)
        except (ClientGone, ConnectionError, asyncio.IncompleteReadError, *_NONSENSE):
            for seen in mine:
                seen.client_gone = not seen.finished
        except DropConnection as death:
            if death.how == "reset":
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        finally:
            writer.close()
