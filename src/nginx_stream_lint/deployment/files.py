"""The files of an instance, by their paths in its container."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cached_property

from msgspec.structs import replace

from nginx_stream_lint.config.deployed import DeployedPaths, ProxyInFront
from nginx_stream_lint.config.inputs import Blocks
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.deployment.image_folders import is_configuration_path
from nginx_stream_lint.deployment.images import images
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    Deployment,
    Instance,
    PlacedFile,
    Service,
    ServiceObject,
    is_known,
)
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.problems import Unreadable

_WILD = re.compile(r"[*?\[]")

# Returns the nginx text in a YAML block, by file path and key; None if there is none.


class InstanceFiles:
    """One nginx of a deployment; implements `config.deployed.Deployed`."""

    def __init__(
        self, workspace: Workspace, instance: Instance, deployment: Deployment, blocks: Blocks
    ) -> None:
        self.instance = instance
        self._workspace = workspace
        self._deployment = deployment
        self._blocks = blocks
        self.siblings: Sequence[InstanceFiles] = (self,)
        self.texts: dict[str, MappedText] = {}
        self.values = {
            name: value
            for name, value in instance.environment
            if value is not None and is_known(value)
        }

    @property
    def name(self) -> str:
        """The name of its service."""
        return self.instance.name

    @property
    def origin(self) -> DeployedAt:
        """The place that describes it."""
        return self.instance.origin

    @property
    def product(self) -> str:
        """The server product: nginx or a derivative."""
        return self.instance.server or "nginx"

    @property
    def versions(self) -> tuple[Version, ...]:
        """The nginx versions that may run."""
        return () if self.instance.versions is None else self.instance.versions.judged

    @property
    def version(self) -> str | None:
        """The nginx version as the deployment states it, or a floating tag."""
        found = self.instance.versions
        return None if found is None else found.text

    @property
    def version_origin(self) -> DeployedAt | None:
        """The place that states the version."""
        found = self.instance.versions
        return None if found is None else found.origin

    @cached_property
    def main(self) -> str | None:
        """The path of the main file in the repository."""
        inside = self.instance.main
        return None if inside is None else self._path_of(inside)

    def paths_of(self, argument: str) -> DeployedPaths:
        """The files for an include's argument in the container.

        A relative path starts from the folder of the main file.
        """
        if self.instance.main is None:
            return DeployedPaths()
        inside = posixpath.join(posixpath.dirname(self.instance.main), argument)
        inside = posixpath.normpath(inside)
        if _WILD.search(inside) is None:
            path = self._path_of(inside)
            return DeployedPaths() if path is None else DeployedPaths((path,), is_complete=True)
        known = True
        found: dict[str, str] = {}
        for placed in self.instance.files:
            if _WILD.search(placed.inside) is not None:
                known = known and posixpath.dirname(placed.inside) != posixpath.dirname(inside)
                continue
            for name, here in self._matching(placed, inside):
                visible = self.instance.at(name, self._workspace.exists)
                if visible is None:
                    continue
                # Most files need no second search.
                is_seen = visible is placed and here is not None and self._workspace.is_file(here)
                path = here if is_seen else self._path_of(name)
                if path is not None:
                    found[name] = path
                elif self._at(name) is None:
                    known = False
        folder = posixpath.dirname(_WILD.split(inside, 1)[0])
        paths = tuple(found[name] for name in sorted(found))
        return DeployedPaths(paths, known and self._is_known(folder))

    def _matching(self, placed: PlacedFile, pattern: str) -> Iterator[tuple[str, str | None]]:
        """The paths in the container that a pattern matches in a placed folder or file.

        Each comes with the file's path in the repository, or None if its contents there may differ.
        """
        if not placed.is_folder or placed.path is None or placed.key is not None:
            if fnmatch_path(placed.inside, pattern):
                yield placed.inside, None
            return
        parts = pattern.split("/")
        folder = placed.inside.rstrip("/")
        depth = folder.count("/") + 1
        if len(parts) <= depth or not fnmatch_path(folder, "/".join(parts[:depth])):
            return
        is_visible = placed.how != "removed" and placed.changed is None
        waiting = [(placed.inside, placed.path, depth)]
        while waiting:
            inside, here, at = waiting.pop()
            if at < len(parts) - 1 and _WILD.search(parts[at]) is None:
                entry = posixpath.join(inside, parts[at]), os.path.join(here, parts[at])
                waiting.append((*entry, at + 1))
                continue
            for name, is_folder in self._workspace.entries(here):
                if is_folder == (at < len(parts) - 1) and fnmatch_path(name, parts[at]):
                    entry = posixpath.join(inside, name), os.path.join(here, name)
                    if is_folder:
                        waiting.append((*entry, at + 1))
                    else:
                        yield entry[0], os.path.normpath(entry[1]) if is_visible else None

    def has(self, key: str) -> bool:
        """Whether the container has a file of the repository."""
        for placed, own in self._keys:
            inside = placed.inside
            if placed.is_folder and key.startswith(own.rstrip(os.sep) + os.sep):
                rest = key[len(own.rstrip(os.sep)) + 1 :]
                inside = posixpath.join(inside, rest.replace(os.sep, "/"))
            elif key != own:
                continue
            seen = self._at(inside)
            if seen is not None and seen.path is not None and self._workspace.key(seen.path) == key:
                return True
        return key in self._linked

    def app_of(self, host: str) -> str | None:
        """The app in the catalogue for a host name."""
        service = self._deployment.service(host, self.instance.project)
        return None if service is None else service.app

    def neighbour(self, host: str, port: int) -> tuple[InstanceFiles, int] | None:
        """The nginx that a host name and port lead to, and the port in its container."""
        return self._nginx_of(self._deployment.service(host, self.instance.project), port)

    def behind_service(
        self, name: str, namespace: str | None, port: int, path: str
    ) -> tuple[InstanceFiles, int] | None:
        """The nginx behind a Kubernetes Service that a manifest names, and the port there."""
        return self._nginx_of(self._deployment.behind(ServiceObject(name, namespace, path)), port)

    def _nginx_of(self, service: Service | None, port: int) -> tuple[InstanceFiles, int] | None:
        if service is None:
            return None
        # Pods of several namespaces may have one name.
        named = service.name, service.project, service.origin
        found = [one for one in self.siblings if one._named == named]
        if len(found) != 1:
            return None
        for public, target in found[0].instance.service_ports:
            if public == port:
                return found[0], target
        return found[0], port

    @property
    def _named(self) -> tuple[str, str, DeployedAt]:
        return self.instance.name, self.instance.project, self.instance.origin

    @property
    def in_front(self) -> Sequence[ProxyInFront]:
        """The proxies other than nginx in front of it."""
        return self.instance.in_front

    def value_origin(self, name: str) -> DeployedAt | None:
        """The place that sets an environment variable."""
        return self.instance.environment_at.get(name)

    def addresses_of(self, host: str) -> int | None:
        """The number of addresses that a host name resolves to."""
        return self._deployment.addresses(host, self.instance.project)

    @cached_property
    def _keys(self) -> list[tuple[PlacedFile, str]]:
        """The files and folders of the repository in the container, with their keys."""
        return [
            (one, self._workspace.key(one.path))
            for one in self.instance.files
            if one.path is not None
        ]

    @cached_property
    def _linked(self) -> frozenset[str]:
        """Keys of the files that links in folders for nginx's configuration lead to."""
        found: set[str] = set()
        with suppress(Unreadable):  # the budget reports what it does not allow
            for placed, _ in self._keys:
                if placed.is_folder and is_configuration_path(placed.inside):
                    found.update(self._links_in(placed))
        return frozenset(found)

    def _links_in(self, placed: PlacedFile) -> Iterator[str]:
        """Keys of the files that links in a folder of the repository lead to."""
        waiting = [(placed.path or "", placed.inside)]
        while waiting:
            path, inside = waiting.pop()
            for name, is_folder in self._workspace.entries(path):
                here, there = os.path.join(path, name), posixpath.join(inside, name)
                if is_folder:
                    waiting.append((here, there))
                elif self._workspace.is_link(here):
                    seen = self._at(there)
                    if seen is not None and seen.path == os.path.normpath(here):
                        yield self._workspace.key(here)

    def _at(self, inside: str) -> PlacedFile | None:
        """The file at a path in the container; None if there is none or it is unknown."""
        found = self.instance.at(inside, self._workspace.exists)
        if found is None or found.how in ("removed", "generated") or found.changed is not None:
            return None
        if found.is_folder and found.path is not None and found.key is None:
            rest = posixpath.relpath(inside, found.inside)
            path = os.path.normpath(os.path.join(found.path, rest))
            if not self._workspace.is_file(path):
                return None
            return replace(found, path=path, inside=inside, is_folder=False)
        return found if found.inside == inside else None

    def _path_of(self, inside: str) -> str | None:
        found = self._at(inside)
        if found is None:
            return None
        if found.how == "image":
            return self._of_image(found)
        if found.path is None:
            return None
        if found.key is None:
            return found.path
        at = found.key_at or found.origin
        reading = self._blocks(found.path, found.key, (at.line, at.column))
        if reading is None:
            return None
        name = f"{found.path}#{found.key}"
        if self.texts.setdefault(name, reading) is not reading:
            # Another ConfigMap of the file has this key, too.
            name = f"{found.path}:{at.line}#{found.key}"
            self.texts[name] = reading
        return name

    def _of_image(self, found: PlacedFile) -> str | None:
        """A file that comes with the image: its text is in our table."""
        row = images().configurations.get(found.key or "")
        text = None if row is None else row.files.get(found.inside)
        if text is None:
            return None
        name = f"{found.inside} of {self.instance.image or self.product}"
        if name not in self.texts:
            self.texts[name] = MappedText(
                Source(name, text, on_disk=False, key=name, is_from_image=True), text
            )
        return name

    def _is_known(self, folder: str) -> bool:
        """Whether all files of a folder in the container are known."""
        if not self.instance.is_start_known:
            return False
        return any(one.how == "image" for one in self.instance.files) or any(
            one.is_folder and one.path is not None and one.inside == folder
            for one in self.instance.files
        )


def fnmatch_path(path: str, pattern: str) -> bool:
    """Match a path against a pattern, folder by folder, as `glob` does."""
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(
        fnmatchcase(name, one) and (not name.startswith(".") or one.startswith("."))
        for name, one in zip(names, patterns, strict=True)
    )
