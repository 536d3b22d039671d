"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.files import InstanceFiles

__all__ = ["deployed", "may_describe"]

# Files with another name describe no deployment. Most runs see none and load nothing of it.
_NAMES = r"(?i).*(?:compose.*\.ya?ml|dockerfile.*|containerfile.*|kustomization\.ya?ml)"


def may_describe(path: str) -> bool:
    """Whether a file's name says that it describes a deployment."""
    return re.fullmatch(_NAMES, os.path.basename(path)) is not None


def deployed(
    workspace: Workspace,
    root: str,
    files: Sequence[str],
    blocks: Callable[[str, str], MappedText | None],
) -> tuple[list[InstanceFiles], Sequence[Problem]]:
    """Each nginx that a repository runs, with the files that it reads there; what is unknown.

    `blocks` gives the nginx text in a YAML file by the file and the key.
    """
    if not any(map(may_describe, files)):
        return [], ()
    from nginx_stream_lint.deployment.files import InstanceFiles
    from nginx_stream_lint.deployment.model import Deployment
    from nginx_stream_lint.deployment.read import read_deployment

    key = (root, *files)
    found = workspace.kept.get(key)  # runs that try fixes read the same again
    if not isinstance(found, Deployment):
        found = workspace.kept[key] = read_deployment(workspace, root, files)
    nginx = [InstanceFiles(workspace, one, found, blocks) for one in found.instances]
    return nginx, found.notes
