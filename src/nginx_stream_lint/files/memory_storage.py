"""Files that are texts in memory: unsaved ones, examples, those of an `nginx -T` dump."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping

from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.files.storage import IsFolder, Kind


class MemoryStorage:
    """Texts by path. Relative paths start from `/`; there are no links."""

    on_disk = False
    separator = "/"
    nothing = "/dev/null"

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {self.real(path): text for path, text in files.items()}
        self._shown = {self.real(path): path for path in files}
        self._folders: dict[str, dict[str, bool]] = {"/": {}}
        for path in self._files:
            at, is_folder = path, False
            while at != "/":
                at, _, name = at.rpartition("/")
                at = at or "/"
                self._folders.setdefault(at, {})[name] = is_folder
                is_folder = True

    def here(self) -> str:
        """The folder that relative paths start from."""
        return "/"

    def shown(self, path: str) -> str:
        """A path as it was given."""
        return self._shown.get(self.real(path), path)

    def real(self, path: str) -> str:
        """The absolute path without `.` and `..`."""
        if os.sep != "/":
            path = path.replace(os.sep, "/")
        return posixpath.normpath(posixpath.join("/", path)).replace("//", "/")

    def is_link(self, _: str) -> bool:
        """Whether a path ends in a symbolic link: never."""
        return False

    def exists(self, path: str) -> bool:
        """Whether a path is there."""
        return self.kind(self.real(path)) is not None

    def kind(self, real: str) -> Kind | None:
        """The kind of file at a real path; None without any."""
        if real in self._files:
            return "file"
        return "folder" if real in self._folders else None

    def is_program(self, _: str) -> bool:
        """Whether the file at a real path may be executed: never."""
        return False

    def read(self, real: str, limit: int) -> bytes:
        """A text, at most `limit` bytes and one more. Raises OSError if there is none."""
        if real not in self._files:
            raise IsFolder if real in self._folders else FileNotFoundError
        return self._files[real].encode(ENCODING, ERRORS)[: limit + 1]

    def entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """The names in a folder, each with whether it is a folder itself. Raises OSError."""
        if folder not in self._folders:
            raise FileNotFoundError
        yield from self._folders[folder].items()
