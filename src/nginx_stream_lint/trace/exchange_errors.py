"""Describe the errors of an exchange."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from nginx_stream_lint.trace.request import Layer

_NO_VERSION = "no application protocol"


def describe_error(error: Exception, layer: Layer, started: bool) -> str:
    """Return an error message in our own words: that of a library may repeat a server's text."""
    host = layer.host
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"the host name {layer.parts.hostname} cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refused the connection"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate is not trusted ({_distrust(cause)}); use --cacert FILE to trust"
                " its authority, or --insecure"
            )
        if isinstance(cause, ssl.SSLError) and _NO_VERSION in str(cause):
            return "the server does not support this HTTP version"
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", None) or ""  # a library's own errors have none
            known = reason if re.fullmatch(r"[A-Z0-9_]{1,60}", reason) else "error"
            return f"TLS failed ({known.replace('_', ' ').lower()})"
    names = [type(cause).__name__ for cause in _causes(error)]
    text = " ".join(str(error).split())
    if "ConnectTimeout" in names or "ConnectTimeoutError" in names:
        return f"no connection to {host} within --connect-timeout"
    if "illegal status line" in text:
        return f"the response of {host} is not HTTP"
    if started:
        return "the response was truncated"
    if "without response" in text or "ConnectionResetError" in names:
        return f"{host} closed the connection without a response"
    return f"the HTTP client could not read the response of {host} ({names[-1]})"


def is_version_refused(error: Exception) -> bool:
    """Whether the server does not support the HTTP version of the client."""
    return any(_NO_VERSION in str(cause) for cause in _causes(error))


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """Describe why a certificate is not trusted, by OpenSSL's error number."""
    code: int = getattr(error, "verify_code", 0)
    return {
        10: "it has expired",
        18: "it is self-signed",
        19: "its authority is self-signed and unknown",
        20: "its authority is unknown",
        21: "its chain is incomplete",
        62: "it was issued for another name",
        64: "it was issued for another address",
    }.get(code, f"error {code}" if code else "no reason given")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        inner = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        reason = getattr(cause, "reason", None)
        cause = (
            cause.__cause__
            or cause.__context__
            or inner
            or (reason if isinstance(reason, BaseException) else None)
        )
