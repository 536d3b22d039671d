"""Gateways and routes of the Gateway API: listeners, hosts, rules and matches."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.gateway_api import (
    OF_NGINX,
    ApiObject,
    Objects,
    Reference,
    reference,
    references,
    written,
)
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar, Span

_MOST_LISTENERS = 64  # that Kubernetes accepts
_METHOD = re.compile(r"[A-Z]+")
HEADER_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Listener(Struct, frozen=True, eq=False):
    """A listener of a Gateway; `hostname` None for every host."""

    name: str
    port: str
    tls: bool
    hostname: Scalar | None


class Plan(Struct, frozen=True, eq=False):
    """What one nginx runs: a Gateway, or None if it is not in the repository, and its routes."""

    gateway: ApiObject | None
    gateway_class: ApiObject | None
    routes: tuple[ApiObject, ...]
    objects: Objects
    by_class: bool

    @property
    def first(self) -> ApiObject:
        """The object whose place outer blocks get: the Gateway, otherwise the first route."""
        return self.gateway or self.routes[0]


class Match(Struct, frozen=True, eq=False):
    """A match of a route's rule: requests for a path, with conditions.

    A condition is a variable, an operator and a value. `kind` is Exact, PathPrefix or
    RegularExpression. `span` is that of the match, or of the rule if it has no other.
    """

    route: ApiObject
    rule: Mapping
    span: Span
    path: Scalar | str
    kind: str
    conditions: tuple[tuple[str, str, str], ...]

    @property
    def text(self) -> str:
        """The path."""
        return self.path if isinstance(self.path, str) else self.path.text

    @property
    def grpc(self) -> bool:
        return self.route.kind == "GRPCRoute"


def rules_of(route: ApiObject) -> list[Mapping]:
    """The rules of a route."""
    return [one for one in route.spec.items("rules") if isinstance(one, Mapping)]


def backend_of(rule: Mapping) -> Mapping | None:
    """The first backend of a rule that gets requests."""
    for one in rule.items("backendRefs"):
        weight = one.word("weight") if isinstance(one, Mapping) else None
        is_used = weight is None or weight.text != "0"
        if isinstance(one, Mapping) and one.word("name") is not None and is_used:
            return one
    return None


def matches(route: ApiObject) -> Iterator[Match]:
    """The matches of a route's rules; a rule without any matches every request."""
    for rule in rules_of(route):
        found = [one for one in rule.items("matches") if isinstance(one, Mapping)]
        for one in found or [Mapping({}, (), rule.span, False)]:
            span = rule.span if len(found) < 2 else one.span
            path, kind = _grpc_path(one) if route.kind == "GRPCRoute" else _http_path(one)
            conditions = tuple(_conditions(one, route.kind == "HTTPRoute"))
            yield Match(route, rule, span, path, kind, conditions)


def _http_path(match: Mapping) -> tuple[Scalar | str, str]:
    value, kind = match.word("path", "value"), match.word("path", "type")
    given = "PathPrefix" if kind is None else kind.text
    kinds = ("Exact", "PathPrefix", "RegularExpression")
    return value if value is not None else "/", given if given in kinds else "PathPrefix"


def _grpc_path(match: Mapping) -> tuple[Scalar | str, str]:
    service, method = match.word("method", "service"), match.word("method", "method")
    kind = match.word("method", "type")
    if service is None:
        return "/", "PathPrefix"
    path = f"/{service.text}/{'' if method is None else method.text}"
    end = service.end if method is None else max(service.end, method.end)
    word = Scalar(path, service.start, end, "", False, True)
    if kind is not None and kind.text == "RegularExpression":
        return word, "RegularExpression"
    return word, "PathPrefix" if method is None else "Exact"


