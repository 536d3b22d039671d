"""Policies of the NGINX Ingress Controller: caches and rate limits of a VirtualServer.

Follows internal/configs/policy.go and version2/nginx.virtualserver.tmpl of release 5.6.0. Its other
policies have no effect on streams.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf

from nginx_stream_lint.kubernetes.controllers import is_true
from nginx_stream_lint.kubernetes.conversion import Writer, is_true_at
from nginx_stream_lint.kubernetes.gateway_api import ApiObject, Objects, Reference, written
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar, Span
from nginx_stream_lint.kubernetes.nginx_text import Arg, quoted
from nginx_stream_lint.kubernetes.resources import VirtualServer

_SIZE = re.compile(r"[0-9]+[kKmMgG]?")
_RATE = re.compile(r"[1-9][0-9]*r/[sm]")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_TIME = re.compile(r"[0-9]+[smhd]")
_CODE = re.compile(r"any|[1-5][0-9][0-9]")
_METHOD = re.compile(r"GET|HEAD|POST")
_KEY = "$scheme$proxy_host$request_uri"


def policy_names(spec: Mapping) -> list[Scalar]:
    """The names of the policies of a VirtualServer and of its routes."""
    return [word for node in (spec, *spec.mappings("routes")) for word in _named(node)]


def _named(node: Mapping) -> list[Scalar]:
    words = (item.word("name") for item in node.mappings("policies"))
    return [word for word in words if word is not None]


def policies_for(resource: VirtualServer, objects: Objects) -> dict[str, ApiObject]:
    """The policies that a VirtualServer names, by their names."""
    near = ApiObject(
        resource.document,
        resource.spec,
        "VirtualServer",
        resource.name,
        None,
        resource.place,
        False,
        resource.document.source.name,
    )
    found: dict[str, ApiObject] = {}
    for word in policy_names(resource.spec):
        name = written(resource.document, word)
        policy = objects.find(Reference("Policy", name, None), near)
        if policy is not None:
            found[word.text] = policy
    return found


def policies_of(node: Mapping, known: MappingOf[str, ApiObject]) -> list[ApiObject]:
    """The policies that a VirtualServer or a route names, each kind once: the first counts."""
    kinds: dict[str, ApiObject] = {}
    for word in _named(node):
        policy = known.get(word.text)
        if policy is not None:
            for kind in ("cache", "rateLimit"):
                if policy.spec.mapping(kind) is not None:
                    kinds.setdefault(kind, policy)
    return list(dict.fromkeys(kinds.values()))


def _zone(policy: ApiObject) -> str:
    return re.sub(r"\W", "_", policy.name) or "policy"


def write_zone(to: Writer, policy: ApiObject) -> None:
    """Write what a policy needs in the http block: the zone of its cache or limit."""
    cache, limit = policy.spec.mapping("cache"), policy.spec.mapping("rateLimit")
    if cache is not None:
        size = _word(cache, "cacheZoneSize", _SIZE, "10m")
        path = f"/var/cache/nginx/{_zone(policy)}"
        to.text.line("proxy_cache_path", path, f"keys_zone={_zone(policy)}:{size}", at=cache.span)
    if limit is not None:
        key = limit.word("key")
        by: Arg = "$binary_remote_addr" if key is None else quoted(key)
        size, rate = _word(limit, "zoneSize", _SIZE, "10m"), _word(limit, "rate", _RATE, "10r/s")
        zone = f"zone={_zone(policy)}_limit:{size}"
        to.text.line("limit_req_zone", by, zone, f"rate={rate}", at=limit.span)


def write_policy(to: Writer, policy: ApiObject) -> None:
    """Write the directives of a policy for a server or a location."""
    cache, limit = policy.spec.mapping("cache"), policy.spec.mapping("rateLimit")
    if cache is not None:
        _write_cache(to, cache, _zone(policy))
    if limit is not None:
        words = [f"zone={_zone(policy)}_limit"]
        burst, delay = limit.word("burst"), limit.word("delay")
        if burst is not None and _NUMBER.fullmatch(burst.text):
            words.append(f"burst={burst.text}")
        if is_true_at(limit, "noDelay"):
            words.append("nodelay")
        elif delay is not None and _NUMBER.fullmatch(delay.text):
            words.append(f"delay={delay.text}")
        to.text.line("limit_req", *words, at=limit.span)
        if is_true_at(limit, "dryRun"):
            to.text.line("limit_req_dry_run", "on", at=limit.entries["dryRun"].span)


def _write_cache(to: Writer, cache: Mapping, zone: str) -> None:
    text = to.text
    text.line("proxy_cache", zone, at=cache.span)
    key = cache.word("cacheKey")
    at = None if key is None else cache.entries["cacheKey"].span
    text.line("proxy_cache_key", _KEY if key is None else quoted(key), at=at)
    if is_true_at(cache, "overrideUpstreamCache"):
        names = "Cache-Control", "Expires", "Set-Cookie", "Vary", "X-Accel-Expires"
        text.line("proxy_ignore_headers", *names, at=cache.entries["overrideUpstreamCache"].span)
    time = cache.word("time")
    codes = [one for one in cache.words("allowedCodes") if _CODE.fullmatch(one.text)]
    if time is not None and _TIME.fullmatch(time.text):
        for code in codes:
            text.line("proxy_cache_valid", code, time, at=code.span)
        if not codes:
            text.line("proxy_cache_valid", time, at=cache.entries["time"].span)
    methods = [one for one in cache.words("allowedMethods") if _METHOD.fullmatch(one.text)]
    if methods:
        at = Span(methods[0].start, methods[-1].end)
        text.line("proxy_cache_methods", *methods, at=at)
    lock = cache.word("lock", "enable")
    if lock is not None and is_true(lock.text):
        text.line("proxy_cache_lock", "on", at=lock.span)
    uses = cache.word("cacheMinUses")
    if uses is not None and _NUMBER.fullmatch(uses.text):
        text.line("proxy_cache_min_uses", uses, at=cache.entries["cacheMinUses"].span)
    for name, directive in (("noCache", "proxy_no_cache"), ("bypass", "proxy_cache_bypass")):
        words = cache.words("conditions", name)
        if words:
            at = Span(words[0].start, words[-1].end)
            text.line(directive, *map(quoted, words), at=at)


def _word(node: Mapping, key: str, pattern: re.Pattern[str], default: str) -> str:
    word = node.word(key)
    return word.text if word is not None and pattern.fullmatch(word.text) else default
