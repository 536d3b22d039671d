"""The files that nginx would serve, as far as somebody says where they are."""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.files import Workspace


class Documents(Struct, frozen=True):
    """A folder that stands for every `root`."""

    workspace: Workspace
    folder: str

    def has(self, path: str, kind: str) -> bool:
        """Whether a path is there as a file (f), a folder (d), either (e) or a program (x).

        What leads out of the workspace is not there. Behind a slash there is only a folder, as for
        the system.
        """
        if path.endswith("/") and not self.workspace.is_folder(path):
            return False
        if kind == "f":
            return self.workspace.is_file(path)
        if kind == "d":
            return self.workspace.is_folder(path)
        return self.workspace.exists(path) and (kind == "e" or self.workspace.is_program(path))
