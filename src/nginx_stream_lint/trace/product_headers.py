"""Recognize the products of `tiers/products.yaml` by their response headers.

Also finds their timeouts and remedies for a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from nginx_stream_lint.tiers.products import Product, Remedy, Timeout, products

__all__ = [
    "Product",
    "Remedy",
    "Timeout",
    "products",
    "recognise_product",
    "remedies_for",
    "rules_for",
    "timeouts_near",
]

_NEAR_S, _NEAR_PART = 2.0, 0.05  # how far from a known timeout a silence may be


def remedies_for(cause: str, known: Product | None) -> list[tuple[Product, Remedy]]:
    """Return the remedies for a cause, for a known product or for all.

    If the product is unknown, remedies made mainly for this cause come first. Among them, those of
    products that do not send their names come first: the layer did not send one.
    """
    those = products() if known is None else (known,)
    found = [(one, remedy) for one in those if (remedy := one.remedy(cause)) is not None]
    return sorted(found, key=lambda row: (row[1].causes.index(cause), not row[0].anonymous))


def rules_for(cause: str | None) -> tuple[str, ...]:
    """The rules of the linter that find a cause in an nginx configuration."""
    found = (one.remedy(cause) for one in products() if cause is not None)
    return next((one.rules for one in found if one is not None and one.rules), ())


@cache
def _patterns() -> Mapping[str, Sequence[tuple[str, re.Pattern[str]]]]:
    """The headers of each product, with the patterns of their values."""
    return {
        one.name: [
            (sign.header, re.compile(sign.matches, re.IGNORECASE)) for sign in one.recognised_by
        ]
        for one in products()
    }


def recognise_product(
    headers: Mapping[str, str], before: Mapping[str, str] | None = None
) -> Product | None:
    """Return the product that a response's headers name; None without one.

    Args:
        headers: of the response, names in lower case.
        before: headers of the layer nearer to the app; equal headers are ignored.
    """
    for product in products():
        for header, pattern in _patterns()[product.name]:
            value = headers.get(header, "")
            if pattern.search(value) and (before is None or before.get(header) != value):
                return product
    return None


def timeouts_near(seconds: float, product: Product | None) -> Iterator[tuple[Product, Timeout]]:
    """Known timeouts that a silence fits; those of the recognized product only, if it has any."""
    those = (product,) if product is not None and product.timeouts else products()
    for one in those:
        for timeout in one.timeouts:
            longest = timeout.up_to or timeout.seconds
            near = max(_NEAR_S, _NEAR_PART * timeout.seconds)
            if timeout.seconds - near <= seconds <= longest + near:
                yield one, timeout
