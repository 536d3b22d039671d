"""Kustomizations: which manifests are applied together, with which changes.

Supported are resources, bases and components, `configMapGenerator`, patches (strategic merges and
JSON patches, in files and inline), `images`, `replicas`, `commonAnnotations` of Ingresses, and
prefixes and suffixes of names. Any other transformer becomes a note.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence as Items

from msgspec.structs import replace

from nginx_stream_lint.deployment.manifests import (
    ConfigEntry,
    ImageChange,
    ManifestObject,
    ObjectSet,
    objects,
    variables_in,
)
from nginx_stream_lint.deployment.model import DeployedAt, deployed_at
from nginx_stream_lint.deployment.names import KUSTOMIZATIONS
from nginx_stream_lint.deployment.texts import documents_of
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import (
    Document,
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Sequence,
    Span,
    document_within,
    documents,
)
from nginx_stream_lint.util.problems import Problem, Unreadable

_MAX_DEPTH = 16
_MAX_FOLDERS = 200  # of one kustomization
_MAX_PATTERN = 200
_MAX_REPETITIONS = 2
# The keys that identify list items in a strategic merge.
_KEYS = {
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
}
_UNREAD = ("helmCharts", "replacements", "vars", "transformers", "generators")


class Kustomizations:
    """The kustomizations of a repository; each is read once per use.

    `read` are the objects of resources, by the key of their file; `taken` also has the patches.
    """

    def __init__(self, workspace: Workspace, notes: list[Problem]) -> None:
        self.workspace = workspace
        self.notes = notes
        self.read: dict[str, list[ManifestObject]] = {}
        self.used: set[str] = set()  # keys of folders that others use
        self.taken: set[str] = set()

    def sets(self, paths: Items[str]) -> list[ObjectSet]:
        """The sets of the kustomizations that no other one uses."""
        made: dict[str, ObjectSet] = {}
        for path in paths:
            folder = os.path.dirname(path) or os.curdir
            found = self._set(folder, ())
            if found is not None:
                made[self.workspace.key(folder)] = found
        return [one for key, one in made.items() if key not in self.used]

    def _set(
        self, folder: str, around: tuple[str, ...], made: ObjectSet | None = None
    ) -> ObjectSet | None:
        """The objects of a folder's kustomization; None if there is none.

        A component changes the objects `made` before it.
        """
        name = next(
            (one for one in KUSTOMIZATIONS if self.workspace.is_file(os.path.join(folder, one))),
            None,
        )
        if name is None:
            return None
        path = os.path.normpath(os.path.join(folder, name))
        key = self.workspace.key(folder)
        if key in around or len(around) > _MAX_DEPTH or len(self.used) > _MAX_FOLDERS * 20:
            self._note(DeployedAt(path, 1), "this kustomization includes itself")
            return None
        loaded = self._mapping(path)
        if loaded is None:
            return None
        root, source = loaded
        made = ObjectSet(path) if made is None else made
        for section in ("resources", "bases", "components"):
            for item in root.items(section):
                if isinstance(item, Scalar):
                    changed = made if section == "components" else None
                    self._collect(made, folder, item, source, (*around, key), changed)
        for section in _UNREAD:
            entry = root.entries.get(section)
            if entry is not None:
                origin = deployed_at(source, entry.key.start)
                self._note(origin, f"this kustomization uses {section}, which is not supported")
        namespace = root.word("namespace")
        if namespace is not None:
            for one in made.objects:
                one.namespace = namespace.text
        self._generate(made, folder, root, source)
        self._patch(made, folder, root, source)
        self._transform(made, root, source)
        return made

    def _note(self, origin: DeployedAt, message: str) -> None:
        note = Problem(origin.file, origin.line, origin.column, message, "its effect is unknown")
        if note not in self.notes:
            self.notes.append(note)

    def _mapping(self, path: str) -> tuple[Mapping, Source] | None:
        try:
            source = self.workspace.source(path)
            found, problems = documents_of(source, source.text)
        except Unreadable as error:
            self.notes.append(error.problem)
            return None
        if problems or not found or not isinstance(found[0].root, Mapping):
            self._note(DeployedAt(path, 1), "this kustomization cannot be read")
            return None
        return found[0].root, source

    def _collect(
        self,
        made: ObjectSet,
        folder: str,
        item: Scalar,
        source: Source,
        around: tuple[str, ...],
        changed: ObjectSet | None,
    ) -> None:
        """Add a resource; a component is applied to `changed`, the objects before it."""
        path = os.path.normpath(os.path.join(folder, item.text))
        if "://" in item.text or self.workspace.leads_out(path):
            self._note(deployed_at(source, item.start), "this resource is not in the repository")
        elif self.workspace.is_file(path):
            for one in self._objects(path):
                # Each kustomization changes its own copy of an object.
                made.objects.append(replace(one, others=dict(one.others), images=list(one.images)))
        elif self.workspace.is_folder(path):
            inner = self._set(path, around, changed)
            self.used.add(self.workspace.key(path))
            if inner is not None and inner is not made:
                made.objects += inner.objects
                made.is_reduced = made.is_reduced or inner.is_reduced
                made.made.update(inner.made)
        else:
            self._note(deployed_at(source, item.start), f"the resource {item.text} does not exist")

    def _objects(self, path: str) -> list[ManifestObject]:
        key = self.workspace.key(path)
        self.taken.add(key)
        if key not in self.read:
            self.read[key] = objects(self.workspace, path, self.notes)
        return self.read[key]

    def _generate(self, made: ObjectSet, folder: str, root: Mapping, source: Source) -> None:
        for item in root.items("configMapGenerator"):
            name = item.word("name") if isinstance(item, Mapping) else None
            if name is None or not isinstance(item, Mapping):
                continue
            behavior = item.word("behavior")
            entries: dict[str, ConfigEntry] = {}
            if behavior is not None and behavior.text == "merge":
                entries.update(made.made.get(name.text, {}))
            for word in item.items("files"):
                if isinstance(word, Scalar):
                    key, equals, path = word.text.partition("=")
                    path = path if equals else key
                    here = os.path.normpath(os.path.join(folder, path))
                    there = here if self.workspace.is_file(here) else None
                    key = key if equals else os.path.basename(path)
                    entries[key] = ConfigEntry(deployed_at(source, word.start), there)
            for word in item.items("literals"):
                if isinstance(word, Scalar):
                    key, _, value = word.text.partition("=")
                    value = re.sub(r"^(['\"])(.*)\1$", r"\2", value, flags=re.DOTALL)
                    origin = deployed_at(source, word.start)
                    entries[key] = ConfigEntry(origin, None, None, value)
            files = [item.at("env"), *item.items("envs")]
            for one in files:
                if isinstance(one, Scalar):
                    try:
                        here = os.path.normpath(os.path.join(folder, one.text))
                        entries.update(variables_in(self.workspace, here))
                    except Unreadable:
                        self._note(deployed_at(source, one.start), f"{one.text} does not exist")
            made.made[name.text] = entries
            if behavior is not None and behavior.text in ("merge", "replace"):
                self._change_settings(made, name.text, item, source, behavior.text == "merge")

    def _change_settings(
        self, made: ObjectSet, name: str, item: Mapping, source: Source, is_merge: bool
    ) -> None:
        """Change the `data` of a ConfigMap among the resources by a generator's literals."""
        data = _literals(item)
        entry = MappingEntry(data.own[0].key, data, data.span) if data.own else None
        for at, one in enumerate(made.objects):
            if entry is None or (one.kind, one.name) != ("ConfigMap", name):
                continue
            others = dict(one.others)
            _remember(data, source, others)
            patch = Mapping({"data": entry}, (), data.span, False)
            root = merged(one.root, patch) if is_merge else one.root
            if not is_merge:
                root = replace(root, entries={**root.entries, "data": entry})
            made.objects[at] = replace(one, root=root, others=others)

    def _patch(self, made: ObjectSet, folder: str, root: Mapping, source: Source) -> None:
        for section in ("patches", "patchesStrategicMerge", "patchesJson6902"):
            for item in root.items(section):
                target = item.mapping("target") if isinstance(item, Mapping) else None
                word: Scalar | None
                if isinstance(item, Mapping):
                    word = item.word("path") or item.word("patch")
                    is_path = item.word("path") is not None
                else:
                    word = item if isinstance(item, Scalar) else None
                    is_path = word is not None and "\n" not in word.text
                if word is None:
                    continue
                for node, other in self._documents(folder, word, is_path, source):
                    self._apply(made, node, other, target)

    def _documents(
        self, folder: str, word: Scalar, is_path: bool, file: Source
    ) -> list[tuple[Node, Source]]:
        """The documents of a patch.

        An inline patch that is not written exactly as it is, such as one with escapes, is a
        separate text without a key, placed at its start.
        """
        origin = deployed_at(file, word.start)
        try:
            if is_path:
                path = os.path.normpath(os.path.join(folder, word.text))
                source = self.workspace.source(path)
                self.taken.add(self.workspace.key(path))
            else:
                inside = _inline(file, word)
                if inside is not None:
                    return [(inside.root, file)]
                source = Source(origin.file, "\n" * (origin.line - 1) + word.text)
            # Not by `documents_of`: whether a word is a string matters in annotations.
            found, problems = documents(source, source.text)
        except Unreadable:
            self._note(origin, f"the patch {word.text} does not exist")
            return []
        if problems:
            self._note(origin, "a patch of this kustomization cannot be read")
        return [(one.root, source) for one in found]

    def _apply(self, made: ObjectSet, node: Node, source: Source, target: Mapping | None) -> None:
        kind = name = directive = None
        if isinstance(node, Mapping):
            kind, name = node.word("kind"), node.word("metadata", "name")
            directive = node.word("$patch")
        kept: list[ManifestObject] = []
        for one in made.objects:
            kept.append(one)
            if target is not None:
                if not _is_target(one, target):
                    continue
            elif (
                kind is None
                or name is None
                or (kind.text, name.text)
                not in (
                    (one.kind, one.name),
                    (one.kind, f"{one.prefix}{one.name}{one.suffix}"),
                )
            ):
                continue
            if directive is not None and directive.text == "delete":
                kept.pop()
                made.is_reduced = True
                continue
            others = dict(one.others)
            _remember(node, source, others)
            changed: Node | None
            if isinstance(node, Mapping):
                changed = merged(one.root, node)
            else:
                changed = one.root
                for step in node.items if isinstance(node, Sequence) else ():
                    if isinstance(step, Mapping) and isinstance(changed, Mapping):
                        changed = _json_patched(changed, step, source, others)
            if isinstance(changed, Mapping):
                kept[-1] = replace(one, root=changed, others=others)
        made.objects = kept

    def _transform(self, made: ObjectSet, root: Mapping, source: Source) -> None:
        for item in root.items("images"):
            name = item.word("name") if isinstance(item, Mapping) else None
            if name is None or not isinstance(item, Mapping):
                continue
            new, tag, digest = item.word("newName"), item.word("newTag"), item.word("digest")
            origin = deployed_at(source, (tag or digest or new or name).start)
            change = ImageChange(name.text, _text(new), _text(tag), _text(digest), origin)
            for one in made.objects:
                one.images.append(change)
        for item in root.items("replicas"):
            name = item.word("name") if isinstance(item, Mapping) else None
            count = item.word("count") if isinstance(item, Mapping) else None
            if name is not None and count is not None and count.text.isdecimal():
                for one in made.objects:
                    if one.name == name.text:
                        one.replicas = int(count.text[:6])
        annotations = root.entries.get("commonAnnotations")
        if annotations is not None and isinstance(annotations.value, Mapping):
            self._annotate(made, annotations, source)
        prefix, suffix = root.word("namePrefix"), root.word("nameSuffix")
        for one in made.objects:
            one.prefix = (prefix.text if prefix is not None else "") + one.prefix
            one.suffix += suffix.text if suffix is not None else ""

    def _annotate(self, made: ObjectSet, annotations: MappingEntry, source: Source) -> None:
        """Add annotations to the Ingresses; those of other objects do not matter."""
        inner = Mapping({"annotations": annotations}, (), annotations.span, False)
        entry = MappingEntry(annotations.key, inner, annotations.span)
        patch = Mapping({"metadata": entry}, (), annotations.span, False)
        for at, one in enumerate(made.objects):
            if one.kind == "Ingress":
                others = dict(one.others)
                _remember(annotations.value, source, others)
                made.objects[at] = replace(one, root=merged(one.root, patch), others=others)


