"""Adapt a trusted configuration, so that nginx touches nothing outside one folder.

This is for demos and tests: the text keeps its includes, its targets and its modules. Only the copy
of a user's configuration is ever run (see `copy` and `verify`).

Lines and columns stay the same, so nginx's messages point at the original text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx_stream_lint.config import Directive, Source
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.util.problems import Unreadable

_PATHS_OF_NGINX = frozenset(
    {
        "access_log",
        "client_body_temp_path",
        "daemon",
        "error_log",
        "fastcgi_temp_path",
        "lock_file",
        "master_process",
        "pid",
        "proxy_temp_path",
        "scgi_temp_path",
        "user",
        "uwsgi_temp_path",
        "worker_processes",
    }
)
# In other blocks (map, types, ...) a first word is always data.
_BLOCKS = frozenset({"http", "server", "location", "if", "limit_except", "stream"})


def directives(text: str) -> list[Directive]:
    """Return the directives of a text; skips text that is not nginx syntax.

    Empty if the text nests too deep.
    """
    try:
        return parse(Source("nginx.conf", text)).directives
    except Unreadable:
        return []


def confine(text: str, http_level: str) -> str:
    """Return the text without its own paths, and with `http_level` put into its `http` block.

    Main-level replacements for what is dropped (pid, error_log, ...) are left to `nginx -g`.

    Args:
        text: a whole main configuration file.
        http_level: directives on one line, such as `proxy_temp_path "/tmp/x/proxy";`.
    """
    found = directives(text)
    confined = text
    for start, end in _paths(found):
        confined = confined[:start] + re.sub(r"[^\r\n]", " ", text[start:end]) + confined[end:]
    for block in reversed(found):
        if block.name == "http" and block.block is not None:
            confined = f"{confined[: block.end]} {http_level}{confined[block.end :]}"
    if not any(one.name == "events" for one in found):
        confined += "\nevents { worker_connections 4096; }\n"
    return confined


def _paths(found: list[Directive]) -> Iterator[tuple[int, int]]:
    """The spans of the directives that name paths."""
    work = [found]
    while work:
        for one in work.pop():
            if one.block is None and one.name in _PATHS_OF_NGINX:
                yield one.start, one.end
            elif one.block is not None and one.name in _BLOCKS:
                work.append(one.block)
