"""Split the output of `nginx -T`: all files of a configuration in one text."""

from __future__ import annotations

import re

_HEADER = r"(?m)^# configuration file (.+):\r?$"
# Messages of `nginx -T` on standard error that were written to the same file.
_SAID = r"nginx: .*\n?"


def split_dump(text: str) -> dict[str, str] | None:
    """The texts of a dump by file name, the main one first; None for any other text."""
    if "# configuration file " not in text:
        return None
    headers = list(re.finditer(_HEADER, text))
    before = text[: headers[0].start()] if headers else text
    if not headers or re.sub(_SAID, "", before).strip():
        return None
    found: dict[str, str] = {}
    for header, after in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() + 1 : len(text) if after is None else after.start()]
        # nginx adds a line end to each file.
        body = re.sub(r"\r?\n(?:nginx: [^\n]*\n)*\Z", "", body)
        found.setdefault(header[1], body)
    return found
