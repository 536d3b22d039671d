"""JSON as programs get it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from json.encoder import encode_basestring

from nginx_stream_lint.util.sinks import in_json


def encoded(document: object) -> str:
    """JSON with a line end; bytes that are no UTF-8 become question marks, as JSON has none."""
    text = f"{indented(document)}\n".encode("utf-8", "replace").decode("utf-8")
    return in_json(text)


def indented(value: object, line: str = "\n") -> str:
    """JSON as `json.dumps` writes it with an indent of 2, without ASCII escapes.

    That takes several times as long: it hands each word up through a generator for each level.
    An iterator becomes a list, one element after the other, so that not all of them are there at
    once. `line` is the line end with the indentation of what is around.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if type(value) is int:
        return str(value)
    inner = f"{line}  "
    if isinstance(value, dict) and value:
        rows = [f"{encode_basestring(key)}: {indented(one, inner)}" for key, one in value.items()]
        return f"{{{inner}{f',{inner}'.join(rows)}{line}}}"
    if isinstance(value, Iterator) or (isinstance(value, (list, tuple)) and value):
        rows = [indented(one, inner) for one in value]
        return f"[{inner}{f',{inner}'.join(rows)}{line}]" if rows else "[]"
    return json.dumps(value)
