"""JSON documents: records encoded by msgspec, indented, with invisible characters escaped."""

from __future__ import annotations

import io
import json

import msgspec

from nginx_stream_lint.util.sinks import in_json


def json_text(document: object, *, lossy: bool = False) -> str:
    """Encode a record, or a list of records, as an indented JSON document with a line end.

    A byte of a file name that is not UTF-8 becomes the JSON escape of a surrogate. With `lossy` it
    becomes a question mark, for formats whose readers refuse such an escape.
    """
    try:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    except (UnicodeEncodeError, OverflowError):
        # msgspec encodes no surrogates, and no integer of more than 64 bits.
        plain = io.StringIO()
        json.dump(msgspec.to_builtins(document), plain, indent=2, ensure_ascii=False)
        text = plain.getvalue()
        if lossy:
            text = text.encode("utf-8", "replace").decode()
    text += "\n"  # in place: another copy would be 30 MB for 26,000 findings
    return in_json(text)
