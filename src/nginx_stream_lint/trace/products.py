"""Recognize proxies by their headers; their timeouts and remedies (`products.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from nginx_stream_lint.util.yamlfile import load_text

_NEAR_S, _NEAR_PART = 2.0, 0.05  # how far from a known timeout a silence may be


class Timeout(Struct, frozen=True):
    """A silence in seconds after which a product cuts by default, and the setting's name."""

    seconds: float
    what: str
    source: str


class Remedy(Struct, frozen=True):
    """A remedy for some causes: change `setting`, or do what `do` says.

    `causes` are those of verdict.py, and `source` is where the remedy is documented. `measured`
    tells whether this project has seen it on the real product. `rules` are the linter's rules that
    find the cause in a configuration, the most specific first.
    """

    causes: tuple[str, ...]
    setting: str
    do: str
    source: str
    measured: bool
    rules: tuple[str, ...]


class Product(Struct, frozen=True):
    """One kind of proxy, load balancer or CDN; `anonymous`: it usually does not send its name."""

    name: str
    title: str
    anonymous: bool
    recognised_by: tuple[tuple[str, re.Pattern[str]], ...]
    timeouts: tuple[Timeout, ...]
    remedies: tuple[Remedy, ...]

    def remedy(self, cause: str) -> Remedy | None:
        """The remedy for a cause."""
        return next((one for one in self.remedies if cause in one.causes), None)


@cache
def products() -> tuple[Product, ...]:
    """Return all known products."""
    text = (files(__package__) / "products.yaml").read_text(encoding="utf-8")
    return tuple(_product(raw) for raw in load_text(text))


def remedies_for(cause: str, known: Product | None) -> list[tuple[Product, Remedy]]:
    """Return the remedies for a cause, for a known product or for all.

    Of all, those come first that are meant for this cause above all, and of these the products that
    do not say their names: a layer is unknown because it does not.
    """
    those = products() if known is None else (known,)
    found = [(one, remedy) for one in those if (remedy := one.remedy(cause)) is not None]
    return sorted(found, key=lambda row: (row[1].causes.index(cause), not row[0].anonymous))


def rules_for(cause: str | None) -> tuple[str, ...]:
    """The rules of the linter that find a cause in an nginx configuration."""
    found = (one.remedy(cause) for one in products() if cause is not None)
    return next((one.rules for one in found if one is not None and one.rules), ())


def _product(raw: dict[str, Any]) -> Product:
    return Product(
        raw["name"],
        raw["title"],
        bool(raw.get("anonymous", False)),
        tuple(
            (row["header"], re.compile(row["matches"], re.IGNORECASE))
            for row in raw["recognised_by"]
        ),
        tuple(
            Timeout(float(row["seconds"]), row["what"], row["source"]) for row in raw["timeouts"]
        ),
        tuple(
            Remedy(
                tuple(row["for"]),
                row["setting"],
                row["do"],
                row["source"],
                bool(row.get("measured", False)),
                tuple(row.get("rules", ())),
            )
            for row in raw["remedies"]
        ),
    )


def recognise_product(
    headers: Mapping[str, str], before: Mapping[str, str] | None = None
) -> Product | None:
    """Return the product that a response's headers name; None without one.

    Args:
        headers: of the response, names in lower case.
        before: those of the layer nearer to the app: what they say already is not news.
    """
    for product in products():
        for header, pattern in product.recognised_by:
            value = headers.get(header, "")
            if pattern.search(value) and (before is None or before.get(header) != value):
                return product
    return None


def timeouts_near(seconds: float, product: Product | None) -> Iterator[tuple[Product, Timeout]]:
    """Known timeouts that a silence fits; those of the recognized product only, if it has any."""
    those = (product,) if product is not None and product.timeouts else products()
    for one in those:
        for timeout in one.timeouts:
            if abs(seconds - timeout.seconds) <= max(_NEAR_S, _NEAR_PART * timeout.seconds):
                yield one, timeout
