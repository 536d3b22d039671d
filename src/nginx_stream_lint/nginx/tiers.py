"""What several nginx in a row do to a stream.

Each is judged alone, with what the one behind it sends as its upstream's response; the stream
stalls if one of them holds it. tests/conformance/random_tiers.py measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from nginx_stream_lint.nginx.delivery import (
    AccelBuffering,
    AcceptEncoding,
    Delivery,
    Framing,
    Path,
    Scenario,
    Settings,
)
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.util.lazily import dataclass

_ACCEL = "x-accel-buffering"


@dataclass(frozen=True, slots=True)
class Tier:
    """One nginx of several: its delivery `path`, how it asks, and what it sends on.

    `client` is what it is for the tier behind it, and `asks_old` tells that it asks in HTTP/1.0.
    `accepts` is the Accept-Encoding that it asks with; None: the one that it got. `chunks` tells
    whether it may send chunks, `passes_accel` whether it lets X-Accel-Buffering through,
    `adds_accel` what it adds, and `compresses_old` whether gzip is for HTTP/1.0, too.
    """

    path: Path
    client: Client
    asks_old: bool
    accepts: AcceptEncoding | None
    chunks: bool
    passes_accel: bool
    adds_accel: AccelBuffering
    compresses_old: bool


def tier(settings: Settings, path: Path, scheme: str) -> Tier:
    """A tier with these settings in force; `scheme` is that of its target."""
    family = path.family
    version = settings("proxy_http_version").text if family == "proxy" else "2"
    client: Client = "h2"
    if version != "2":
        client = "h1-tls" if scheme == "https" else "h1"
    accepts: AcceptEncoding | None = None
    rows = settings(f"{family}_set_header").rows if family in ("proxy", "grpc") else ()
    for row in rows:
        if len(row) == 2 and row[0].lower() == "accept-encoding" and "$" not in row[1]:
            accepts = "gzip" if "gzip" in row[1].lower() else "identity"
    adds: AccelBuffering = "absent"
    for row in settings("add_header").rows:
        if len(row) > 1 and row[0].lower() == _ACCEL:
            adds = _accel(row[1]) or adds
    passed = settings(f"{family}_pass_header").rows
    return Tier(
        path=path,
        client=client,
        asks_old=version == "1.0",
        accepts=accepts,
        chunks=settings("chunked_transfer_encoding").text.lower() != "off",
        passes_accel=any(arg.lower() == _ACCEL for row in passed for arg in row),
        adds_accel=adds,
        compresses_old=settings("gzip_http_version").text == "1.0",
    )


def _accel(value: str) -> Literal["no", "yes"] | None:
    word = value.strip().lower()
    return "no" if word == "no" else "yes" if word == "yes" else None


def deliver(tiers: Sequence[Tier], scenario: Scenario) -> list[Delivery]:
    """What each tier does in a scenario of the last one's client; the first is the app's."""
    accepted = _accepted(tiers, scenario.accept_encoding)
    framing, accel = scenario.framing, scenario.x_accel_buffering
    is_compressed = False
    found: list[Delivery] = []
    for at, one in enumerate(tiers):
        following = tiers[at + 1] if at + 1 < len(tiers) else None
        client = scenario.client if following is None else following.client
        path = one.path
        if is_compressed:
            # It is not compressed again, and no pattern is found in it.
            path = replace(path, gzip=False, brotli=False, sub_filter=False)
        elif following is not None and following.asks_old and not one.compresses_old:
            path = replace(path, gzip=False)
        asked = Scenario(client, framing, accel, accepted[at])
        found.append(path.deliver(asked))
        compresses = path.compression(asked) is not None
        is_compressed |= compresses
        if following is not None:
            loses_length = compresses or path.replaces
            framing = _framing(one, following, "chunked" if loses_length else framing)
            accel = accel if one.passes_accel else "absent"
            accel = accel if one.adds_accel == "absent" else one.adds_accel
    return found


def _accepted(tiers: Sequence[Tier], accepts: AcceptEncoding) -> list[AcceptEncoding]:
    """The Accept-Encoding that each tier gets."""
    found: list[AcceptEncoding] = []
    for one in reversed(tiers):
        found.append(accepts)
        accepts = one.accepts or accepts
    return found[::-1]


def _framing(one: Tier, following: Tier, framing: Framing) -> Framing:
    """How a tier frames what it sends to the following one."""
    if framing == "length" or following.client == "h2":
        return framing
    return "chunked" if one.chunks and not following.asks_old else "close"
