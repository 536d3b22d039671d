"""What the deployment says of configurations: nginx's version, where includes lead, values.

Who runs the command knows better: options and settings come first. Of what two instances say of a
file, only that counts which both say.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.config.files import InContainer
from nginx_stream_lint.config.reading import Note
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.policy import Override, Policy
from nginx_stream_lint.util.problems import Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Options
    from nginx_stream_lint.deployment.model import Deployment, Instance, PlacedFile

# Files without one of these in their names describe no deployment.
_NAMES = re.compile(r"(?i).*(?:compose.*\.ya?ml|dockerfile.*|containerfile.*|kustomization\.ya?ml)")
_HIDING = ("mount", "volume", "removed", "config")
_MAX_MATCHES = 10_000  # of files in folders of containers


def with_deployment(
    workspace: Workspace, paths: Sequence[str], options: Options
) -> tuple[Options, list[Note]]:
    """The options with what the deployment of the repository says, and what it leaves open.

    The files of a dump, and those of a host, are already where nginx reads them.
    """
    if workspace.is_dump or workspace.host:
        return options, []
    deployed = workspace.kept.get(tuple(paths))
    if not isinstance(deployed, Deployed):
        files = list(dict.fromkeys(_candidates(workspace, paths)))
        deployed = Deployed(workspace, _read(workspace, paths, files) if files else None)
        workspace.kept[tuple(paths)] = deployed
    if not deployed.instances:
        return options, []
    around = replace(options.around, deployed=deployed.in_container)
    policy = options.policy
    if options.nginx_version is None:
        overrides = (*deployed.overrides(), *policy.overrides)
        policy = Policy(policy.severity, overrides)
    return replace(options, around=around, policy=policy), deployed.notes


def _candidates(workspace: Workspace, paths: Sequence[str]) -> Iterator[str]:
    """The files that may describe a deployment: in named folders, and in the folders above."""
    for path in paths:
        if workspace.key(path).startswith("\0"):
            continue  # standard input
        if workspace.is_folder(path) and not workspace.is_file(path):
            for one in workspace.files_below(path):
                if _NAMES.fullmatch(os.path.basename(one)):
                    yield one
            folder = path
        elif workspace.is_file(path):
            folder = os.path.dirname(path) or os.curdir
            yield from _in_folder(workspace, folder)
        else:
            continue
        root = workspace.key(workspace.root_of(folder))
        while workspace.key(folder) != root:
            folder = os.path.normpath(os.path.join(folder, os.pardir))
            if workspace.leads_out(folder):
                break
            yield from _in_folder(workspace, folder)


def _in_folder(workspace: Workspace, folder: str) -> Iterator[str]:
    for name, is_folder in workspace.entries(folder):
        if not is_folder and _NAMES.fullmatch(name):
            yield os.path.normpath(os.path.join(folder, name))


def _read(workspace: Workspace, paths: Sequence[str], files: list[str]) -> Deployment:
    from nginx_stream_lint.deployment.read import read_deployment

    root = workspace.root_of(paths[0])
    return read_deployment(workspace, root, sorted(files), ())


class Deployed:
    """The instances of nginx, by the files that they run."""

    def __init__(self, workspace: Workspace, deployment: Deployment | None) -> None:
        self.workspace = workspace
        self.deployment = deployment
        self.instances: tuple[Instance, ...] = deployment.instances if deployment else ()
        found = () if deployment is None else deployment.notes
        self.notes = [
            Note(one.file, one.line, one.column, f"{one.message}; {one.advice}", detail=True)
            for one in found
        ]
        self._by_key: dict[str, list[Instance]] = {}

    def of(self, path: str) -> list[Instance]:
        """The instances that run a file."""
        key = self.workspace.key(path)
        if key not in self._by_key:
            self._by_key[key] = [one for one in self.instances if self._runs(one, key)]
        return self._by_key[key]

    def _runs(self, instance: Instance, key: str) -> bool:
        for one in instance.files:
            if one.path is None or one.key is not None:
                continue
            there = self.workspace.key(one.path)
            if key == there or (one.is_folder and key.startswith(there + os.sep)):
                return True
        return False

    def version(self, path: str) -> Version | None:
        """The version of nginx that runs a file, where all its instances have the same one."""
        found = {
            one.versions.judged[0]
            if one.versions is not None and len(one.versions.judged) == 1
            else None
            for one in self.of(path)
        }
        return found.pop() if len(found) == 1 else None

    def overrides(self) -> Iterator[Override]:
        """The versions as a policy has them."""
        versions = {
            one.versions.judged[0]
            for one in self.instances
            if one.versions is not None and len(one.versions.judged) == 1
        }
        for version in sorted(versions):
            yield Override(self._covers(version), nginx_version=version)

    def _covers(self, version: Version) -> Callable[[str], bool]:
        return lambda file: self.version(file) == version

    def in_container(self, path: str) -> InContainer | None:
        """What the instances that run a file say of its includes, and of its variables."""
        instances = self.of(path)
        if not instances:
            return None

        def find(argument: str) -> list[str] | None:
            found = [_placed_at(self.workspace, one, argument) for one in instances]
            return found[0] if all(one == found[0] for one in found) else None

        values = [dict(one.environment) for one in instances]
        common = {
            name: value
            for name, value in values[0].items()
            if value is not None and all(one.get(name) == value for one in values)
        }

        def app_of(host: str) -> str | None:
            name = host.partition(":")[0]
            found = {self._app(name, one.project) for one in instances}
            return found.pop() if len(found) == 1 else None

        return InContainer(find, common, app_of)

    def _app(self, host: str, project: str) -> str | None:
        """The app that a host's name stands for in a project."""
        service = self.deployment.service(host, project) if self.deployment is not None else None
        return None if service is None else service.app


