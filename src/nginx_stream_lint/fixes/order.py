"""The order in which an expert writes the directives of a streaming location."""

from __future__ import annotations

import re

from nginx_stream_lint.nginx.directives import FAMILIES
from nginx_stream_lint.util.remembering import remembered

# The handler, then its request, then its response, then its timeouts; then everything else.
_GROUPS = (
    re.compile(r"\w+_http_version|\w+_keep_conn"),
    re.compile(r"\w+_(?:set|pass)_header|\w+_pass_request_\w+"),
    re.compile(r"\w*_?buffering|\w+_buffers?(?:_size)?|\w+_ignore_headers"),
    re.compile(r"\w+_timeout"),
)
LAST = len(_GROUPS)


@remembered
def rank(name: str) -> int:
    """Return the position of a directive or annotation in the usual order; LAST for others."""
    word = name.rpartition("/")[2].replace("-", "_")
    for place, group in enumerate(_GROUPS):
        if group.fullmatch(word):
            return place
    return LAST


def group(name: str) -> tuple[str, ...]:
    """The beginning of a directive's name that related directives share: `gzip`, `proxy_cache`."""
    words = name.split("_")
    return tuple(words[: 2 if words[0] in FAMILIES else 1])


def rank_of_line(text: str) -> int:
    """The rank of a line such as `proxy_buffering off;`."""
    words = text.split(maxsplit=1)
    return rank(words[0].strip("\"':")) if words else LAST
