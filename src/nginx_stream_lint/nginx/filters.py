"""Filters of nginx that affect when a piece of a stream reaches the client."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.levels import Effective
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern

# User-Agent headers of streaming clients: browsers, SDKs, programs.
USER_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "OpenAI/Python 2.8.0",
    "python-httpx/0.28.1",
    "node",
    "Go-http-client/2.0",
    "curl/8.17.0",
)
# The ends of events, by the content type of the response. Most events contain JSON.
_EVENT_ENDS = {"text/event-stream": "}\n\n", "application/x-ndjson": "}\n"}


def gzip_is_disabled(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows of `gzip_disable` match all usual clients.

    nginx ignores case. `msie6` matches old browsers, which no longer exist.
    """
    patterns = [arg for row in rows for arg in row if arg not in ("msie6", "degradation")]
    if not patterns or any(map(has_placeholder, patterns)):
        return False
    try:
        compiled = [compile_pattern(pattern, ignore_case=True) for pattern in patterns]
        return all(any(one.search(agent) for one in compiled) for agent in USER_AGENTS)
    except Undecided:
        return False


def withholds_event_ends(
    patterns: Effective, types: Effective, content_types: Sequence[str]
) -> bool:
    """Whether `sub_filter` holds the end of each event until the next one arrives.

    It holds text that may be the beginning of a match, even when the response is flushed.
    """
    known = {arg.lower() for row in types.rows for arg in row}
    for content_type in content_types:
        end = _EVENT_ENDS.get(content_type)
        if end is None or not ("*" in known or content_type in known):
            continue
        for row in patterns.rows:
            if row and _begins_with_an_end(row[0], end):
                return True
    return False


def _begins_with_an_end(pattern: str, end: str) -> bool:
    if "$" in pattern or has_placeholder(pattern) or end.endswith(pattern):
        return False  # unknown, or replaced at once
    return any(end.endswith(pattern[:length]) for length in range(1, len(pattern)))
