"""Notes from the response headers of each layer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from nginx_stream_lint.trace.known_words import NOT_SHOWN
from nginx_stream_lint.trace.recording import Recording

# The only response headers that are shown.
READ = (
    "content-type", "content-encoding", "transfer-encoding", "content-length",
    "x-accel-buffering", "cache-control", "age", "via", "server", "cf-cache-status", "x-cache",
    "alt-svc",
)  # fmt: skip
_NOT_STORED = ("no-store", "no-cache", "private")


class HeaderNote(Struct, frozen=True):
    """A note about the response of one layer, counted from 1.

    `code` is its subject in one word, `text` the note. `explains` has the causes of verdict.py that
    it may explain, here or at the next layer.
    """

    layer: int
    code: str
    text: str
    explains: tuple[str, ...] = ()


def header_notes(recordings: Sequence[tuple[int, Recording]]) -> list[HeaderNote]:
    """Return notes about the responses of all layers, nearest to the app first."""
    found: list[HeaderNote] = []
    before: Mapping[str, str] | None = None
    for number, recording in recordings:
        if recording.is_success:
            found += _of(number, recording, before)
            before = recording.headers
    return found


def _of(
    number: int, recording: Recording, before: Mapping[str, str] | None
) -> Iterator[HeaderNote]:
    headers = recording.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if recording.kind == "sse" and kind != "text/event-stream":
        kind = "another type" if kind == NOT_SHOWN else kind or "no type"
        yield HeaderNote(number, "type", f"events are sent as {kind}, not text/event-stream")
    if not recording.text_is_utf8:
        yield HeaderNote(
            number, "charset", "the text is not UTF-8, as event streams and JSON must be"
        )
    if "content-length" in headers:
        yield HeaderNote(
            number,
            "length",
            "Content-Length is set, so the response was complete before it was sent",
            ("whole-answer", "upstream-buffer", "buffer"),
        )
    elif recording.protocol in ("1.0", "1.1") and "transfer-encoding" not in headers:
        yield HeaderNote(
            number,
            "unchunked",
            "the response is not chunked and ends when the connection closes, so an nginx in front"
            " buffers it and a truncated response looks complete",
            ("upstream-buffer", "read-timeout", "broken"),
        )
    yield from _accel(number, headers, before)
    yield from _kept(number, headers, before)
    encoding = headers.get("content-encoding", "")
    if encoding and (before is None or not before.get("content-encoding")):
        what = "an unknown encoding" if encoding == NOT_SHOWN else encoding
        yield HeaderNote(number, "encoding", f"compressed with {what} here", ("compression",))
    if 'h3="' in headers.get("alt-svc", ""):
        yield HeaderNote(number, "h3", "HTTP/3 is offered (use --client h3 to test it)")


def _accel(
    number: int, headers: Mapping[str, str], before: Mapping[str, str] | None
) -> Iterator[HeaderNote]:
    value = headers.get("x-accel-buffering", "").lower()
    upstream_asks = "" if before is None else before.get("x-accel-buffering", "").lower()
    if value == "yes":
        yield HeaderNote(
            number,
            "accel-yes",
            "X-Accel-Buffering: yes turns buffering on in an nginx in front",
            ("upstream-buffer", "tls-buffer", "compression"),
        )
    if upstream_asks == "no" and value != "no":
        yield HeaderNote(
            number,
            "accel-lost",
            "this layer removes the previous layer's X-Accel-Buffering: no, so an nginx in front"
            " does not get it (to keep it, set proxy_pass_header X-Accel-Buffering)",
            ("upstream-buffer", "tls-buffer", "compression"),
        )


def _kept(
    number: int, headers: Mapping[str, str], before: Mapping[str, str] | None
) -> Iterator[HeaderNote]:
    hit = next(
        (
            f"{name}: {headers[name]}"
            for name in ("cf-cache-status", "x-cache", "x-cache-status", "x-proxy-cache")
            if "hit" in headers.get(name, "").lower()
        ),
        f"Age: {headers['age']}" if headers.get("age", "0").strip() not in ("", "0") else "",
    )
    if hit:
        yield HeaderNote(number, "hit", f"the response comes from a cache ({hit})", ("cache",))
    elif _is_storable(headers) and (before is None or not _is_storable(before)):
        yield HeaderNote(
            number,
            "storable",
            "no Cache-Control: no-store or no-cache, so a cache may store the stream",
            ("cache",),
        )


def _is_storable(headers: Mapping[str, str]) -> bool:
    return not any(word in headers.get("cache-control", "").lower() for word in _NOT_STORED)
