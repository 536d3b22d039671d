"""A service of a compose project: read from a file, and merged with that of another file."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.image_folders import is_folder_of_nginx
from nginx_stream_lint.deployment.instance import Label
from nginx_stream_lint.deployment.interpolation import interpolated, read_variables
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    PlacedFile,
    deployed_at,
    is_known,
)
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import (
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Sequence,
)
from nginx_stream_lint.util.problems import Problem, Unreadable

# The tag of a value that removes what earlier files say.
RESET = "!reset"
URL = re.compile(r"(?:https?|git|ssh|oci)://|git@|github\.com[:/]")
_PATH = re.compile(r"[.~/\\]|[A-Za-z]:[\\/]")
MAX_TEXT = 2 * 1024 * 1024
# The fields of a service that a key sets.
_FIELDS = {
    "image": ("image", "image_origin"),
    "build": ("build",),
    "entrypoint": ("entrypoint",),
    "command": ("command",),
    "environment": ("environment", "set_at"),
    "env_file": ("from_files", "from_files_at", "unknown"),
    "volumes_from": ("volumes_from",),
    "deploy": ("replicas",),
    "scale": ("replicas",),
}


class ComposeFile(Struct, frozen=True, eq=False):
    """A parsed compose file: its services and other parts by name."""

    source: Source
    root: Mapping
    services: dict[str, MappingEntry]
    repeated: frozenset[str]
    removed: frozenset[str] = frozenset()  # services that `!reset` removes


class Variables:
    """The variables of a project: their values, and the places that set them."""

    def __init__(self, workspace: Workspace, notes: list[Problem]) -> None:
        self.workspace = workspace
        self.notes = notes
        self.values: dict[str, str | None] = {}
        self.places: dict[str, DeployedAt] = {}

    def add(self, path: str) -> None:
        """Add the variables of a file, if it is there."""
        if self.workspace.is_file(path):
            self.values.update(self.read(path, self.places))

    def read(
        self, path: str, places: dict[str, DeployedAt], raw: bool = False
    ) -> dict[str, str | None]:
        """Read the variables of a file; the place of each goes to `places`."""
        lines: dict[str, int] = {}
        try:
            text = self.workspace.source(path).text[:MAX_TEXT]
        except Unreadable as error:
            self.notes.append(error.problem)
            return {}
        found = read_variables(text, self.values, raw, lines)
        path = os.path.normpath(path)
        places.update((name, DeployedAt(path, line)) for name, line in lines.items())
        return found

    def text(self, word: Scalar) -> str:
        """A word with the values of its variables."""
        return interpolated(word.text, self.values)


class ServiceBuild(Struct):
    context: str | None = None
    dockerfile: str | None = None
    inline: tuple[Source, str] | None = None
    target: str | None = None
    arguments: dict[str, str | None] = field(default_factory=dict)
    origin: DeployedAt | None = None


class ComposeService(Struct):
    """A service as files define it, with keys replaced or merged as in Compose."""

    name: str
    origin: DeployedAt
    image: str | None = None
    image_origin: DeployedAt | None = None
    build: ServiceBuild | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    from_files: dict[str, str | None] = field(default_factory=dict)
    set_at: dict[str, DeployedAt] = field(default_factory=dict)  # of `environment`
    from_files_at: dict[str, DeployedAt] = field(default_factory=dict)
    mounts: dict[str, PlacedFile] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    replicas: int | None = 1
    keys: frozenset[str] = frozenset()
    labels: dict[str, Label] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()  # keys, of which earlier files do not count
    volumes_from: list[tuple[str, DeployedAt]] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    unset: frozenset[str] = frozenset()  # variables that `!reset` removes
    are_mounts_complete: bool = True


class ServiceParser:
    """Parses a service's mapping."""

    def __init__(
        self, workspace: Workspace, variables: Variables, file: ComposeFile, folder: str
    ) -> None:
        self.workspace = workspace
        self.variables = variables
        self.file = file
        self.folder = folder

    def spec(self, name: str, node: Mapping, origin: DeployedAt) -> ComposeService:
        """Parse the keys of a service."""
        replaced = frozenset(key for key, one in node.entries.items() if one.tag)
        if any(one.tag == RESET for one in node.entries.values()):
            kept = {key: one for key, one in node.entries.items() if one.tag != RESET}
            node = Mapping(kept, node.own, node.span, node.is_flow)
        made = ComposeService(name, origin, keys=frozenset(node.entries), replaced=replaced)
        image = node.word("image")
        if image is not None:
            made.image, made.image_origin = self._text(image), self._at(image)
        made.build = self._build(node.at("build"))
        made.entrypoint = self._command(node.at("entrypoint"))
        made.command = self._command(node.at("command"))
        for item in self._each(node.at("env_file")):
            self._env_file(made, item)
        environment = node.at("environment")
        for key, value, place in self._pairs(environment):
            made.environment[key], made.set_at[key] = value, place
        if isinstance(environment, Mapping):
            entries = environment.entries.items()
            made.unset = frozenset(key for key, one in entries if one.tag == RESET)
        for item in self._each(node.at("volumes")):
            self._volume(made, item)
        for item in self._each(node.at("volumes_from")):
            if isinstance(item, Scalar):
                self._volumes_from(made, item)
        for section, folder in (("configs", "/"), ("secrets", "/run/secrets/")):
            for item in self._each(node.at(section)):
                self._config(made, item, section, folder)
        for key in ("container_name", "hostname"):
            word = node.word(key)
            if word is not None:
                made.names.append(self._text(word))
        networks = node.mapping("networks")
        if networks is not None:
            for network in networks.entries.values():
                if isinstance(network.value, Mapping):
                    made.names += [
                        self._text(one)
                        for one in network.value.items("aliases")
                        if isinstance(one, Scalar)
                    ]
        made.names = [one for one in made.names if is_known(one)]
        for labels in (node.at("deploy", "labels"), node.at("labels")):
            made.labels.update(self._labels(labels))
        before = node.at("depends_on")
        if isinstance(before, Mapping):
            made.depends_on = tuple(before.entries)
        else:
            words = [one for one in self._each(before) if isinstance(one, Scalar)]
            made.depends_on = tuple(map(self._text, words))
        made.replicas = self._replicas(node)
        return made

    def _text(self, word: Scalar) -> str:
        return self.variables.text(word)

    def _at(self, node: Node) -> DeployedAt:
        return deployed_at(self.file.source, node.span.start)

    def _each(self, node: Node | None) -> Iterable[Node]:
        """The items of a list; a single word is a list of one."""
        if isinstance(node, Sequence):
            return node.items
        return (node,) if isinstance(node, Scalar) and node.text else ()

    def _pairs(self, node: Node | None) -> Iterator[tuple[str, str | None, DeployedAt]]:
        """Names, values and the places that set them, from a mapping or a list of `NAME=value`."""
        if isinstance(node, Mapping):
            for key, entry in node.entries.items():
                value = entry.value
                if isinstance(value, Scalar) and entry.tag != RESET:
                    is_null = not value.text and not value.style
                    # Without a value, it comes from the shell or `.env`.
                    own = self.variables.values.get(key) if is_null else _known(self._text(value))
                    yield key, own, self._set_at(value, key if is_null else "")
        elif isinstance(node, Sequence):
            for item in node.items:
                if isinstance(item, Scalar):
                    name, equals, text = self._text(item).partition("=")
                    if is_known(name):
                        known = _known(text) if equals else self.variables.values.get(name)
                        yield name, known, self._set_at(item, "" if equals else name)

    def _set_at(self, word: Scalar, name: str) -> DeployedAt:
        """The place that sets a value: that of a variable in it, if a file sets that."""
        names = [name] if name else re.findall(r"\$\{?(\w+)", word.text)
        found = (self.variables.places.get(one) for one in names)
        return next(filter(None, found), None) or self._at(word)

    def _labels(self, node: Node | None) -> Iterator[tuple[str, Label]]:
        """Labels, from a mapping or a list of `NAME=value`."""
        if isinstance(node, Mapping):
            for key, entry in node.entries.items():
                value = entry.value
                text = self._text(value) if isinstance(value, Scalar) else ""
                yield key, Label(_known(text), self._at(entry.key))
        for item in node.items if isinstance(node, Sequence) else ():
            if isinstance(item, Scalar):
                name, _, text = self._text(item).partition("=")
                yield name.strip(), Label(_known(text), self._at(item))

    def _build(self, node: Node | None) -> ServiceBuild | None:
        if node is None:
            return None
        made = ServiceBuild(origin=self._at(node))
        if isinstance(node, Scalar):
            made.context = self._path(self._text(node))
        elif isinstance(node, Mapping):
            context = node.word("context")
            made.context = self._path(self._text(context) if context is not None else ".")
            for key in ("dockerfile", "target"):
                word = node.word(key)
                if word is not None:
                    setattr(made, key, self._text(word))
            inline = node.word("dockerfile_inline")
            if inline is not None:
                made.inline = self.file.source, self._text(inline)
            made.arguments = {name: value for name, value, _ in self._pairs(node.at("args"))}
        return made

    def _path(self, text: str) -> str | None:
        """Resolve a path of the file; None if it is outside of the repository."""
        if URL.match(text) or not is_known(text) or text.startswith(("~", "/")):
            return None
        return os.path.normpath(os.path.join(self.folder, text))

    def _command(self, node: Node | None) -> tuple[str, ...] | None:
        if isinstance(node, Sequence):
            return tuple(self._text(one) for one in node.items if isinstance(one, Scalar))
        if isinstance(node, Scalar) and (node.text or node.style):
            return tuple(_split(self._text(node)))
        return None

    def _env_file(self, made: ComposeService, item: Node) -> None:
        path: Scalar | None = None
        raw = False
        if isinstance(item, Scalar):
            path = item
        elif isinstance(item, Mapping):
            path = item.word("path")
            kind = item.word("format")
            raw = kind is not None and kind.text == "raw"
        here = None if path is None else self._path(self._text(path))
        if here is None or not self.workspace.is_file(here):
            where = self._at(item)
            shown = "an environment file" if here is None else here
            message = f"{shown} is not in the repository"
            advice = f"its variables are unknown for {made.name}"
            made.unknown.append(Problem(where.file, where.line, where.column, message, advice))
            return
        made.from_files.update(self.variables.read(here, made.from_files_at, raw))

    def _volume(self, made: ComposeService, item: Node) -> None:
        origin = self._at(item)
        kind = ""
        if isinstance(item, Scalar):
            parts = _parts(self._text(item))
            source = parts[0] if len(parts) > 1 else ""
            target = parts[1] if len(parts) > 1 else parts[0]
            if len(parts) > 1:
                kind = "bind" if _PATH.match(source) else "volume"
                if source.startswith(PLACEHOLDER):
                    kind = "unknown"
        elif isinstance(item, Mapping):
            word = item.word("type")
            kind = self._text(word) if word is not None else "volume"
            first, second = item.word("source") or item.word("src"), None
            for key in ("target", "dst", "destination"):
                second = second or item.word(key)
            source = self._text(first) if first is not None else ""
            target = self._text(second) if second is not None else ""
        else:
            return
        if not target or not is_known(target):
            return
        target = posixpath.normpath(target)
        if kind in ("bind", "unknown"):
            made.mounts[target] = self._mounted(source, target, origin)
        else:
            made.mounts[target] = PlacedFile(target, None, "volume", origin, is_folder=True)

    def _volumes_from(self, made: ComposeService, item: Scalar) -> None:
        """A service from which this one takes all volumes: `NAME`, `NAME:ro`, `container:NAME`."""
        kind, _, name = self._text(item).rpartition("container:")
        name = item.text if kind else name
        made.volumes_from.append((re.sub(r":r[ow]$", "", name), self._at(item)))

    def _mounted(self, source: str, target: str, origin: DeployedAt) -> PlacedFile:
        path = self._path(source)
        if path is not None and self.workspace.is_file(path):
            return PlacedFile(target, path, "mount", origin)
        if path is not None and self.workspace.is_folder(path):
            return PlacedFile(target, path, "mount", origin, is_folder=True)
        name = posixpath.basename(target)
        is_folder = is_folder_of_nginx(target) or "." not in name or name.endswith(".d")
        return PlacedFile(target, None, "mount", origin, is_folder=is_folder)

    def _config(self, made: ComposeService, item: Node, section: str, folder: str) -> None:
        origin = self._at(item)
        if isinstance(item, Scalar):
            name = self._text(item)
            target = posixpath.join(folder, name)
        elif isinstance(item, Mapping):
            word = item.word("source")
            name = self._text(word) if word is not None else ""
            given = item.word("target")
            target = posixpath.join(folder, self._text(given) if given is not None else name)
        else:
            return
        if not is_known(target) or not name:
            return
        what = self.file.root.mapping(section, name)
        path = what.word("file") if what is not None else None
        content = what.entries.get("content") if what is not None else None
        target = posixpath.normpath(target)
        if content is not None:
            made.mounts[target] = PlacedFile(
                target, self.file.source.name, "config", origin, "content", self._at(content.key)
            )
        elif path is not None:
            made.mounts[target] = self._mounted(self._text(path), target, origin)
        else:
            made.mounts[target] = PlacedFile(target, None, "config", origin)

    def _replicas(self, node: Mapping) -> int | None:
        word = node.word("deploy", "replicas") or node.word("scale")
        if word is None:
            mode = node.word("deploy", "mode")
            return None if mode is not None and mode.text == "global" else 1
        text = self._text(word)
        return int(text) if text.isdecimal() and len(text) < 6 else None


