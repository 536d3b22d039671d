"""Load balancers in front of a pod: those that Kubernetes creates for its Services and Ingresses.

The table is `load_balancers.yaml`; GKE's BackendConfig has its own code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from nginx_stream_lint.config.deployed import ProxyInFront, WrittenTimeout
from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.kubernetes.manifest import MappingEntry, Scalar
from nginx_stream_lint.util.data import table

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.manifests import ManifestObject

_FILE = os.path.join(os.path.dirname(__file__), "load_balancers.yaml")
_CLASS = "kubernetes.io/ingress.class"
_BACKEND_CONFIGS = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")
_GOOGLE, _GOOGLE_S = "google-cloud-lb", 30.0
_UNITS = {"s": 1, "min": 60}
_NUMBER = re.compile(r"\d{1,7}")
_MAX_TEXT = 4096


class AnnotatedTimeout(Struct, frozen=True, forbid_unknown_fields=True):
    """A timeout in an annotation; see `load_balancers.yaml`."""

    annotation: str
    unit: Literal["s", "min"]
    key: str = ""
    of: Literal["silence", "response"] = "silence"
    default: float | None = None


class LoadBalancer(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table."""

    product: str
    kind: Literal["Service", "Ingress"]
    source: str
    timeouts: tuple[AnnotatedTimeout, ...]
    annotations: str = ""
    classes: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = {}


@cache
def load_balancers() -> tuple[LoadBalancer, ...]:
    """Load the table."""
    return table("load_balancers", tuple[LoadBalancer, ...], read)


def read() -> tuple[LoadBalancer, ...]:
    """Read the table from YAML."""
    from nginx_stream_lint.util.yamlfile import load_records

    return load_records(_FILE, tuple[LoadBalancer, ...])


def balancers(
    services: Sequence[ManifestObject],
    ingresses: Sequence[ManifestObject],
    objects: Sequence[ManifestObject],
) -> Iterator[ProxyInFront]:
    """The load balancers of a pod, nearest to it first.

    `services` select the pod, `ingresses` lead to them; `objects` are all of the set.
    """
    for service in services:
        kind = service.root.word("spec", "type")
        if kind is not None and kind.text == "LoadBalancer":
            yield from _shown_by(service, "Service")
    configured = [found for one in services if (found := _backend_config(one, objects)) is not None]
    yield from configured[:1]
    for ingress in ingresses:
        for found in _shown_by(ingress, "Ingress"):
            if found.product != _GOOGLE:
                yield found
            elif not configured:
                default = _google_timeout(_GOOGLE_S, is_default=True)
                yield ProxyInFront(
                    found.product, found.because, found.source, found.start, found.end, (default,)
                )


def _shown_by(one: ManifestObject, kind: str) -> Iterator[ProxyInFront]:
    annotations = one.root.mapping("metadata", "annotations")
    entries = {} if annotations is None else annotations.entries
    texts = {name: _text(entry) for name, entry in entries.items()}
    key = "ingressClassName" if kind == "Ingress" else "loadBalancerClass"
    classed = one.root.word("spec", key)
    class_name = classed.text if classed is not None else texts.get(_CLASS)
    for row in load_balancers():
        if row.kind != kind:
            continue
        if not all(
            texts.get(name, "").lower() in values if values else name not in texts
            for name, values in row.where.items()
        ):
            continue
        by_class = class_name is not None and class_name in row.classes
        prefix = row.annotations
        named = next((name for name in entries if prefix and name.startswith(prefix)), None)
        if class_name is not None and row.classes and not by_class:
            continue  # another controller's
        if named is None and not by_class:
            continue
        timeouts, spot = _timeouts(row, texts)
        name = spot or named
        node = classed if name is None and classed is not None else entries[name or _CLASS].key
        source = one.source_of(node)
        because = f"the class {class_name}" if name is None else f"the annotation {name}"
        yield ProxyInFront(
            row.product, because, source, node.span.start, node.span.end, timeouts or None
        )
        return


def _timeouts(
    row: LoadBalancer, texts: dict[str, str]
) -> tuple[tuple[WrittenTimeout, ...], str | None]:
    """The timeouts that the annotations set or leave at their defaults, and one that sets one.

    No timeouts if a value is unknown.
    """
    found: list[WrittenTimeout] = []
    spot: str | None = None
    for one in row.timeouts:
        start = one.annotation.rstrip("*")
        names = [
            name
            for name in texts
            if name == start or ("*" in one.annotation and name.startswith(start))
        ]
        values = [(name, _value(texts[name], one.key)) for name in names]
        setting = one.key or one.annotation
        raising = "raise it to at least {seconds}"
        if one.unit == "min":
            raising = "raise it to at least {minutes} (minutes)"
        written = [(name, value) for name, value in values if value is not None]
        for name, value in written:
            spot = spot or name
            if not _NUMBER.fullmatch(value):
                return (), None  # unknown
            seconds = float(value) * _UNITS[one.unit]
            found.append(WrittenTimeout(seconds, setting, one.of, to_raise=raising))
        if not written and one.default is not None:
            found.append(WrittenTimeout(one.default, setting, one.of, True, raising))
    return tuple(found), spot


def _value(text: str, key: str) -> str | None:
    """The value of an annotation, or that of a key in it; None if it lacks the key."""
    if not key:
        return text.strip()
    if PLACEHOLDER in text:
        return PLACEHOLDER
    for pair in text[:_MAX_TEXT].split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip() == key:
            return value.strip()
    return None


def _text(entry: MappingEntry) -> str:
    return entry.value.text if isinstance(entry.value, Scalar) else ""


def _backend_config(
    service: ManifestObject, objects: Sequence[ManifestObject]
) -> ProxyInFront | None:
    """GKE's load balancer for a Service, with the timeout of its BackendConfig."""
    annotations = service.root.mapping("metadata", "annotations")
    entries = {} if annotations is None else annotations.entries
    name = next((one for one in _BACKEND_CONFIGS if one in entries), None)
    if name is None:
        return None
    node, source = entries[name].key, service.source
    because, timeouts = f"the annotation {name}", None
    wanted = set(_named_configs(_text(entries[name])))
    found = [one for one in objects if one.kind == "BackendConfig" and one.name in wanted]
    if wanted and len(found) == len(wanted):
        limits: list[tuple[float, ManifestObject, Scalar | None]] = []
        for one in found:
            word = one.root.word("spec", "timeoutSec")
            if word is None:
                limits.append((_GOOGLE_S, one, None))
            elif _NUMBER.fullmatch(word.text):
                limits.append((float(word.text), one, word))
        if len(limits) == len(found):
            seconds, config, word = min(limits, key=lambda row: row[0])
            timeouts = (_google_timeout(seconds, is_default=word is None),)
            because = f"the BackendConfig {config.name}"
            at = word or config.root.word("kind")
            if at is not None:
                node, source = at, config.source_of(at)
    return ProxyInFront(_GOOGLE, because, source, node.span.start, node.span.end, timeouts)


def _google_timeout(seconds: float, *, is_default: bool) -> WrittenTimeout:
    raising = "raise it in a BackendConfig to the length of the longest stream"
    return WrittenTimeout(seconds, "timeoutSec", "response", is_default, raising)


def _named_configs(text: str) -> Iterator[str]:
    """The names in an annotation such as `{"default": "a", "ports": {"80": "b"}}`."""
    try:
        value = json.loads(text[:_MAX_TEXT])
    except ValueError:
        return
    if not isinstance(value, dict):
        return
    ports = value.get("ports")
    for one in (value.get("default"), *(ports.values() if isinstance(ports, dict) else ())):
        if isinstance(one, str):
            yield one
