"""Declared streams: in the settings, on the command line, in comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.listeners import CLIENTS
from nginx_stream_lint.nginx.request import BadUrl, Request, parse_url
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.stream import KINDS, Stream
from nginx_stream_lint.util.remembering import latest_remembered

# `# nginx-stream-lint: stream sse framing=close` inside a location
COMMENT = r"(?s)#+\s*nginx-stream-lint:\s*stream\b(?P<rest>.*)"

_Word = TypeVar("_Word", bound=str)

_FEW = 40  # there are about thirty rules

_KEYS = (
    "path",
    "kind",
    "framing",
    "x_accel_buffering",
    "heartbeat",
    "accepts",
    "method",
    "client_streams",
)


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


class DeclarationMistake(ValueError):
    """An invalid declaration; the message names the problem and the nearest valid word."""


def nearest_words(word: str, words: Sequence[str]) -> str:
    """`; did you mean "x"?`; or, if no word is near, the list of words if it is short."""
    import difflib

    close = difflib.get_close_matches(word, words, 1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; one of: {', '.join(words)}" if len(words) <= _FEW else ""


def declaration(entry: object, because: str) -> Declaration:
    """Parse a `streams:` entry of the settings: a path, a URL, or a mapping with `path` and more.

    Raises DeclarationMistake.
    """
    if isinstance(entry, str):
        entry = {"path": entry}
    if not isinstance(entry, Mapping):
        raise DeclarationMistake("a stream must be a path or URL, or a mapping with a path")
    text = entry.get("path")
    if not isinstance(text, str):
        raise DeclarationMistake("a stream needs a path")
    properties = {str(key): value for key, value in entry.items() if key != "path"}
    stream = _stream(properties, because)
    return Declaration(text, declared_request(text, stream.method or "GET"), stream)


def declared_request(text: str, method: str = "GET") -> Request:
    """The request for a declared path or URL. Raises DeclarationMistake."""
    if not text.startswith("/") and "://" not in text:
        raise DeclarationMistake("a stream needs a URL, or a path that starts with /")
    try:
        return parse_url(text, method)
    except BadUrl as mistake:
        raise DeclarationMistake(str(mistake)) from None


@latest_remembered(256)
def from_comment(comment: str) -> Stream | None:
    """Parse the stream that a comment declares; None if it declares none.

    Raises DeclarationMistake.
    """
    match = re.match(COMMENT, comment)
    if match is None:
        return None
    properties: dict[str, object] = {}
    for word in match["rest"].split():
        key, equals, value = word.partition("=")
        if equals:
            properties[key] = value.split(",") if key == "accepts" else value
        elif word == "client_streams":
            properties[word] = True
        else:
            properties["kind"] = word
    return _stream(properties, "a comment in the location declares it")


def _stream(properties: Mapping[str, object], because: str) -> Stream:
    stream = Stream("sse", "declared", because, kind_is_open="kind" not in properties)
    for key, value in properties.items():
        if key == "accepts":
            values = value if isinstance(value, list) else [value]
            for client in values:
                _choose(key, client, CLIENTS)
            stream = replace(stream, clients=tuple(c for c in CLIENTS if c in values))
        elif key == "heartbeat":
            time = parse_time(str(value))
            if time is None:
                raise DeclarationMistake(f'heartbeat "{value}" is not a time such as 15s')
            stream = replace(stream, heartbeat_s=time)
        elif key == "method":
            stream = replace(stream, method=str(value).upper())
        elif key == "client_streams":
            stream = replace(stream, client_streams=_truth(key, value))
        elif key == "kind":
            stream = replace(stream, kind=_choose(key, value, KINDS))
        elif key == "framing":
            stream = replace(stream, framing=_choose(key, value, FRAMINGS))
        elif key == "x_accel_buffering":
            stream = replace(stream, x_accel_buffering=_choose(key, value, ACCEL_BUFFERINGS))
        else:
            raise DeclarationMistake(f'unknown key "{key}" of a stream{nearest_words(key, _KEYS)}')
    return stream


def _truth(key: str, value: object) -> bool:
    words = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
    found = words.get(str(value).lower())
    if found is None:
        raise DeclarationMistake(f'{key} "{value}" must be true or false')
    return found


def _choose(key: str, value: object, words: tuple[_Word, ...]) -> _Word:
    for word in words:
        if word == value:
            return word
    raise DeclarationMistake(f'{key} "{value}" is unknown{nearest_words(str(value), words)}')


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
