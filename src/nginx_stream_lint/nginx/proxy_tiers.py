"""One nginx in a chain of proxies: how it delivers, what it asks for, and what it sends on."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.delivery import AccelBuffering, DeliveryPath, Settings
from nginx_stream_lint.nginx.listeners import Client

_ACCEL = "x-accel-buffering"
_WORD = re.compile(r"\w+")
COMPRESSIONS = frozenset(("gzip", "br"))


class ForwardedResponse(Struct, frozen=True):
    """The properties of a response that one nginx sends to the next.

    `chunks`: it may use chunked encoding; `passes_accel`: it forwards X-Accel-Buffering;
    `adds_accel`: the X-Accel-Buffering that it adds.
    """

    chunks: bool
    passes_accel: bool
    adds_accel: AccelBuffering

    def accel(self, got: AccelBuffering) -> AccelBuffering:
        """The X-Accel-Buffering header that the next nginx gets."""
        if self.adds_accel != "absent":
            return self.adds_accel  # of two, the last counts
        return got if self.passes_accel else "absent"


class NginxTier(Struct, frozen=True):
    """One nginx in a chain: its delivery `path`, the request it sends, and its response.

    `client` is its kind of client for the tier nearer to the app, and `asks_old`: it uses HTTP/1.0.
    `accepts` are the compressions that it accepts; None: those of its own client. `over_tls`: it
    uses TLS. `compresses_old`: gzip is on for HTTP/1.0 clients, too.
    """

    path: DeliveryPath
    client: Client
    over_tls: bool
    asks_old: bool
    accepts: frozenset[str] | None
    sent: ForwardedResponse
    compresses_old: bool


def tier(settings: Settings, path: DeliveryPath, scheme: str) -> NginxTier:
    """Build a tier from the settings in force; `scheme` is that of its target."""
    family = path.family
    version = settings("proxy_http_version").text if family == "proxy" else "2"
    client: Client = "h2"
    if version != "2":
        client = "h1-tls" if scheme == "https" else "h1"
    accepts: frozenset[str] | None = None
    rows = settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ()
    for row in rows:
        if len(row) == 2 and row[0].lower() == "accept-encoding" and "$" not in row[1]:
            accepts = COMPRESSIONS.intersection(_WORD.findall(row[1].lower()))
    return NginxTier(
        path=path,
        client=client,
        over_tls=scheme in ("https", "grpcs"),
        asks_old=version == "1.0",
        accepts=accepts,
        sent=forwarded_response(settings, family),
        compresses_old=settings("gzip_http_version").text == "1.0",
    )


def forwarded_response(settings: Settings, family: str) -> ForwardedResponse:
    """How nginx forwards responses with these effective settings."""
    adds: AccelBuffering = "absent"
    for row in settings("add_header").rows:
        if len(row) > 1 and row[0].lower() == _ACCEL:
            adds = _accel(row[1]) or adds
    passed = () if family == "tunnel" else settings(f"{family}_pass_header").rows
    return ForwardedResponse(
        chunks=settings("chunked_transfer_encoding").text.lower() != "off",
        passes_accel=any(arg.lower() == _ACCEL for row in passed for arg in row),
        adds_accel=adds,
    )


def _accel(value: str) -> Literal["no", "yes"] | None:
    word = value.strip().lower()
    return "no" if word == "no" else "yes" if word == "yes" else None
