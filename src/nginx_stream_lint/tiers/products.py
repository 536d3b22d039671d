"""The table of products (`products.yaml`): proxies, load balancers and CDNs, and what they do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from nginx_stream_lint.tiers.records import ProductBehaviour
from nginx_stream_lint.util.data import table

_FILE = os.path.join(os.path.dirname(__file__), "products.yaml")

# What a timeout limits: the silence between two pieces of a response, the whole response, or the
# time until the response begins.
Limits = Literal["silence", "response", "first-byte"]


# How it treats a stream: whether it collects pieces, compresses, replays; HTTP of its requests.
TraitName = Literal["buffering", "compression", "caching", "http_version"]


class HeaderSign(Struct, frozen=True, forbid_unknown_fields=True):
    """A header of a product's responses, and a regular expression for its value, in any case."""

    header: str
    matches: str


class Timeout(Struct, frozen=True, forbid_unknown_fields=True, rename={"to_raise": "raise"}):
    """A default limit of a product in seconds, and its setting `what`.

    `to_raise` says how to change it, with `{seconds}` or `{minutes}` for the new value; empty if
    users cannot change it. `up_to` is a newer figure of the documentation. `not_for` are the kinds
    of stream for which the limit is unknown.
    """

    seconds: float
    what: str
    source: str
    of: Limits = "silence"
    to_raise: str = ""
    up_to: float | None = None
    not_for: tuple[str, ...] = ()


class Trait(Struct, frozen=True, forbid_unknown_fields=True):
    """What a product does to a stream by default, and the source or the measured version."""

    value: str
    source: str = ""
    measured: str = ""


class Remedy(Struct, frozen=True, forbid_unknown_fields=True, rename={"causes": "for"}):
    """A remedy for some causes: change `setting`, or do what `do` says.

    `causes` are those of trace/verdict.py, and `source` is where the remedy is documented.
    `measured`: whether a test of this project measured it on the real product. `rules` are the
    linter's rules that find the cause in a configuration, the most specific first.
    """

    causes: tuple[str, ...]
    setting: str
    do: str
    source: str
    measured: bool = False
    rules: tuple[str, ...] = ()


class Networks(Struct, frozen=True, forbid_unknown_fields=True):
    """The addresses `of` a product's requests, as its documentation had them on a `date`."""

    source: str = ""
    date: str = ""
    of: tuple[str, ...] = ()


class Product(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of proxy, load balancer or CDN; `anonymous`: it usually does not send its name.

    `also` are its other common names. `stream` is what it does to streams; traits that are
    missing are unknown. The fields are the keys of `products.yaml`, which explains them.
    """

    name: str
    title: str
    recognised_by: tuple[HeaderSign, ...]
    remedies: tuple[Remedy, ...]
    also: tuple[str, ...] = ()
    anonymous: bool = False
    timeouts: tuple[Timeout, ...] = ()
    stream: Mapping[TraitName, Trait] = {}
    networks: Networks = Networks()

    def remedy(self, cause: str) -> Remedy | None:
        """The remedy for a cause."""
        return next((one for one in self.remedies if cause in one.causes), None)

    def timeout(self, of: Limits) -> Timeout | None:
        """The default limit of a kind; None if there is none, or if it is unknown."""
        return next((one for one in self.timeouts if one.of == of), None)

    @property
    def buffers(self) -> bool:
        """Whether it holds a stream by default."""
        return "buffering" in self.stream and self.stream["buffering"].value == "yes"

    @property
    def behaviour(self) -> ProductBehaviour:
        """Its behaviour as a tier."""

        def trait(name: TraitName) -> Any:
            return self.stream[name].value if name in self.stream else "unknown"

        silence = self.timeout("silence")
        version = trait("http_version")
        buffering = trait("buffering")
        return ProductBehaviour(
            buffers="none" if buffering == "no" else buffering,
            idle_timeout_s=None if silence is None else silence.seconds,
            compresses=trait("compression"),
            http_version="1.1" if version == "unknown" else version,
        )


@cache
def products() -> tuple[Product, ...]:
    """Return all known products."""
    return table("products", tuple[Product, ...], read)


def read() -> tuple[Product, ...]:
    """Read the table of products from YAML."""
    from nginx_stream_lint.util.yamlfile import load_records

    return load_records(_FILE, tuple[Product, ...])


@cache
def _by_name() -> Mapping[str, Product]:
    return {name: one for one in products() for name in (one.name, *one.also)}


def product_named(name: str) -> Product | None:
    """The product with a name or other common name, in upper or lower case; None without one."""
    return _by_name().get(name.strip().lower())


def product_names() -> list[str]:
    """The names of the table, for messages about a wrong one. Other names are left out."""
    return [one.name for one in products()]
