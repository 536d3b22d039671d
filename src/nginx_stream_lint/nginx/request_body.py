"""How nginx passes a request body on while the client still sends it.

Measured on 1.22 and 1.31 with clients that keep their request open (HTTP/1.1 with chunked encoding,
HTTP/2). Such a request has no length, so rules about lengths are omitted.
"""

from __future__ import annotations

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.delivery import Settings
from nginx_stream_lint.nginx.values import parse_time


def collected_by(settings: Settings, family: str, is_mirrored: bool) -> str | None:
    """The directive that makes nginx collect the whole request before the app gets a byte.

    None if nginx forwards each piece. A uwsgi or scgi app always gets a complete request, because
    those protocols need its length. `is_mirrored`: a copy of it goes to another location, with its
    body.
    """
    if is_mirrored:
        return "mirror"
    if family in ("grpc", "tunnel"):
        return None
    if family in ("uwsgi", "scgi"):
        return f"{family}_pass"
    if settings(f"{family}_request_buffering").text.lower() == "on":
        return f"{family}_request_buffering"
    if settings(f"{family}_pass_request_body").text.lower() == "off":
        return f"{family}_pass_request_body"
    if family == "proxy":
        if settings("proxy_set_body").rows:
            return "proxy_set_body"
        version = settings("proxy_http_version").text
        if version == "1.0" and not has_placeholder(version):
            return "proxy_http_version"
    return None


def client_silence_s(settings: Settings) -> float | None:
    """Seconds that a client may send nothing before it has ended its request."""
    return parse_time(settings("client_body_timeout").text)


def app_ends_client_silence(settings: Settings, family: str) -> bool:
    """Whether data from the app restarts `client_body_timeout`, as over HTTP/2 to the app."""
    return family == "grpc" or (family == "proxy" and settings("proxy_http_version").text == "2")