def merged(before: ComposeService, after: ComposeService) -> ComposeService:
    """Merge a service of two files as Compose does."""
    if after.replaced:
        before = _without(before, after.replaced)
    build = after.build
    if before.build is not None and build is not None:
        build = ServiceBuild(
            build.context if build.context is not None else before.build.context,
            build.dockerfile or before.build.dockerfile,
            build.inline or before.build.inline,
            build.target or before.build.target,
            {**before.build.arguments, **build.arguments},
            build.origin,
        )
    has_replicas = bool(after.keys & {"deploy", "scale"})
    return ComposeService(
        before.name,
        before.origin,
        after.image or before.image,
        after.image_origin or before.image_origin,
        build or before.build,
        after.entrypoint if after.entrypoint is not None else before.entrypoint,
        after.command if after.command is not None else before.command,
        {**_kept(before.environment, after.unset), **after.environment},
        {**before.from_files, **after.from_files},
        {**before.set_at, **after.set_at},
        {**before.from_files_at, **after.from_files_at},
        {**before.mounts, **after.mounts},
        [*before.names, *after.names],
        after.replicas if has_replicas else before.replicas,
        keys=before.keys | after.keys,
        labels={**before.labels, **after.labels},
        depends_on=(*before.depends_on, *after.depends_on),
        replaced=before.replaced | after.replaced,
        volumes_from=[*before.volumes_from, *after.volumes_from],
        unknown=[*before.unknown, *after.unknown],
        unset=before.unset | after.unset,
        are_mounts_complete=before.are_mounts_complete and after.are_mounts_complete,
    )