def _text(word: Scalar | None) -> str | None:
    return None if word is None else word.text


def _literals(item: Mapping) -> Mapping:
    """The literals of a generator as the data of a ConfigMap, each at its place."""
    found: list[MappingEntry] = []
    for word in item.items("literals"):
        if isinstance(word, Scalar) and "=" in word.text:
            name, _, value = word.text.partition("=")
            inner = re.sub(r"^(['\"])(.*)\1$", r"\2", value, flags=re.DOTALL)
            start, end = word.span
            middle = start + len(name) if word.is_exact else end
            quote = int(inner != value)
            at = Span(middle + 1 + quote, end - quote) if word.is_exact else Span(end, end)
            key = Scalar(name, start, middle, "", word.is_exact, True)
            found.append(MappingEntry(key, Scalar(inner, *at, "", word.is_exact, True), word.span))
    span = Span(found[0].span.start, found[-1].span.end) if found else item.span
    return Mapping({one.key.text: one for one in found}, tuple(found), span, False)


def _inline(file: Source, word: Scalar) -> Document | None:
    """An inline patch with its places in the kustomization; None if they are not exact."""
    if "\n---" in word.text:
        return None  # several documents
    if word.lines:
        first, last = word.lines[0][1], word.lines[-1][1]
        return document_within(file, Span(file.text.rfind("\n", 0, first.start) + 1, last.end))
    # A fix may write double quotes.
    is_exact = word.is_exact and word.style != '"' and "\n" not in word.text
    return document_within(file, word.span) if is_exact else None


