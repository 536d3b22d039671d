"""The page docs/proxies.md, with the table of products: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator

from nginx_stream_lint.report.blocks import Block, Code, Heading, Items, Paragraph, Table
from nginx_stream_lint.rules.filters import duration
from nginx_stream_lint.tiers.products import Product, Timeout, TraitName, products

OF = {
    "silence": "of silence",
    "response": "in all, even while it streams",
    "first-byte": "without a first byte",
}
SETTINGS = """tiers: [nginx.conf, alb, cloudflare]
"""


def proxies_page() -> Iterator[Block]:
    """The blocks of the page."""
    yield Heading("Proxies in front of nginx", 1)
    yield Paragraph(
        "A stream often passes a load balancer, a CDN or another proxy after nginx. Each of these"
        " proxies limits how long a stream may be silent, and the one with the shortest limit cuts"
        " the stream. The linter knows some of these products. The rules"
        " [tier-timeout](rules/tier-timeout.md) and [tier-buffering](rules/tier-buffering.md)"
        " report what they do to the streams of a configuration, and [trace](trace.md) recognizes"
        " them by their response headers."
    )
    yield Heading("How the linter knows a proxy")
    yield Paragraph("The linter reports a proxy only if there is evidence that it is used:")
    yield Items(
        (
            "in nginx: `real_ip_header CF-Connecting-IP`, or one of Cloudflare's networks in"
            " `set_real_ip_from`",
            "in a compose file: labels for Traefik (`traefik.http.routers.…`) on the nginx service;"
            " a service that runs HAProxy, Caddy, Apache, Envoy or Varnish, if its configuration"
            " in the repository names the nginx service; a Cloudflare tunnel whose ingress rules,"
            " command or `depends_on` name the nginx service",
            "in Kubernetes: Services and Ingresses that lead to the pod, with annotations or"
            " classes for load balancers of AWS, Azure or Google, or with GKE's BackendConfig",
            "in the [settings](settings.md#tiers): the name of a product in `tiers`, after the"
            " configuration that gets its requests",
        )
    )
    yield Code(SETTINGS, "yaml")
    yield Paragraph(
        "The linter reads timeouts in these files, such as `timeout server` of HAProxy or"
        " `idle_timeout.timeout_seconds` of an ALB. As with a read timeout of nginx, less than 60 s"
        " is an error. If the files do not contain the limit, because it is set in a console for"
        " example, the linter assumes the product's default, and the finding is a warning. If your"
        " proxy has a longer limit, ignore the finding with a comment that gives the reason, in the"
        " location that the finding names or at `real_ip_header`. If the app sends heartbeats,"
        " declare them."
    )
    yield Heading("What they do by default")
    yield Paragraph(
        "Each entry has a source below, or was measured with the version named there. A dash means"
        " that the value is unknown. The column *compression* says whether the product compresses"
        " `text/event-stream` for a client that accepts gzip, and *caching* whether it may replay a"
        " response without Cache-Control."
    )
    names = ("name in `tiers`", "product", "cuts a stream after", "buffering", "compression")
    yield Table((*names, "caching", "HTTP to nginx"), tuple(map(_row, products())))
    yield Heading("Sources")
    yield Items(tuple(_sources(one) for one in products() if _links(one)))


def _row(product: Product) -> tuple[str, ...]:
    names = ", ".join(f"`{one}`" for one in (product.name, *product.also))
    limits = "; ".join(map(_limit, product.timeouts)) or "–"
    traits: tuple[TraitName, ...] = ("buffering", "compression", "caching", "http_version")
    return (names, product.title, limits, *(_trait(product, one) for one in traits))


def _limit(one: Timeout) -> str:
    time = duration(one.seconds)
    if one.up_to is not None:
        time = f"{one.seconds:g} to {one.up_to:g} s"
    return f"{time} {OF[one.of]} ({one.what})"


def _trait(product: Product, name: TraitName) -> str:
    trait = product.stream.get(name)
    return "–" if trait is None else trait.value


def _links(product: Product) -> list[str]:
    found = [
        *(one.source for one in product.timeouts),
        *(one.source for one in product.stream.values() if one.source),
    ]
    measured = dict.fromkeys(one.measured for one in product.stream.values() if one.measured)
    return [
        *(f"<{one}>" for one in dict.fromkeys(found)),
        *(f"{one}, measured" for one in measured),
    ]


def _sources(product: Product) -> str:
    return f"{product.title}: {', '.join(_links(product))}"
