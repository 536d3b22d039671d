"""One nginx in a chain of proxies: its delivery, the request it sends, and its response."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.caching import NOTHING, ResponseCaching, response_caching
from nginx_stream_lint.nginx.delivery import (
    ACCEL_BUFFERINGS,
    AccelBuffering,
    DeliveryPath,
    Settings,
)
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.variable_syntax import variables_in, without_variables
from nginx_stream_lint.nginx.variables import RequestState
from nginx_stream_lint.nginx.versions import Version

# The response headers that forbid or permit caching, and what permits it in Cache-Control.
_OF_CACHING = frozenset(("expires", "cache-control"))
_PERMITS = re.compile(r"(?i)max-?age=0*[1-9]")
_FORBIDS = re.compile(r"(?i)no-cache|no-store|private|max-?age=0+(?![0-9])")
# Headers of a connection, which HTTP/2 requests may not have, and the first nginx to refuse them.
_OF_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
_REFUSES_HOP_HEADERS: Version = (1, 31, 0)
_ACCEL = "x-accel-buffering"
# The X-Accel-Buffering headers of a response. Of more than two, the first and the last matter.
_ACCEL_HEADERS = (*ACCEL_BUFFERINGS, "no, no", "no, yes", "yes, no", "yes, yes")
# Since then, variables have all headers of one name, joined. Before, they have the first.
_JOINS_HEADERS: Version = (1, 23, 0)
# Scenarios do not name a content type.
_CONTENT_TYPE = "text/event-stream"
# The name of a compression, and its quality.
_ENCODING = re.compile(r"(?:^|(?<=[, ]))(\w+)(?:\s*;\s*q=([0-9.]+))?(?=[,; ]|$)")
COMPRESSIONS = frozenset(("gzip", "br"))


class ForwardedResponse(Struct, frozen=True):
    """The properties of a response that one nginx sends to the next.

    `chunks`: it may use chunked encoding; `accel`: the X-Accel-Buffering headers that the next
    nginx gets, for those that this nginx gets. Several are joined: `yes, no`.
    """

    chunks: bool
    accel: Mapping[str, str]


class NginxTier(Struct, frozen=True):
    """One nginx in a chain: its delivery `path`, the request it sends, and its response.

    Its request goes to the tier behind it, which is nearer to the app:
    - `client`: the kind of client that it is for that tier
    - `over_tls`, `uses_http10`: whether it uses TLS, or HTTP/1.0
    - `accepts`: the compressions that it accepts; None: those that its own client accepts
    - `sends_via`: whether it adds the header Via (True) or removes it (False); None: unchanged
    - `sends_hop_headers`: whether its HTTP/2 requests have headers that HTTP/2 forbids

    Its response to its own client:
    - `refuses_hop_headers`: it responds with 400 to requests with forbidden headers
    - `compresses_http10`, `compresses_proxied`: whether gzip is on for HTTP/1.0 clients, and for
      requests with a header Via
    - `forbids_caching`, `permits_caching`: headers that it adds, with which the next tier caches
      nothing, or caches
    - `drops_caching`: headers for caching from behind that it hides or replaces
    - `obeys_caching_headers`: headers for caching that it obeys itself; `if_permitted` is what it
      caches if one of them permits that
    """

    path: DeliveryPath
    client: Client
    over_tls: bool
    uses_http10: bool
    accepts: frozenset[str] | None
    sent: ForwardedResponse
    compresses_http10: bool
    compresses_proxied: bool = False
    sends_via: bool | None = None
    sends_hop_headers: bool = False
    refuses_hop_headers: bool = False
    forbids_caching: frozenset[str] = frozenset()
    permits_caching: frozenset[str] = frozenset()
    drops_caching: frozenset[str] = frozenset()
    obeys_caching_headers: frozenset[str] = _OF_CACHING
    if_permitted: ResponseCaching = NOTHING


def tier(
    settings: Settings, path: DeliveryPath, scheme: str, version: Version, state: RequestState
) -> NginxTier:
    """Build a tier from the settings in force; `scheme` is that of its target.

    `state` is the request at this tier, which gives variables their values.
    """
    family = path.family
    protocol = settings("proxy_http_version").text if family == "proxy" else "2"
    client: Client = "h2"
    if protocol != "2":
        client = "h1-tls" if scheme == "https" else "h1"
    rows = settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ()
    passes = _passes_request_headers(settings, family)
    sends_via: bool | None = None if passes else False
    for row in rows:
        if len(row) == 2 and row[0].lower() == "via":
            sends_via = _is_sent(row[1], state)
    responded = state.responded(_response("absent"))
    return NginxTier(
        path=path,
        client=client,
        over_tls=scheme in ("https", "grpcs"),
        uses_http10=protocol == "1.0",
        accepts=accepted_upstream(settings, family, state),
        sent=forwarded_response(settings, family, state, version),
        compresses_http10=settings("gzip_http_version").text == "1.0",
        compresses_proxied=_compresses_proxied(settings),
        sends_via=sends_via,
        sends_hop_headers=client == "h2"
        and family == "proxy"
        and any(_is_of_hop(row, state) for row in rows),
        refuses_hop_headers=version >= _REFUSES_HOP_HEADERS,
        forbids_caching=_forbids_caching(settings, responded),
        permits_caching=_permits_caching(settings, responded),
        drops_caching=_drops_caching(settings, family, responded),
        obeys_caching_headers=_obeys_caching_headers(settings, family),
        if_permitted=response_caching(settings, family, state.method, lambda: state, True),
    )


def _passes_request_headers(settings: Settings, family: str) -> bool:
    """Whether nginx passes the client's headers on; with gRPC it always does."""
    return family == "grpc" or settings(f"{family}_pass_request_headers").text.lower() != "off"


