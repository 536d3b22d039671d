"""The files that nginx would serve, if the user gives a document root."""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.files import Workspace


class DocumentRoot(Struct, frozen=True):
    """A local folder used in place of every `root`."""

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
