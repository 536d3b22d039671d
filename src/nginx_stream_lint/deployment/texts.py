"""Parse the YAML of deployment files."""

from __future__ import annotations

from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.manifest import Document, documents
from nginx_stream_lint.kubernetes.plain_manifest import read_plain
from nginx_stream_lint.util.problems import Problem


def documents_of(source: Source, text: str) -> tuple[list[Document], list[Problem]]:
    """Parse a YAML text of a source as `manifest.documents` does, if possible without PyYAML."""
    root = read_plain(text)
    if root is not None:
        return [Document(source, text, root.span, root)], []
    return documents(source, text)
