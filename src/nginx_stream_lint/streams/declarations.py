"""Declared streams: in the settings, on the command line, in comments.

`declaration_syntax.py` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.streams.stream import Stream


class SettingsPosition(Struct, frozen=True):
    """A position in a settings file with this text; `line` and `column` count from 1."""

    file: str
    text: str
    line: int
    column: int


class Declaration(Struct, frozen=True):
    """A declared path or URL that streams, with the declared properties of its app.

    `text` is as the user wrote it, `request` the client's request; without a host it applies to
    every server. `place` is its position in the settings; None for the command line. `where`
    accepts the names of the files it applies to, if only to some: it applies in their servers, and
    to their locations in the servers of other files.
    """

    text: str
    request: Request
    stream: Stream
    place: SettingsPosition | None = None
    where: Callable[[str], bool] | None = None

    @property
    def path(self) -> str:
        """The path without a query."""
        return self.request.target.partition("?")[0]


class DeclaredProxy(Struct, frozen=True):
    """A proxy other than nginx that the settings put in front.

    `product` is its name in the table of products, `place` where the settings name it. `behind` is
    the path of the nginx configuration that gets its requests; None: all configurations do.
    """

    product: str
    place: SettingsPosition
    behind: str | None = None


def without_assumptions(stream: Stream) -> Stream:
    """Return an untrusted declaration without its claims about the app and its clients.

    Those can only weaken a check, such as a heartbeat that the app does not send.
    """
    return Stream(stream.kind, stream.confidence, stream.because, kind_is_open=stream.kind_is_open)


def with_found_facts(stream: Stream, found: Sequence[Stream]) -> tuple[Stream, ...]:
    """Complete the kind and properties of a declared stream from `found`.

    Declared properties stay. If nothing was found, it is an event stream.
    """
    if not stream.kind_is_open:
        return (stream,)
    return tuple(
        replace(
            one,
            kind=stream.kind if one.kind_is_open else one.kind,
            kind_is_open=False,
            confidence=stream.confidence,
            because=stream.because,
            framing=stream.framing or one.framing,
            x_accel_buffering=stream.x_accel_buffering or one.x_accel_buffering,
            heartbeat_s=one.heartbeat_s if stream.heartbeat_s is None else stream.heartbeat_s,
            clients=stream.clients or one.clients,
            method=stream.method or one.method,
            client_streams=stream.client_streams or one.client_streams,
        )
        for one in found
    ) or (replace(stream, kind_is_open=False),)
