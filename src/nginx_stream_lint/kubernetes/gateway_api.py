"""Objects of the Gateway API and of F5's controllers, and what they refer to.

A repository may have many objects of one kind and name, such as one `gateway` in each example. A
reference means the nearest: in the same file, otherwise in the nearest folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from collections.abc import Set as AbstractSet
from functools import cached_property

from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.config.templates.dialects import template_key
from nginx_stream_lint.kubernetes.manifest import Document, Mapping, Node, NodeOrigin, Scalar, Span

GATEWAY_API = "gateway.networking.k8s.io"
OF_NGINX = "gateway.nginx.org"
OF_INGRESS_CONTROLLER = "k8s.nginx.org"
ROUTES = ("HTTPRoute", "GRPCRoute")
# A YAML text that matches has objects of these.
CONCERNS = re.compile(r"gateway\.(?:networking\.k8s\.io|nginx\.org)/")

_KINDS = {
    GATEWAY_API: {"Gateway", "GatewayClass", *ROUTES, "BackendTLSPolicy"},
    OF_NGINX: {
        "NginxProxy",
        "ProxySettingsPolicy",
        "ClientSettingsPolicy",
        "UpstreamSettingsPolicy",
        "RateLimitPolicy",
        "SnippetsFilter",
        "SnippetsPolicy",
    },
    OF_INGRESS_CONTROLLER: {"Policy"},
}


class ApiObject(Struct, frozen=True, eq=False):
    """An object: `place` is the offset of its kind.

    `is_listed`: it is an item of a list, or the document is JSON. `project` is the kustomization
    whose patches it has. `path` is its own file, while `document` may be that of a patch.
    `origins` are entries and mappings of its root that are written elsewhere, by their ids;
    `removed` are keys that patches delete.
    """

    document: Document
    root: Mapping
    kind: str
    name: str
    namespace: str | None
    place: int
    is_listed: bool
    path: str
    project: str | None = None
    origins: dict[int, NodeOrigin] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    @property
    def spec(self) -> Mapping:
        """Its `spec`; an empty mapping without one."""
        return self.root.mapping("spec") or Mapping({}, (), self.root.span, False)

    @property
    def span(self) -> Span:
        return self.root.span

    @property
    def head(self) -> Span:
        """The line of its kind, from the kind on."""
        text = self.document.text
        end = text.find("\n", self.place)
        end = len(text) if end < 0 else end
        return Span(self.place, self.place + len(text[self.place : end].rstrip()))


class Reference(Struct, frozen=True):
    """The object that one refers to; the namespace is None if it is absent."""

    kind: str
    name: str
    namespace: str | None


def objects(
    documents: Iterable[Document], kinds: MappingOf[str, AbstractSet[str]] = _KINDS
) -> list[ApiObject]:
    """The objects of some kinds in documents; `kinds` are those of each API group."""
    return [one for document in documents for one in _in(document, document.root, False, kinds)]


def _in(
    document: Document, node: Node, listed: bool, kinds: MappingOf[str, AbstractSet[str]]
) -> Iterator[ApiObject]:
    if not isinstance(node, Mapping):
        return
    kind, api = node.word("kind"), node.word("apiVersion")
    if kind is None or api is None:
        return
    if kind.text.endswith("List") and not listed:
        for item in node.items("items"):
            yield from _in(document, item, True, kinds)
        return
    if kind.text not in kinds.get(api.text.partition("/")[0], ()):
        return
    name, namespace = node.word("metadata", "name"), node.word("metadata", "namespace")
    yield ApiObject(
        document,
        node,
        kind.text,
        "" if name is None else written(document, name),
        None if namespace is None else written(document, namespace),
        node.entries["kind"].span.start,
        listed or node.is_flow,
        document.source.name,
    )


def written(document: Document, word: Scalar) -> str:
    """A word, or its template: equal templates are the same name."""
    if not has_placeholder(word.text):
        return word.text
    return template_key(document.source.text[word.start : word.end])


def references(one: ApiObject, key: str, kind: str) -> Iterator[Reference]:
    """The references in a list of an object's `spec`; `kind` is the default for their kind."""
    for node in one.spec.items(key):
        if isinstance(node, Mapping):
            found = reference(one, node, kind)
            if found is not None:
                yield found