def _is_target(one: ManifestObject, target: Mapping) -> bool:
    """Whether a patch's target selects an object."""
    version = one.root.word("apiVersion")
    group, _, number = ("" if version is None else version.text).rpartition("/")
    known = {
        "group": group,
        "version": number,
        "kind": one.kind,
        "name": one.name,
        "namespace": one.namespace or "default",
    }
    for key, text in known.items():
        wanted = target.word(key)
        if wanted is not None and not _matches(wanted.text, text):
            return False
    for key, section in (("labelSelector", "labels"), ("annotationSelector", "annotations")):
        wanted = target.word(key)
        if wanted is not None and not _selects(wanted.text, one.root.mapping("metadata", section)):
            return False
    return True


def _matches(pattern: str, text: str) -> bool:
    """Whether a regular expression matches a whole text; false for one that is not simple.

    Two repetitions in each alternative keep the time of a search short.
    """
    if len(pattern) > _MAX_PATTERN:
        return False
    for simple in pattern.split("|"):
        inner = simple.removeprefix("^").removesuffix("$")
        if re.fullmatch(r"(?:[\w /-]|\\?\.|(?<=\.)[*+?])*", inner) is None:
            continue
        if len(re.findall(r"[*+?]", inner)) <= _MAX_REPETITIONS and re.fullmatch(inner, text):
            return True
    return False


