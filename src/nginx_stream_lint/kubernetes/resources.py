"""Find resources with routes in documents: Ingresses, Helm values, VirtualServers, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.controllers import ingress_nginx, nginx_org
from nginx_stream_lint.kubernetes.gateway_api import ApiObject, written
from nginx_stream_lint.kubernetes.manifest import (
    Document,
    Mapping,
    MappingEntry,
    Node,
    NodeOrigin,
    Scalar,
    Span,
)

_ROUTES = frozenset({"annotations", "className", "ingressClassName", "hosts", "host", "hostname"})
# Values nest four deep.
_MAX_DEPTH = 8
_APIS = re.compile(r"(?:networking\.k8s\.io|extensions|networking)/.*")


class IngressPath(Struct, frozen=True, eq=False):
    """A path of a host: `type` is Prefix, Exact or ImplementationSpecific."""

    path: Scalar | None
    type: str
    service: Scalar | None
    port: Scalar | None
    span: Span

    @property
    def text(self) -> str:
        """The path as text: / without one."""
        return "/" if self.path is None else self.path.text


class Host(Struct, frozen=True, eq=False):
    """A host with its paths; `name` None for any host."""

    name: Scalar | None
    paths: tuple[IngressPath, ...]
    span: Span


def host_name(hosts: Sequence[Host]) -> str:
    """The name of the server that controllers make of some hosts; empty for any host."""
    name = hosts[0].name
    return "" if name is None else name.text


class Ingress(Struct, frozen=True, eq=False):
    """An Ingress, or the values from which a Helm chart renders one.

    `place` is the place of its kind. New annotations are added to `home`, otherwise to new
    `annotations` of `parent`. `unknown` is a placeholder in place of annotations.
    `is_manifest`: it is a manifest for Kubernetes itself. `project`, `origins` and `removed` are as
    in `ApiObject`.
    """

    document: Document
    place: int
    span: Span
    name: str
    class_name: Scalar | None
    annotations: dict[str, MappingEntry]
    home: Mapping | None
    parent: Mapping | None
    hosts: tuple[Host, ...]
    tls: bool
    default: IngressPath | None
    unknown: Span | None
    is_manifest: bool
    namespace: str | None = None
    project: str | None = None
    origins: dict[int, NodeOrigin] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()


class VirtualServer(Struct, frozen=True, eq=False):
    """A VirtualServer or a VirtualServerRoute of k8s.nginx.org; `spec` as written.

    `project` and `origins` are as in `ApiObject`.
    """

    document: Document
    place: int
    span: Span
    name: str
    spec: Mapping
    namespace: str | None = None
    project: str | None = None
    origins: dict[int, NodeOrigin] = field(default_factory=dict)


class ControllerSettings(Struct, frozen=True, eq=False):
    """The `data` of a ConfigMap, or of a chart's values for one; `origins` as in `ApiObject`."""

    document: Document
    place: int
    span: Span
    name: str
    data: Mapping
    project: str | None = None
    origins: dict[int, NodeOrigin] = field(default_factory=dict)


Resource = Ingress | VirtualServer | ControllerSettings


def resources(document: Document) -> Iterator[Resource]:
    """Everything in a document that a controller could turn into nginx configuration."""
    for node in _objects(document.root):
        yield from _of(document, node)


# The kinds of the objects in manifests, by their API groups.
CONTROLLED = {
    **{group: {"Ingress"} for group in ("networking.k8s.io", "extensions", "networking")},
    "k8s.nginx.org": {"VirtualServer", "VirtualServerRoute"},
    "v1": {"ConfigMap"},
}


def resources_of(one: ApiObject) -> Iterator[Resource]:
    """Like `resources`, for one object of a kind in `CONTROLLED`, with its patches."""
    for made in _of(one.document, one.root):
        known = replace(made, project=one.project, origins=one.origins)
        yield replace(known, removed=one.removed) if isinstance(known, Ingress) else known


def classes(document: Document) -> Iterator[tuple[str, str]]:
    """The IngressClasses of a document: name and controller."""
    for node in _objects(document.root):
        if _kind(node) == "IngressClass":
            name, controller = node.word("metadata", "name"), node.word("spec", "controller")
            if name is not None and controller is not None:
                yield name.text, controller.text


