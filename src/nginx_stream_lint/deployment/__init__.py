"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nginx_stream_lint.deployment.names import is_kustomization, is_manifest, may_describe
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.config.inputs import Blocks
    from nginx_stream_lint.deployment.files import InstanceFiles
    from nginx_stream_lint.kubernetes.kustomized import Applied

_MAX_FILES = 2000

__all__ = ["deployed", "kustomized"]


def deployed(
    workspace: Workspace,
    root: str,
    files: Sequence[str],
    yaml: Iterable[str],
    blocks: Blocks,
    behind: bool = False,
) -> tuple[list[InstanceFiles], Sequence[Problem]]:
    """Find each nginx that a repository runs, with its files; also notes about unknown parts.

    `files` are all files of the repository below `root`. `yaml` are the texts of its YAML files
    that contain nginx text. If one of them is a Kubernetes manifest, all manifests are read. With
    `behind`, they are also read if one of them runs nginx.
    """
    has_manifests = any(is_manifest(text.encode("utf-8", "replace")) for text in yaml)
    if not has_manifests and not behind and not any(map(may_describe, files)):
        return [], ()
    # Most repositories do not need these modules, which take longer to load than to use.
    from nginx_stream_lint.deployment.relevant import (
        manifests_of,
        relevant_files,
        runs_server,
    )

    key = (root, behind, *files)
    if key not in workspace.kept:  # a run with --fix reads the same deployment again
        relevant = relevant_files(workspace, files)
        # Manifests without nginx text have no files for an nginx.
        is_read = has_manifests or (behind and runs_server(workspace, files))
        manifests = manifests_of(workspace, files) if is_read else []
        if not relevant and not manifests:
            return [], ()
        from nginx_stream_lint.deployment.read import read_deployment

        workspace.kept[key] = read_deployment(workspace, root, relevant, manifests)
    from nginx_stream_lint.deployment.files import InstanceFiles
    from nginx_stream_lint.deployment.model import Deployment

    found = workspace.kept[key]
    assert isinstance(found, Deployment)
    nginx = [InstanceFiles(workspace, one, found, blocks) for one in found.instances]
    for one in nginx:
        one.siblings = nginx
    return nginx, found.notes


def kustomized(workspace: Workspace, files: Sequence[str]) -> Applied:
    """What the kustomizations of a repository apply; nothing if none of them changes objects."""
    from nginx_stream_lint.kubernetes.kustomized import Applied

    paths = [one for one in files if is_kustomization(one)]
    if not any(_may_change(workspace, one) for one in paths):
        return Applied((), frozenset(), frozenset())
    from nginx_stream_lint.deployment.kustomize import Kustomizations

    read = Kustomizations(workspace, [])
    sets = read.sets(paths[:_MAX_FILES])
    places = frozenset(
        (one.source.key, one.root.span.start) for some in read.read.values() for one in some
    )
    return Applied(sets, places, frozenset(read.taken - read.read.keys()))


def _may_change(workspace: Workspace, path: str) -> bool:
    """Whether a kustomization may change objects."""
    with suppress(Unreadable):
        return re.search(rb"patch|commonAnnotations|behavior", workspace.read(path)) is not None
    return False