def reference(one: ApiObject, node: Mapping, kind: str) -> Reference | None:
    """The reference of a mapping with `name`, in an object's own namespace by default."""
    name = node.word("name")
    if name is None:
        return None
    given, namespace = node.word("kind"), node.word("namespace")
    return Reference(
        kind if given is None else given.text,
        written(one.document, name),
        one.namespace if namespace is None else written(one.document, namespace),
    )


class Objects:
    """An index of objects: by name for references, and policies by their targets."""

    def __init__(self, every: Iterable[ApiObject]) -> None:
        self.every = sorted(every, key=lambda one: (one.path, one.place))
        # By kind, name and folder (or file): those there and in the folders below, nearest first.
        self._named: dict[tuple[str, str, str], list[ApiObject]] = {}
        self._targeting: dict[tuple[str, str, str], list[ApiObject]] = {}
        self._policies: dict[tuple[int, str], list[ApiObject]] = {}
        for one in self.every:
            for scope in _scopes(one):
                self._named.setdefault((one.kind, one.name, scope), []).append(one)
            for target in targets(one):
                for scope in _scopes(one):
                    known = self._targeting.setdefault((target.kind, target.name, scope), [])
                    known.append(one)

    def find(self, wanted: Reference, near: ApiObject) -> ApiObject | None:
        """The nearest object that an object refers to."""
        for scope in _scopes(near):
            for one in self._named.get((wanted.kind, wanted.name, scope), ())[:_MOST]:
                if _is_in(one.namespace, wanted.namespace):
                    return one
        return None

    def policies(self, target: ApiObject, kind: str) -> list[ApiObject]:
        """The policies of a kind that apply to an object, in the order of their names."""
        key = id(target), kind
        if key not in self._policies:
            self._policies[key] = self._policies_of(target, kind)
        return self._policies[key]

    def _policies_of(self, target: ApiObject, kind: str) -> list[ApiObject]:
        for scope in _scopes(target):
            if scope.startswith(_FILE):
                continue
            found = [
                one
                for one in self._targeting.get((target.kind, target.name, scope), ())[:_MOST]
                if one.kind == kind and self._targets(one, target)
            ]
            if found:
                return sorted(found, key=lambda one: one.name)
        return []

    def _targets(self, policy: ApiObject, target: ApiObject) -> bool:
        """Whether a policy applies to an object: it is one of the nearest objects with its name.

        Several objects may be equally near: the routes of several environments share a policy.
        """
        for scope in _scopes(policy):
            named = self._named.get((target.kind, target.name, scope), ())[:_MOST]
            found = [one for one in named if _is_in(one.namespace, policy.namespace)]
            if found:
                return any(one is target for one in found)
        return False

    @cached_property
    def names(self) -> set[tuple[str, str]]:
        """The kind and the name of each object."""
        return {(one.kind, one.name) for one in self.every}

    def service_policies(self, service: Reference, near: ApiObject, kind: str) -> list[ApiObject]:
        """The nearest policies of a kind for a Service, which the repository may lack."""
        for scope in _scopes(near):
            found = [
                one
                for one in self._targeting.get(("Service", service.name, scope), ())[:_MOST]
                if one.kind == kind and _is_in(one.namespace, service.namespace)
            ]
            if found:
                return sorted(found, key=lambda one: one.name)
        return []


# Objects of one kind and name that are compared.
_MOST = 100
_FILE = "file "


def targets(policy: ApiObject) -> list[Reference]:
    """What a policy applies to."""
    single = policy.spec.mapping("targetRef")
    found = list(references(policy, "targetRefs", ""))
    one = None if single is None else reference(policy, single, "")
    return found if one is None else [*found, one]


def _is_in(namespace: str | None, wanted: str | None) -> bool:
    return namespace is None or wanted is None or namespace == wanted


def _scopes(one: ApiObject) -> list[str]:
    """Where an object is, the nearest first: its kustomization, its file, the folders around."""
    path = os.path.normpath(one.path).replace(os.sep, "/")
    found = [] if one.project is None else [f"kustomization {one.project}"]
    found.append(f"{_FILE}{path}")
    while "/" in path.strip("/"):
        path = path.rpartition("/")[0]
        found.append(f"folder {path}")
    return [*found, ""]
