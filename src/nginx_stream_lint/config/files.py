"""How a configuration finds its files: in the workspace, with what people say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from nginx_stream_lint.config.repository import Repository, plain_name
from nginx_stream_lint.config.source import Reading
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace


class Files:
    """The files that a configuration may include.

    `values` are those of a template's variables, `absent` patterns of include arguments that are
    meant to be missing. `blocks` are readings of stretches of one file, such as the strings of a
    ConfigMap, by name: they may include one another, whatever their folder.
    """

    def __init__(
        self,
        workspace: Workspace,
        values: Mapping[str, str] | None = None,
        absent: Sequence[str] = (),
        blocks: Mapping[str, Reading] | None = None,
    ) -> None:
        self.workspace = workspace
        self._values = values or {}
        self._absent = absent
        self._blocks = {plain_name(name): one for name, one in (blocks or {}).items()}
        self._repositories: dict[str, Repository] = {}
        self._parsed: set[str] = set()
        # How directives are used that nginx takes, by the blocks around; see `reading`.
        self.accepted: dict[tuple[str, ...], set[tuple[str, int, bool, bool]]] = {}

    def with_blocks(self, blocks: Mapping[str, Reading]) -> Files:
        """The same files, and blocks that hide those of their names."""
        made = Files(self.workspace, self._values, self._absent, blocks)
        made._repositories, made._parsed = self._repositories, self._parsed
        made.accepted = self.accepted
        return made

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

    def matching(self, pattern: str) -> list[str]:
        """The files that an include with wildcards leads to; see `Workspace.matching`."""
        return self.workspace.matching(pattern)

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""
        return self.workspace.is_folder(path)

    def instead(self, name: str, near: str) -> list[str]:
        """What an include that leads nowhere most likely means, in the file `near`.

        An absolute path is one of the machine that will run this. Where nginx runs here there is
        nothing to guess.
        """
        if self.workspace.is_dump or self.workspace.host:
            return []
        return self.repository(self.workspace.root_of(near)).nearest(name, near)

    def may_be_absent(self, name: str) -> bool:
        """Whether an include is meant to be missing here."""
        return any(fnmatchcase(name, pattern) for pattern in self._absent)

    def mains(self, path: str) -> list[str]:
        """The main files around a file that may include it."""
        if self.workspace.is_dump:
            return []
        return self.repository(self.workspace.root_of(path)).mains()

    def is_new(self, source: Source) -> bool:
        """Whether a file was not asked about before: each is new once in a run."""
        is_new = source.key not in self._parsed
        self._parsed.add(source.key)
        return is_new

    def repository(self, folder: str) -> Repository:
        """The files in a folder."""
        if folder not in self._repositories:
            self._repositories[folder] = Repository(self.workspace, folder)
        return self._repositories[folder]
