"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.deployment.names import is_manifest, may_describe
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.files import Blocks, InstanceFiles

__all__ = ["deployed"]


def deployed(
    workspace: Workspace, root: str, files: Sequence[str], yaml: Iterable[str], blocks: Blocks
) -> tuple[list[InstanceFiles], Sequence[Problem]]:
    """Each nginx that a repository runs, with the files that it reads there; what is unknown.

    `yaml` are the texts of its YAML files that have nginx text in them: a ConfigMap among them is
    part of a deployment, as a compose file is.
    """
    if not any(map(may_describe, files)) and not any(map(is_manifest, yaml)):
        return [], ()
    # Most repositories do not need these modules, which take longer to load than to use.
    from nginx_stream_lint.deployment.files import InstanceFiles
    from nginx_stream_lint.deployment.model import Deployment
    from nginx_stream_lint.deployment.read import read_deployment

    key = (root, *files)
    found = workspace.kept.get(key)  # runs that try fixes read the same again
    if not isinstance(found, Deployment):
        found = workspace.kept[key] = read_deployment(workspace, root, files)
    nginx = [InstanceFiles(workspace, one, found, blocks) for one in found.instances]
    for one in nginx:
        one.siblings = nginx
    return nginx, found.notes
