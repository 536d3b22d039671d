"""Read deployment files, which unlike nginx's may begin with a byte order mark."""

from __future__ import annotations

from nginx_stream_lint.files.source import Source, decode
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import Document, documents
from nginx_stream_lint.kubernetes.plain_manifest import read_plain
from nginx_stream_lint.util.problems import Problem, Unreadable

_MARK = b"\xef\xbb\xbf"
_MAX_BYTES = 4 * 1024 * 1024


def text_of(workspace: Workspace, path: str) -> Source:
    """Read a file. Raises `Unreadable` like `Workspace.source`."""
    try:
        return workspace.source(path)
    except Unreadable:
        data = workspace.read(path, _MAX_BYTES)
        if not data.startswith(_MARK):
            raise
        return decode(path, data[len(_MARK) :])


def documents_of(source: Source, text: str) -> tuple[list[Document], list[Problem]]:
    """Parse a YAML text of a source as `manifest.documents` does, if possible without PyYAML."""
    root = read_plain(text)
    if root is not None:
        return [Document(source, text, root.span, root)], []
    return documents(source, text)