def _objects(node: Node, depth: int = 0) -> Iterator[Mapping]:
    """A document's objects: itself, or the items of a list."""
    if not isinstance(node, Mapping):
        return
    if _kind(node).endswith("List") and node.items("items") and not depth:
        for item in node.items("items"):
            yield from _objects(item, 1)
    else:
        yield node


def _kind(node: Mapping) -> str:
    word = node.word("kind")
    return word.text if word is not None and node.word("apiVersion") is not None else ""


def _of(document: Document, node: Mapping) -> Iterator[Resource]:
    kind = _kind(node)
    if kind == "Ingress":
        api = node.word("apiVersion")
        if api is not None and _APIS.fullmatch(api.text):
            yield _ingress(document, node)
    elif kind in ("VirtualServer", "VirtualServerRoute"):
        spec, api = node.mapping("spec"), node.word("apiVersion")
        if spec is not None and api is not None and api.text.startswith("k8s.nginx.org/"):
            place = node.entries["kind"].span.start
            namespace = _namespace(document, node)
            yield VirtualServer(document, place, node.span, _name(node), spec, namespace)
    elif kind == "ConfigMap":
        data = node.mapping("data")
        name = _name(node)
        if data is not None and any(
            one.may_read(name) and one.keys & set(data.entries)
            for one in (ingress_nginx(), nginx_org())
        ):
            place = node.entries["kind"].span.start
            yield ControllerSettings(document, place, node.span, name, data)
    elif not kind:
        yield from _values(document, node, (), 0)
    elif node.mapping("spec", "values") is not None:
        values = node.mapping("spec", "values")
        assert values is not None
        yield from _values(document, values, (), 0)


def _name(node: Mapping) -> str:
    word = node.word("metadata", "name")
    return word.text if word is not None else ""


def _namespace(document: Document, node: Mapping) -> str | None:
    word = node.word("metadata", "namespace")
    return None if word is None else written(document, word)


def _ingress(document: Document, node: Mapping) -> Ingress:
    metadata = node.mapping("metadata")
    spec = node.mapping("spec")
    annotations = metadata.mapping("annotations") if metadata is not None else None
    hosts: list[Host] = []
    default = None
    class_name = None
    tls = False
    if spec is not None:
        class_name = spec.word("ingressClassName")
        tls = bool(spec.items("tls"))
        for rule in spec.items("rules"):
            if isinstance(rule, Mapping):
                paths = (_path(one) for one in rule.items("http", "paths"))
                found = tuple(one for one in paths if one is not None)
                hosts.append(Host(rule.word("host"), found, rule.span))
        for key in ("defaultBackend", "backend"):
            backend = spec.mapping(key)
            if backend is not None:
                service, port = _backend(backend)
                default = IngressPath(None, "Prefix", service, port, spec.entries[key].span)
    return Ingress(
        document=document,
        place=node.entries["kind"].span.start,
        span=node.span,
        name=_name(node),
        class_name=class_name,
        annotations=annotations.entries if annotations is not None else {},
        home=_home(metadata),
        parent=metadata,
        hosts=tuple(hosts),
        tls=tls,
        default=default,
        unknown=_unknown(document, metadata),
        is_manifest=True,
        namespace=_namespace(document, node),
    )


def _home(parent: Mapping | None) -> Mapping | None:
    """The annotations that a mapping itself contains; None if they are an alias."""
    if parent is None:
        return None
    entry = parent.entries.get("annotations")
    if entry is None or entry.is_alias or not isinstance(entry.value, Mapping):
        return None
    return entry.value


def _unknown(document: Document, parent: Mapping | None) -> Span | None:
    """The first line of placeholders among the annotations of a mapping."""
    if parent is None or "annotations" not in parent.entries:
        return None
    entry = parent.entries["annotations"]
    value = entry.value
    if isinstance(value, Scalar) and has_placeholder(value.text):
        return value.span  # on the line of the key
    if isinstance(value, Mapping):
        for key, one in value.entries.items():
            if has_placeholder(key):
                return one.span  # a loop over annotations
    end = max(entry.span.end, value.span.end)
    # Lines of placeholders belong to it if they are indented more than its key.
    column = _column(document.text, entry.key.start)
    for span in document.placeholder_lines:
        if span.start <= entry.key.start:
            continue
        between = document.text[end : span.start] if span.start > end else ""
        lines = [line for line in between.split("\n") if line.strip()]
        if any(_indentation(line) <= column and not _is_comment(line) for line in lines):
            break
        if _column(document.text, span.start) > column:
            return span
    return None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _column(text: str, offset: int) -> int:
    return offset - text.rfind("\n", 0, offset) - 1