def _is_sent(text: str, state: RequestState) -> bool | None:
    """Whether the header Via with this value is sent; None: nginx sends on what it gets."""
    if without_variables(text):
        return True
    if "http_via" in variables_in(text):
        return None
    value = state.expand(text)
    return None if value is None else bool(value)


def accepted_upstream(
    settings: Settings, family: str, state: RequestState
) -> frozenset[str] | None:
    """The compressions that nginx accepts from the next tier; None: those of its own client."""
    passes = _passes_request_headers(settings, family)
    accepts: frozenset[str] | None = None if passes else frozenset()
    for row in settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ():
        if len(row) == 2 and row[0].lower() == "accept-encoding":
            value = state.expand(row[1])
            accepts = accepts if value is None else accepted_encodings(value)
    return accepts


def accepted_encodings(header: str) -> frozenset[str]:
    """The compressions of nginx that an Accept-Encoding header accepts."""
    found = _ENCODING.findall(header.lower())
    return COMPRESSIONS.intersection(name for name, quality in found if not _is_zero(quality))


def _is_zero(quality: str) -> bool:
    return bool(quality) and not quality.strip("0.")


def _forbids_caching(settings: Settings, state: RequestState) -> frozenset[str]:
    """The headers with which `expires` or `add_header` forbids caching."""
    expires, controls = _caching_headers(settings, state)
    if expires == "epoch" or expires.startswith("-"):
        return _OF_CACHING
    # With `expires 0`, the header Expires has the present time, which is not past.
    forbids = expires == "0" or any(map(_FORBIDS.search, controls))
    return frozenset({"cache-control"} if forbids else ())


def _permits_caching(settings: Settings, state: RequestState) -> frozenset[str]:
    """The headers with which `expires` or `add_header` permits caching."""
    expires, controls = _caching_headers(settings, state)
    forbidden = _forbids_caching(settings, state)
    if expires == "max" or re.search("[0-9]", expires):
        return _OF_CACHING - forbidden
    permits = any(map(_PERMITS.search, controls))
    return frozenset({"cache-control"} if permits else ()) - forbidden


