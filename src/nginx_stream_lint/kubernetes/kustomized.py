"""Objects as kustomizations apply them: with their patches.

A patch is no object. Each kustomization that patches objects has its own copies of all that it
applies, and their references mean one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Items
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.gateway_api import ROUTES, ApiObject
from nginx_stream_lint.kubernetes.manifest import (
    Document,
    Mapping,
    MappingEntry,
    Node,
    NodeOrigin,
    Scalar,
    Sequence,
    Span,
)

_MAX_COPIES = 5000
# Objects in patches, by the key of their file, kind and name.
_Patches = dict[tuple[str, str, str], ApiObject]


class AppliedObject(Protocol):
    """An object of a manifest with the patches of a kustomization.

    `others` are the nodes of its patches, by their ids, with their sources.
    """

    @property
    def root(self) -> Mapping: ...

    @property
    def source(self) -> Source: ...

    @property
    def others(self) -> dict[int, tuple[Node, Source]]: ...


class AppliedSet(Protocol):
    """What one kustomization applies; `project` is its file.

    `is_reduced`: a patch deletes objects.
    """

    @property
    def project(self) -> str: ...

    @property
    def objects(self) -> Items[AppliedObject]: ...

    @property
    def is_reduced(self) -> bool: ...


class Applied(Struct, frozen=True):
    """What the kustomizations of a repository apply.

    `read` are the objects in their resources, by the key of the file and the offset there;
    `patches` are the keys of the files that are only patches.
    """

    sets: Items[AppliedSet]
    read: frozenset[tuple[str, int]]
    patches: frozenset[str]


# From a workspace and the files of a repository to what its kustomizations apply.
Kustomize = Callable[[Workspace, Items[str]], Applied]


def with_patches(every: Iterable[ApiObject], applied: Applied) -> list[ApiObject]:
    """Replace objects by those that kustomizations apply, where these change any."""
    by_place: dict[tuple[str, int], ApiObject] = {}
    patches: _Patches = {}
    for one in every:
        key = one.document.source.key
        if key in applied.patches:
            patches[key, one.kind, one.name] = one
        else:
            by_place[key, one.span.start] = one
    copies: list[ApiObject] = []
    copied: set[int] = set()
    unchanged: set[int] = set()
    for group in applied.sets:
        own = [
            (known, one)
            for one in group.objects
            if (known := by_place.get((one.source.key, one.root.span.start))) is not None
        ]
        is_changed = group.is_reduced or any(one.others for _, one in own)
        if not is_changed or len(copies) + len(own) > _MAX_COPIES:
            unchanged.update(id(known) for known, _ in own)
            continue
        copied.update(id(known) for known, _ in own)
        copies += (_copy(known, one, group.project, patches) for known, one in own)
    left = [
        one
        for place, one in by_place.items()
        if id(one) in unchanged or (id(one) not in copied and place not in applied.read)
    ]
    return [*left, *copies]


def _copy(known: ApiObject, one: AppliedObject, project: str, patches: _Patches) -> ApiObject:
    """An object as a kustomization applies it, with places in one document.

    That is its own, or that of a patch with what matters most: the rules of an Ingress or a route,
    or a field of another object. `origins` has the places in the other documents.
    """
    if not one.others:
        return replace(known, project=project)
    place = known
    for key, node in _leading(one.root, known.kind):
        found = one.others.get(id(_first(node)))
        patch = None if found is None else patches.get((found[1].key, known.kind, known.name))
        if patch is not None:
            place = patch
        elif found is not None and found[1].key and key:
            place = _field(known, key, node, found[1])
    placing = _Placing(one, place.document.source.key, known.document)
    root = placing.mapping(one.root, place.root, place.span)
    return replace(
        place,
        root=root,
        namespace=known.namespace,
        project=project,
        path=known.path,
        origins=placing.origins,
        removed=frozenset(_removed(one)),
    )


def _field(known: ApiObject, key: str, node: Node, source: Source) -> ApiObject:
    """A part of an object as a JSON patch or an inline patch has it: a field of its `spec`."""
    document = Document(source, source.text, Span(0, len(source.text)), node)
    root = node
    for name in (key, "spec"):
        word = Scalar(name, node.span.start, node.span.start, "", False, True)
        root = Mapping({name: MappingEntry(word, root, node.span)}, (), node.span, False)
    assert isinstance(root, Mapping)
    return replace(known, document=document, root=root, place=node.span.start)


def _removed(one: AppliedObject) -> Iterator[str]:
    """The keys that strategic merge patches set to null, which deletes them."""
    for node, _ in one.others.values():
        for entry in node.own if isinstance(node, Mapping) else ():
            value = entry.value
            if isinstance(value, Scalar) and not value.text and not value.style:
                yield entry.key.text


def _first(node: Node) -> Node:
    """The part of a node that decides where it is from: of a changed list, its first item."""
    while isinstance(node, Sequence) and node.items:
        node = node.items[0]
    return node.own[0].key if isinstance(node, Mapping) and node.own else node


# What decides in which document the places of an object are; for other kinds, each field.
_LEADING = {
    **dict.fromkeys((*ROUTES, "Ingress"), ("rules",)),
    "VirtualServer": ("routes", "subroutes"),
    "VirtualServerRoute": ("routes", "subroutes"),
    "ConfigMap": (),
}


def _leading(root: Mapping, kind: str) -> Iterator[tuple[str, Node]]:
    """The nodes of an object that decide in which document its places are.

    Each with its key in `spec`, or with an empty one if all fields decide.
    """
    keys = _LEADING.get(kind)
    if keys is not None:
        yield from ((key, node) for key in keys if (node := root.at("spec", key)) is not None)
        return
    work: list[Node] = [root.mapping("spec") or root]
    seen: set[int] = set()  # an alias may stand for much
    while work:
        node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            work += (
                entry.value for key, entry in node.entries.items() if not key.startswith("target")
            )
        elif isinstance(node, Sequence):
            work += node.items
        else:
            yield "", node


class _Placing:
    """Give the nodes of a patched object places in one document.

    Nodes of other documents get the place of what they replace there, or of what is around them;
    `origins` has where they are written. `own` is the document of the object without patches.
    """

    def __init__(self, one: AppliedObject, key: str, own: Document) -> None:
        self.origins: dict[int, NodeOrigin] = {}
        self._one = one
        self._key = key
        self._own = own
        self._made: dict[tuple[int, int], Node] = {}
        self._documents: dict[str, Document] = {own.source.key: own}  # by key of the source

    def mapping(self, node: Mapping, there: Node | None, around: Span) -> Mapping:
        """A mapping; `there` is the node at the same path in the document."""
        known = there if isinstance(there, Mapping) else None
        span = around if known is None else known.span
        entries: dict[str, MappingEntry] = {}
        for key, entry in node.entries.items():
            before = None if known is None else known.entries.get(key)
            at = Span(span.start, span.start) if before is None else before.span
            value = self._node(entry.value, None if before is None else before.value, at)
            if before is not None and value is before.value:
                entries[key] = before
            else:
                name = _word(entry.key, at) if before is None else before.key
                made = MappingEntry(name, value, at, entry.is_alias, entry.tag)
                entries[key] = made
                if isinstance(entry.value, Scalar):
                    self._remember(made, entry, entry.value)
        if known is not None and entries == known.entries:
            return known
        # A merged mapping has the own entries of one that it is made of.
        by = node.own[0].key if node.own else node
        if known is None:
            placed = Mapping(entries, (), span, node.is_flow)
            self._remember(placed, node, by)
        else:
            placed = Mapping(entries, known.own, span, known.is_flow)
            if id(by) in self._one.others and not self._is_here(by):  # it replaces the one here
                self._remember(placed, node, by)
        return placed

    def _remember(
        self, placed: MappingEntry | Mapping, node: MappingEntry | Mapping, by: Node
    ) -> None:
        """Remember where an entry or mapping is written: where `by` is."""
        found = self._one.others.get(id(by))
        source = self._own.source if found is None else found[1]
        if not source.key:
            return  # its places are not those of a file
        document = self._documents.get(source.key)
        if document is None:
            span = Span(0, len(source.text))
            document = Document(
                source, source.text, span, node.value if isinstance(node, MappingEntry) else node
            )
            self._documents[source.key] = document
        self.origins[id(placed)] = NodeOrigin(document, node)

    def _node(self, node: Node, there: Node | None, around: Span) -> Node:
        key = id(node), around.start
        if key not in self._made:
            self._made[key] = self._placed(node, there, around)
        return self._made[key]

    def _placed(self, node: Node, there: Node | None, around: Span) -> Node:
        if isinstance(node, Mapping):
            return self.mapping(node, there, around)
        is_here = self._is_here(node)
        if isinstance(node, Scalar):
            is_same = is_here and isinstance(there, Scalar) and there.span == node.span
            return there if is_same and there is not None else _word(node, around)
        known = there.items if isinstance(there, Sequence) else ()
        span = there.span if isinstance(there, Sequence) else around
        by_start = {one.span.start: one for one in known}
        items = tuple(
            self._node(
                item,
                by_start.get(item.span.start) if self._is_here(item) else None,
                item.span if self._is_here(item) and item.span.start in by_start else span,
            )
            for item in node.items
        )
        if isinstance(there, Sequence) and items == there.items:
            return there
        return Sequence(items, span)

    def _is_here(self, node: Node) -> bool:
        found = self._one.others.get(id(_first(node)))
        return (self._one.source if found is None else found[1]).key == self._key


def _word(word: Scalar, at: Span) -> Scalar:
    """A word that is written in another document."""
    return Scalar(word.text, at.start, at.end, "", False, word.is_string)
