"""Compose files: services, and the instances of nginx among them.

One project is a main file with its override (`compose.override.yaml`), with the files that they
extend and include. Another file in the same folder is a project of its own if its services are
complete; otherwise it changes the services of the main file, as with `docker compose -f A -f B`.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.images import ImageName, image_name, server_image
from nginx_stream_lint.deployment.instance import Container, Label
from nginx_stream_lint.deployment.interpolation import interpolated, read_variables
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    PlacedFile,
    PublishedPort,
    deployed_at,
    is_known,
)
from nginx_stream_lint.deployment.names import mentions_nginx
from nginx_stream_lint.deployment.shell import is_folder_of_nginx
from nginx_stream_lint.deployment.texts import documents_of, text_of
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

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.dockerfile import BuiltImage

_MAIN_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_OVERRIDES = tuple(
    f"{stem}.override.{end}" for stem in ("compose", "docker-compose") for end in ("yaml", "yml")
)
_MAX_TEXT = 2 * 1024 * 1024
_MAX_FILES = 200  # included by a project
_MAX_DEPTH = 16
_MAX_SERVICES = 2000
_MAX_EXTENDS = 32
_PATH = re.compile(r"[.~/\\]|[A-Za-z]:[\\/]")
_URL = re.compile(r"(?:https?|git|ssh|oci)://|git@|github\.com[:/]")
# Keys of a service; version 1 files have services at the top level.
_OF_SERVICE = frozenset(("image", "build", "extends", "command", "volumes", "ports", "environment"))

# Keys that change only the number of replicas, and keys that matter for nginx or the app.
_SCALING = frozenset(("deploy", "scale"))
_DECIDING = _OF_SERVICE - {"ports"} | {"entrypoint", "env_file", "configs", "secrets", "networks"}


# The fields of a service that a key sets.
_FIELDS = {
    "image": ("image", "image_origin"),
    "build": ("build",),
    "entrypoint": ("entrypoint",),
    "command": ("command",),
    "environment": ("environment", "set_at"),
    "env_file": ("from_files", "from_files_at", "is_complete", "unknown"),
    "volumes_from": ("volumes_from",),
    "ports": ("ports",),
    "deploy": ("replicas",),
    "scale": ("replicas",),
}
# Tags of values that remove or replace the values of earlier files.
_RESET, _OVERRIDE = "!reset", "!override"


class ComposeFile(Struct, frozen=True, eq=False):
    """A parsed compose file: its services and other parts by name."""

    source: Source
    folder: str
    root: Mapping
    services: dict[str, MappingEntry]
    repeated: frozenset[str]  # names that the file gives to several services
    removed: frozenset[str] = frozenset()  # services that `!reset` removes


class _BuildSpec(Struct):
    context: str | None = None
    dockerfile: str | None = None
    inline: tuple[Source, str] | None = None
    target: str | None = None
    arguments: dict[str, str | None] = field(default_factory=dict)
    origin: DeployedAt | None = None


class _Spec(Struct):
    """A service as files define it, with keys replaced or merged as in Compose."""

    name: str
    origin: DeployedAt
    image: str | None = None
    image_origin: DeployedAt | None = None
    build: _BuildSpec | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    from_files: dict[str, str | None] = field(default_factory=dict)
    set_at: dict[str, DeployedAt] = field(default_factory=dict)  # of `environment`
    from_files_at: dict[str, DeployedAt] = field(default_factory=dict)
    is_complete: bool = True
    mounts: dict[str, PlacedFile] = field(default_factory=dict)
    ports: list[PublishedPort] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    replicas: int | None = 1
    is_host: bool = False
    keys: frozenset[str] = frozenset()
    labels: dict[str, Label] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()  # keys whose values in earlier files are ignored
    volumes_from: list[tuple[str, DeployedAt]] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    unset: frozenset[str] = frozenset()  # variables that `!reset` removes
    are_mounts_complete: bool = True


def projects(
    workspace: Workspace, paths: Items[str], notes: list[Problem], root: str
) -> list[Container]:
    """The containers that compose files describe."""
    found: list[Container] = []
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(os.path.dirname(path), []).append(path)
    reader = _ComposeReader(workspace, notes, root)
    included: set[str] = set()
    made: list[tuple[str, list[Container]]] = []
    for folder, files in folders.items():
        names = {os.path.basename(one): one for one in files}
        main = next((names[one] for one in _MAIN_NAMES if one in names), None)
        override = next((names[one] for one in _OVERRIDES if one in names), None)
        groups: list[list[str]] = []
        if main is not None:
            groups.append([main, override] if override is not None else [main])
        for path in sorted(files):
            if path in (main, override):
                continue
            if reader.stands_alone(path):
                groups.append([path])
            else:
                groups.append([path] if main is None else [main, path])
        for group in groups:
            project = _Project(reader, folder or os.curdir, group)
            if group[0] == main and len(group) > 1 and group[1] != override:
                project.name = group[1]
                changed = project.changed(group[1], _DECIDING)
                scaled = project.changed(group[1], _SCALING) - changed
                containers = [
                    replace(one, is_rescaled=one.name in scaled)
                    for one in project.containers()
                    if one.name in changed | scaled
                ]
            else:
                containers = project.containers()
            if main is None and not reader.stands_alone(group[0]):
                # It is used with a file of another folder, which may add mounts.
                containers = [
                    replace(one, are_mounts_complete=False)
                    for one in containers
                    if one.image is not None or one.build is not None
                ]
            # Included files are part of another project.
            included |= project.included
            made.append((project.name, containers))
    for first, containers in made:
        if workspace.key(first) not in included:
            found += containers
    return found


class _ComposeReader:
    """Reads each compose file of a run once."""

    def __init__(self, workspace: Workspace, notes: list[Problem], root: str) -> None:
        self.workspace = workspace
        self.notes = notes
        self.root = root
        self._read: dict[str, ComposeFile | None] = {}

    def note(self, origin: DeployedAt, message: str, advice: str) -> None:
        """Add a note, once, about something unknown."""
        one = Problem(origin.file, origin.line, origin.column, message, advice)
        if one not in self.notes:
            self.notes.append(one)

    def file(self, path: str) -> ComposeFile | None:
        """Read a compose file; None, with a note, if that fails."""
        key = self.workspace.key(path)
        if key not in self._read:
            self._read[key] = self._load(path)
        return self._read[key]

    def _load(self, path: str) -> ComposeFile | None:
        try:
            source = text_of(self.workspace, path)
            text = source.text[:_MAX_TEXT]
            found, problems = documents_of(source, text)
        except Unreadable as error:
            self.notes.append(error.problem)
            return None
        if len(source.text) > _MAX_TEXT:
            self.note(DeployedAt(path, 1), "is too long for a compose file", "split it")
            return None
        for one in problems:
            if not mentions_nginx(text):
                continue
            self.note(
                DeployedAt(one.file, one.line, one.column),
                f"this compose file is {one.message}",
                "correct it, or render it if it is a template; its services are unknown",
            )
        if problems or not found or not isinstance(found[0].root, Mapping):
            return None
        root = found[0].root
        services = root.mapping("services")
        if services is None:
            if "services" in root.entries or not any(
                isinstance(one.value, Mapping) and one.value.entries.keys() & _OF_SERVICE
                for name, one in root.entries.items()
                if not name.startswith("x-")
            ):
                services = Mapping({}, (), root.span, False)
            else:
                services = root  # version 1
        counts = Counter(one.key.text for one in services.own)
        repeated = frozenset(name for name, count in counts.items() if count > 1)
        for name in sorted(repeated):
            self.note(
                deployed_at(source, services.entries[name].key.start),
                f"two services are named {name}",
                "rename one, because Compose rejects the file; both are unknown",
            )
        entries = {
            name: one
            for name, one in services.entries.items()
            if isinstance(one.value, Mapping)
            and (services is not root or one.value.entries.keys() & _OF_SERVICE)
            and one.tag != _RESET
        }
        removed = frozenset(name for name, one in services.entries.items() if one.tag == _RESET)
        folder = os.path.dirname(path) or os.curdir
        return ComposeFile(source, folder, root, entries, repeated, removed)

    def stands_alone(self, path: str) -> bool:
        """Whether a file needs no other one: each of its services has an image or a build."""
        file = self.file(path)
        if file is None or not file.services:
            return file is not None and "include" in file.root.entries
        return all(
            isinstance(one.value, Mapping)
            and one.value.entries.keys() & {"image", "build", "extends"}
            for one in file.services.values()
        )


class _Project:
    """Compose files that are merged."""

    def __init__(
        self, reader: _ComposeReader, folder: str, paths: Items[str], depth: int = 0
    ) -> None:
        self.reader = reader
        self.workspace = reader.workspace
        self.folder = folder
        self.paths = list(paths)
        self.depth = depth
        self.name = paths[0]
        self.included: set[str] = set()  # keys of files
        self.around: frozenset[str] = frozenset()  # keys of the files that include these
        self.specs: dict[tuple[str, str, str], _Spec | None] = {}
        self.all: dict[str, _Spec] = {}
        self.builders: dict[ImageName, _Spec] = {}  # by the image that they build
        self.built: dict[ImageName, BuiltImage | None] = {}
        self.depth_of_builds = 0
        self.mounts: dict[str, dict[str, PlacedFile]] = {}  # by service, with `volumes_from`
        self.cyclic: set[tuple[str, str]] = set()  # services that extend themselves
        self.values: dict[str, str | None] = {}
        self.set_at: dict[str, DeployedAt] = {}  # of `values`
        self.own = self._variables(os.path.join(folder, ".env"), self.set_at)
        self.values.update(self.own)

    def _variables(
        self, path: str, places: dict[str, DeployedAt], raw: bool = False
    ) -> dict[str, str | None]:
        """The variables of a file; the place of each goes to `places`."""
        if not self.workspace.is_file(path):
            return {}
        lines: dict[str, int] = {}
        try:
            text = text_of(self.workspace, path).text[:_MAX_TEXT]
        except Unreadable as error:
            self.reader.notes.append(error.problem)
            return {}
        found = read_variables(text, self.values, raw, lines)
        path = os.path.normpath(path)
        places.update((name, DeployedAt(path, line)) for name, line in lines.items())
        return found

    def changed(self, path: str, keys: frozenset[str]) -> set[str]:
        """The services for which a file has one of these keys."""
        file = self.reader.file(path)
        if file is None:
            return set()
        return {
            name
            for name, one in file.services.items()
            if isinstance(one.value, Mapping) and one.value.entries.keys() & keys
        }

    def containers(self) -> list[Container]:
        """All services, as containers."""
        specs = self._specs()
        if len(specs) > _MAX_SERVICES:
            self.reader.note(
                DeployedAt(self.name, 1),
                f"this compose project has more than {_MAX_SERVICES} services",
                "the others are unknown; split it",
            )
        self.all = {
            name: spec for name, (spec, _) in itertools.islice(specs.items(), _MAX_SERVICES)
        }
        self.builders = {
            image_name(spec.image): spec
            for spec in self.all.values()
            if spec.build is not None and is_known(spec.image) and spec.image is not None
        }
        return [self._container(one) for one in self.all.values()]

    def _specs(self) -> dict[str, tuple[_Spec, ComposeFile]]:
        found: dict[str, tuple[_Spec, ComposeFile]] = {}
        for path in self.paths:
            file = self.reader.file(path)
            if file is None:
                continue
            for name, included in self._included(file):
                found.setdefault(name, included)
            for name in file.removed:
                found.pop(name, None)
            for name in file.services:
                if name in file.repeated:
                    found.pop(name, None)
                    continue
                spec = self._spec(file, name, self.folder, ())
                if spec is None:
                    continue
                before = None if file.services[name].tag == _OVERRIDE else found.get(name)
                found[name] = (spec if before is None else _merged(before[0], spec), file)
        return found

    def _included(self, file: ComposeFile) -> Iterator[tuple[str, tuple[_Spec, ComposeFile]]]:
        """The services of included files."""
        for item in file.root.items("include"):
            origin = deployed_at(file.source, item.span.start)
            mapping = item if isinstance(item, Mapping) else None
            path = mapping.at("path") if mapping is not None else item
            names = path.items if isinstance(path, Sequence) else (path,)
            texts = [self._text(one) for one in names if isinstance(one, Scalar)]
            if not texts or not all(map(is_known, texts)) or any(map(_URL.match, texts)):
                self.reader.note(
                    origin,
                    "this include is not the name of a file in the repository",
                    "its services are unknown",
                )
                continue
            paths = [os.path.normpath(os.path.join(self.folder, one)) for one in texts]
            keys = {self.workspace.key(one) for one in paths}
            around = self.around | {self.workspace.key(file.source.name)}
            if keys & around:
                self.reader.note(origin, "this include forms a cycle", "remove it")
                continue
            if self.depth >= _MAX_DEPTH or len(self.included) > _MAX_FILES:
                self.reader.note(
                    origin,
                    "this project includes too many files, or nests them too deeply",
                    "the services of this include are unknown",
                )
                continue
            missing = [one for one in paths if not self.workspace.is_file(one)]
            if missing:
                self.reader.note(origin, f"{missing[0]} does not exist", "its services are unknown")
                continue
            folder = os.path.dirname(paths[0]) or os.curdir
            own = mapping.word("project_directory") if mapping is not None else None
            if own is not None:
                folder = os.path.normpath(os.path.join(self.folder, self._text(own)))
            inner = _Project(self.reader, folder, paths, self.depth + 1)
            inner.values = {**inner.own, **self.values}
            inner.set_at = {**inner.set_at, **self.set_at}
            inner.included, inner.around = self.included, around
            self.included |= keys
            yield from inner._specs().items()

    def _spec(
        self, file: ComposeFile, name: str, folder: str, chain: tuple[tuple[str, str], ...]
    ) -> _Spec | None:
        """A service of a file, merged with the one that it extends."""
        key = self.workspace.key(file.source.name), name, folder
        if key not in self.specs:
            self.specs[key] = self._extended(file, name, folder, chain)
        return self.specs[key]

    def _extended(
        self, file: ComposeFile, name: str, folder: str, chain: tuple[tuple[str, str], ...]
    ) -> _Spec | None:
        entry = file.services.get(name)
        if entry is None or not isinstance(entry.value, Mapping):
            return None
        origin = deployed_at(file.source, entry.key.start)
        own = _ServiceParser(self, file, folder).spec(name, entry.value, origin)
        extends = entry.value.at("extends")
        if extends is None:
            return own
        here = self.workspace.key(file.source.name), name
        if here in chain or len(chain) > _MAX_EXTENDS:
            is_cycle = here in chain
            chained = "itself" if is_cycle else f"a chain of more than {_MAX_EXTENDS} services"
            message = f"{name} extends {chained}"
            self.reader.note(origin, message, "remove one `extends`; these services are unknown")
            self.cyclic.update(chain)
            return None
        other, there = file, folder
        if isinstance(extends, Scalar):
            base = self._text(extends)
        elif isinstance(extends, Mapping):
            word = extends.word("service")
            base = self._text(word) if word is not None else PLACEHOLDER
            path = extends.word("file")
            if path is not None:
                target = os.path.normpath(os.path.join(folder, self._text(path)))
                if not is_known(target) or not self.workspace.is_file(target):
                    self.reader.note(
                        origin,
                        f"the file that {name} extends does not exist",
                        "its settings for the service are unknown",
                    )
                    return _incomplete(own)
                found = self.reader.file(target)
                if found is None:
                    return _incomplete(own)
                other, there = found, os.path.dirname(target) or os.curdir
        else:
            return own
        before = self._spec(other, base, there, (*chain, here))
        if here in self.cyclic:
            return None
        if before is None:
            self.reader.note(
                origin,
                f"the service that {name} extends does not exist",
                "check its name; its settings are unknown",
            )
            return _incomplete(own)
        return replace(_merged(before, own), name=name, origin=origin)

    def _text(self, word: Scalar | None) -> str:
        return "" if word is None else interpolated(word.text, self.values)

    def _container(self, spec: _Spec) -> Container:
        built, context, path = self._built(spec)
        if built is None and spec.image is not None:
            built = self.built_image(spec.image)
        mounts = self._mounts(spec)
        environment = {**spec.from_files, **spec.environment}
        return Container(
            spec.name,
            self.name,
            spec.origin,
            spec.image,
            spec.image_origin or spec.origin,
            built,
            context,
            path,
            tuple(mounts.values()),
            environment,
            spec.is_complete,
            spec.entrypoint,
            spec.command,
            tuple(dict.fromkeys([spec.name, *spec.names])),
            tuple(spec.ports),
            spec.replicas,
            labels=spec.labels,
            depends_on=spec.depends_on,
            environment_at={**spec.from_files_at, **spec.set_at},
            unknown=tuple(spec.unknown),
            are_mounts_complete=spec.are_mounts_complete,
        )

    def _mounts(self, spec: _Spec, depth: int = 0) -> dict[str, PlacedFile]:
        """The files that a service mounts, and those of the services in its `volumes_from`."""
        known = self.mounts.get(spec.name)
        if known is not None:
            return known
        found = self.mounts[spec.name] = dict(spec.mounts)  # a cycle ends here
        for name, origin in spec.volumes_from:
            other = self.all.get(name)
            if other is not None and depth < _MAX_EXTENDS:
                for inside, one in self._mounts(other, depth + 1).items():
                    found.setdefault(inside, one)
                continue
            message = f"the volumes of {name} for {spec.name} are unknown"
            advice = "define the service in this project"
            place = origin.file, origin.line, origin.column
            spec.unknown.append(Problem(*place, message, advice))
            spec.are_mounts_complete = False
        return found

    def built_image(self, image: str) -> BuiltImage | None:
        """The image that a service of this project builds under a name; None if there is none."""
        name = image_name(image)
        spec = self.builders.get(name)
        if spec is None or server_image(image) is not None:
            return None
        if name not in self.built and self.depth_of_builds < _MAX_DEPTH:
            self.built[name] = None  # for an image that starts from itself
            self.depth_of_builds += 1
            self.built[name] = self._built(spec)[0]
            self.depth_of_builds -= 1
        return self.built.get(name)

    def _built(self, spec: _Spec) -> tuple[BuiltImage | None, str | None, str | None]:
        """The result of a service's Dockerfile, its build context, and its path."""
        build = spec.build
        if build is None:
            return None, None, None
        from nginx_stream_lint.deployment import dockerfile

        origin = build.origin or spec.origin
        context = build.context

        def nothing(message: str) -> BuiltImage:
            place = origin.file, origin.line, origin.column
            unknown = Problem(
                *place, f"{message} {spec.name} does not exist", "its image is unknown"
            )
            return dockerfile.BuiltImage(None, origin, unknown=(unknown,))

        if context is None or not is_known(context):
            return nothing("the build context of"), None, None
        try:
            if build.inline is not None:
                source, text = build.inline
                made = dockerfile.build_text(
                    self.workspace,
                    Source(source.name, text),
                    context,
                    build.arguments,
                    build.target,
                    _mentions_nginx(spec),
                    self.built_image,
                )
                return made, context, source.name
            path = os.path.normpath(os.path.join(context, build.dockerfile or "Dockerfile"))
            if not is_known(path) or not self.workspace.is_file(path):
                return nothing("the Dockerfile of"), context, None
            made = dockerfile.build(
                self.workspace,
                path,
                context,
                build.arguments,
                build.target,
                _mentions_nginx(spec),
                self.built_image,
            )
        except Unreadable as error:
            self.reader.notes.append(error.problem)
            return nothing("the Dockerfile of"), context, None
        return made, context, path


