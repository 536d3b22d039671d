"""JSON documents: records encoded by msgspec, indented, with invisible characters escaped."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import msgspec

from nginx_stream_lint.util.escaping import in_json

_MANY = 100  # records that are encoded at once: fresh memory for 1,000 takes 5 ms


def json_parts(document: msgspec.Struct) -> Iterator[str]:
    """Encode a record as `json_text` does, but in parts: a long list takes several.

    A report of 26,000 findings is 30 MB, and its encoding took 60 MB at once.
    """
    before = "{\n"
    for field, name in zip(
        document.__struct_fields__, document.__struct_encode_fields__, strict=True
    ):
        value = getattr(document, field)
        if isinstance(value, list) and len(value) > _MANY:
            head = f'  "{name}": ['
            for at in range(0, len(value), _MANY):
                records = _member(name, value[at : at + _MANY])[len(head) : -len("\n  ]")]
                yield f"{before}{head}{records}" if at == 0 else f",{records}"
            yield "\n  ]"
        else:
            yield before + _member(name, value)
        before = ",\n"
    yield "\n}\n"


def _member(name: str, value: object) -> str:
    """The lines of an object's member, without the braces around it."""
    return json_text({name: value})[len("{\n") : -len("\n}\n")]


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
