"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.deployment.files import Blocks, InstanceFiles
from nginx_stream_lint.deployment.model import Deployment
from nginx_stream_lint.deployment.read import may_describe, read_deployment
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem

__all__ = ["deployed", "read_deployment"]


def deployed(
    workspace: Workspace, root: str, files: Sequence[str], blocks: Blocks
) -> tuple[list[InstanceFiles], Sequence[Problem]]:
    """Each nginx that a repository runs, with its files; and what is unknown, as problems."""
    if not any(map(may_describe, files)):
        return [], ()
    found = workspace.kept.get(root)  # repeated runs for fixes read the same files
    if not isinstance(found, Deployment):
        found = workspace.kept[root] = read_deployment(workspace, root, files)
    nginx = [InstanceFiles(workspace, one, found, blocks) for one in found.instances]
    return nginx, found.notes
