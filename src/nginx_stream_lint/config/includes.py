"""Resolve includes in the workspace, with the user's mounts and options."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from nginx_stream_lint.config.deployed import Deployed, DeployedPaths
from nginx_stream_lint.config.main_files import plain_name
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.config.repository import IncludeCandidates, Repository

# A path in production: `/etc/nginx/…`, `C:\\nginx\\…`.
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[/\\]")

# A path in production, and the file or folder of the repository that is used there.
Mount = tuple[str, str]


class IncludeResolver:
    """Finds the files that a configuration includes.

    `values` are template variables, `absent` patterns of include arguments that are expected to be
    missing. `blocks` are readings of spans of one file, such as the strings of a ConfigMap, by
    name: they may include one another, whatever their folder. `mounts` map paths in production to
    parts of the repository. `deployed` is the nginx that reads them, if it is known.
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
        # Uses of directives that nginx accepts, by the blocks around them; see `reading`.
        self.accepted: dict[tuple[str, ...], set[tuple[str, int, bool, bool]]] = {}

    def with_blocks(self, blocks: Mapping[str, MappedText]) -> IncludeResolver:
        """A copy in which `blocks` hide files of the same names."""
        return self._like(
            IncludeResolver(self.workspace, self._values, self._absent, blocks, self._mounts)
        )

    def of(self, deployed: Deployed) -> IncludeResolver:
        """A copy that resolves files as one nginx of the deployment does."""
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
        """The folder of a file's repository; without one, the named folder or the file's own."""
        return self.workspace.root_of(os.curdir if self.is_text(path) else path)

    def is_text(self, path: str) -> bool:
        """Whether a path is a text of the deployment, not a file of the repository."""
        return self.deployed is not None and path in self.deployed.texts

    def source(self, path: str) -> Source:
        """Read a file. Raises as `Workspace.source` does."""
        return self.workspace.source(path)

    def readings(self, path: str) -> list[MappedText]:
        """The possible nginx texts of a file: several for some templates.

        Raises as `Workspace.source` does, and for a byte order mark, which nginx refuses.
        """
        block = self._blocks.get(plain_name(path)) if self._blocks else None
        if block is not None:
            return [block]
        if self.deployed is not None and path in self.deployed.texts:
            return [self.deployed.texts[path]]
        source = self.source(path)
        if source.byte_order_mark:
            problem = source.problem(
                0,
                "starts with a byte order mark, which nginx reads as part of the first directive",
                "save the file as UTF-8 without BOM",
            )
            raise Unreadable(problem)
        if self.workspace.is_dump:
            return [MappedText(source, source.text)]
        return readings(source, self._values)

    @property
    def reads_as_nginx(self) -> bool:
        """Whether paths are resolved on this machine as nginx does, not in a repository."""
        return self.workspace.is_dump or self.workspace.host

    def is_elsewhere(self, argument: str) -> bool:
        """Whether an include's argument is a path in production."""
        return not self.reads_as_nginx and _ABSOLUTE.match(argument) is not None

    def mounted(self, argument: str) -> str | None:
        """The repository path of a path in production; None without a mount for it."""
        if not self._mounts:
            return None
        path = posixpath.normpath(argument)
        for inside, here in self._mounts:
            if path == inside:
                return here
            if path.startswith(inside.rstrip("/") + "/"):
                return os.path.join(here, path[len(inside.rstrip("/")) + 1 :])
        return None

    def deployed_paths(self, argument: str) -> DeployedPaths:
        """The repository files for an include's argument in the deployment."""
        if self.deployed is None:
            return DeployedPaths()
        found = self.deployed.paths_of(argument)
        # If only files of the image were found but the container may have more, the include
        # probably means one of those.
        return (
            found
            if found.is_complete or not all(map(self._is_from_image, found.paths))
            else DeployedPaths()
        )

    def _is_from_image(self, path: str) -> bool:
        """Whether a path is that of a file in a container's image."""
        return (
            self.deployed is not None
            and path in self.deployed.texts
            and self.deployed.texts[path].source.is_from_image
        )

    def templates_of(self, path: str) -> list[str]:
        """The templates from which the files at a path or pattern are made, if none is there."""
        return [] if self.reads_as_nginx else self.repository_of(path).templates_of(path)

    def meant(self, argument: str, near: str, main: str) -> IncludeCandidates:
        """The files that an include in `near` most likely means, by the end of its path.

        `main` is the main file.
        """
        if not self._blocks:
            return self.repository_of(near).nearest(argument, near, main)
        from nginx_stream_lint.config.repository import IncludeCandidates

        if is_pattern(argument):
            name = posixpath.basename(argument)
            here = plain_name(near), plain_name(main)
            inside = [one for one in self._blocks if fnmatchcase(one, name) and one not in here]
            if inside:
                return IncludeCandidates(inside, same=True)
        if plain_name(argument) in self._blocks:
            return IncludeCandidates([plain_name(argument)], same=True)
        return self.repository_of(near).nearest(argument, near, main)

    def available_site(self, path: str) -> str | None:
        """The available site that a broken link among the enabled sites refers to."""
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
        """Whether a file is new in this run."""
        is_new = source.key not in self._parsed
        self._parsed.add(source.key)
        return is_new

    def repository_of(self, path: str) -> Repository:
        """The repository that contains a file."""
        return self.repository(self.workspace.root_of(path))

    def repository(self, folder: str) -> Repository:
        """The repository for a folder."""
        if folder not in self._repositories:
            from nginx_stream_lint.config.repository import Repository

            self._repositories[folder] = Repository(self.workspace, folder)
        return self._repositories[folder]
