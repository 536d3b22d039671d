"""The files of a run: `Workspace` is the only way to them."""

from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace

__all__ = ["Source", "Workspace"]
