"""Resolve includes: in the workspace, with the user's mounts and options."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from nginx_stream_lint.config.deployed import Deployed, DeployedPaths
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.recognise import plain_name
from nginx_stream_lint.config.repository import IncludeCandidates, Repository
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace

# A path on the machine that will run nginx: `/etc/nginx/…`, `C:\\nginx\\…`.
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[/\\]")

# Where a file or folder of the repository will lie on the machine that runs nginx: that path, and
# the path here.
Mount = tuple[str, str]


class IncludeResolver:
    """The files that a configuration may include.

    `values` are those of a template's variables, `absent` patterns of include arguments that are
    meant to be missing. `blocks` are readings of stretches of one file, such as the strings of a
    ConfigMap, by name: they may include one another, whatever their folder. `mounts` say where
    parts of the repository will lie. `deployed` is the nginx that reads them, where one is known.
    """

    def __init__(
        self,
        workspace: Workspace,
        values: Mapping[str, str] | None = None,
        absent: Sequence[str] = (),
        blocks: Mapping[str, MappedText] | None = None,
        mounts: Sequence[Mount] = (),
        deployed: Deployed | None = None,
    ) -> None:
        self.workspace = workspace
        self.deployed = deployed
        self._mounts = sorted(
            ((posixpath.normpath(inside), here) for inside, here in mounts),
            key=lambda one: -len(one[0]),  # the innermost first
        )
        self._values = values or {}
        self._absent = absent
        self._blocks = {plain_name(name): one for name, one in (blocks or {}).items()}
        self._repositories: dict[str, Repository] = {}
        self._parsed: set[str] = set()
        # How directives are used that nginx takes, by the blocks around; see `reading`.
        self.accepted: dict[tuple[str, ...], set[tuple[str, int, bool, bool]]] = {}

    def with_blocks(self, blocks: Mapping[str, MappedText]) -> IncludeResolver:
        """The same files, and blocks that hide those of their names."""
        return self._like(
            IncludeResolver(self.workspace, self._values, self._absent, blocks, self._mounts)
        )

    def of(self, deployed: Deployed) -> IncludeResolver:
        """The same files as one nginx of the deployment finds them."""
        values = {**deployed.values, **self._values}
        return self._like(
            IncludeResolver(self.workspace, values, self._absent, None, self._mounts, deployed)
        )

    def _like(self, made: IncludeResolver) -> IncludeResolver:
        made._repositories, made._parsed = self._repositories, self._parsed
        made.accepted = self.accepted
        return made

    def key(self, path: str) -> str:
        """The identity of a file or block, whatever path leads to it."""
        if self._blocks and plain_name(path) in self._blocks:
            return f"block {plain_name(path)}"
        if self.is_text(path):
            return f"text {path}"
        return self.workspace.key(path)

    def top(self, path: str) -> str:
        """The folder a file belongs to: its repository, else the named folder, else its own."""
        return self.workspace.root_of(os.curdir if self.is_text(path) else path)

    def is_text(self, path: str) -> bool:
        """Whether a path stands for a text of the deployment, not for a file here."""
        return self.deployed is not None and path in self.deployed.texts

    def source(self, path: str) -> Source:
        """A file's text. Raises as `Workspace.source` does."""
        return self.workspace.source(path)

    def readings(self, path: str) -> list[MappedText]:
        """The texts that nginx may see of a file: several for some templates.

        Raises as `Workspace.source` does.
        """
        block = self._blocks.get(plain_name(path)) if self._blocks else None
        if block is not None:
            return [block]
        if self.deployed is not None and path in self.deployed.texts:
            return [self.deployed.texts[path]]
        source = self.source(path)
        if self.workspace.is_dump:
            return [MappedText(source, source.text)]
        return readings(source, self._values)

    @property
    def reads_as_nginx(self) -> bool:
        """Whether paths are read as nginx reads them; else those of a repository, which will lie
        elsewhere.
        """
        return self.workspace.is_dump or self.workspace.host

    def is_elsewhere(self, argument: str) -> bool:
        """Whether an include's argument is a path of the machine that will run nginx."""
        return not self.reads_as_nginx and _ABSOLUTE.match(argument) is not None

    def mounted(self, argument: str) -> str | None:
        """The local path of a path on the machine that runs nginx; None without a mount for it."""
        path = posixpath.normpath(argument)
        for inside, here in self._mounts:
            if path == inside:
                return here
            if path.startswith(inside.rstrip("/") + "/"):
                return os.path.join(here, path[len(inside.rstrip("/")) + 1 :])
        return None

    def deployed_paths(self, argument: str) -> DeployedPaths:
        """The files here that an include's argument leads to on the nginx of the deployment."""
        if self.deployed is None:
            return DeployedPaths()
        found = self.deployed.paths_of(argument)
        # Where a container may have more than its image, that alone is not what is meant.
        return (
            found
            if found.is_complete or not all(map(self._is_from_image, found.paths))
            else DeployedPaths()
        )

    def _is_from_image(self, path: str) -> bool:
        """Whether a path stands for a file that a container's image brings."""
        return (
            self.deployed is not None
            and path in self.deployed.texts
            and self.deployed.texts[path].source.is_from_image
        )

    def here(self, path: str) -> list[str]:
        """The files at a path or pattern; without any, those in a templates folder beside it.

        A path without wildcards is given whether it is there or not. Raises as
        `Workspace.matching` does.
        """
        found = self.workspace.matching(path) if is_pattern(path) else [path]
        is_there = bool(found) if is_pattern(path) else self._is_there(path)
        if is_there or self.reads_as_nginx:
            return found
        return self._templates_of(path) or found

    def _is_there(self, path: str) -> bool:
        is_block = bool(self._blocks) and plain_name(path) in self._blocks
        return is_block or not self.workspace.is_gone(path)

    def _templates_of(self, path: str) -> list[str]:
        return self.repository_of(path).templates_of(path)

    def meant(self, argument: str, near: str, main: str) -> IncludeCandidates:
        """The files that an include in `near` most likely refers to, by the end of its path.

        `main` is the main file.
        """
        if self._blocks and is_pattern(argument):
            name = posixpath.basename(argument)
            here = plain_name(near), plain_name(main)
            inside = [one for one in self._blocks if fnmatchcase(one, name) and one not in here]
            if inside:
                return IncludeCandidates(inside, same=True)
        if self._blocks and plain_name(argument) in self._blocks:
            return IncludeCandidates([plain_name(argument)], same=True)
        return self.repository_of(near).nearest(argument, near, main)

    def twin(self, path: str) -> str | None:
        """The available site that a link among the enabled ones stands for, where it leads out."""
        if self.reads_as_nginx or not self.workspace.is_link(path):
            return None
        folder, name = os.path.split(path)
        available = os.path.join(folder.replace("sites-enabled", "sites-available"), name)
        return available if available != path and self.workspace.is_file(available) else None

    def may_be_absent(self, name: str) -> bool:
        """Whether an include is declared to be missing here."""
        return any(fnmatchcase(name, pattern) for pattern in self._absent)

    def mains(self, path: str) -> list[str]:
        """The main files around a file that may include it."""
        if self.workspace.is_dump:
            return []
        return self.repository_of(path).mains()

    def is_new(self, source: Source) -> bool:
        """Whether a file was not seen before in this run."""
        is_new = source.key not in self._parsed
        self._parsed.add(source.key)
        return is_new

    def repository_of(self, path: str) -> Repository:
        """The files around a file."""
        return self.repository(self.workspace.root_of(path))

    def repository(self, folder: str) -> Repository:
        """The files in a folder."""
        if folder not in self._repositories:
            self._repositories[folder] = Repository(self.workspace, folder)
        return self._repositories[folder]
