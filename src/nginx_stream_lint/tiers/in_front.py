"""The proxies other than nginx in front of a location: from the deployment and the configuration.

An nginx configuration shows a proxy in the settings of the realip module: `real_ip_header
CF-Connecting-IP`, or Cloudflare's addresses in `set_real_ip_from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.config.tree import Directive
from nginx_stream_lint.nginx.levels import Level, cached_on_level, rows_in_force
from nginx_stream_lint.tiers.records import ProductBehaviour, ProxyTier

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_HEADERS = {"cf-connecting-ip": "cloudflare", "cf-connecting-ipv6": "cloudflare"}


def proxies_in_front(
    configuration: Configuration, level: Level, declared: Sequence[ProxyInFront] = ()
) -> Sequence[ProxyInFront]:
    """The proxies in front of a location, also the `declared` ones.

    Each product is returned once, with its first evidence. The deployment is searched first,
    because it may show the limits of a proxy.
    """
    deployed = configuration.deployed
    found: dict[str, ProxyInFront] = {}
    for one in (*(() if deployed is None else deployed.in_front), *declared):
        found.setdefault(one.product, one)
    for one in _trusted(level):
        found.setdefault(one.product, one)
    return tuple(found.values())


@cached_on_level
def _trusted(level: Level) -> Sequence[ProxyInFront]:
    """The proxies that nginx trusts to name the client's address (realip module)."""
    parent = level.parent
    if parent is not None and not {"real_ip_header", "set_real_ip_from"} & level.rows.keys():
        return _trusted(parent)
    for row in rows_in_force(level, "real_ip_header"):
        product = _HEADERS.get(row.args[0].lower()) if row.args else None
        if product is not None:
            return (_shown_by(row, product),)
    for row in rows_in_force(level, "set_real_ip_from"):
        product = product_of_address(row.args[0]) if row.args else None
        if product is not None:
            return (_shown_by(row, product),)
    return ()


def _shown_by(row: Directive, product: str) -> ProxyInFront:
    because = " ".join((row.name, *row.args))
    return ProxyInFront(product, because, row.source, row.start, row.head_end)


def product_of_address(text: str) -> str | None:
    """The product that sends requests from an address or a network, by its published networks."""
    from ipaddress import ip_network

    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None  # a name, a socket or a variable
    return next((name for name, known in _networks() if _is_in(network, known)), None)


def _is_in(
    network: IPv4Network | IPv6Network, networks: Iterable[IPv4Network | IPv6Network]
) -> bool:
    return any(
        network.version == one.version
        and network.network_address in one
        and network.prefixlen >= one.prefixlen
        for one in networks
    )


@cache
def _networks() -> Sequence[tuple[str, Sequence[IPv4Network | IPv6Network]]]:
    from ipaddress import ip_network

    from nginx_stream_lint.tiers.products import products

    known = [(one.name, one.networks.of) for one in products()]
    return [(name, list(map(ip_network, networks))) for name, networks in known if networks]


def tier_in_front(proxy: ProxyInFront) -> ProxyTier | None:
    """A proxy in front of nginx as a tier of a chain; None if its product is unknown."""
    found = named_tier(proxy.product)
    if found is None or not isinstance(found.behaviour, ProductBehaviour):
        return None
    behaviour = found.behaviour
    if proxy.timeouts is not None:
        silences = (one.seconds for one in proxy.timeouts if one.of == "silence")
        behaviour = replace(behaviour, idle_timeout_s=min(silences, default=None))
    if proxy.holds:
        behaviour = replace(behaviour, buffers="yes")
    line = proxy.source.position(proxy.start)[0]
    return replace(
        found, file=proxy.source.name, line=line, behaviour=behaviour, because=proxy.because
    )


def named_tier(name: str) -> ProxyTier | None:
    """A product as a tier, with its default behaviour; None if no product has this name."""
    from nginx_stream_lint.tiers.products import product_named

    product = product_named(name)
    if product is None:
        return None
    return ProxyTier(product.title, product.name, None, None, product.behaviour)