def _drops_caching(settings: Settings, family: str, state: RequestState) -> frozenset[str]:
    """Which headers for caching nginx does not send on: `expires` replaces both."""
    expires, _ = _caching_headers(settings, state)
    if expires not in ("", "off"):
        return _OF_CACHING
    if family == "tunnel":
        return frozenset()
    hidden, passed = (
        {arg.lower() for row in settings(f"{family}_{name}_header").rows for arg in row}
        for name in ("hide", "pass")
    )
    return _OF_CACHING & (hidden - passed)


def _caching_headers(settings: Settings, state: RequestState) -> tuple[str, list[str]]:
    """The time of `expires`, and the Cache-Control headers added; unknown values are left out."""
    expires = [state.expand(row[-1]) or "" for row in settings("expires").rows if row]
    rows = (row for row in settings("add_header").rows if len(row) > 1)
    controls = [state.expand(row[1]) or "" for row in rows if row[0].lower() == "cache-control"]
    return "".join(expires), controls


def _obeys_caching_headers(settings: Settings, family: str) -> frozenset[str]:
    """Which of Expires and Cache-Control a cache obeys; `*_store` obeys none."""
    if family in ("grpc", "tunnel"):
        return _OF_CACHING
    rows = settings(f"{family}_ignore_headers").rows
    stores = settings(f"{family}_store").text not in ("", "off")
    return frozenset() if stores else _OF_CACHING - {arg.lower() for row in rows for arg in row}


def _is_of_hop(row: Sequence[str], state: RequestState) -> bool:
    """Whether a header to set may not be in HTTP/2 requests; an unknown value is assumed empty."""
    value = state.expand(row[1]) if len(row) == 2 else None
    if not value:
        return False
    name = row[0].lower()
    return name in _OF_HOP or (name == "te" and value.lower() != "trailers")


def _compresses_proxied(settings: Settings) -> bool:
    """Whether gzip is on for requests with a header Via.

    Every value but `off` compresses a response without Expires, Cache-Control, ETag and
    Last-Modified (`ngx_http_gzip_ok`). Whether a stream has some of them is unknown.
    """
    said = {arg for row in settings("gzip_proxied").rows for arg in row}
    return bool(said) and "off" not in said


def in_force(headers: str) -> AccelBuffering:
    """The X-Accel-Buffering that nginx obeys: the last one."""
    return _accel(headers.rpartition(",")[2]) or "absent"


def forwarded_response(
    settings: Settings, family: str, state: RequestState, version: Version
) -> ForwardedResponse:
    """How nginx forwards responses with these effective settings.

    `state` is the request, which gives variables their values.
    """
    passed = () if family == "tunnel" else settings(f"{family}_pass_header").rows
    passes = any(arg.lower() == _ACCEL for row in passed for arg in row)
    rows = [row for row in settings("add_header").rows if len(row) > 1 and row[0].lower() == _ACCEL]
    sent: dict[str, str] = {}
    for got in _ACCEL_HEADERS:
        values = [] if got == "absent" else got.split(", ")
        text = got if version >= _JOINS_HEADERS else values[0] if values else "absent"
        responded = state.responded(_response(text))
        headers = values if passes else []
        added = (_accel(responded.expand(row[1]) or "") for row in rows)
        headers += filter(None, added)  # nginx ignores other values
        sent[got] = ", ".join([headers[0], *headers[1:][-1:]]) if headers else "absent"
    return ForwardedResponse(settings("chunked_transfer_encoding").text.lower() != "off", sent)


def _response(accel: str) -> dict[str, str]:
    """The known headers of a response, by their names in variables."""
    return {
        "content_type": _CONTENT_TYPE,
        "x_accel_buffering": "" if accel == "absent" else accel,
    }


def _accel(value: str) -> Literal["no", "yes"] | None:
    word = value.strip().lower()
    return "no" if word == "no" else "yes" if word == "yes" else None
