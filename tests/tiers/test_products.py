"""The table of products: each claim has a source or a measurement, and names lead to products."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from nginx_stream_lint.tiers.products import Product, product_named, product_names, products

TRAITS = {
    "buffering": {"no", "yes"},
    "compression": {"no", "yes"},
    "caching": {"no", "yes"},
    "http_version": {"1.0", "1.1", "2"},
}


@pytest.mark.parametrize("product", products(), ids=lambda one: one.name)
def test_each_claim_has_a_source_or_a_measurement(product: Product) -> None:
    for name, trait in product.stream.items():
        assert trait.value in TRAITS[name]
        assert trait.source.startswith("https://") != bool(trait.measured)
    for timeout in product.timeouts:
        assert timeout.source.startswith("https://")
        assert timeout.up_to is None or timeout.up_to > timeout.seconds
        assert timeout.to_raise.format(seconds=300, minutes=5).count("{") == 0
        assert not timeout.to_raise.endswith(".")
    if product.buffers:
        assert product.remedy("whole-answer") is not None


def test_a_name_leads_to_one_product() -> None:
    names = [name.lower() for one in products() for name in (one.name, *one.also)]
    assert len(names) == len(set(names))
    assert [product_named(name) for name in product_names()] == list(products())
    alb = product_named(" AWS-ALB ")
    assert alb is not None
    assert alb.name == "alb"
    assert product_named("albb") is None
    assert product_names() == [one.name for one in products()]


def test_behaviour_as_a_tier() -> None:
    def behaviour(name: str) -> tuple[str, float | None, str]:
        product = product_named(name)
        assert product is not None
        found = product.behaviour
        return found.buffers, found.idle_timeout_s, found.http_version

    assert behaviour("apache") == ("none", 60.0, "1.1")
    assert behaviour("appgw") == ("yes", 30.0, "1.1")
    assert behaviour("gke") == ("unknown", None, "1.1")  # a limit of the response is no silence
    assert behaviour("vercel") == ("unknown", None, "1.1")


def test_the_networks_of_cloudflare() -> None:
    cloudflare = product_named("cloudflare")
    assert cloudflare is not None
    networks = [ip_network(one) for one in cloudflare.networks.of]  # raises for host bits
    assert [sum(one.version == version for one in networks) for version in (4, 6)] == [15, 7]
    assert [one.name for one in products() if one.networks.of] == ["cloudflare"]
