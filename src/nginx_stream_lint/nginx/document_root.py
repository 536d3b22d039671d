"""The files that nginx would serve, if the user gives a document root."""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.files import Workspace


class DocumentRoot(Struct, frozen=True):
    """A local folder used in place of every `root`."""

    workspace: Workspace
    folder: str

    def has(self, path: str, kind: str) -> bool:
        """Whether a path is a file (f), a folder (d), either (e) or a program (x).

        Paths outside the workspace do not exist. A path with a final slash must be a folder, as for
        the system.
        """
        if path.endswith("/") and not self.workspace.is_folder(path):
            return False
        if kind == "f":
            return self.workspace.is_file(path)
        if kind == "d":
            return self.workspace.is_folder(path)
        return self.workspace.exists(path) and (kind == "e" or self.workspace.is_program(path))
