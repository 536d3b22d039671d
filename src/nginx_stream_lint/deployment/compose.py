"""Compose files: services, and the instances of nginx among them.

One project is a main file with its override (`compose.override.yaml`), with the files that they
extend and include. Another file in the same folder is a separate project if its services are
complete; otherwise it changes the services of the main file, as with `docker compose -f A -f B`.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.compose_service import (
    MAX_TEXT,
    RESET,
    URL,
    ComposeFile,
    ComposeService,
    ServiceParser,
    Variables,
    incomplete,
    merged,
)
from nginx_stream_lint.deployment.images import ImageName, image_name, server_image
from nginx_stream_lint.deployment.instance import Container
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    PlacedFile,
    deployed_at,
    is_known,
)
from nginx_stream_lint.deployment.names import mentions_nginx
from nginx_stream_lint.deployment.texts import documents_of
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import (
    Mapping,
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
# The tag of a service that replaces that of earlier files.
_OVERRIDE = "!override"
_MAX_FILES = 200  # included by a project
_MAX_DEPTH = 16
_MAX_SERVICES = 2000
_MAX_EXTENDS = 32
# Keys of a service; version 1 files have services at the top level.
_OF_SERVICE = frozenset(("image", "build", "extends", "command", "volumes", "ports", "environment"))

# Keys that change only the number of replicas, and keys that matter for nginx or the app.
_SCALING = frozenset(("deploy", "scale"))
_DECIDING = _OF_SERVICE - {"ports"} | {"entrypoint", "env_file", "configs", "secrets", "networks"}


def projects(workspace: Workspace, paths: Items[str], notes: list[Problem]) -> list[Container]:
    """The containers that compose files describe."""
    found: list[Container] = []
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(os.path.dirname(path), []).append(path)
    reader = _ComposeReader(workspace, notes)
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

    def __init__(self, workspace: Workspace, notes: list[Problem]) -> None:
        self.workspace = workspace
        self.notes = notes
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
            source = self.workspace.source(path)
            text = source.text[:MAX_TEXT]
            found, problems = documents_of(source, text)
        except Unreadable as error:
            self.notes.append(error.problem)
            return None
        if len(source.text) > MAX_TEXT:
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
            and one.tag != RESET
        }
        removed = frozenset(name for name, one in services.entries.items() if one.tag == RESET)
        return ComposeFile(source, root, entries, repeated, removed)

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
        self.specs: dict[tuple[str, str, str], ComposeService | None] = {}
        self.all: dict[str, ComposeService] = {}
        self.builders: dict[ImageName, ComposeService] = {}  # by the image that they build
        self.built: dict[ImageName, BuiltImage | None] = {}
        self.depth_of_builds = 0
        self.mounts: dict[str, dict[str, PlacedFile]] = {}  # by service, with `volumes_from`
        self.cyclic: set[tuple[str, str]] = set()  # services that extend themselves
        self.variables = Variables(self.workspace, reader.notes)
        self.variables.add(os.path.join(folder, ".env"))

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

    def _specs(self) -> dict[str, tuple[ComposeService, ComposeFile]]:
        found: dict[str, tuple[ComposeService, ComposeFile]] = {}
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
                found[name] = (spec if before is None else merged(before[0], spec), file)
        return found

    def _included(
        self, file: ComposeFile
    ) -> Iterator[tuple[str, tuple[ComposeService, ComposeFile]]]:
        """The services of included files."""
        for item in file.root.items("include"):
            origin = deployed_at(file.source, item.span.start)
            mapping = item if isinstance(item, Mapping) else None
            path = mapping.at("path") if mapping is not None else item
            names = path.items if isinstance(path, Sequence) else (path,)
            texts = [self._text(one) for one in names if isinstance(one, Scalar)]
            if not texts or not all(map(is_known, texts)) or any(map(URL.match, texts)):
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
            inner.variables.values |= self.variables.values
            inner.variables.places |= self.variables.places
            inner.included, inner.around = self.included, around
            self.included |= keys
            yield from inner._specs().items()

    def _spec(
        self, file: ComposeFile, name: str, folder: str, chain: tuple[tuple[str, str], ...]
    ) -> ComposeService | None:
        """A service of a file, merged with the one that it extends."""
        key = self.workspace.key(file.source.name), name, folder
        if key not in self.specs:
            self.specs[key] = self._extended(file, name, folder, chain)
        return self.specs[key]

    def _extended(
        self, file: ComposeFile, name: str, folder: str, chain: tuple[tuple[str, str], ...]
    ) -> ComposeService | None:
        entry = file.services.get(name)
        if entry is None or not isinstance(entry.value, Mapping):
            return None
        origin = deployed_at(file.source, entry.key.start)
        own = ServiceParser(self.workspace, self.variables, file, folder).spec(
            name, entry.value, origin
        )
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
                    return incomplete(own)
                found = self.reader.file(target)
                if found is None:
                    return incomplete(own)
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
            return incomplete(own)
        return replace(merged(before, own), name=name, origin=origin)

    def _text(self, word: Scalar | None) -> str:
        return "" if word is None else self.variables.text(word)

    def _container(self, spec: ComposeService) -> Container:
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
            spec.entrypoint,
            spec.command,
            tuple(dict.fromkeys([spec.name, *spec.names])),
            spec.replicas,
            labels=spec.labels,
            depends_on=spec.depends_on,
            environment_at={**spec.from_files_at, **spec.set_at},
            unknown=tuple(spec.unknown),
            are_mounts_complete=spec.are_mounts_complete,
        )

    def _mounts(self, spec: ComposeService, depth: int = 0) -> dict[str, PlacedFile]:
        """The files that a service mounts, with those of the services in `volumes_from`."""
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

    def _built(self, spec: ComposeService) -> tuple[BuiltImage | None, str | None, str | None]:
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
                path = build.inline[0].name
                source = Source(path, build.inline[1])
            else:
                path = os.path.normpath(os.path.join(context, build.dockerfile or "Dockerfile"))
                if not is_known(path) or not self.workspace.is_file(path):
                    return nothing("the Dockerfile of"), context, None
                source = self.workspace.source(path)
            made = dockerfile.build(
                self.workspace,
                source,
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


def _mentions_nginx(spec: ComposeService) -> bool:
    """Whether the keys of a service, without its Dockerfile, suggest that it runs nginx."""
    words = *(spec.entrypoint or ()), *(spec.command or ()), *spec.mounts, spec.image or ""
    return any(map(mentions_nginx, words))