def _mentions_nginx(spec: _Spec) -> bool:
    """Whether the keys of a service, without its Dockerfile, suggest that it runs nginx."""
    words = *(spec.entrypoint or ()), *(spec.command or ()), *spec.mounts, spec.image or ""
    return any(map(mentions_nginx, words))


class _ServiceParser:
    """Parses a service's mapping."""

    def __init__(self, project: _Project, file: ComposeFile, folder: str) -> None:
        self.project = project
        self.file = file
        self.folder = folder
        self.workspace = project.workspace

    def spec(self, name: str, node: Mapping, origin: DeployedAt) -> _Spec:
        """Parse the keys of a service."""
        replaced = frozenset(key for key, one in node.entries.items() if one.tag)
        if any(one.tag == _RESET for one in node.entries.values()):
            kept = {key: one for key, one in node.entries.items() if one.tag != _RESET}
            node = Mapping(kept, node.own, node.span, node.is_flow)
        made = _Spec(name, origin, keys=frozenset(node.entries), replaced=replaced)
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
            made.unset = frozenset(key for key, one in entries if one.tag == _RESET)
        for item in self._each(node.at("volumes")):
            self._volume(made, item)
        for item in self._each(node.at("volumes_from")):
            if isinstance(item, Scalar):
                self._volumes_from(made, item)
        for section, folder in (("configs", "/"), ("secrets", "/run/secrets/")):
            for item in self._each(node.at(section)):
                self._config(made, item, section, folder)
        for item in self._each(node.at("ports")):
            made.ports += self._ports(item)
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
        return interpolated(word.text, self.project.values)

    def _at(self, node: Node) -> DeployedAt:
        return deployed_at(self.file.source, node.span.start)

    def _each(self, node: Node | None) -> Iterable[Node]:
        """The items of a list; a single word counts as a list."""
        if isinstance(node, Sequence):
            return node.items
        return (node,) if isinstance(node, Scalar) and node.text else ()

    def _pairs(self, node: Node | None) -> Iterator[tuple[str, str | None, DeployedAt]]:
        """Names, values and the places that set them, from a mapping or a list of `NAME=value`."""
        if isinstance(node, Mapping):
            for key, entry in node.entries.items():
                value = entry.value
                if isinstance(value, Scalar) and entry.tag != _RESET:
                    is_null = not value.text and not value.style
                    # Without a value, it comes from the shell or `.env`.
                    own = self.project.values.get(key) if is_null else _known(self._text(value))
                    yield key, own, self._set_at(value, key if is_null else "")
        elif isinstance(node, Sequence):
            for item in node.items:
                if isinstance(item, Scalar):
                    name, equals, text = self._text(item).partition("=")
                    if is_known(name):
                        known = _known(text) if equals else self.project.values.get(name)
                        yield name, known, self._set_at(item, "" if equals else name)

    def _set_at(self, word: Scalar, name: str) -> DeployedAt:
        """The place that sets a value: that of a variable in it, if a file sets that."""
        names = [name] if name else re.findall(r"\$\{?(\w+)", word.text)
        found = (self.project.set_at.get(one) for one in names)
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

    def _build(self, node: Node | None) -> _BuildSpec | None:
        if node is None:
            return None
        made = _BuildSpec(origin=self._at(node))
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
        if _URL.match(text) or not is_known(text) or text.startswith(("~", "/")):
            return None
        return os.path.normpath(os.path.join(self.folder, text))

    def _command(self, node: Node | None) -> tuple[str, ...] | None:
        if isinstance(node, Sequence):
            return tuple(self._text(one) for one in node.items if isinstance(one, Scalar))
        if isinstance(node, Scalar) and (node.text or node.style):
            return tuple(_split(self._text(node)))
        return None

    def _env_file(self, made: _Spec, item: Node) -> None:
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
            made.is_complete = False
            where = self._at(item)
            shown = "an environment file" if here is None else here
            message = f"{shown} is not in the repository"
            advice = f"its variables are unknown for {made.name}"
            made.unknown.append(Problem(where.file, where.line, where.column, message, advice))
            return
        made.from_files.update(self.project._variables(here, made.from_files_at, raw))

    def _volume(self, made: _Spec, item: Node) -> None:
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

    def _volumes_from(self, made: _Spec, item: Scalar) -> None:
        """A service whose volumes this one has, too: `NAME`, `NAME:ro`, `container:NAME`."""
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

    def _config(self, made: _Spec, item: Node, section: str, folder: str) -> None:
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
        content = what.word("content") if what is not None else None
        target = posixpath.normpath(target)
        if content is not None:
            key = f"{section}.{name}"
            made.mounts[target] = PlacedFile(target, self.file.source.name, "config", origin, key)
        elif path is not None:
            made.mounts[target] = self._mounted(self._text(path), target, origin)
        else:
            made.mounts[target] = PlacedFile(target, None, "config", origin)

    def _ports(self, item: Node) -> list[PublishedPort]:
        if isinstance(item, Scalar):
            text, _, protocol = self._text(item).partition("/")
            outside, _, inside = text.rpartition(":")
            outside = re.sub(r".*[:\]]", "", outside) if ":" in outside else outside
            if outside.count(".") == 3:  # an address without a port
                outside = ""
            if not is_known(inside) or not inside:
                return []
            return [PublishedPort(_known(outside) or None, inside, protocol or "tcp")]
        if isinstance(item, Mapping):
            target, published = item.word("target"), item.word("published")
            kind = item.word("protocol")
            if target is None:
                return []
            return [
                PublishedPort(
                    _known(self._text(published)) if published is not None else None,
                    self._text(target),
                    kind.text if kind is not None else "tcp",
                )
            ]
        return []

    def _replicas(self, node: Mapping) -> int | None:
        word = node.word("deploy", "replicas") or node.word("scale")
        if word is None:
            mode = node.word("deploy", "mode")
            return None if mode is not None and mode.text == "global" else 1
        text = self._text(word)
        return int(text) if text.isdecimal() and len(text) < 6 else None


def _merged(before: _Spec, after: _Spec) -> _Spec:
    """Merge a service of two files as Compose does."""
    if after.replaced:
        before = _without(before, after.replaced)
    build = after.build
    if before.build is not None and build is not None:
        build = _BuildSpec(
            build.context if build.context is not None else before.build.context,
            build.dockerfile or before.build.dockerfile,
            build.inline or before.build.inline,
            build.target or before.build.target,
            {**before.build.arguments, **build.arguments},
            build.origin,
        )
    has_replicas = bool(after.keys & {"deploy", "scale"})
    return _Spec(
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
        before.is_complete and after.is_complete,
        {**before.mounts, **after.mounts},
        [*before.ports, *(one for one in after.ports if one not in before.ports)],
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


def _incomplete(spec: _Spec) -> _Spec:
    """A service of which only a part is known."""
    return replace(spec, is_complete=False, are_mounts_complete=False)


def _without(spec: _Spec, keys: frozenset[str]) -> _Spec:
    """A service without what some of its keys say."""
    empty = _Spec(spec.name, spec.origin)
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