def _selects(selector: str, labels: Mapping | None) -> bool:
    """Whether a selector of equalities (`a=b,c!=d,e,!f`) selects labels; false for other ones."""
    if labels is None:
        labels = Mapping({}, (), Span(0, 0), False)
    for condition in selector.split(","):
        found = re.fullmatch(r"\s*(!?)([\w./-]+)\s*(?:(==?|!=)\s*([\w.-]*))?\s*", condition)
        if found is None:
            return False
        is_absent, key, sign, value = found.groups()
        word = labels.at(key)
        if sign is None:
            is_selected = (word is None) if is_absent else (word is not None)
        else:
            is_equal = isinstance(word, Scalar) and word.text == value
            is_selected = is_equal is (sign != "!=") and not is_absent
        if not is_selected:
            return False
    return True


def _remember(node: Node, source: Source, others: dict[int, tuple[Node, Source]]) -> None:
    if id(node) in others:
        return  # an alias
    others[id(node)] = node, source
    if isinstance(node, Mapping):
        for entry in node.own:
            others[id(entry.key)] = entry.key, source
            _remember(entry.value, source, others)
    elif isinstance(node, Sequence):
        for item in node.items:
            _remember(item, source, others)


def merged(base: Mapping, patch: Mapping) -> Mapping:
    """Apply a strategic merge patch to a mapping."""
    entries = dict(base.entries)
    for key, entry in patch.entries.items():
        before = entries.get(key)
        value = entry.value
        if _is_null(value):
            entries.pop(key, None)  # null deletes the key
        elif (
            isinstance(value, Mapping) and before is not None and isinstance(before.value, Mapping)
        ):
            directive = value.word("$patch")
            if directive is not None and directive.text == "delete":
                entries.pop(key)
            elif directive is not None:
                entries[key] = entry
            else:
                inner = merged(before.value, value)
                entries[key] = MappingEntry(before.key, inner, before.span)
        elif isinstance(value, Sequence) and before is not None and key in _KEYS:
            if isinstance(before.value, Sequence):
                items = _merged_items(before.value, value, _KEYS[key])
                several = Sequence(items, before.value.span)
                entries[key] = MappingEntry(before.key, several, before.span)
            else:
                entries[key] = entry
        elif isinstance(value, Mapping):
            plain = _without_nulls(value)
            entries[key] = entry if plain is value else replace(entry, value=plain)
        else:
            entries[key] = entry
    return Mapping(entries, base.own, base.span, base.is_flow)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.text and not node.style


