"""Facts about caching: responses that caches in nginx or in front of it may replay."""

from __future__ import annotations

import re

from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.rules.facts.base import Facts, Headers, fact
from nginx_stream_lint.rules.facts.delivery import DELIVERY, clients_with, delivery_path
from nginx_stream_lint.rules.facts.location import is_http


@fact(reads=[*DELIVERY])
def replayed_clients(facts: Facts) -> list[str]:
    """The clients that get a recording instead of the live stream."""
    return clients_with(facts, "replays", "identity")


@fact(reads=["buffered", *DELIVERY])
def cached(facts: Facts) -> str:
    """Whether a cache replays the response later: no, yes, unknown (only while buffered)."""
    return delivery_path(facts).recording.later if facts.value("buffered") else "no"


@fact(reads=["buffered", "<family>_store"])
def stored(facts: Facts) -> bool:
    """Whether responses are written to files (`<family>_store`) while buffered."""
    if not facts.value("buffered"):
        return False
    return facts.effective("<family>_store").text not in ("", "off")


@fact(reads=["cached", "stored"], directives=["<family>_cache", "<family>_store"])
def recorded_by(facts: Facts) -> str | None:
    """The directive that may record responses: `<family>_cache` or `<family>_store`."""
    if facts.value("cached") != "no":
        return f"{facts.proxied.handler.family}_cache"
    return f"{facts.proxied.handler.family}_store" if facts.value("stored") else None


@fact(reads=[Headers("add_header"), "expires"], directives=["add_header", "expires"])
def cdn_may_store(facts: Facts) -> str | None:
    """The directive that lets caches in front store the response: expires or add_header."""
    if not is_http(facts):
        return None
    rows = facts.headers("add_header")
    values = [row[1] for row in rows if len(row) > 1 and row[0].lower() == "cache-control"]
    if any(_is_forbidden(value) for value in values):
        return None
    if any(_is_allowed(value) for value in values):
        return "add_header"
    expires = facts.effective("expires").rows
    value = expires[0][-1].lstrip("+@") if expires else "off"
    return "expires" if value == "max" or (parse_time(value) or 0) > 0 else None


def _is_forbidden(cache_control: str) -> bool:
    """Whether a Cache-Control value forbids shared caches to replay a response."""
    return bool(_words(cache_control) & {"no-store", "private", "no-cache"})


def _is_allowed(cache_control: str) -> bool:
    """Whether a Cache-Control value allows shared caches to store a response."""
    words = _words(cache_control)
    ages = [re.fullmatch(r"(?:s-maxage|max-age)=([0-9]+)", word) for word in words]
    return "public" in words or any(age is not None and age[1].strip("0") for age in ages)


def _words(cache_control: str) -> set[str]:
    return {word.strip().lower() for word in cache_control.split(",")}
