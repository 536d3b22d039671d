"""Delivery of a stream through a chain of proxies.

Each is evaluated separately, with the response of the previous one as its upstream's response; the
stream stalls if one of them holds it. tests/conformance/random_chains.py measures chains of nginx.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from nginx_stream_lint.nginx.caching import NOTHING
from nginx_stream_lint.nginx.delivery import (
    AcceptEncoding,
    Delivery,
    DeliveryPath,
    Framing,
    Scenario,
)
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.proxy_tiers import COMPRESSIONS, NginxTier, in_force
from nginx_stream_lint.tiers.records import ProductBehaviour

Behaviour = NginxTier | ProductBehaviour


def deliver(tiers: Sequence[Behaviour], scenario: Scenario) -> list[Delivery]:
    """The delivery of each tier in a scenario; the first tier is next to the app.

    If it is unknown whether a product buffers, it is assumed to stream.
    """
    accepted = _accepted(tiers, scenario)
    via = _via(tiers)
    framing, accel = scenario.framing, str(scenario.x_accel_buffering)
    is_compressed = False
    forbids = permits = frozenset[str]()
    found: list[Delivery] = []
    for at, one in enumerate(tiers):
        following = tiers[at + 1] if at + 1 < len(tiers) else None
        client = scenario.client if following is None else _client(following, scenario.client)
        encoding: AcceptEncoding = "gzip" if accepted[at] else "identity"
        scenario_here = Scenario(client, framing, in_force(accel), encoding)
        if isinstance(one, ProductBehaviour):
            found.append(_of_product(one, scenario_here))
            compresses = one.compresses == "yes" and "gzip" in accepted[at] and not is_compressed
            loses_length = compresses
        else:
            path = _path(one, following, accepted[at], is_compressed, via[at])
            if isinstance(following, NginxTier):
                plain = frozenset[Client]() if following.over_tls else frozenset((client,))
                path = replace(path, plain=plain)
            if forbids & one.obeys_caching_headers:
                path = replace(path, recording=NOTHING)
            elif permits & one.obeys_caching_headers:
                path = replace(path, recording=one.if_permitted)
            forbids = (forbids - one.drops_caching) | one.forbids_caching
            permits = (permits - one.drops_caching) | one.permits_caching
            refused = following is not None and _refuses(one, following)
            found.append(
                Delivery(scenario_here, "no-stream", repeat="no-stream")
                if refused
                else path.deliver(scenario_here)
            )
            compresses = path.compression(scenario_here) is not None
            loses_length = compresses or path.replaces
        is_compressed |= compresses
        if following is not None:
            framing = _framing(one, following, "chunked" if loses_length else framing)
            accel = _accel(one, accel)
    return found


def _refuses(tier: NginxTier, following: Behaviour) -> bool:
    """Whether an nginx responds with 400 to the requests of the next tier."""
    sends = isinstance(following, NginxTier) and following.sends_hop_headers
    return sends and tier.refuses_hop_headers


def _path(
    tier: NginxTier,
    following: Behaviour | None,
    accepted: frozenset[str],
    is_compressed: bool,
    has_via: bool,
) -> DeliveryPath:
    """The delivery path of one nginx for the response that it gets, to the `following` tier."""
    too_old = following is not None and _uses_http10(following) and not tier.compresses_http10
    refused = is_compressed or too_old or (has_via and not tier.compresses_proxied)
    return replace(
        tier.path,
        gzip=tier.path.gzip and "gzip" in accepted and not refused,
        brotli=tier.path.brotli and "br" in accepted and not is_compressed,
        # `sub_filter` finds nothing in a compressed response.
        sub_filter=tier.path.sub_filter and not is_compressed,
    )


def _of_product(product: ProductBehaviour, scenario_here: Scenario) -> Delivery:
    if product.buffers != "yes":
        return Delivery(scenario_here, "streams")
    return Delivery(
        scenario_here, "stalls", "upstream-buffer", None, None, "upstream-buffer", "stalls"
    )


def _client(tier: Behaviour, client: Client) -> Client:
    """The kind of client that a tier is for the tier behind it.

    If it is unknown whether a product uses TLS, it is assumed to connect as the `client` does.
    """
    if isinstance(tier, NginxTier):
        return tier.client
    if tier.over_tls is None:
        return client
    return "h2" if tier.http_version == "2" else "h1-tls" if tier.over_tls else "h1"


def _uses_http10(tier: Behaviour) -> bool:
    """Whether a tier uses HTTP/1.0 to the tier behind it."""
    return tier.uses_http10 if isinstance(tier, NginxTier) else tier.http_version == "1.0"


def _accel(tier: Behaviour, got: str) -> str:
    """The X-Accel-Buffering headers that the next tier gets; products forward them unchanged."""
    return tier.sent.accel[got] if isinstance(tier, NginxTier) else got


def _accepted(tiers: Sequence[Behaviour], scenario: Scenario) -> list[frozenset[str]]:
    """The compressions that each tier's request accepts."""
    accepts = COMPRESSIONS if scenario.accept_encoding == "gzip" else frozenset[str]()
    found: list[frozenset[str]] = []
    for one in reversed(tiers):
        found.append(accepts)
        if isinstance(one, NginxTier) and one.accepts is not None:
            accepts = one.accepts
    return found[::-1]


def _via(tiers: Sequence[Behaviour]) -> list[bool]:
    """Whether each tier's request has a header Via; clients send none."""
    has_via = False
    found: list[bool] = []
    for one in reversed(tiers):
        found.append(has_via)
        if isinstance(one, NginxTier) and one.sends_via is not None:
            has_via = one.sends_via
    return found[::-1]


def _framing(tier: Behaviour, following: Behaviour, framing: Framing) -> Framing:
    """The framing of a tier's response to the next tier."""
    if framing == "length" or (isinstance(following, NginxTier) and following.client == "h2"):
        return framing
    chunks = tier.sent.chunks if isinstance(tier, NginxTier) else True
    return "chunked" if chunks and not _uses_http10(following) else "close"