def _path(node: Node) -> IngressPath | None:
    if isinstance(node, Scalar):
        return IngressPath(node, "Prefix", None, None, node.span)  # `paths: [/]` of old charts
    if not isinstance(node, Mapping):
        return None
    kind = node.word("pathType")
    backend = node.mapping("backend")
    service, port = _backend(backend) if backend is not None else (None, None)
    return IngressPath(
        node.word("path"),
        kind.text if kind is not None else "ImplementationSpecific",
        service,
        port,
        node.span,
    )


def _backend(node: Mapping) -> tuple[Scalar | None, Scalar | None]:
    """Service and port of a backend, in the current form or that before Kubernetes 1.19."""
    service = node.word("service", "name") or node.word("serviceName") or node.word("service")
    port = node.word("service", "port", "number") or node.word("service", "port", "name")
    return service, port or node.word("servicePort") or node.word("service", "port")


def _values(
    document: Document, node: Mapping, trail: tuple[str, ...], depth: int
) -> Iterator[Resource]:
    """The Ingresses that a chart would render from its values, and bare annotations."""
    within = any("ingress" in key.lower() for key in trail)
    annotations = node.mapping("annotations")
    annotated = annotations is not None and _is_nginx(annotations)
    if trail == ("controller",) and node.mapping("config") is not None:
        data = node.mapping("config")
        assert data is not None
        if ingress_nginx().keys & set(data.entries):
            place = node.entries["config"].span
            yield ControllerSettings(document, place.start, place, "controller.config", data)
    if annotated or (within and len(_ROUTES & set(node.entries)) > 1):
        yield _of_values(document, node, trail)
    elif _is_nginx(node):
        yield _bare(document, node, trail)
        return
    for key, entry in node.entries.items():
        if entry.is_alias or (key == "annotations" and annotated) or depth > _MAX_DEPTH:
            continue
        if isinstance(entry.value, Mapping):
            yield from _values(document, entry.value, (*trail, key), depth + 1)


def _is_nginx(node: Mapping) -> bool:
    """Whether a mapping has annotations of an nginx-based controller."""
    controllers = (ingress_nginx(), nginx_org())
    return any(one.short(key) is not None for key in node.entries for one in controllers)


def _of_values(document: Document, node: Mapping, trail: tuple[str, ...]) -> Ingress:
    annotations = node.mapping("annotations")
    hosts: list[Host] = []
    for item in node.items("hosts") or node.items("hostnames"):
        if isinstance(item, Mapping):
            paths = item.items("paths") or ((item,) if "path" in item.entries else ())
            found = tuple(one for one in map(_path, paths) if one is not None)
            hosts.append(Host(item.word("host") or item.word("name"), found, item.span))
        elif isinstance(item, Scalar):
            hosts.append(Host(item, (), item.span))
    single = node.word("host") or node.word("hostname")
    if not hosts and single is not None:
        path = node.word("path")
        kind = node.word("pathType")
        own = (
            [IngressPath(path, kind.text if kind else "Prefix", None, None, path.span)]
            if path
            else []
        )
        hosts.append(Host(single, tuple(own), single.span))
    return Ingress(
        document=document,
        place=node.span.start,
        span=node.span,
        name=".".join(trail),
        class_name=node.word("className") or node.word("ingressClassName"),
        annotations=annotations.entries if annotations is not None else {},
        home=_home(node),
        parent=node,
        hosts=tuple(hosts),
        tls=_has_tls(node),
        default=None,
        unknown=_unknown(document, node),
        is_manifest=False,
    )


def _has_tls(node: Mapping) -> bool:
    """Whether values enable TLS: a list as in an Ingress, or `enabled`."""
    enabled = node.word("tls", "enabled")
    return bool(node.items("tls")) or (enabled is not None and enabled.text == "true")


def _bare(document: Document, node: Mapping, trail: tuple[str, ...]) -> Ingress:
    """Annotations alone, as in documentation."""
    return Ingress(
        document=document,
        place=node.span.start,
        span=node.span,
        name=".".join(trail),
        class_name=None,
        annotations=node.entries,
        home=node,
        parent=None,
        hosts=(),
        tls=False,
        default=None,
        unknown=None,
        is_manifest=False,
    )