def _kept(values: dict[str, str | None], unset: frozenset[str]) -> dict[str, str | None]:
    return {name: value for name, value in values.items() if name not in unset}


def incomplete(spec: ComposeService) -> ComposeService:
    """A service of which only a part is known."""
    return replace(spec, are_mounts_complete=False)


def _without(spec: ComposeService, keys: frozenset[str]) -> ComposeService:
    """A service without the values of some keys."""
    empty = ComposeService(spec.name, spec.origin)
    fields = {field for key in keys for field in _FIELDS.get(key, ())}
    found = replace(spec, **{one: getattr(empty, one) for one in fields})
    if "volumes" in keys:
        found.mounts = {at: one for at, one in spec.mounts.items() if one.how == "config"}
    return found


def _known(text: str) -> str | None:
    return text if is_known(text) else None


def _parts(text: str) -> list[str]:
    """Split a volume's short form; the colon of a Windows drive is no separator."""
    parts = text.split(":")
    if len(parts) > 1 and re.fullmatch(r"[A-Za-z]", parts[0]) and parts[1][:1] in ("\\", "/"):
        parts[:2] = [f"{parts[0]}:{parts[1]}"]
    return parts


def _split(text: str) -> list[str]:
    """Split a command into words as Compose does."""
    words = re.findall(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+""", text)
    return [
        re.sub(
            r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)""",
            lambda one: one[1] or re.sub(r"\\(.)", r"\1", one[2] or "") or one[3] or "",
            word,
        )
        for word in words
    ]
