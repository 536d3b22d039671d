"""One nginx in a chain of proxies: how it delivers, what it asks for, and what it sends on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.delivery import AccelBuffering, DeliveryPath, Settings
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.versions import Version

_FORBIDS = re.compile(r"(?i)no-cache|no-store|private")
# Headers of a connection, which HTTP/2 requests may not have, and the first nginx to refuse them.
_OF_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
_REFUSES_HOP_HEADERS: Version = (1, 31, 0)
_ACCEL = "x-accel-buffering"
# The name of a compression, and its quality.
_ENCODING = re.compile(r"(?:^|(?<=[, ]))(\w+)(?:\s*;\s*q=([0-9.]+))?(?=[,; ]|$)")
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
    uses TLS. `compresses_old`: gzip is on for HTTP/1.0 clients, too; `compresses_proxied`: also for
    requests with a header Via. `sends_via`: it adds (or with False removes) that header; None: it
    sends on what it gets. `sends_hop_headers`: its HTTP/2 requests have headers that HTTP/2
    forbids; `refuses_hop_headers`: it responds with 400 to such requests. `forbids_caching`: it
    adds headers with which the next tier caches nothing; `obeys_caching_headers`: it reads those.
    """

    path: DeliveryPath
    client: Client
    over_tls: bool
    asks_old: bool
    accepts: frozenset[str] | None
    sent: ForwardedResponse
    compresses_old: bool
    compresses_proxied: bool = False
    sends_via: bool | None = None
    sends_hop_headers: bool = False
    refuses_hop_headers: bool = False
    forbids_caching: bool = False
    obeys_caching_headers: bool = True


def tier(settings: Settings, path: DeliveryPath, scheme: str, version: Version) -> NginxTier:
    """Build a tier from the settings in force; `scheme` is that of its target."""
    family = path.family
    protocol = settings("proxy_http_version").text if family == "proxy" else "2"
    client: Client = "h2"
    if protocol != "2":
        client = "h1-tls" if scheme == "https" else "h1"
    rows = settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ()
    passes = settings(f"{family}_pass_request_headers").text.lower() != "off"
    sends_via: bool | None = None if passes else False
    for row in rows:
        if len(row) == 2 and row[0].lower() == "via" and "$" not in row[1]:
            sends_via = bool(row[1])
    return NginxTier(
        path=path,
        client=client,
        over_tls=scheme in ("https", "grpcs"),
        asks_old=protocol == "1.0",
        accepts=accepted_upstream(settings, family),
        sent=forwarded_response(settings, family),
        compresses_old=settings("gzip_http_version").text == "1.0",
        compresses_proxied=_compresses_proxied(settings),
        sends_via=sends_via,
        sends_hop_headers=client == "h2" and family == "proxy" and any(map(_is_of_hop, rows)),
        refuses_hop_headers=version >= _REFUSES_HOP_HEADERS,
        forbids_caching=_forbids_caching(settings),
        obeys_caching_headers=_obeys_caching_headers(settings, family),
    )


def accepted_upstream(settings: Settings, family: str) -> frozenset[str] | None:
    """The compressions that nginx accepts from the next tier; None: those of its own client."""
    passes = settings(f"{family}_pass_request_headers").text.lower() != "off"
    accepts: frozenset[str] | None = None if passes else frozenset()
    for row in settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ():
        if len(row) == 2 and row[0].lower() == "accept-encoding" and "$" not in row[1]:
            accepts = accepted_encodings(row[1])
    return accepts


def accepted_encodings(header: str) -> frozenset[str]:
    """The compressions of nginx that an Accept-Encoding header accepts."""
    found = _ENCODING.findall(header.lower())
    return COMPRESSIONS.intersection(name for name, quality in found if not _is_zero(quality))


def _is_zero(quality: str) -> bool:
    return bool(quality) and not quality.strip("0.")


def _forbids_caching(settings: Settings) -> bool:
    """Whether `expires` or `add_header` adds headers that forbid caching."""
    expires = settings("expires").rows
    if any(row and (row[-1] == "epoch" or row[-1].startswith("-")) for row in expires):
        return True
    rows = (row for row in settings("add_header").rows if len(row) > 1)
    return any(row[0].lower() == "cache-control" and _FORBIDS.search(row[1]) for row in rows)


def _obeys_caching_headers(settings: Settings, family: str) -> bool:
    """Whether a cache obeys Expires or Cache-Control of the response; `*_store` does not."""
    if family in ("grpc", "tunnel"):
        return True
    rows = settings(f"{family}_ignore_headers").rows
    ignored = {arg.lower() for row in rows for arg in row}
    stores = settings(f"{family}_store").text not in ("", "off")
    return not stores and not ignored >= {"expires", "cache-control"}


def _is_of_hop(row: Sequence[str]) -> bool:
    """Whether a header to set may not be in HTTP/2 requests."""
    if len(row) != 2 or not row[1] or "$" in row[1]:
        return False
    name = row[0].lower()
    return name in _OF_HOP or (name == "te" and row[1].lower() != "trailers")


def _compresses_proxied(settings: Settings) -> bool:
    """Whether gzip is on for requests with a header Via.

    Streams have neither ETag nor Last-Modified. Whether they have other headers is unknown.
    """
    said = {arg for row in settings("gzip_proxied").rows for arg in row}
    return "off" not in said and not said.isdisjoint({"any", "no_etag", "no_last_modified"})


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