def _conditions(match: Mapping, http: bool) -> Iterator[tuple[str, str, str]]:
    """The conditions of a match other than its path, as far as nginx's `if` can express them."""
    method = match.word("method") if http else None
    if method is not None and _METHOD.fullmatch(method.text):
        yield "$request_method", "=", method.text
    for key, prefix in (("headers", "$http_"), ("queryParams", "$arg_")):
        for item in match.items(key):
            name = item.word("name") if isinstance(item, Mapping) else None
            value = item.word("value") if isinstance(item, Mapping) else None
            kind = item.word("type") if isinstance(item, Mapping) else None
            if name is None or value is None or has_placeholder(name.text + value.text):
                continue
            if not HEADER_NAME.fullmatch(name.text) or "$" in value.text:
                continue
            is_regex = kind is not None and kind.text == "RegularExpression"
            variable = prefix + name.text.lower().replace("-", "_")
            yield variable, "~" if is_regex else "=", value.text


def listeners_of(gateway: ApiObject | None) -> list[Listener]:
    """The listeners of a Gateway that accept HTTP; the usual two if none is known."""
    found: list[Listener] = []
    for item in gateway.spec.items("listeners")[:_MOST_LISTENERS] if gateway is not None else ():
        if not isinstance(item, Mapping):
            continue
        protocol, port = item.word("protocol"), item.word("port")
        mode, name = item.word("tls", "mode"), item.word("name")
        if protocol is None or protocol.text not in ("HTTP", "HTTPS"):
            continue
        tls = protocol.text == "HTTPS"
        if tls and mode is not None and mode.text == "Passthrough":
            continue
        usual = "443" if tls else "80"
        is_number = port is not None and re.fullmatch(r"[1-9][0-9]{0,4}", port.text) is not None
        number = port.text if port is not None and is_number and int(port.text) < 65536 else usual
        said = "" if name is None or gateway is None else written(gateway.document, name)
        found.append(Listener(said, number, tls, item.word("hostname")))
    if found or (gateway is not None and gateway.spec.items("listeners")):
        return found
    return [Listener("", "80", False, None), Listener("", "443", True, None)]


def is_attached(plan: Plan, route: ApiObject, listener: Listener) -> bool:
    """Whether a route names a listener of the Gateway as its parent."""
    gateway = plan.gateway
    if gateway is None:
        return True
    wanted = [
        (node, found)
        for node in route.spec.items("parentRefs")
        if isinstance(node, Mapping) and (found := reference(route, node, "Gateway")) is not None
    ]
    for node, one in wanted:
        if one.kind != "Gateway" or plan.objects.find(one, route) is not gateway:
            continue
        section, port = node.word("sectionName"), node.word("port")
        names = section is None or written(route.document, section) == listener.name
        if names and (port is None or port.text == listener.port):
            return True
    return False


def hosts(
    route: ApiObject, listener: Listener, gateway: ApiObject | None
) -> list[tuple[ApiObject, Scalar] | None]:
    """The hosts for which a route gets a listener's requests; None for every host."""
    own = [one for one in route.spec.items("hostnames") if isinstance(one, Scalar) and one.text]
    limit = listener.hostname
    if limit is None or gateway is None:
        return [(route, one) for one in own] or [None]
    if not own:
        return [(gateway, limit)]
    found: list[tuple[ApiObject, Scalar] | None] = []
    for one in own:
        if has_placeholder(one.text + limit.text) or _covers(limit.text, one.text):
            found.append((route, one))
        elif _covers(one.text, limit.text):
            found.append((gateway, limit))
    return found


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern == name


def gateways_of(route: ApiObject) -> list[Reference]:
    """The Gateways that a route refers to."""
    return [one for one in references(route, "parentRefs", "Gateway") if one.kind == "Gateway"]


def refers_to_fabric(route: ApiObject) -> bool:
    """Whether a route itself refers to an object of NGINX Gateway Fabric."""
    return any(
        isinstance(item, Mapping)
        and (group := item.word("extensionRef", "group")) is not None
        and group.text == OF_NGINX
        for rule in rules_of(route)
        for item in rule.items("filters")
    )