def _without_nulls(new: Mapping) -> Mapping:
    """A mapping of a patch that the object lacks: its nulls delete nothing."""
    entries: dict[str, MappingEntry] = {}
    for key, entry in new.entries.items():
        if isinstance(entry.value, Mapping):
            plain = _without_nulls(entry.value)
            entries[key] = entry if plain is entry.value else replace(entry, value=plain)
        elif not _is_null(entry.value):
            entries[key] = entry
    is_same = len(entries) == len(new.entries) and all(
        entries[key] is entry for key, entry in new.entries.items()
    )
    return new if is_same else Mapping(entries, new.own, new.span, new.is_flow)


def _merged_items(base: Sequence, patch: Sequence, key: str) -> tuple[Node, ...]:
    items: dict[str, Node] = {}
    for number, item in enumerate(base.items):
        name = item.word(key) if isinstance(item, Mapping) else None
        items[name.text if name is not None else f"\0{number}"] = item
    for number, item in enumerate(patch.items):
        name = item.word(key) if isinstance(item, Mapping) else None
        directive = item.word("$patch") if isinstance(item, Mapping) else None
        where = name.text if name is not None else f"\1{number}"
        before = items.get(where)
        if directive is not None and directive.text == "delete":
            items.pop(where, None)
        elif isinstance(item, Mapping) and isinstance(before, Mapping):
            items[where] = merged(before, item)
        else:
            items[where] = item
    return tuple(items.values())


def _json_patched(
    root: Mapping, step: Mapping, source: Source, others: dict[int, tuple[Node, Source]]
) -> Mapping:
    """Apply one operation of a JSON patch; one that does not fit has no effect."""
    operation, path = step.word("op"), step.word("path")
    if operation is None or path is None or operation.text not in ("add", "replace", "remove"):
        return root
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path.text.split("/")[1:]]
    value = None if operation.text == "remove" else step.entries.get("value")
    if not parts or (value is None and operation.text != "remove") or len(parts) > _MAX_PATTERN:
        return root
    if value is not None:  # a new key has the place of the path
        key = Scalar(parts[-1], path.start, path.end, path.style, False, True)
        others[id(key)] = key, source
        value = MappingEntry(key, value.value, value.span)
        if parts[:-1] == ["metadata", "annotations"] and root.mapping(*parts[:-1]) is None:
            # kustomize has annotations of its own, so there is a mapping for more of them.
            inner = Mapping({parts.pop(): value}, (), value.span, False)
            others[id(inner)] = inner, source
            value = MappingEntry(key, inner, value.span)
    changed = _set(root, parts, value, operation.text == "add")
    return changed if isinstance(changed, Mapping) else root


def _set(node: Node, parts: list[str], value: MappingEntry | None, is_new: bool) -> Node:
    head, *rest = parts
    if isinstance(node, Mapping):
        entries = dict(node.entries)
        before = entries.get(head)
        if rest:
            if before is None:
                return node
            inner = _set(before.value, rest, value, is_new)
            entries[head] = MappingEntry(before.key, inner, before.span)
        elif value is None:
            entries.pop(head, None)
        else:
            key = value.key if before is None else before.key
            entries[head] = MappingEntry(key, value.value, value.span)
        return Mapping(entries, node.own, node.span, node.is_flow)
    if isinstance(node, Sequence):
        items = list(node.items)
        if head == "-" and value is not None and not rest:
            items.append(value.value)
        elif head.isdecimal() and len(head) < 5 and int(head) < len(items) + (not rest and is_new):
            at = int(head)
            if rest:
                items[at] = _set(items[at], rest, value, is_new)
            elif value is None:
                del items[at]
            elif is_new:
                items.insert(at, value.value)
            else:
                items[at] = value.value
        return Sequence(tuple(items), node.span)
    return node
