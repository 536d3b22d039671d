"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.deployment.files import Blocks, InstanceFiles
from nginx_stream_lint.deployment.read import read_deployment
from nginx_stream_lint.files.workspace import Workspace

__all__ = ["deployed"]


def deployed(
    workspace: Workspace, root: str, files: Sequence[str], blocks: Blocks
) -> list[InstanceFiles]:
    """Each nginx that a repository runs, with the files that it reads there."""
    found = read_deployment(workspace, root, files)
    return [InstanceFiles(workspace, one, found, blocks) for one in found.instances]
