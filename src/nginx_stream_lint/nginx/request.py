"""A request with the properties that routing needs."""

from __future__ import annotations

import re

from msgspec import Struct

from nginx_stream_lint.util.numbers import whole_number


class Request(Struct, frozen=True):
    """A request for routing: no body, and only the headers Host and `headers`.

    `target` is the path with its query as in the request line. `host` is written as the client
    sends it; None if only a path is known. `port` is None for the scheme's default. `headers` are
    named as in nginx's variables (`sec_websocket_key`); a value is None if it varies by client.
    """

    scheme: str
    host: str | None
    port: int | None
    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str | None], ...] = ()


class BadUrl(ValueError):
    """A URL that cannot be requested; the message says why."""


def parse_url(url: str, method: str = "GET") -> Request:
    """Parse a URL, or a path such as `/v1/chat/completions?x=1`, without its fragment.

    Raises BadUrl.
    """
    url = url.partition("#")[0]  # clients do not send the fragment
    if url.startswith("/"):
        return Request("http", None, None, url, method)
    match = re.fullmatch(
        r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?@]*@)?"
        r"(?P<host>\[[^\]/?]*\]|[^/?:]*)(?::(?P<port>\d*))?(?P<target>[/?].*)?",
        url,
        re.DOTALL,
    )
    if match is None:
        raise BadUrl(f'"{url}" is not a URL; write a path that starts with /, or http://host/path')
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise BadUrl(f'"{url}" has the scheme "{scheme}"; use http or https')
    if not match["host"]:
        raise BadUrl(f'"{url}" has no host')
    port = whole_number(match["port"] or "")
    if match["port"] and (port is None or not 0 < port < 65536):
        raise BadUrl(f'"{url}" has no port between 1 and 65535')
    target = match["target"] or "/"
    if not target.startswith("/"):
        target = f"/{target}"
    return Request(scheme, match["host"], port, target, method)