def _placed_at(workspace: Workspace, instance: Instance, argument: str) -> list[str] | None:
    """The files here that are at a path or pattern in a container, in the order of their names.

    None where that is not known. What the image brings is not here.
    """
    if not instance.is_start_known or not argument.startswith("/"):
        return None
    pattern = posixpath.normpath(argument)
    found: dict[str, str | None] = {}
    for one in instance.files:
        if one.is_folder and one.how in _HIDING:
            for inside in [path for path in found if path.startswith(f"{one.inside}/")]:
                del found[inside]
        if one.is_folder:
            _add_folder(workspace, one, pattern, found)
        elif _matches(one.inside, pattern) or (is_pattern(one.inside) and _overlap(one, pattern)):
            is_known = one.path is not None and one.key is None and not is_pattern(one.inside)
            if one.how == "removed":
                found.pop(one.inside, None)
            else:
                found[one.inside] = "" if one.how == "image" else one.path if is_known else None
        if len(found) > _MAX_MATCHES:
            return None
    if any(one is None for one in found.values()):
        return None
    return [path for _, path in sorted(found.items()) if path]


def _add_folder(
    workspace: Workspace, one: PlacedFile, pattern: str, found: dict[str, str | None]
) -> None:
    """Add what a folder has at a pattern."""
    start = f"{one.inside.rstrip('/')}/"
    if one.how == "removed" or not pattern.startswith(start):
        return
    rest = pattern[len(start) :]
    if one.path is None or one.key is not None:
        found[pattern] = None
        return
    try:
        for path in workspace.matching(os.path.join(one.path, rest)):
            inside = os.path.relpath(path, one.path).replace(os.sep, "/")
            found[start + inside] = path
    except Unreadable:
        found[pattern] = None


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def _overlap(one: PlacedFile, pattern: str) -> bool:
    """Whether files of unknown names may match a pattern."""
    return posixpath.dirname(one.inside) == posixpath.dirname(pattern)
