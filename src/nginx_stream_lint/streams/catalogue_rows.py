"""Read the catalogue from its YAML (`catalogue.yaml`)."""

import os
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import AccelBuffering, Framing
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.catalogue import App, Endpoint
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.util.yamlfile import load_records

FILE = os.path.join(os.path.dirname(__file__), "catalogue.yaml")


class _EndpointRow(Struct, forbid_unknown_fields=True):
    """An endpoint as it is written; `because` is the source of a heartbeat or a silence."""

    path: str
    distinctive: str
    kind: Kind
    because: str = ""
    method: str | None = None
    framing: Framing | None = None
    x_accel_buffering: AccelBuffering | None = None
    heartbeat: str | None = None
    silence: str | None = None


class _AppRow(Struct, forbid_unknown_fields=True):
    """An app as it is written."""

    app: str
    source: str
    endpoints: tuple[_EndpointRow, ...]
    names: tuple[str, ...] = ()
    shared: bool = False


def read_apps() -> tuple[App, ...]:
    """Read all apps."""
    rows = load_records(FILE, tuple[_AppRow, ...])
    return tuple(_with_shared(list(map(_app, rows))))


def _app(row: _AppRow) -> App:
    return App(
        row.app,
        frozenset(re.sub(r"[^a-z0-9]+", "-", word.lower()) for word in row.names),
        tuple(_endpoint(row.app, endpoint) for endpoint in row.endpoints),
        row.shared,
    )


def _with_shared(found: Sequence[App]) -> Iterator[App]:
    """The apps, with the silences of shared endpoints added to apps with the same paths."""
    shared: dict[tuple[str, Kind], Stream] = {}
    for app in found:
        for one in app.endpoints if app.shared else ():
            shared.setdefault((one.path, one.stream.kind), one.stream)
    for app in found:
        endpoints = [
            replace(one, stream=_quiet_as(one.stream, shared.get((one.path, one.stream.kind))))
            for one in app.endpoints
        ]
        yield replace(app, endpoints=tuple(endpoints))


def _quiet_as(stream: Stream, shared: Stream | None) -> Stream:
    if shared is None or stream.heartbeat_s is not None or stream.silence_s is not None:
        return stream
    return replace(stream, heartbeat_s=shared.heartbeat_s, silence_s=shared.silence_s)


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_time(text)


def _endpoint(app: str, row: _EndpointRow) -> Endpoint:
    stream = Stream(
        kind=row.kind,
        confidence="likely",
        because=f"{row.path} is a streaming endpoint ({app})",
        framing=row.framing,
        x_accel_buffering=row.x_accel_buffering,
        heartbeat_s=_seconds(row.heartbeat),
        silence_s=_seconds(row.silence),
        method=row.method,
    )
    return Endpoint(app, row.path, row.distinctive, stream)
