"""Records of a deployment: which nginx runs, with which files, for which services.

Unknown values are None, or texts with a `PLACEHOLDER`; see `is_known`. A note gives the reason.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.problems import Problem

# How a file came to its place in a container. `generated`: a command of an image or container
# writes it, so no file of the repository has its content. `removed`: a command deletes it.
How = Literal["mount", "copy", "config", "volume", "image", "generated", "removed"]


class DeployedAt(Struct, frozen=True):
    """A place in a file of the repository; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class NginxVersions(Struct, frozen=True):
    """The nginx versions that an image may contain.

    `text` is the version, or the floating tag. `judged` has one version; two for a floating tag,
    which may mean a release on either side of the change of defaults.
    """

    text: str
    judged: tuple[Version, ...]
    origin: DeployedAt


class PlacedFile(Struct, frozen=True):
    """A file or folder in a container: `inside` is its path there, `path` its path here.

    `inside` has wildcards if the names of files are unknown.

    `path` is None if its content is not in the repository. `key` is the key of a text in the file
    `path`, such as in a ConfigMap's data, or a heredoc's `<<NAME`; it is at `key_at`, by default
    the `origin`. `changed` is a command that changes the content afterwards.
    """

    inside: str
    path: str | None
    how: How
    origin: DeployedAt
    key: str | None = None
    key_at: DeployedAt | None = None
    is_folder: bool = False
    changed: DeployedAt | None = None


def file_at(
    files: Sequence[PlacedFile], inside: str, exists: Callable[[str], bool] | None = None
) -> PlacedFile | None:
    """The last of some files that is, or contains, a path in the container; None without one.

    A copied folder adds files to the folder at its place; a mounted one hides that folder. So a
    copied folder is skipped if it does not have the file: `exists` returns whether a path is in the
    repository.
    """
    for one in reversed(files):
        if inside == one.inside:
            return one
        folder = one.inside.rstrip("/")
        if not inside.startswith(f"{folder}/"):
            continue
        is_copy = one.how == "copy" and one.is_folder and one.path is not None and one.key is None
        if is_copy and exists is not None:
            here = os.path.join(one.path or "", inside[len(folder) + 1 :])
            if not exists(os.path.normpath(here)):
                continue
        return one
    return None


class CommandLine(Struct, frozen=True):
    """A container's command, with nginx's `-c` (config), `-g` (directives) and `-p` (prefix)."""

    words: tuple[str, ...]
    config: str | None = None
    directives: tuple[str, ...] = ()
    prefix: str | None = None


class ServiceObject(Struct, frozen=True):
    """A Kubernetes Service, or a reference to one: its name as written, and the file."""

    name: str
    namespace: str | None
    file: str


class Service(Struct, frozen=True):
    """A container, or a set of equal ones, that others reach by the `names`.

    `app` is the program's name in the catalogue, from the image. `project` is the file that
    describes it and its neighbours. `replicas` is None if it is unknown. `addresses` counts the
    addresses that a name resolves to, if that differs from `replicas`. `selected_by` are the
    Kubernetes Services that lead to it.
    """

    name: str
    project: str
    origin: DeployedAt
    image: str | None = None
    build: str | None = None
    app: str | None = None
    names: tuple[str, ...] = ()
    replicas: int | None = 1
    addresses: Mapping[str, int | None] = {}
    selected_by: tuple[ServiceObject, ...] = ()


class Instance(Struct, frozen=True):
    """An nginx that runs somewhere, with everything that the deployment determines.

    `files` are in the order in which they are added: a later file hides an earlier one.
    `environment` are names and values; None for an unknown value. `environment_at` are the places
    that set them. `main` is the path of its main file in the container. `server` is the product of
    a row of `images.yaml`. `is_start_known` False: a program that starts it may write
    configuration files. `service_ports` are the ports of Kubernetes Services in front of it, each
    with its own. `in_front` are the proxies other than nginx in front of it.
    """

    name: str
    project: str
    origin: DeployedAt
    image: str | None = None
    server: str | None = None
    versions: NginxVersions | None = None
    files: tuple[PlacedFile, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()
    command: CommandLine | None = None
    main: str | None = None
    names: tuple[str, ...] = ()
    is_start_known: bool = True
    service_ports: tuple[tuple[int, int], ...] = ()
    in_front: tuple[ProxyInFront, ...] = ()
    environment_at: Mapping[str, DeployedAt] = {}

    def at(self, inside: str, exists: Callable[[str], bool] | None = None) -> PlacedFile | None:
        """The file at a path in the container; None if only the image has it.

        `exists` is as in `file_at`.
        """
        return file_at(self.files, posixpath.normpath(inside), exists)


class Deployment(Struct, frozen=True):
    """All instances of nginx and all services of a repository, and what could not be read."""

    instances: tuple[Instance, ...] = ()
    services: tuple[Service, ...] = ()
    notes: tuple[Problem, ...] = ()

    def service(self, host: str, project: str) -> Service | None:
        """The service for a host name in a project; None if it is ambiguous.

        Files of a folder may be used together, so their services are used if the project has no
        such name.
        """
        named = [one for one in self.services if host in one.names]
        found = [one for one in named if one.project == project] or _in_folder(named, project)
        return _only(found)

    def behind(self, wanted: ServiceObject) -> Service | None:
        """The service behind a Kubernetes Service; None if it is ambiguous.

        Of several Services of the name, the nearest one is used: in the same file, then in the same
        folder, otherwise in a folder that shares the most with that of the reference. The folder
        around that of the reference must contain it.
        """
        nearest = 0
        found: list[Service] = []
        for one in self.services:
            for each in one.selected_by:
                near = _nearness(each, wanted)
                if near > nearest:
                    nearest, found = near, []
                if near and near == nearest:
                    found.append(one)
        return _only(found)

    def addresses(self, host: str, project: str) -> int | None:
        """The number of addresses that a host name resolves to in a project; None if unknown.

        Other files of the folder may start more replicas of the same service.
        """
        named = [one for one in self.services if host in one.names]
        found = [one for one in named if one.project == project] + _in_folder(named, project)
        if len({one.name for one in found}) != 1:
            return None
        numbers = {one.addresses.get(host, one.replicas) for one in found}
        return numbers.pop() if len(numbers) == 1 else None


def _only(found: Sequence[Service]) -> Service | None:
    """The first of some services if they are equal; otherwise None."""
    return found[0] if len({(one.name, one.image, one.build) for one in found}) == 1 else None


def _nearness(one: ServiceObject, wanted: ServiceObject) -> int:
    """How near a Service is to a reference; 0 if it is another one, or too far."""
    if one.name != wanted.name or len({one.namespace, wanted.namespace} - {None}) > 1:
        return 0
    paths = [posixpath.normpath(each.file.replace(os.sep, "/")) for each in (one, wanted)]
    there, here = (posixpath.dirname(path).split("/") for path in paths)
    pairs = zip(["", *there], ["", *here], strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if shared < len(here):
        return 0
    return 2 * shared + (there == here) + (paths[0] == paths[1])


def _in_folder(services: Iterable[Service], project: str) -> list[Service]:
    """The services of the files in the same folder as a project's file."""
    folder = posixpath.dirname(project)
    return [one for one in services if posixpath.dirname(one.project) == folder]


def is_known(text: str | None) -> bool:
    """Whether a text has no placeholder."""
    return text is not None and PLACEHOLDER not in text


def deployed_at(source: Source, offset: int) -> DeployedAt:
    """Convert an offset to a place."""
    return DeployedAt(source.name, *source.position(offset))
