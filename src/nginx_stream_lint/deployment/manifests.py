"""Objects of Kubernetes manifests, the sets that are applied together, and entries of ConfigMaps.

The objects of one set are those of a kustomization, or of one folder. In Helm templates,
placeholders are unknown; names are equal if their templates are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from nginx_stream_lint.config.inputs import STDIN
from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.config.templates import template_tags, yaml_reading
from nginx_stream_lint.config.templates.dialects import template_key
from nginx_stream_lint.deployment.interpolation import read_variables
from nginx_stream_lint.deployment.model import DeployedAt, deployed_at, is_known
from nginx_stream_lint.deployment.names import mentions_nginx
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import Mapping, Node, Scalar, documents
from nginx_stream_lint.util.problems import Problem, Unreadable

_MAX_TEXT = 2 * 1024 * 1024
# Lines that name a program, or the source of its files.
_NAMING = re.compile(r"(?m)^[ \t-]*(?:image|name|mountPath):.*")
_ADVICE = "correct it, or render it if it is a template; what it deploys is unknown"
_MAX_OBJECTS = 5000


class ConfigEntry(Struct, frozen=True):
    """A key of a ConfigMap: a file, or a value within one (`key`)."""

    origin: DeployedAt
    path: str | None
    key: str | None = None
    value: str | None = None


class ImageChange(Struct, frozen=True):
    """A kustomization's replacement for an image; None for unchanged parts."""

    image: str
    name: str | None
    tag: str | None
    digest: str | None
    origin: DeployedAt

    def is_for(self, image: str) -> bool:
        """Whether it changes an image."""
        return _parts(image)[0] == self.image

    def changed(self, image: str) -> str:
        """Apply the change to an image."""
        name, tag = _parts(image)
        digest = image.partition("@")[2]
        tag, digest = self.tag or tag, self.digest or ("" if self.tag else digest)
        name = self.name or name
        return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


class ManifestObject(Struct, eq=False):
    """An object of a manifest. `others` are patched nodes with their sources, by node id.

    `prefix` and `suffix` are added to its name when it is applied.
    """

    kind: str
    name: str
    namespace: str | None
    root: Mapping
    source: Source
    others: dict[int, tuple[Node, Source]] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = ""
    replicas: int | None = None
    images: list[ImageChange] = field(default_factory=list)

    def source_of(self, node: Node) -> Source:
        """The source of a node: that of the patch which it comes from, otherwise its own."""
        found = self.others.get(id(node))
        return self.source if found is None else found[1]

    def origin(self, node: Node) -> DeployedAt:
        """The place of a node."""
        return deployed_at(self.source_of(node), node.span.start)


class ObjectSet(Struct, eq=False):
    """Objects that are applied together, and the ConfigMaps generated for them.

    `is_reduced`: a patch deletes others.
    """

    project: str
    objects: list[ManifestObject] = field(default_factory=list)
    made: dict[str, dict[str, ConfigEntry]] = field(default_factory=dict)
    is_reduced: bool = False


def objects(workspace: Workspace, path: str, notes: list[Problem]) -> list[ManifestObject]:
    """Read the objects of a manifest; invalid YAML becomes a note."""
    try:
        source = workspace.source(path)
        if len(source.text) > _MAX_TEXT and path != STDIN:
            _add(notes, Problem(path, 1, 1, "is too long for a manifest", "split it"))
            return []
        text = yaml_reading(source).text if template_tags(source) else source.text
        found, problems = documents(source, text)
    except Unreadable as error:
        _add(notes, error.problem)
        return []
    for one in problems:
        if any(mentions_nginx(line) for line in _NAMING.findall(source.text)):
            message = f"this manifest is {one.message}"
            _add(notes, Problem(one.file, one.line, one.column, message, _ADVICE))
    made: list[ManifestObject] = []
    for document in found:
        if isinstance(document.root, Mapping):
            made += _objects(document.root, source)
    return made[:_MAX_OBJECTS]


def _objects(root: Mapping, source: Source) -> Iterator[ManifestObject]:
    kind = root.word("kind")
    if kind is None:
        return
    if kind.text == "List":
        for one in root.items("items"):
            if isinstance(one, Mapping) and one.word("kind") is not None:
                yield from _objects(one, source)
        return
    name = root.word("metadata", "name")
    namespace = root.word("metadata", "namespace")
    if name is not None:
        yield ManifestObject(
            kind.text,
            name_in(name, source),
            None if namespace is None else name_in(namespace, source),
            root,
            source,
        )


def name_in(word: Scalar, source: Source) -> str:
    """A name, or its template: equal templates are the same name."""
    if is_known(word.text):
        return word.text
    return template_key(source.text[word.start : word.end])


def entries_of(one: ManifestObject) -> dict[str, ConfigEntry]:
    """The data of a ConfigMap or Secret; what is encoded in it is unknown."""
    found: dict[str, ConfigEntry] = {}
    is_secret = one.kind == "Secret"
    for section in ("data", "binaryData", "stringData"):
        data = one.root.mapping(section)
        is_text = section == ("stringData" if is_secret else "data")
        for key, entry in data.entries.items() if data is not None else ():
            origin = one.origin(entry.key)
            if is_text and isinstance(entry.value, Scalar):
                found[key] = ConfigEntry(origin, origin.file, key, entry.value.text)
            elif not is_text:
                # A missing certificate needs no note; a missing configuration does.
                unnoted = None if key.endswith(".conf") else PLACEHOLDER
                found.setdefault(key, ConfigEntry(origin, None, None, unnoted))
    return found


def _parts(image: str) -> tuple[str, str]:
    """Split an image into name and tag."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "")


def variables_in(workspace: Workspace, path: str) -> dict[str, ConfigEntry]:
    """Read an environment file as entries of a ConfigMap. Raises `Unreadable`."""
    text = workspace.source(path).text[:_MAX_TEXT]
    lines: dict[str, int] = {}
    return {
        name: ConfigEntry(DeployedAt(path, lines[name]), None, None, value)
        for name, value in read_variables(text, raw=True, lines_of=lines).items()
    }


def _add(notes: list[Problem], note: Problem) -> None:
    if note not in notes:
        notes.append(note)


def folder_sets(found: Sequence[ManifestObject]) -> list[ObjectSet]:
    """The objects without a kustomization, as one set per folder."""
    sets: dict[str, ObjectSet] = {}
    for one in found:
        folder = os.path.dirname(one.source.name) or os.curdir
        sets.setdefault(folder, ObjectSet(folder)).objects.append(one)
    return list(sets.values())
