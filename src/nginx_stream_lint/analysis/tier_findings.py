"""Findings about proxies other than nginx in front of a configuration that cut or hold streams.

One proxy gives one finding for all streams behind it, at the place that shows the proxy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from nginx_stream_lint.config import Configuration, Source
from nginx_stream_lint.config.deployed import ProxyInFront, WrittenTimeout
from nginx_stream_lint.rules.finding import SEVERITIES, Finding, Place, Related
from nginx_stream_lint.rules.judge import location_info, server_names
from nginx_stream_lint.rules.remarks import Remark, remarks
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.declarations import DeclaredProxy
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.tiers.in_front import proxies_in_front
from nginx_stream_lint.tiers.products import Limits, Product, product_named

# What an app can send in a silence, by the kind of stream.
_HEARTBEATS: dict[Kind, str] = {
    "sse": "a comment line",
    "chunked": "a blank line",
    "websocket": "a ping",
    "grpc": "a message",
}
_WORDS: dict[Kind, str] = {"websocket": "WebSocket", "long-poll": "request"}


class _Limit(Struct, frozen=True):
    """A limit of a proxy. `is_known`: it is in the repository."""

    seconds: float
    by_s: float | None
    of: Limits
    what: str
    to_raise: str
    is_default: bool
    is_known: bool
    not_for: tuple[str, ...] = ()


class _TierRemark(Struct, frozen=True):
    """The report of a rule about one stream behind a proxy."""

    remark: Remark
    place: ProxiedLocation
    stream: Stream


def tier_findings(
    configuration: Configuration,
    locations: Iterable[ProxiedLocation],
    rules: Sequence[Rule],
    minimum_s: float,
    declared: Iterable[DeclaredProxy] = (),
) -> Iterator[Finding]:
    """The findings of one configuration; a stream should survive a silence of `minimum_s`."""
    rules = [one for one in rules if "tiers" in one.about]
    if not rules:
        return
    named = [_declared(one) for one in declared if _is_behind(configuration, one)]
    behind: dict[ProxyInFront, list[ProxiedLocation]] = {}
    for one in locations:
        if one.is_stream and one.shadowed_by is None:
            for proxy in proxies_in_front(configuration, one.level, named):
                behind.setdefault(proxy, []).append(one)
    for proxy, places in behind.items():
        product = product_named(proxy.product)
        if product is not None:
            yield from _findings(proxy, product, places, rules, minimum_s)


def _is_behind(configuration: Configuration, proxy: DeclaredProxy) -> bool:
    """Whether a configuration gets the requests of a declared proxy."""
    if proxy.behind is None:
        return True
    return os.path.abspath(proxy.behind) == os.path.abspath(configuration.path)


def _declared(proxy: DeclaredProxy) -> ProxyInFront:
    """A proxy that the settings name, with the place of its name there."""
    source = Source(proxy.place.file, proxy.place.text)
    start = source.offset(proxy.place.line, proxy.place.column)
    word = re.compile(r"[\"']?[\w.-]+[\"']?").match(source.text, start)
    end = start if word is None else word.end()
    return ProxyInFront(proxy.product, "the settings", source, start, end)


def _findings(
    proxy: ProxyInFront,
    product: Product,
    places: Sequence[ProxiedLocation],
    rules: Sequence[Rule],
    minimum_s: float,
) -> Iterator[Finding]:
    by_rule: dict[str, list[_TierRemark]] = {}
    known: dict[Stream, list[Remark]] = {}
    for place in places:
        for stream in place.streams:
            if stream.confidence == "possible":
                continue
            if stream not in known:
                known[stream] = [
                    remark
                    for values in _values(proxy, product, stream, minimum_s)
                    for remark in remarks(rules, values)
                ]
            for remark in known[stream]:
                by_rule.setdefault(remark.rule.name, []).append(_TierRemark(remark, place, stream))
    for said in by_rule.values():
        worst = min(said, key=lambda one: SEVERITIES.index(one.remark.severity))
        yield _finding(proxy, worst, said)


def _finding(proxy: ProxyInFront, worst: _TierRemark, said: Sequence[_TierRemark]) -> Finding:
    place = Place(proxy.source, proxy.start, proxy.end)
    location = location_info(worst.place.level, server_names(worst.place.server))
    related = {
        Related(info.place, f"{info.label} handles a stream"): None
        for info in (location_info(one.place.level, ()) for one in said)
    }
    return Finding(
        rule=worst.remark.rule.name,
        severity=worst.remark.severity,
        message=worst.remark.message,
        place=place,
        location=location,
        stream=worst.stream,
        related=tuple(related),
        fix=worst.remark.fix,
    )


def _values(
    proxy: ProxyInFront, product: Product, stream: Stream, minimum_s: float
) -> Iterator[dict[str, Any]]:
    """The facts for one stream behind a proxy: the limit that cuts it first, and what holds it."""
    is_tunnel = stream.kind in ("websocket", "long-poll")  # nothing holds it, or a single piece
    remedy = None if is_tunnel else product.remedy("whole-answer")
    holds = remedy is not None and bool(proxy.holds or product.buffers)
    limits = [one for one in _limits(proxy, product) if _cuts(one, stream, minimum_s)]
    if holds:
        # A product's limit for the whole response applies to responses that it collects.
        limits = [one for one in limits if one.is_known or one.of != "response"]
    if limits:
        yield _cutting(product, min(limits, key=lambda one: one.seconds), stream, minimum_s)
    if remedy is not None and holds:
        yield {
            "tier": product.title,
            "tier_holds": True,
            "tier_setting": proxy.holds or remedy.setting,
            "tier_setting_is_default": not proxy.holds,
            "tier_remedy": remedy.do,
        }


def _limits(proxy: ProxyInFront, product: Product) -> Iterator[_Limit]:
    """The limits in the repository; otherwise the product's defaults."""
    if proxy.timeouts is not None:
        yield from map(_written, proxy.timeouts)
        return
    for one in product.timeouts:
        if one.of != "first-byte":
            yield _Limit(
                one.seconds, one.up_to, one.of, one.what, one.to_raise, True, False, one.not_for
            )


def _written(one: WrittenTimeout) -> _Limit:
    return _Limit(one.seconds, None, one.of, one.what, one.to_raise, one.is_default, True)


def _cuts(limit: _Limit, stream: Stream, minimum_s: float) -> bool:
    """Whether a limit cuts a stream that should survive."""
    if limit.seconds >= minimum_s or stream.kind in limit.not_for:
        return False
    heartbeat = stream.heartbeat_s
    return limit.of == "response" or heartbeat is None or heartbeat >= limit.seconds


def _cutting(product: Product, limit: _Limit, stream: Stream, minimum_s: float) -> dict[str, Any]:
    """The facts about a limit that cuts a stream."""
    heartbeat = _HEARTBEATS.get(stream.kind) if limit.of == "silence" else None
    remedy = limit.to_raise.format(seconds=f"{minimum_s:.0f}", minutes=f"{-(-minimum_s // 60):.0f}")
    return {
        "tier": product.title,
        "tier_cuts": limit.of,
        "tier_cuts_after_s": limit.seconds,
        "tier_cuts_by_s": limit.by_s,
        "tier_limit_is_known": limit.is_known,
        "tier_silence_s": stream.silence_s,
        "tier_setting": limit.what,
        "tier_setting_is_default": limit.is_default,
        "tier_remedy": remedy or None,
        "tier_heartbeat": heartbeat,
        "tier_heartbeat_s": max(1.0, limit.seconds // 2),
        "tier_word": _WORDS.get(stream.kind, "stream"),
    }
