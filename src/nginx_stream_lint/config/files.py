"""How a configuration finds its files: in the workspace, with what people say about them."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from nginx_stream_lint.config.recognise import plain_name
from nginx_stream_lint.config.repository import Found, Repository
from nginx_stream_lint.config.source import Reading
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace

# What stands for a path of the machine that will run nginx: `/etc/nginx/…`, `C:\\nginx\\…`.
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[/\\]")

# Where a file or folder of the repository will lie on the machine that runs nginx: that path, and
# the path here.
Mount = tuple[str, str]


class InContainer(Struct, frozen=True):
    """What the deployment says of a configuration.

    `find` gives the files here that are at a path or pattern in its container, None where that is
    not known; `values` are its variables. `app_of` gives the catalogue's name of the app that runs
    at a host there, None where that is not known.
    """

    find: Callable[[str], list[str] | None]
    values: Mapping[str, str]
    app_of: Callable[[str], str | None]


class Files:
    """The files that a configuration may include.

    `values` are those of a template's variables, `absent` patterns of include arguments that are
    meant to be missing. `blocks` are readings of stretches of one file, such as the strings of a
    ConfigMap, by name: they may include one another, whatever their folder. `mounts` say where
    parts of the repository will lie.
    """

    def __init__(
        self,
        workspace: Workspace,
        values: Mapping[str, str] | None = None,
        absent: Sequence[str] = (),
        blocks: Mapping[str, Reading] | None = None,
        mounts: Sequence[Mount] = (),
    ) -> None:
        self.workspace = workspace
        self._mounts = sorted(
            ((posixpath.normpath(inside), here) for inside, here in mounts),
            key=lambda one: -len(one[0]),  # the innermost first
        )
        self._values = values or {}
        self._absent = absent
        self._container: InContainer | None = None
        self._blocks = {plain_name(name): one for name, one in (blocks or {}).items()}
        self._repositories: dict[str, Repository] = {}
        self._parsed: set[str] = set()
        # How directives are used that nginx takes, by the blocks around; see `reading`.
        self.accepted: dict[tuple[str, ...], set[tuple[str, int, bool, bool]]] = {}

    def with_blocks(self, blocks: Mapping[str, Reading]) -> Files:
        """The same files, and blocks that hide those of their names."""
        made = Files(self.workspace, self._values, self._absent, blocks, self._mounts)
        made._repositories, made._parsed = self._repositories, self._parsed
        made.accepted = self.accepted
        return made

    def in_container(self, container: InContainer) -> Files:
        """The same files, for a configuration that runs in a container."""
        values = {**container.values, **self._values}
        made = Files(self.workspace, values, self._absent, mounts=self._mounts)
        made._blocks, made._container = self._blocks, container
        made._repositories, made._parsed = self._repositories, self._parsed
        made.accepted = self.accepted
        return made

    def deployed(self, argument: str) -> list[str] | None:
        """The files that an include leads to in a container; None where that is not known."""
        if self._container is None or self.reads_as_nginx:
            return None
        found = self._container.find(argument)
        return found if found or is_pattern(argument) else None

    def key(self, path: str) -> str:
        """What tells one file or block from another, whatever the way to it."""
        if self._blocks and plain_name(path) in self._blocks:
            return f"block {plain_name(path)}"
        return self.workspace.key(path)

    def top(self, path: str) -> str:
        """The folder a file belongs to: its repository, else the named folder, else its own."""
        return self.workspace.root_of(path)

    def source(self, path: str) -> Source:
        """A file's text. Raises as `Workspace.source` does."""
        return self.workspace.source(path)

    def readings(self, path: str) -> list[Reading]:
        """What nginx gets to see of a file: several texts for some templates.

        Raises as `Workspace.source` does.
        """
        block = self._blocks.get(plain_name(path)) if self._blocks else None
        if block is not None:
            return [block]
        source = self.source(path)
        if self.workspace.is_dump:
            return [Reading(source, source.text)]
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
        """The path here of one on the machine that will run nginx, None where no mount says it."""
        path = posixpath.normpath(argument)
        for inside, here in self._mounts:
            if path == inside:
                return here
            if path.startswith(inside.rstrip("/") + "/"):
                return os.path.join(here, path[len(inside.rstrip("/")) + 1 :])
        return None

    def here(self, path: str) -> list[str]:
        """The files at a path or pattern, and what is in templates beside it where there are none.

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

    def meant(self, argument: str, near: str, main: str) -> Found:
        """What an include in the file `near` most likely means, by the end of its path.

        `main` is the main file.
        """
        if self._blocks and is_pattern(argument):
            name = posixpath.basename(argument)
            here = plain_name(near), plain_name(main)
            inside = [one for one in self._blocks if fnmatchcase(one, name) and one not in here]
            if inside:
                return Found(inside, same=True)
        if self._blocks and plain_name(argument) in self._blocks:
            return Found([plain_name(argument)], same=True)
        return self.repository_of(near).nearest(argument, near, main)

    def twin(self, path: str) -> str | None:
        """The available site that a link among the enabled ones stands for, where it leads out."""
        if self.reads_as_nginx or not self.workspace.is_link(path):
            return None
        folder, name = os.path.split(path)
        available = os.path.join(folder.replace("sites-enabled", "sites-available"), name)
        return available if available != path and self.workspace.is_file(available) else None

    def may_be_absent(self, name: str) -> bool:
        """Whether an include is meant to be missing here."""
        return any(fnmatchcase(name, pattern) for pattern in self._absent)

    def mains(self, path: str) -> list[str]:
        """The main files around a file that may include it."""
        if self.workspace.is_dump:
            return []
        return self.repository_of(path).mains()

    def is_new(self, source: Source) -> bool:
        """Whether a file was not asked about before: each is new once in a run."""
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
