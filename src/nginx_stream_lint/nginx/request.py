"""A request as far as routing needs it, and what nginx makes of its target.

Source: `ngx_http_parse_complex_uri` in nginx's src/http/ngx_http_parse.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A request for routing: no body, and no headers but Host.

    `target` is the path with its query as it stands in the request line. `host` is None where only
    a path is known, and `port` where the scheme's own or any is meant.
    """

    scheme: str
    host: str | None
    port: int | None
    target: str
    method: str = "GET"


class BadUrl(ValueError):
    """What cannot be asked for; the message says why."""


def parse_url(url: str, method: str = "GET") -> Request:
    """A URL, or a path such as `/v1/chat/completions?x=1`, as a request.

    Raises BadUrl.
    """
    if url.startswith("/"):
        return Request("http", None, None, url, method)
    match = re.fullmatch(
        r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?"
        r"(?P<host>\[[^\]/?#]*\]|[^/?#:]*)(?::(?P<port>\d*))?(?P<target>[/?#].*)?",
        url,
        re.DOTALL,
    )
    if match is None:
        raise BadUrl(f'"{url}" is neither a path that starts with / nor a URL')
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise BadUrl(f'scheme "{scheme}" of "{url}": nginx serves http and https')
    if not match["host"]:
        raise BadUrl(f'"{url}" has no host')
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise BadUrl(f'"{url}" has no port between 1 and 65535')
    target = match["target"] or "/"
    if not target.startswith("/"):
        target = f"/{target}"
    return Request(scheme, match["host"].lower().rstrip("."), port, target, method)


def normalize(target: str, merge_slashes: bool = True) -> tuple[str, str] | None:
    """The URI that nginx matches locations with, and the arguments; None where it answers 400.

    Percent signs are decoded, `.` and `..` resolved and slashes merged; decoded dots and slashes
    count like others. Bytes that are no UTF-8 come back as surrogates, as in `config.source`.
    """
    data = target.encode("utf-8", "surrogateescape").partition(b"#")[0]
    path, _, args = data.partition(b"?")
    uri = _decoded(path)
    if uri is None:
        return None
    segments = _resolved(uri, merge_slashes)
    if segments is None:
        return None
    return _text(segments), _text(args)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _decoded(path: bytes) -> bytes | None:
    if any(byte < 0x20 or byte == 0x7F for byte in path) or b" " in path:
        return None
    if re.search(rb"%(?![0-9A-Fa-f]{2})|%00", path):
        return None
    return re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), path)


def _resolved(uri: bytes, merge_slashes: bool) -> bytes | None:
    """`.` and `..` resolved and slashes merged; None where `..` leads above the root."""
    done = bytearray()
    at = 0
    while at < len(uri):
        slash = uri.find(b"/", at + 1)
        end = len(uri) if slash < 0 else slash
        segment = uri[at + 1 : end]  # uri[at] is a slash
        last = end == len(uri)
        if segment == b"." or (segment == b"" and not last and merge_slashes):
            if last:
                done += b"/"
        elif segment == b"..":
            if not done:
                return None
            del done[done.rindex(b"/") :]
            if last:
                done += b"/"
        else:
            done += b"/" + segment
        at = end
    return bytes(done) or b"/"
