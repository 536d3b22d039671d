"""Read declarations of streams: entries of the settings, options, and comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.listeners import CLIENTS
from nginx_stream_lint.nginx.request import BadUrl, Request, parse_url
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.stream import KINDS, Stream
from nginx_stream_lint.util.problems import nearest_words
from nginx_stream_lint.util.remembering import latest_remembered

# `# nginx-stream-lint: stream sse framing=close` inside a location, also without the `#`
COMMENT = r"#*\s*nginx-stream-lint:\s*stream\b(?P<rest>[^\n]*)"

_Word = TypeVar("_Word", bound=str)

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


class DeclarationMistake(ValueError):
    """An invalid declaration; the message names the problem and the nearest valid word."""


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
    """Parse the stream that the text of a comment declares; None if it declares none.

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
