"""The files of a run: all access goes through `Workspace`."""

from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace

__all__ = ["Source", "Workspace"]
